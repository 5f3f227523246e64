/* GPT-Neo (Black et al. 2021): GPT-2 with unscaled scores and layers that see a window. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"gpt_neo", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};
static const char *const ignored[] = {"*attn.attention.bias", "*attn.attention.masked_bias", "lm_head.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "wte"},
    {"position_embd", "wpe"},
    {"blk.{i}.attn_norm", "h.{i}.ln_1"},
    {"blk.{i}.attn_q", "h.{i}.attn.attention.q_proj"},
    {"blk.{i}.attn_k", "h.{i}.attn.attention.k_proj"},
    {"blk.{i}.attn_v", "h.{i}.attn.attention.v_proj"},
    {"blk.{i}.attn_output", "h.{i}.attn.attention.out_proj"},
    {"blk.{i}.ffn_norm", "h.{i}.ln_2"},
    {"blk.{i}.ffn_up", "h.{i}.mlp.c_fc"},
    {"blk.{i}.ffn_down", "h.{i}.mlp.c_proj"},
    {"output_norm", "ln_f"},
    {"output", "/lm_head"},
    {0}};

/* [[["global", "local"], 12], …] → a pattern for each layer. */
static json_t *patterns(spar__config_reader *r, int64_t window, int64_t n_layers) {
    const json_t *types_of = spar__config_value(r, "attention_types");
    spar__config_value(r, "attention_layers"); /* the same, written out */
    json_t *list = json_array(), *usual = types_of ? NULL : json_pack("[[[s, s], i]]", "global", "local", 12);
    const json_t *groups = types_of ? types_of : usual;
    bool good = json_is_array(groups);
    for (size_t g = 0; good && g < json_array_size(groups); g++) {
        const json_t *group = json_array_get(groups, g), *names = json_array_get(group, 0);
        json_int_t times = json_integer_value(json_array_get(group, 1));
        good = json_is_array(names) && times > 0 && times <= 4096;
        for (json_int_t t = 0; good && t < times; t++)
            for (size_t i = 0; good && i < json_array_size(names) && json_array_size(list) < 4097; i++) {
                const char *name = json_string_value(json_array_get(names, i));
                bool local = name && strcmp(name, "local") == 0;
                good = name && (local || strcmp(name, "global") == 0);
                json_array_append_new(list, local ? json_pack("{s:s, s:I}", "kind", "band", "width", window)
                                                  : json_string("causal"));
            }
    }
    if (!good) spar__config_fail(r, "attention_types", "a list of [[\"global\" or \"local\", …], repeats]");
    else if ((int64_t)json_array_size(list) != n_layers)
        spar__config_fail(r, "attention_types", "one pattern for each of num_layers");
    json_decref(usual);
    return list;
}

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, "hidden_size", 2048);
    int64_t layers = spar__config_integer(r, spar__config_either(r, "num_layers", "num_hidden_layers"), 24);
    int64_t heads = spar__config_integer(r, spar__config_either(r, "num_heads", "num_attention_heads"), 16);
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I, s:f, s:b, s:b, s:o}, s:s, s:{s:s, s:I, s:s}, s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 50257), "context",
        spar__config_integer(r, "max_position_embeddings", 2048), "d_model", d, "n_layers", layers, "norm",
        "kind", "layer", "eps", spar__config_real(r, "layer_norm_epsilon", 1e-5), "residual", "pre-norm",
        "position", "learned", "attention", "n_heads", heads, "scale", 1.0, "bias", 0, "output_bias", 1,
        "pattern", patterns(r, spar__config_integer(r, "window_size", 256), layers), "projection", "dense",
        "feedforward", "kind", "dense", "d_ff", spar__config_integer(r, "intermediate_size", 4 * d), "activation",
        spar__config_activation(r, "activation_function", "gelu_new"), "head", tied ? "tied" : "separate");
}

static json_t *publish(const json_t *m) {
    const json_t *pattern = spar__model_value(m, "attention.pattern");
    int64_t layers = spar__model_integer(m, "n_layers", 0), window = 256;
    json_t *names = json_array(), *all = json_array();
    for (int64_t i = 0; i < layers; i++) {
        size_t n = json_array_size(pattern);
        json_t *p = json_pack("{s:O*}", "p", n ? json_array_get(pattern, (size_t)i % n) : pattern);
        bool local = strcmp(spar__model_kind(p, "p", "causal"), "band") == 0;
        if (local) window = spar__model_integer(p, "p.width", window);
        json_array_append_new(names, json_string(local ? "local" : "global"));
        json_decref(p);
    }
    json_array_append_new(all, json_pack("[O, i]", names, 1));
    int64_t d = spar__model_integer(m, "d_model", 0), d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    return json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:I, s:o, s:o, s:b}", "model_type", "gpt_neo",
        "architectures", "GPTNeoForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0),
        "max_position_embeddings", spar__model_integer(m, "context", 1024), "hidden_size", d, "num_layers", layers,
        "num_heads", spar__model_integer(m, "attention.n_heads", 0), "intermediate_size", d_ff ? d_ff : 4 * d,
        "layer_norm_epsilon", spar__model_real(m, "norm.eps", 1e-5), "activation_function",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "window_size",
        window, "attention_types", all, "attention_layers", names, "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
}

const spar__family spar__family_gpt_neo = {
    .name = "gpt_neo",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
