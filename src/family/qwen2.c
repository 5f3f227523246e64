/* Qwen2 (Yang et al. 2024, arXiv 2407.10671): LLaMA with biases of q, k and v; the later layers may see a window. */
#include <string.h>

#include "family/llama.h"

static const char *const types[] = {"qwen2", NULL};

static const spar__tensor_rule tensors[] = {
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_proj"},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.up_proj"},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"},
    {0}};

/* Layers from max_window_layers on, or those that layer_types names. */
static void read_windows(spar__config_reader *r, json_t *m) {
    bool on = spar__config_bool(r, "use_sliding_window", false);
    spar__config_only(r, "use_mrope", false, false);
    int64_t window = spar__config_integer(r, "sliding_window", 4096);
    int64_t first = spar__config_integer(r, "max_window_layers", 28), layers = spar__model_integer(m, "n_layers", 0);
    const json_t *named = spar__config_value(r, "layer_types");
    json_t *list = json_array();
    for (int64_t i = 0; i < layers && i < 4096; i++) {
        const char *name = json_string_value(json_array_get(named, (size_t)i));
        bool local = on && (named ? name && !strcmp(name, "sliding_attention") : i >= first);
        if (named && (!name || (strcmp(name, "sliding_attention") && strcmp(name, "full_attention"))))
            spar__config_fail(r, "layer_types", "sliding_attention or full_attention for each layer");
        json_array_append_new(list, local ? json_pack("{s:s, s:I}", "kind", "band", "width", window)
                                          : json_string("causal"));
    }
    if (on) json_object_set(json_object_get(m, "attention"), "pattern", list);
    json_decref(list);
}

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {32768, 32, 10000, 1e-6, true, false};
    json_t *m = spar__llama_read(r, &defaults);
    read_windows(r, m);
    spar__llama_read_gated(r, m, false);
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "qwen2", "Qwen2ForCausalLM"), *pattern;
    json_object_del(c, "head_dim");
    pattern = (json_t *)spar__model_value(m, "attention.pattern");
    int64_t layers = spar__model_integer(m, "n_layers", 0), first = layers;
    for (int64_t i = layers; json_is_array(pattern) && i-- > 0;) {
        const json_t *p = json_array_get(pattern, (size_t)i % json_array_size(pattern));
        if (!json_is_object(p)) break;
        first = i;
        json_object_set(c, "sliding_window", json_object_get(p, "width"));
    }
    json_object_set_new(c, "use_sliding_window", json_boolean(first < layers));
    json_object_set_new(c, "max_window_layers", json_integer(first));
    return c;
}

const spar__family spar__family_qwen2 = {
    .name = "qwen2",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
    .gguf = "qwen2",
    .gguf_model = "{\"norm\": {\"kind\": \"rms\"}, \"residual\": \"pre-norm\", \"position\": \"rotary\","
                  " \"feedforward\": {\"kind\": \"gated\", \"activation\": \"silu\"}}",
};
