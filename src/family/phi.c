/* Phi-1, 1.5 and 2 (Gunasekar et al. 2023, arXiv 2306.11644): attention and feed-forward side by side, a part of
 * each head rotated, biases everywhere. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"phi", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"blk.{i}.attn_norm", "model.layers.{i}.input_layernorm"},
    {"blk.{i}.attn_q", "model.layers.{i}.self_attn.q_proj"},
    {"blk.{i}.attn_k", "model.layers.{i}.self_attn.k_proj"},
    {"blk.{i}.attn_v", "model.layers.{i}.self_attn.v_proj"},
    {"blk.{i}.attn_output", "model.layers.{i}.self_attn.dense"},
    {"blk.{i}.ffn_up", "model.layers.{i}.mlp.fc1"},
    {"blk.{i}.ffn_down", "model.layers.{i}.mlp.fc2"},
    {"output_norm", "model.final_layernorm"},
    {"output", "lm_head"},
    {0}};
static const char *const ignored[] = {"*rotary_emb.inv_freq", "lm_head.weight", NULL};

static json_t *read(spar__config_reader *r) {
    int64_t heads = spar__config_integer(r, "num_attention_heads", 32);
    spar__config_only(r, "qk_layernorm", false, false);
    bool tied = spar__config_bool(r, "tie_word_embeddings", false);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:o, s:{s:I, s:I, s:s}, s:s, s:{s:s, s:I, s:s}, s:{s:s, s:b}}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 51200), "context",
        spar__config_integer(r, "max_position_embeddings", 2048), "d_model",
        spar__config_integer(r, "hidden_size", 2048), "n_layers", spar__config_integer(r, "num_hidden_layers", 24),
        "norm", "kind", "layer", "eps", spar__config_real(r, "layer_norm_eps", 1e-5), "residual", "parallel",
        "position", spar__config_rope(r, 10000, 0.5, "halves"), "attention", "n_heads", heads, "n_kv_heads",
        spar__config_integer(r, "num_key_value_heads", heads), "pattern", "causal", "projection", "dense",
        "feedforward", "kind", "dense", "d_ff", spar__config_integer(r, "intermediate_size", 8192), "activation",
        spar__config_activation(r, "hidden_act", "gelu_new"), "head", "kind", tied ? "tied" : "separate",
        "bias", 1);
}

static json_t *publish(const json_t *m) {
    int64_t d = spar__model_integer(m, "d_model", 0), d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    int64_t heads = spar__model_integer(m, "attention.n_heads", 0), kv = spar__model_integer(m, "attention.n_kv_heads", 0);
    json_t *c = json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b}", "model_type", "phi", "architectures",
        "PhiForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0), "max_position_embeddings",
        spar__model_integer(m, "context", 1024), "hidden_size", d, "num_hidden_layers",
        spar__model_integer(m, "n_layers", 0), "num_attention_heads", heads, "num_key_value_heads", kv ? kv : heads,
        "intermediate_size", d_ff ? d_ff : 4 * d, "layer_norm_eps", spar__model_real(m, "norm.eps", 1e-5),
        "hidden_act", spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")),
        "tie_word_embeddings", strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
    spar__publish_rope(c, spar__model_value(m, "position"));
    json_object_set_new(c, "partial_rotary_factor", json_real(spar__model_real(m, "position.fraction", 1)));
    return c;
}

const spar__family spar__family_phi = {
    .name = "phi",
    .types = types,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
