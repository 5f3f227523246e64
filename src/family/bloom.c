/* BLOOM (Le Scao et al. 2022, arXiv 2211.05100): ALiBi, a norm after the embedding; q, k and v lie head by
 * head in one matrix. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"bloom", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};
static const char *const ignored[] = {"lm_head.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "word_embeddings"},
    {"token_embd_norm", "word_embeddings_layernorm"},
    {"blk.{i}.attn_norm", "h.{i}.input_layernorm"},
    {"blk.{i}.attn_q", "h.{i}.self_attention.query_key_value", SPAR__PER_HEAD, 0, 3},
    {"blk.{i}.attn_k", "h.{i}.self_attention.query_key_value", SPAR__PER_HEAD, 1, 3},
    {"blk.{i}.attn_v", "h.{i}.self_attention.query_key_value", SPAR__PER_HEAD, 2, 3},
    {"blk.{i}.attn_output", "h.{i}.self_attention.dense"},
    {"blk.{i}.ffn_norm", "h.{i}.post_attention_layernorm"},
    {"blk.{i}.ffn_up", "h.{i}.mlp.dense_h_to_4h"},
    {"blk.{i}.ffn_down", "h.{i}.mlp.dense_4h_to_h"},
    {"output_norm", "ln_f"},
    {"output", "/lm_head"},
    {0}};

static const spar__tensor_rule gguf_tensors[] = {
    {"blk.{i}.attn_q", "blk.{i}.attn_qkv", SPAR__SAME, 0, 3},
    {"blk.{i}.attn_k", "blk.{i}.attn_qkv", SPAR__SAME, 1, 3},
    {"blk.{i}.attn_v", "blk.{i}.attn_qkv", SPAR__SAME, 2, 3},
    {0}};

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, spar__config_either(r, "hidden_size", "n_embed"), 64);
    bool normed = spar__config_bool(r, "apply_residual_connection_post_layernorm", false);
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    spar__config_value(r, "n_inner"); /* the width is 4·hidden_size whatever it says */
    int64_t heads = spar__config_integer(r, spar__config_either(r, "n_head", "num_attention_heads"), 8);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:b}, s:{s:I, s:s}, s:s, s:{s:s, s:I, s:s}, s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 250880), "context",
        spar__config_integer(r, "seq_length", 2048), "d_model", d, "n_layers",
        spar__config_integer(r, spar__config_either(r, "n_layer", "num_hidden_layers"), 2), "norm", "kind", "layer",
        "eps", spar__config_real(r, "layer_norm_epsilon", 1e-5), "residual",
        normed ? "normed-residual" : "pre-norm", "position", "alibi", "embedding", "norm", 1, "attention", "n_heads",
        heads, "pattern", "causal", "projection", "dense", "feedforward", "kind", "dense", "d_ff", 4 * d,
        "activation", "gelu-tanh", "head", tied ? "tied" : "separate");
}

static json_t *publish(const json_t *m) {
    return json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:b}", "model_type", "bloom", "architectures",
        "BloomForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0), "seq_length",
        spar__model_integer(m, "context", 1024), "hidden_size", spar__model_integer(m, "d_model", 0), "n_layer",
        spar__model_integer(m, "n_layers", 0), "n_head", spar__model_integer(m, "attention.n_heads", 0),
        "layer_norm_epsilon", spar__model_real(m, "norm.eps", 1e-5), "apply_residual_connection_post_layernorm",
        strcmp(spar__model_kind(m, "residual", "pre-norm"), "normed-residual") == 0, "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
}

const spar__family spar__family_bloom = {
    .name = "bloom",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .gguf = "bloom",
    .gguf_tensors = gguf_tensors,
    .gguf_model = "{\"norm\": {\"kind\": \"layer\"}, \"residual\": \"pre-norm\", \"position\": \"alibi\","
                  " \"embedding\": {\"norm\": true},"
                  " \"feedforward\": {\"kind\": \"dense\", \"activation\": \"gelu-tanh\"}}",
};
