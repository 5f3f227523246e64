/* GPT-2 (Radford et al. 2019, "Language models are unsupervised multitask learners"). Linear layers are
 * stored [in, out], q, k and v as one. */
#include <math.h>
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"gpt2", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};
static const char *const ignored[] = {"*attn.bias", "*attn.masked_bias", "lm_head.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "wte"},
    {"position_embd", "wpe"},
    {"blk.{i}.attn_norm", "h.{i}.ln_1"},
    {"blk.{i}.attn_q", "h.{i}.attn.c_attn", SPAR__TRANSPOSED, 0, 3},
    {"blk.{i}.attn_k", "h.{i}.attn.c_attn", SPAR__TRANSPOSED, 1, 3},
    {"blk.{i}.attn_v", "h.{i}.attn.c_attn", SPAR__TRANSPOSED, 2, 3},
    {"blk.{i}.attn_output", "h.{i}.attn.c_proj", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_norm", "h.{i}.ln_2"},
    {"blk.{i}.ffn_up", "h.{i}.mlp.c_fc", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_down", "h.{i}.mlp.c_proj", SPAR__TRANSPOSED},
    {"output_norm", "ln_f"},
    {"output", "/lm_head"},
    {0}};

static const spar__tensor_rule gguf_tensors[] = {
    {"blk.{i}.attn_q", "blk.{i}.attn_qkv", SPAR__SAME, 0, 3},
    {"blk.{i}.attn_k", "blk.{i}.attn_qkv", SPAR__SAME, 1, 3},
    {"blk.{i}.attn_v", "blk.{i}.attn_qkv", SPAR__SAME, 2, 3},
    {0}};

/* Scores are divided by √head_dim, if that is not switched off, and by the number of the layer. */
static json_t *scales(int64_t n_layers, double head_dim, bool weights, bool inverse) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n_layers && i < 4096; i++)
        json_array_append_new(list, json_real((weights ? 1 / sqrt(head_dim) : 1) / (inverse ? (double)i + 1 : 1)));
    return list;
}

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, spar__config_either(r, "n_embd", "hidden_size"), 768);
    int64_t heads = spar__config_integer(r, spar__config_either(r, "n_head", "num_attention_heads"), 12);
    int64_t layers = spar__config_integer(r, spar__config_either(r, "n_layer", "num_hidden_layers"), 12);
    int64_t inner = spar__config_integer(r, "n_inner", 4 * d);
    bool weights = spar__config_bool(r, "scale_attn_weights", true);
    bool inverse = spar__config_bool(r, "scale_attn_by_inverse_layer_idx", false);
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    spar__config_only(r, "add_cross_attention", false, false);
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I, s:s}, s:s, s:{s:s, s:I, s:s}, s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 50257), "context",
        spar__config_integer(r, spar__config_either(r, "n_positions", "max_position_embeddings"), 1024), "d_model", d, "n_layers", layers, "norm", "kind", "layer",
        "eps", spar__config_real(r, "layer_norm_epsilon", 1e-5), "residual", "pre-norm", "position", "learned",
        "attention", "n_heads", heads, "pattern", "causal", "projection", "dense", "feedforward", "kind",
        "dense", "d_ff", inner, "activation", spar__config_activation(r, "activation_function", "gelu_new"),
        "head", tied ? "tied" : "separate");
    if ((!weights || inverse) && heads > 0)
        json_object_set_new(json_object_get(m, "attention"), "scale",
                            scales(layers, (double)d / (double)heads, weights, inverse));
    return m;
}

static json_t *publish(const json_t *m) {
    const json_t *scale = spar__model_value(m, "attention.scale");
    double head_dim = (double)spar__model_integer(m, "d_model", 0) /
                      (double)spar__model_integer(m, "attention.n_heads", 1);
    const json_t *last = json_array_get(scale, json_array_size(scale) - 1);
    double first = json_number_value(json_array_get(scale, 0));
    bool inverse = json_array_size(scale) > 1 && json_number_value(last) < first;
    int64_t d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    return json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:b, s:b}", "model_type", "gpt2",
        "architectures", "GPT2LMHeadModel", "vocab_size", spar__model_integer(m, "vocab_size", 0), "n_positions",
        spar__model_integer(m, "context", 1024), "n_embd", spar__model_integer(m, "d_model", 0), "n_layer",
        spar__model_integer(m, "n_layers", 0), "n_head", spar__model_integer(m, "attention.n_heads", 0),
        "n_inner", d_ff ? d_ff : 4 * spar__model_integer(m, "d_model", 0), "layer_norm_epsilon",
        spar__model_real(m, "norm.eps", 1e-5), "activation_function",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")),
        "scale_attn_weights", !scale || fabs(first * sqrt(head_dim) - 1) < 1e-9,
        "scale_attn_by_inverse_layer_idx", inverse, "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
}

const spar__family spar__family_gpt2 = {
    .name = "gpt2",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .gguf = "gpt2",
    .gguf_tensors = gguf_tensors,
    .gguf_model = "{\"norm\": {\"kind\": \"layer\"}, \"residual\": \"pre-norm\", \"position\": \"learned\","
                  " \"feedforward\": {\"kind\": \"dense\", \"activation\": \"gelu-tanh\"}}",
};
