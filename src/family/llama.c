/* LLaMA (Touvron et al. 2023, arXiv 2302.13971). */
#include "family/llama.h"

#include <string.h>

static const char *const types[] = {"llama", NULL};
const char *const spar__llama_ignored[] = {"*rotary_emb.inv_freq", NULL};

static const spar__tensor_rule tensors[] = {
    SPAR__LLAMA_TENSORS,
    {"blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_proj"},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.up_proj"},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"},
    {0}};

const spar__tensor_rule spar__llama_gguf_tensors[] = {
    {"blk.{i}.attn_q", "blk.{i}.attn_q", SPAR__ADJACENT}, {"blk.{i}.attn_k", "blk.{i}.attn_k", SPAR__ADJACENT}, {0}};
const char spar__llama_gguf_model[] = "{\"norm\": {\"kind\": \"rms\"}, \"residual\": \"pre-norm\","
                                      " \"position\": {\"kind\": \"rotary\", \"pairs\": \"adjacent\"},"
                                      " \"feedforward\": {\"kind\": \"gated\", \"activation\": \"silu\"}}";

json_t *spar__llama_read(spar__config_reader *r, const spar__llama_defaults *o) {
    int64_t d = spar__config_integer(r, "hidden_size", SPAR__REQUIRED);
    int64_t heads = spar__config_integer(r, "num_attention_heads", SPAR__REQUIRED);
    int64_t context = spar__config_integer(r, "max_position_embeddings", o->context);
    bool bias = spar__config_bool(r, "attention_bias", o->attention_bias);
    bool tied = spar__config_bool(r, "tie_word_embeddings", false);
    spar__config_only(r, "rope_interleaved", false, false);
    json_t *position = spar__config_rope(r, o->base, o->fraction > 0 ? o->fraction : 1, o->pairs ? o->pairs : "halves");
    if (strcmp(spar__model_kind(position, "scaling", "none"), "dynamic") == 0) {
        json_object_set_new(position, "original_context", json_integer((json_int_t)context));
        context = (int64_t)((double)context * spar__model_real(position, "factor", 1));
    }
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:o, s:{s:I, s:I, s:b, s:b, s:s}, s:s, s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 32000), "context",
        context, "d_model", d, "n_layers", spar__config_integer(r, "num_hidden_layers", SPAR__REQUIRED), "norm",
        "kind", "rms", "eps", spar__config_real(r, "rms_norm_eps", o->eps), "residual", "pre-norm", "position",
        position, "attention", "n_heads", heads, "n_kv_heads",
        spar__config_integer(r, "num_key_value_heads", o->kv_heads ? o->kv_heads : heads), "bias", bias,
        "output_bias", bias && o->output_bias, "pattern", "causal", "projection", "dense", "head",
        tied ? "tied" : "separate");
    int64_t head_dim = spar__config_integer(r, "head_dim", o->head_dim);
    if (head_dim) json_object_set_new(json_object_get(m, "attention"), "head_dim", json_integer(head_dim));
    return m;
}

void spar__llama_read_gated(spar__config_reader *r, json_t *m, bool bias) {
    json_t *f = json_pack("{s:s, s:I, s:s}", "kind", "gated", "d_ff",
                          spar__config_integer(r, "intermediate_size", SPAR__REQUIRED), "activation",
                          spar__config_activation(r, "hidden_act", "silu"));
    if (bias) json_object_set_new(f, "bias", json_true());
    json_object_set_new(m, "feedforward", f);
}

void spar__llama_read_window(spar__config_reader *r, json_t *m, int64_t fallback) {
    bool none = json_is_null(json_object_get(r->config, "sliding_window"));
    int64_t window = spar__config_integer(r, "sliding_window", none ? 0 : fallback);
    if (window)
        json_object_set_new(json_object_get(m, "attention"), "pattern",
                            json_pack("{s:s, s:I}", "kind", "band", "width", window));
}

void spar__llama_publish_window(json_t *c, const json_t *m) {
    int64_t window = spar__model_integer(m, "attention.pattern.width", 0);
    json_object_set_new(c, "sliding_window", window ? json_integer(window) : json_null());
}

bool spar__llama_gguf_has_window(const spar__gguf *file) {
    return spar__gguf_find(file, "llama.attention.sliding_window", NULL);
}

static json_t *read(spar__config_reader *r) {
    static const spar__llama_defaults defaults = {2048, 0, 10000, 1e-6, false, true};
    json_t *m = spar__llama_read(r, &defaults);
    spar__llama_read_gated(r, m, spar__config_bool(r, "mlp_bias", false));
    return m;
}

json_t *spar__llama_publish(const json_t *m, const char *type, const char *architecture) {
    int64_t heads = spar__model_integer(m, "attention.n_heads", 1), d = spar__model_integer(m, "d_model", 0);
    int64_t kv = spar__model_integer(m, "attention.n_kv_heads", 0), context = spar__model_integer(m, "context", 1024);
    int64_t head_dim = spar__model_integer(m, "attention.head_dim", 0);
    const json_t *position = spar__model_value(m, "position");
    if (strcmp(spar__model_kind(position, "scaling", "none"), "dynamic") == 0)
        context = spar__model_integer(position, "original_context", context);
    json_t *c = json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:b}", "model_type", type,
        "architectures", architecture, "vocab_size", spar__model_integer(m, "vocab_size", 0),
        "max_position_embeddings", context, "hidden_size", d, "num_hidden_layers",
        spar__model_integer(m, "n_layers", 0), "num_attention_heads", heads, "num_key_value_heads",
        kv ? kv : heads, "head_dim", head_dim ? head_dim : d / heads, "intermediate_size",
        spar__model_integer(m, "feedforward.d_ff", (8 * d / 3 + 31) / 32 * 32), "hidden_act",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "silu")), "rms_norm_eps",
        spar__model_real(m, "norm.eps", 1e-5), "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
    spar__publish_rope(c, position);
    return c;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__llama_publish(m, "llama", "LlamaForCausalLM");
    json_object_set_new(c, "attention_bias", json_boolean(spar__model_flag(m, "attention.bias", true)));
    json_object_set_new(c, "mlp_bias", json_boolean(spar__model_flag(m, "feedforward.bias", false)));
    return c;
}

const spar__family spar__family_llama = {
    .name = "llama",
    .types = types,
    .tensors = tensors,
    .ignored = spar__llama_ignored,
    .read = read,
    .publish = publish,
    .gguf = "llama",
    .gguf_tensors = spar__llama_gguf_tensors,
    .gguf_model = spar__llama_gguf_model,
};
