/* Scaling Transformers (Jaszczur et al. 2021, arXiv 2111.12763), with the names of the authors' code (trax): dense
 * or sparse feed-forward, dense or multiplicative attention, dense or multiplicative head. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"scaling_transformer", NULL};
/* An RMS norm has no bias; the authors store one all the same. */
static const char *const ignored[] = {"*norm.bias", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed"},
    {"position_embd", "positions"},
    {"blk.{i}.attn_norm", "layers.{i}.attention.norm"},
    {"blk.{i}.ffn_norm", "layers.{i}.ff.norm"},
    {"output_norm", "norm"},
    {"blk.{i}.attn_q.weight", "layers.{i}.attention.conv_q.kernel|layers.{i}.attention.conv_q.weight|layers.{i}.attention.q.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_q.bias", "layers.{i}.attention.conv_q.bias|layers.{i}.attention.q.bias"},
    {"blk.{i}.attn_k.weight", "layers.{i}.attention.conv_k.kernel|layers.{i}.attention.conv_k.weight|layers.{i}.attention.k.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_k.bias", "layers.{i}.attention.conv_k.bias|layers.{i}.attention.k.bias"},
    {"blk.{i}.attn_v.weight", "layers.{i}.attention.conv_v.kernel|layers.{i}.attention.conv_v.weight|layers.{i}.attention.v.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_v.bias", "layers.{i}.attention.conv_v.bias|layers.{i}.attention.v.bias"},
    {"blk.{i}.attn_qk.weight", "layers.{i}.attention.conv_qk.kernel|layers.{i}.attention.conv_qk.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_qk.bias", "layers.{i}.attention.conv_qk.bias"},
    {"blk.{i}.attn_shared_scale.weight", "layers.{i}.attention.mult.D"},
    {"blk.{i}.attn_shared_mix.weight", "layers.{i}.attention.mult.E", SPAR__TRANSPOSED},
    {"blk.{i}.attn_shared.weight", "layers.{i}.attention.mult.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_shared.bias", "layers.{i}.attention.mult.bias"},
    {"blk.{i}.attn_output_scale.weight", "layers.{i}.attention.out.mult.D"},
    {"blk.{i}.attn_output_mix.weight", "layers.{i}.attention.out.mult.E", SPAR__TRANSPOSED},
    {"blk.{i}.attn_output.weight", "layers.{i}.attention.out.mult.weight|layers.{i}.attention.o.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_output.bias", "layers.{i}.attention.out.mult.bias|layers.{i}.attention.o.bias"},
    {"blk.{i}.attn_output_conv.weight", "layers.{i}.attention.out.conv.kernel|layers.{i}.attention.out.conv.weight", SPAR__TRANSPOSED},
    {"blk.{i}.attn_output_conv.bias", "layers.{i}.attention.out.conv.bias"},
    /* dense feed-forward */
    {"blk.{i}.ffn_up.weight", "layers.{i}.ff.W1", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_up.bias", "layers.{i}.ff.b1"},
    {"blk.{i}.ffn_down.weight", "layers.{i}.ff.W2", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_down.bias", "layers.{i}.ff.b2"},
    /* sparse feed-forward */
    {"blk.{i}.ffn_controller_down.weight", "layers.{i}.ff.M1", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_controller_up.weight", "layers.{i}.ff.M2", SPAR__TRANSPOSED},
    {"blk.{i}.ffn_controller_up.bias", "layers.{i}.ff.mb"},
    {"blk.{i}.ffn_neurons.weight", "layers.{i}.ff.W1|layers.{i}.ff.W2", SPAR__COLUMN_AND_ROW},
    {"blk.{i}.ffn_neurons.bias", "layers.{i}.ff.b2"},
    /* head */
    {"output_scale.weight", "head.D"},
    {"output_mix.weight", "head.E", SPAR__TRANSPOSED},
    {"output.weight", "head.weight", SPAR__TRANSPOSED},
    {"output.bias", "head.bias"},
    {0}};

static json_t *read_projection(spar__config_reader *r, const char *attention) {
    if (strcmp(attention, "dense") == 0) return json_string("dense");
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "kind", "multiplicative-conv", "modules",
        spar__config_integer(r, "sparsity", SPAR__REQUIRED), "length", spar__config_integer(r, "conv_length", 3),
        "width", spar__config_integer(r, "conv_modules", 3), "value_width",
        spar__config_integer(r, "conv_modules_v", 1), "share_qk", spar__config_bool(r, "share_qk", false), "v_concat",
        spar__config_one_of(r, "v_concat", (const char *const[]){"none", "fixed", "original", NULL},
                            "none, fixed or original"),
        "output",
        spar__config_one_of(r, "output_layer", (const char *const[]){"none", "mult", "conv", "multconv", NULL},
               "none, mult, conv or multconv"));
}

static json_t *read_feedforward(spar__config_reader *r) {
    int64_t d_ff = spar__config_integer(r, "d_ff", SPAR__REQUIRED), block = spar__config_integer(r, "ff_sparsity", 0);
    int64_t rank = spar__config_integer(r, "ff_rank", 0);
    const char *activation = spar__config_one_of(r, "ff_activation", (const char *const[]){"relu", "gelu_tanh", NULL},
                                    "relu or gelu_tanh");
    bool relu = strcmp(activation, "relu") == 0;
    if (!block)
        return json_pack("{s:s, s:I, s:s}", "kind", "dense", "d_ff", d_ff, "activation", relu ? "relu" : "gelu-tanh");
    if (!relu) spar__config_fail(r, "ff_activation", "relu with ff_sparsity");
    return json_pack("{s:s, s:I, s:I, s:I, s:s}", "kind", "sparse", "d_ff", d_ff, "block", block, "rank",
                     rank ? rank : d_ff / block, "mode", "straight-through");
}

static json_t *read_head(spar__config_reader *r) {
    bool tied = spar__config_bool(r, "tied_embeddings", false);
    int64_t modules = spar__config_integer(r, "loss_sparsity", 0);
    if (tied && modules) spar__config_fail(r, "tied_embeddings", "false with loss_sparsity");
    if (modules) return json_pack("{s:s, s:I}", "kind", "sparse", "modules", modules);
    return json_pack("{s:s, s:b}", "kind", tied ? "tied" : "separate", "bias", 1);
}

static json_t *read(spar__config_reader *r) {
    const char *attention =
        spar__config_one_of(r, "attention", (const char *const[]){"dense", "multiplicative_conv", NULL},
                                   "dense or multiplicative_conv");
    spar__config_one_of(r, "positions", (const char *const[]){"learned", NULL}, "learned");
    spar__config_integer(r, "start_token", 0); /* what evaluation puts before a text */
    if (strcmp(attention, "dense") == 0)
        for (const char *const *key = (const char *const[]){"sparsity", "conv_length", "conv_modules",
                                                            "conv_modules_v", "share_qk", "v_concat", "output_layer",
                                                            NULL};
             *key; key++)
            spar__config_value(r, *key);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I, s:s}, s:o, s:o, s:o}", "architecture", "decoder",
        "vocab_size", spar__config_integer(r, "vocab_size", SPAR__REQUIRED), "context",
        spar__config_integer(r, "max_positions", SPAR__REQUIRED), "d_model",
        spar__config_integer(r, "d_model", SPAR__REQUIRED), "n_layers",
        spar__config_integer(r, "n_layers", SPAR__REQUIRED), "norm", "kind",
        spar__config_bool(r, "norm_center", true) ? "layer" : "rms", "eps",
        spar__config_real(r, "norm_epsilon", 1e-6), "residual", "pre-norm", "position", "learned", "attention",
        "n_heads", spar__config_integer(r, "n_heads", SPAR__REQUIRED), "pattern", "causal", "projection",
        read_projection(r, attention), "feedforward", read_feedforward(r), "head", read_head(r));
}

/* The authors' folders are read, not written. */
static json_t *publish(const json_t *m) {
    (void)m;
    return NULL;
}

const spar__family spar__family_scaling_transformer = {
    .name = "scaling_transformer",
    .types = types,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
