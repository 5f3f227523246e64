/* Reformer (Kitaev et al. 2020, arXiv 2001.04451) in Hugging Face's form: LSH and chunked local attention, two
 * streams that are joined, axial positions. Rotations, which are random there, are stored with the weights. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"reformer", NULL};
static const char *const prefixes[] = {"reformer.", "", NULL};
static const char *const ignored[] = {"lm_head.bias", NULL};

static bool is(const json_t *config) { return json_object_get(config, "attn_layers") || !json_object_get(config, "d_model"); }

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"position_embd.0.weight", "embeddings.position_embeddings.weights.0", .shape = "r1c"},
    {"position_embd.1.weight", "embeddings.position_embeddings.weights.1", .shape = "1rc"},
    {"position_embd", "embeddings.position_embeddings.embedding"},
    {"blk.{i}.attn_norm", "encoder.layers.{i}.attention.layer_norm"},
    {"blk.{i}.attn_qk", "encoder.layers.{i}.attention.self_attention.query_key"},
    {"blk.{i}.attn_q", "encoder.layers.{i}.attention.self_attention.query"},
    {"blk.{i}.attn_k", "encoder.layers.{i}.attention.self_attention.key"},
    {"blk.{i}.attn_v", "encoder.layers.{i}.attention.self_attention.value"},
    {"blk.{i}.attn_output", "encoder.layers.{i}.attention.output.dense"},
    {"blk.{i}.attn_rotations.weight", "encoder.layers.{i}.attention.self_attention.rotations", SPAR__SLABS,
     .shape = "HcRf"},
    {"blk.{i}.ffn_norm", "encoder.layers.{i}.feed_forward.layer_norm"},
    {"blk.{i}.ffn_up", "encoder.layers.{i}.feed_forward.dense.dense"},
    {"blk.{i}.ffn_down", "encoder.layers.{i}.feed_forward.output.dense"},
    {"output_norm", "encoder.layer_norm"},
    {"output.weight", "/lm_head.decoder.weight"},
    {"output.bias", "/lm_head.decoder.bias|/lm_head.bias"},
    {0}};

static int64_t least_common(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x ? a / x * b : 1;
}

static json_t *copy(const json_t *value) { return value ? json_deep_copy(value) : json_array(); }

/* The chunks of layers of one kind, which other kinds' padding depends on. */
typedef struct chunks {
    int64_t length, before, after;
} chunks;

static chunks read_chunks(spar__config_reader *r, const char *length, const char *before, const char *after) {
    chunks c = {spar__config_integer(r, length, 64), spar__config_integer(r, before, 1), spar__config_integer(r, after, 0)};
    if (c.length < 1 || c.length > 1 << 16) spar__config_fail(r, length, "1 to 65536");
    return c;
}

/* Patterns and projections of the layers. */
static void read_layers(spar__config_reader *r, json_t *patterns, json_t *projections) {
    chunks local = read_chunks(r, "local_attn_chunk_length", "local_num_chunks_before", "local_num_chunks_after");
    chunks lsh = read_chunks(r, "lsh_attn_chunk_length", "lsh_num_chunks_before", "lsh_num_chunks_after");
    const json_t *layers = spar__config_value(r, "attn_layers"), *layer, *buckets = spar__config_value(r, "num_buckets");
    int64_t rounds = spar__config_integer(r, "num_hashes", 1);
    bool has_local = false, good = json_array_size(layers) > 0;
    size_t i;
    json_array_foreach((json_t *)layers, i, layer) {
        const char *name = json_string_value(layer);
        has_local |= name && strcmp(name, "local") == 0;
    }
    int64_t multiple = has_local ? least_common(local.length, lsh.length) : lsh.length;
    json_array_foreach((json_t *)layers, i, layer) {
        const char *name = json_string_value(layer);
        if (name && strcmp(name, "local") == 0) {
            json_array_append_new(patterns, json_pack("{s:s, s:I, s:I}", "kind", "block", "block", local.length,
                                                      "window", local.before + 1));
            json_array_append_new(projections, json_string("dense"));
        } else if (name && strcmp(name, "lsh") == 0) {
            json_array_append_new(patterns,
                                  json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:s, s:I, s:s}", "kind", "lsh", "chunk",
                                            lsh.length, "rounds", rounds, "before", lsh.before, "after", lsh.after,
                                            "buckets", copy(buckets), "lookup", "sorted", "multiple", multiple,
                                            "rotations", "stored"));
            json_array_append_new(projections, json_string("shared-qk"));
        } else {
            good = false;
        }
    }
    if (!good) spar__config_fail(r, "attn_layers", "a list of \"local\" and \"lsh\"");
}

static json_t *read_position(spar__config_reader *r) {
    bool axial = spar__config_bool(r, "axial_pos_embds", true);
    const json_t *shape = spar__config_value(r, "axial_pos_shape"), *widths = spar__config_value(r, "axial_pos_embds_dim");
    if (!axial) return json_string("learned");
    return json_pack("{s:s, s:o, s:o}", "kind", "axial", "shape", copy(shape), "widths", copy(widths));
}

static json_t *read(spar__config_reader *r) {
    static const char *const unused[] = {"axial_norm_std", "hash_seed", "chunk_size_lm_head", "chunk_size_feed_forward",
                                         "classifier_dropout", "hidden_dropout_prob", "tie_word_embeddings",
                                         "local_attention_probs_dropout_prob", "lsh_attention_probs_dropout_prob",
                                         "initializer_range", "use_cache", "intermediate_size", "type_vocab_size",
                                         "num_chunks_before", "num_chunks_after", NULL};
    for (const char *const *key = unused; *key; key++) spar__config_value(r, *key);
    json_t *patterns = json_array(), *projections = json_array();
    read_layers(r, patterns, projections);
    spar__config_only(r, "is_decoder", true, false);
    spar__config_only(r, "sinusoidal_pos_embds", false, false);
    int64_t d = spar__config_integer(r, "hidden_size", 256), layers = (int64_t)json_array_size(patterns);
    if (spar__config_integer(r, "num_hidden_layers", layers) != layers)
        spar__config_fail(r, "num_hidden_layers", "as many as attn_layers");
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:o, s:{s:I, s:I, s:b, s:b, s:o}, s:o, s:{s:s, s:I, s:s}, s:{s:s, s:b}}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 320), "context",
        spar__config_integer(r, "max_position_embeddings", 4096), "d_model", d, "n_layers", layers, "norm", "kind",
        "layer", "eps", spar__config_real(r, "layer_norm_eps", 1e-12), "residual", "reversible-joined", "position",
        read_position(r), "attention", "n_heads", spar__config_integer(r, "num_attention_heads", 12), "head_dim",
        spar__config_integer(r, "attention_head_size", 64), "bias", 0, "output_bias", 0, "pattern", patterns,
        "projection", projections, "feedforward", "kind", "dense", "d_ff", spar__config_integer(r, "feed_forward_size", 512),
        "activation", spar__config_activation(r, "hidden_act", "relu"), "head", "kind", "separate", "bias", 1);
}

/* Members of the first layer whose pattern is `kind`, "block" or "lsh"; NULL = none. */
static const json_t *pattern_of(const json_t *m, const char *kind) {
    const json_t *patterns = spar__model_value(m, "attention.pattern"), *p;
    size_t i;
    if (json_is_object(patterns)) return strcmp(spar__model_kind(patterns, "kind", ""), kind) ? NULL : patterns;
    json_array_foreach((json_t *)patterns, i, p)
        if (strcmp(spar__model_kind(p, "kind", ""), kind) == 0) return p;
    return NULL;
}

static json_t *publish(const json_t *m) {
    const json_t *local = pattern_of(m, "block"), *lsh = pattern_of(m, "lsh");
    const json_t *patterns = spar__model_value(m, "attention.pattern"), *position = spar__model_value(m, "position");
    int64_t d = spar__model_integer(m, "d_model", 0), layers = spar__model_integer(m, "n_layers", 0);
    bool axial = strcmp(spar__model_kind(m, "position", "learned"), "axial") == 0;
    if (!local && !lsh) return NULL;
    json_t *names = json_array();
    for (int64_t i = 0; i < layers; i++) {
        size_t n = json_array_size(patterns);
        const json_t *p = n ? json_array_get(patterns, (size_t)i % n) : patterns;
        json_array_append_new(names, json_string(strcmp(spar__model_kind(p, "kind", ""), "block") ? "lsh" : "local"));
    }
    json_t *c = json_pack(
        "{s:s, s:[s], s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}",
        "model_type", "reformer", "architectures", "ReformerModelWithLMHead", "is_decoder", 1, "attn_layers", names,
        "vocab_size", spar__model_integer(m, "vocab_size", 0), "max_position_embeddings",
        spar__model_integer(m, "context", 1024), "hidden_size", d, "num_hidden_layers", layers, "num_attention_heads",
        spar__model_integer(m, "attention.n_heads", 0), "attention_head_size",
        spar__model_integer(m, "attention.head_dim", d / spar__model_integer(m, "attention.n_heads", 1)),
        "feed_forward_size", spar__model_integer(m, "feedforward.d_ff", 4 * d), "layer_norm_eps",
        spar__model_real(m, "norm.eps", 1e-5), "hidden_act",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "axial_pos_embds", axial,
        "local_attn_chunk_length", spar__model_integer(local, "block", 64), "local_num_chunks_before",
        spar__model_integer(local, "window", 2) - 1, "lsh_attn_chunk_length", spar__model_integer(lsh, "chunk", 64),
        "lsh_num_chunks_before", spar__model_integer(lsh, "before", 1), "lsh_num_chunks_after",
        spar__model_integer(lsh, "after", 0), "num_hashes", spar__model_integer(lsh, "rounds", 1));
    const json_t *buckets = json_object_get(lsh, "buckets");
    json_object_set(c, "num_buckets", json_array_size(buckets) == 1 ? json_array_get(buckets, 0) : (json_t *)buckets);
    if (axial) json_object_set(c, "axial_pos_shape", json_object_get(position, "shape"));
    if (axial) json_object_set(c, "axial_pos_embds_dim", json_object_get(position, "widths"));
    return c;
}

const spar__family spar__family_reformer = {
    .name = "reformer",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .is = is,
    .read = read,
    .publish = publish,
};
