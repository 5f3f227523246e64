/* GPT-NeoX (Black et al. 2022, arXiv 2204.06745) and Pythia: attention and feed-forward side by side, each
 * with a norm; q, k and v lie head by head in one matrix. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"gpt_neox", NULL};
static const char *const prefixes[] = {"gpt_neox.", "", NULL};
static const char *const ignored[] = {"*attention.bias", "*attention.masked_bias", "*rotary_emb.inv_freq", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed_in"},
    {"blk.{i}.attn_norm", "layers.{i}.input_layernorm"},
    {"blk.{i}.attn_q", "layers.{i}.attention.query_key_value", SPAR__PER_HEAD, 0, 3},
    {"blk.{i}.attn_k", "layers.{i}.attention.query_key_value", SPAR__PER_HEAD, 1, 3},
    {"blk.{i}.attn_v", "layers.{i}.attention.query_key_value", SPAR__PER_HEAD, 2, 3},
    {"blk.{i}.attn_output", "layers.{i}.attention.dense"},
    {"blk.{i}.ffn_norm", "layers.{i}.post_attention_layernorm"},
    {"blk.{i}.ffn_up", "layers.{i}.mlp.dense_h_to_4h"},
    {"blk.{i}.ffn_down", "layers.{i}.mlp.dense_4h_to_h"},
    {"output_norm", "final_layer_norm"},
    {"output", "/embed_out"},
    {0}};

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, "hidden_size", 6144);
    bool parallel = spar__config_bool(r, "use_parallel_residual", true);
    bool bias = spar__config_bool(r, "attention_bias", true);
    bool tied = spar__config_bool(r, "tie_word_embeddings", false);
    double fraction = spar__config_real(r, "rotary_pct", 0.25);
    double base = spar__config_real(r, "rotary_emb_base", 10000);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:o, s:{s:I, s:b, s:b, s:s}, s:s, s:{s:s, s:I, s:s}, s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 50432), "context",
        spar__config_integer(r, "max_position_embeddings", 2048), "d_model", d, "n_layers",
        spar__config_integer(r, "num_hidden_layers", 44), "norm", "kind", "layer", "eps",
        spar__config_real(r, "layer_norm_eps", 1e-5), "residual", parallel ? "parallel-norms" : "pre-norm",
        "position", spar__config_rope(r, base, fraction, "halves"), "attention", "n_heads",
        spar__config_integer(r, "num_attention_heads", 64), "bias", bias, "output_bias", bias, "pattern", "causal",
        "projection", "dense", "feedforward", "kind", "dense", "d_ff",
        spar__config_integer(r, "intermediate_size", 24576), "activation",
        spar__config_activation(r, "hidden_act", "gelu"), "head", tied ? "tied" : "separate");
}

static json_t *publish(const json_t *m) {
    int64_t d = spar__model_integer(m, "d_model", 0), d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    const json_t *position = spar__model_value(m, "position");
    json_t *c = json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:b, s:b, s:f, s:f}", "model_type", "gpt_neox",
        "architectures", "GPTNeoXForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0),
        "max_position_embeddings", spar__model_integer(m, "context", 1024), "hidden_size", d, "num_hidden_layers",
        spar__model_integer(m, "n_layers", 0), "num_attention_heads",
        spar__model_integer(m, "attention.n_heads", 0), "intermediate_size", d_ff ? d_ff : 4 * d,
        "layer_norm_eps", spar__model_real(m, "norm.eps", 1e-5), "hidden_act",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")),
        "use_parallel_residual", strcmp(spar__model_kind(m, "residual", ""), "parallel-norms") == 0,
        "attention_bias", spar__model_flag(m, "attention.bias", true), "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0, "rotary_pct",
        spar__model_real(position, "fraction", 1), "rotary_emb_base", spar__model_real(position, "base", 10000));
    spar__publish_rope(c, position);
    return c;
}

const spar__family spar__family_gpt_neox = {
    .name = "gpt_neox",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
