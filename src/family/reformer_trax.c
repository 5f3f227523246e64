/* Reformer (Kitaev et al. 2020, arXiv 2001.04451) with the names of the authors' code (trax): LSH attention in all
 * layers, two streams that are joined. Rotations are stored with the weights. */
#include <string.h>

#include "family/trax.h"

static const char *const types[] = {"reformer", NULL};

static bool is(const json_t *config) { return json_object_get(config, "d_model"); }

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed"},
    {"position_embd", "positions"},
    {"blk.{i}.attn_norm", "layers.{i}.attention.norm"},
    {"blk.{i}.attn_qk.weight", "layers.{i}.attention.w_qk", SPAR__SLABS, .shape = "Hcf"},
    {"blk.{i}.attn_v.weight", "layers.{i}.attention.w_v", SPAR__SLABS, .shape = "Hcf"},
    {"blk.{i}.attn_output.weight", "layers.{i}.attention.w_o", SPAR__TRANSPOSED, .shape = "Hfr"},
    {"blk.{i}.attn_rotations.weight", "layers.{i}.attention.rotations", SPAR__SLABS, .shape = "HcRf"},
    {"blk.{i}.ffn_norm", "layers.{i}.ff.norm"},
    {"blk.{i}.ffn_up.weight", "layers.{i}.ff.W1", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_up.bias", "layers.{i}.ff.b1"},
    {"blk.{i}.ffn_down.weight", "layers.{i}.ff.W2", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_down.bias", "layers.{i}.ff.b2"},
    {"output_norm", "norm"},
    {"output.weight", "head.weight", SPAR__TRANSPOSED},
    {"output.bias", "head.bias"},
    {0}};

static json_t *read_pattern(spar__config_reader *r) {
    const json_t *buckets = spar__config_value(r, "n_buckets");
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:s, s:s}", "kind", "lsh", "chunk",
                     spar__config_integer(r, "chunk_length", SPAR__REQUIRED), "rounds",
                     spar__config_integer(r, "n_hashes", 1), "before", spar__config_integer(r, "chunks_before", 1),
                     "after", spar__config_integer(r, "chunks_after", 0), "buckets",
                     buckets ? json_deep_copy(buckets) : json_array(), "lookup", "sorted", "rotations", "stored");
}

static void only(spar__config_reader *r, const char *key, const char *expected) {
    if (strcmp(spar__config_text(r, key, expected), expected) != 0) spar__config_fail(r, key, expected);
}

static json_t *read(spar__config_reader *r) {
    only(r, "attention", "lsh");
    only(r, "positions", "learned");
    only(r, "residual", "reversible");
    spar__config_only(r, "tied_embeddings", false, false);
    if (spar__config_integer(r, "loss_sparsity", 0)) spar__config_fail(r, "loss_sparsity", "0");
    int64_t head_dim = spar__config_integer(r, "d_key", SPAR__REQUIRED);
    if (spar__config_integer(r, "d_value", head_dim) != head_dim) spar__config_fail(r, "d_value", "d_key");
    bool joined = strcmp(spar__config_text(r, "streams_out", "concatenate"), "concatenate") == 0;
    if (!joined) only(r, "streams_out", "average");
    bool relu = strcmp(spar__config_text(r, "ff_activation", "relu"), "relu") == 0;
    if (!relu) only(r, "ff_activation", "gelu_tanh");
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I, s:I, s:b, s:b, s:o}, s:s, s:{s:s, s:I, s:s}, s:{s:s, s:b}, s:I}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", SPAR__REQUIRED), "context",
        spar__config_integer(r, "max_positions", SPAR__REQUIRED), "d_model",
        spar__config_integer(r, "d_model", SPAR__REQUIRED), "n_layers",
        spar__config_integer(r, "n_layers", SPAR__REQUIRED), "norm", "kind",
        spar__config_bool(r, "norm_center", true) ? "layer" : "rms", "eps", spar__config_real(r, "norm_epsilon", 1e-6),
        "residual", joined ? "reversible-joined" : "reversible", "position", "learned", "attention", "n_heads",
        spar__config_integer(r, "n_heads", SPAR__REQUIRED), "head_dim", head_dim, "bias", 0, "output_bias", 0, "pattern",
        read_pattern(r), "projection", "shared-qk", "feedforward", "kind", "dense", "d_ff",
        spar__config_integer(r, "d_ff", SPAR__REQUIRED), "activation", relu ? "relu" : "gelu-tanh", "head", "kind",
        "separate", "bias", 1, "start", spar__config_integer(r, "start_token", 0));
}

static json_t *publish(const json_t *m) {
    const json_t *p = spar__model_value(m, "attention.pattern"), *buckets = json_object_get(p, "buckets");
    int64_t d = spar__model_integer(m, "d_model", 0), heads = spar__model_integer(m, "attention.n_heads", 1);
    int64_t head_dim = spar__model_integer(m, "attention.head_dim", d / heads);
    if (strcmp(spar__model_kind(p, "kind", ""), "lsh") != 0) return NULL;
    json_t *c = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model_type", "reformer", "attention", "lsh",
        "residual", "reversible", "streams_out",
        strcmp(spar__model_kind(m, "residual", ""), "reversible-joined") == 0 ? "concatenate" : "average", "n_layers",
        spar__model_integer(m, "n_layers", 0), "d_key", head_dim, "d_value", head_dim, "chunk_length",
        spar__model_integer(p, "chunk", 64), "chunks_before", spar__model_integer(p, "before", 1), "chunks_after",
        spar__model_integer(p, "after", 0), "n_hashes", spar__model_integer(p, "rounds", 1), "start_token",
        spar__model_integer(m, "start", 0));
    bool one = json_array_size(buckets) == 1;
    json_object_set(c, "n_buckets", one ? json_array_get(buckets, 0) : (json_t *)buckets);
    spar__trax_publish(c, m, m);
    json_object_set_new(c, "attention", json_string("lsh"));
    return c;
}

const spar__family spar__family_reformer_trax = {
    .name = "reformer_trax",
    .types = types,
    .tensors = tensors,
    .is = is,
    .read = read,
    .publish = publish,
};
