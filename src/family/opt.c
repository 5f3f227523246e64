/* OPT (Zhang et al. 2022, arXiv 2205.01068). Positions start at row 2 of their table; the smallest but one has
 * an embedding narrower than its layers, and norms after them. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"opt", NULL};
static const char *const prefixes[] = {"model.decoder.", "decoder.", "", NULL};
static const char *const ignored[] = {"lm_head.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed_tokens"},
    {"position_embd", "embed_positions"},
    {"embd_in", "project_in"},
    {"embd_out", "project_out"},
    {"blk.{i}.attn_norm", "layers.{i}.self_attn_layer_norm"},
    {"blk.{i}.attn_q", "layers.{i}.self_attn.q_proj"},
    {"blk.{i}.attn_k", "layers.{i}.self_attn.k_proj"},
    {"blk.{i}.attn_v", "layers.{i}.self_attn.v_proj"},
    {"blk.{i}.attn_output", "layers.{i}.self_attn.out_proj"},
    {"blk.{i}.ffn_norm", "layers.{i}.final_layer_norm"},
    {"blk.{i}.ffn_up", "layers.{i}.fc1"},
    {"blk.{i}.ffn_down", "layers.{i}.fc2"},
    {"output_norm", "final_layer_norm"},
    {"output", "/lm_head"},
    {0}};

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, "hidden_size", 768);
    int64_t width = spar__config_integer(r, "word_embed_proj_dim", d);
    bool before = spar__config_bool(r, "do_layer_norm_before", true);
    bool bias = spar__config_bool(r, "enable_bias", true);
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    bool no_final = spar__config_bool(r, "_remove_final_layer_norm", false);
    spar__config_only(r, "layer_norm_elementwise_affine", true, true);
    spar__config_only(r, "learned_embeddings", true, true);
    spar__config_only(r, "scale_embeddings", false, false);
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:s, s:i}, s:{s:I, s:b, s:b, s:s}, s:s, s:{s:s, s:I, s:s, s:b}, "
        "s:s}",
        "architecture", "decoder", "vocab_size", spar__config_integer(r, "vocab_size", 50272), "context",
        spar__config_integer(r, "max_position_embeddings", 2048), "d_model", d, "n_layers",
        spar__config_integer(r, "num_hidden_layers", 12), "norm", "kind", "layer", "eps", 1e-5, "residual",
        before ? "pre-norm" : "post-norm", "position", "kind", "learned", "offset", 2, "attention", "n_heads",
        spar__config_integer(r, "num_attention_heads", 12), "bias", bias, "output_bias", bias, "pattern", "causal",
        "projection", "dense", "feedforward", "kind", "dense", "d_ff", spar__config_integer(r, "ffn_dim", 3072),
        "activation", spar__config_activation(r, "activation_function", "relu"), "bias", bias, "head",
        tied ? "tied" : "separate");
    if (width != d) json_object_set_new(m, "embedding", json_pack("{s:I}", "width", width));
    if (before && no_final) json_object_set_new(json_object_get(m, "norm"), "final", json_false());
    return m;
}

static json_t *publish(const json_t *m) {
    int64_t d = spar__model_integer(m, "d_model", 0), d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    int64_t width = spar__model_integer(m, "embedding.width", 0);
    return json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:b}", "model_type", "opt",
        "architectures", "OPTForCausalLM", "vocab_size", spar__model_integer(m, "vocab_size", 0),
        "max_position_embeddings", spar__model_integer(m, "context", 1024), "hidden_size", d, "word_embed_proj_dim",
        width ? width : d, "num_hidden_layers", spar__model_integer(m, "n_layers", 0), "num_attention_heads",
        spar__model_integer(m, "attention.n_heads", 0), "ffn_dim", d_ff ? d_ff : 4 * d, "activation_function",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")),
        "do_layer_norm_before", strcmp(spar__model_kind(m, "residual", "pre-norm"), "post-norm") != 0,
        "enable_bias", spar__model_flag(m, "attention.bias", true), "_remove_final_layer_norm",
        !spar__model_flag(m, "norm.final", true), "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0);
}

const spar__family spar__family_opt = {
    .name = "opt",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
