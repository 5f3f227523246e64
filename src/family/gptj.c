/* GPT-J (Wang and Komatsuzaki 2021): attention and feed-forward side by side, a part of each head rotated in
 * adjacent pairs, a head with biases. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"gptj", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};
static const char *const ignored[] = {"*attn.bias", "*attn.masked_bias", "lm_head.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "wte"},
    {"blk.{i}.attn_norm", "h.{i}.ln_1"},
    {"blk.{i}.attn_q", "h.{i}.attn.q_proj"},
    {"blk.{i}.attn_k", "h.{i}.attn.k_proj"},
    {"blk.{i}.attn_v", "h.{i}.attn.v_proj"},
    {"blk.{i}.attn_output", "h.{i}.attn.out_proj"},
    {"blk.{i}.ffn_up", "h.{i}.mlp.fc_in"},
    {"blk.{i}.ffn_down", "h.{i}.mlp.fc_out"},
    {"output_norm", "ln_f"},
    {"output", "/lm_head"},
    {0}};

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, spar__config_either(r, "n_embd", "hidden_size"), 4096);
    int64_t heads = spar__config_integer(r, spar__config_either(r, "n_head", "num_attention_heads"), 16);
    int64_t head_dim = heads ? d / heads : 0, turned = spar__config_integer(r, "rotary_dim", 64);
    spar__config_only(r, "rotary", true, true);
    bool tied = spar__config_bool(r, "tie_word_embeddings", false);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:s, s:s, s:f}, s:{s:I, s:b, s:b, s:s}, s:s, "
        "s:{s:s, s:I, s:s}, s:{s:s, s:b}}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 50400), "context",
        spar__config_integer(r, spar__config_either(r, "n_positions", "max_position_embeddings"), 2048), "d_model", d,
        "n_layers", spar__config_integer(r, spar__config_either(r, "n_layer", "num_hidden_layers"), 28), "norm",
        "kind", "layer", "eps", spar__config_real(r, "layer_norm_epsilon", 1e-5), "residual", "parallel",
        "position", "kind", "rotary", "pairs", "adjacent", "fraction",
        head_dim ? (double)turned / (double)head_dim : 1, "attention", "n_heads", heads, "bias", 0, "output_bias",
        0, "pattern", "causal", "projection", "dense", "feedforward", "kind", "dense", "d_ff",
        spar__config_integer(r, "n_inner", 4 * d), "activation",
        spar__config_activation(r, "activation_function", "gelu_new"), "head", "kind", tied ? "tied" : "separate",
        "bias", 1);
}

static json_t *publish(const json_t *m) {
    int64_t d = spar__model_integer(m, "d_model", 0), heads = spar__model_integer(m, "attention.n_heads", 1);
    int64_t d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    double turned = spar__model_real(m, "position.fraction", 1) * (double)d / (double)heads;
    return json_pack("{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b}", "model_type", "gptj",
                     "architectures", "GPTJForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0),
                     "n_positions", spar__model_integer(m, "context", 1024), "n_embd", d, "n_layer",
                     spar__model_integer(m, "n_layers", 0), "n_head", heads, "rotary_dim", (json_int_t)(turned + 0.5),
                     "n_inner", d_ff ? d_ff : 4 * d, "layer_norm_epsilon", spar__model_real(m, "norm.eps", 1e-5),
                     "activation_function",
                     spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")),
                     "tie_word_embeddings", strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
}

const spar__family spar__family_gptj = {
    .name = "gptj",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
