/* Mistral (Jiang et al. 2023, arXiv 2310.06825): LLaMA whose layers may see a window. */
#include "family/llama.h"

static const char *const types[] = {"mistral", NULL};

static const spar__tensor_rule tensors[] = {
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_proj"},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.up_proj"},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"},
    {0}};

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {131072, 8, 10000, 1e-6, false, false};
    json_t *m = spar__llama_read(r, &defaults);
    spar__llama_read_window(r, m, 4096);
    spar__llama_read_gated(r, m, false);
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "mistral", "MistralForCausalLM");
    spar__llama_publish_window(c, m);
    return c;
}

const spar__family spar__family_mistral = {
    .name = "mistral",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
    .gguf = "llama",
    .gguf_tensors = spar__llama_gguf_tensors,
    .gguf_model = spar__llama_gguf_model,
    .gguf_is = spar__llama_gguf_has_window,
};
