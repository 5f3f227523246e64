/* T5 (Raffel et al. 2020, arXiv 1910.10683), its version 1.1, Flan (Chung et al. 2022, arXiv 2210.11416) and
 * UL2 (Tay et al. 2022, arXiv 2205.05131): encoder–decoders with relative position bias, RMS norms, no
 * biases, and scores that are not scaled. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "family/t5.h"

static const char *const types[] = {"t5", "mt5", NULL};
static const char *const prefixes[] = {"", "transformer.", NULL};
static const char *const ignored[] = {"*embed_tokens.weight", "*EncDecAttention.relative_attention_bias.weight",
                                      "lm_head.weight", "shared.weight", NULL};

#define FEED_FORWARD(ours, theirs)                                                                               \
    {ours ".blk.{i}.ffn_norm", theirs ".layer_norm"},                                                            \
        {ours ".blk.{i}.ffn_down", theirs ".DenseReluDense.wo"},                                                 \
        {ours ".blk.{i}.ffn_gate", theirs ".DenseReluDense.wi_0"},                                               \
        {ours ".blk.{i}.ffn_up", theirs ".DenseReluDense.wi_1", .with = ours ".blk.{i}.ffn_gate"},               \
        {ours ".blk.{i}.ffn_up", theirs ".DenseReluDense.wi"}

/* The first layer is "wi", or "wi_1" beside a gate. */
static const spar__tensor_rule tensors[] = {
    SPAR__T5_EMBEDDINGS,
    SPAR__T5_STACK("enc", "encoder"),
    SPAR__T5_STACK("dec", "decoder"),
    FEED_FORWARD("enc", "encoder.block.{i}.layer.1"),
    FEED_FORWARD("dec", "decoder.block.{i}.layer.2"),
    SPAR__T5_CROSS,
    {0}};

static const spar__tensor_rule gguf_tensors[] = {
    {"enc.blk.{i}.attn_output", "enc.blk.{i}.attn_o"},
    {"dec.blk.{i}.attn_output", "dec.blk.{i}.attn_o"},
    {"dec.blk.{i}.cross_attn_output", "dec.blk.{i}.cross_attn_o"},
    {0}};

/* mT5 (Xue et al. 2020, arXiv 2010.11934) is T5 1.1 with defaults of its own. */
static bool is_mt5(const spar__config_reader *r) {
    const char *type = json_string_value(json_object_get(r->config, "model_type"));
    return type && strcmp(type, "mt5") == 0;
}

json_t *spar__t5_section(spar__config_reader *r, json_t *feedforward) {
    bool mt5 = is_mt5(r);
    int64_t layers = spar__config_integer(r, "num_layers", mt5 ? 8 : 6);
    bool tied_key = spar__config_bool(r, "tie_word_embeddings", true);
    bool scaled = spar__config_bool(r, "scale_decoder_outputs", tied_key && !mt5);
    bool tied = !spar__config_tensor(r, "lm_head.weight") || spar__config_same_tensors(r, "lm_head.weight", "shared.weight");
    bool apart = !tied_key && spar__config_tensor(r, "encoder.embed_tokens.weight") &&
                 spar__config_tensor(r, "decoder.embed_tokens.weight");
    int64_t d = spar__config_integer(r, "d_model", 512), context = spar__config_integer(r, "n_positions", 512);
    if (context < 2048) context = 2048; /* nothing in the model ends there */
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:s, s:I, s:I}, s:{s:I, s:I, s:f, s:b, s:b}, s:o, s:{s:I}, s:{s:s, s:f}}",
        "architecture", "encoder-decoder", "vocab_size", spar__config_integer(r, "vocab_size", mt5 ? 250112 : 32128), "context", context,
        "d_model", d, "n_layers", layers, "norm", "kind", "rms", "eps", spar__config_real(r, "layer_norm_epsilon", 1e-6),
        "residual", "pre-norm", "position", "kind", "relative", "buckets",
        spar__config_integer(r, "relative_attention_num_buckets", 32), "max_distance",
        spar__config_integer(r, "relative_attention_max_distance", 128), "attention", "n_heads",
        spar__config_integer(r, "num_heads", mt5 ? 6 : 8), "head_dim", spar__config_integer(r, "d_kv", 64), "scale", 1.0, "bias", false,
        "output_bias", false, "feedforward", feedforward, "decoder", "n_layers",
        spar__config_integer(r, "num_decoder_layers", layers), "head", "kind", tied ? "tied" : "separate", "scale",
        scaled ? 1 / sqrt((double)d) : 1.0);
    if (apart)
        json_object_set_new(json_object_get(m, "decoder"), "embedding", json_pack("{s:b}", "shared", false));
    json_object_set_new(m, "start", json_integer(spar__config_integer(r, "decoder_start_token_id", 0)));
    return m;
}

/* "relu", "gated-gelu", "gated-silu"; gelu after "gated-" is by tanh. */
static json_t *feedforward_of(spar__config_reader *r) {
    const char *name = spar__config_text(r, "feed_forward_proj", is_mt5(r) ? "gated-gelu" : "relu");
    bool gated = strncmp(name, "gated-", 6) == 0;
    spar__config_bool(r, "is_gated_act", gated);
    spar__config_text(r, "dense_act_fn", name);
    const char *act = gated ? name + 6 : name;
    const char *ours = gated && strcmp(act, "gelu") == 0 ? "gelu-tanh" : spar__activation_ours(act);
    if (!ours) spar__config_fail(r, "feed_forward_proj", "an activation such as relu, or a gated one such as gated-gelu");
    return json_pack("{s:s, s:I, s:s, s:b}", "kind", gated ? "gated" : "dense", "d_ff",
                     spar__config_integer(r, "d_ff", is_mt5(r) ? 1024 : 2048), "activation", ours ? ours : "relu", "bias", false);
}

static json_t *read(spar__config_reader *r) { return spar__t5_section(r, feedforward_of(r)); }

json_t *spar__t5_publish(const json_t *m, const char *type, const char *architecture) {
    if (strcmp(spar__model_kind(m, "position", "learned"), "relative") != 0 ||
        strcmp(spar__model_kind(m, "architecture", "decoder"), "encoder-decoder") != 0)
        return NULL;
    int64_t layers = spar__model_integer(m, "n_layers", 0), d = spar__model_integer(m, "d_model", 0);
    int64_t heads = spar__model_integer(m, "attention.n_heads", 1);
    return json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:b, s:I, s:b, s:I}", "model_type", type,
        "architectures", architecture, "vocab_size", spar__model_integer(m, "vocab_size", 0), "n_positions",
        spar__model_integer(m, "context", 1024), "d_model", d, "d_kv",
        spar__model_integer(m, "attention.head_dim", d / heads), "num_heads", heads, "num_layers", layers,
        "num_decoder_layers", spar__model_integer(m, "decoder.n_layers", layers), "layer_norm_epsilon",
        spar__model_real(m, "norm.eps", 1e-5), "relative_attention_num_buckets",
        spar__model_integer(m, "position.buckets", 32), "relative_attention_max_distance",
        spar__model_integer(m, "position.max_distance", 128), "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0, "d_ff",
        spar__model_integer(m, "feedforward.d_ff", 4 * d), "is_encoder_decoder", true, "decoder_start_token_id",
        spar__model_integer(m, "start", 0));
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__t5_publish(m, "t5", "T5ForConditionalGeneration");
    bool gated = strcmp(spar__model_kind(m, "feedforward", "dense"), "gated") == 0;
    const char *act = spar__model_kind(m, "feedforward.activation", gated ? "silu" : "gelu-tanh");
    char name[48];
    snprintf(name, sizeof name, "%s%s", gated ? "gated-" : "",
             gated && strcmp(act, "gelu-tanh") == 0 ? "gelu" : spar__activation_published(act));
    if (!c) return NULL;
    json_object_set_new(c, "feed_forward_proj", json_string(name));
    json_object_set_new(c, "scale_decoder_outputs", json_boolean(spar__model_real(m, "head.scale", 1) != 1));
    return c;
}

const spar__family spar__family_t5 = {
    .name = "t5",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .gguf = "t5",
    .gguf_tensors = gguf_tensors,
    .gguf_model = "{\"architecture\": \"encoder-decoder\", \"norm\": {\"kind\": \"rms\"}, \"residual\": \"pre-norm\", "
                  "\"position\": {\"kind\": \"relative\"}, \"attention\": {\"scale\": 1, \"bias\": false, "
                  "\"output_bias\": false}}",
};
