/* Terraformers (Jaszczur et al. 2021, arXiv 2111.12763) with the names of the authors' code (trax): a reversible
 * encoder–decoder whose decoder reads the source's rows before its own, everything sparse, with a recurrent branch.
 * A block's several attentions are layers of ours, of which the last has the feed-forward. */
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"terraformer", NULL};
static const char *const ignored[] = {"*norm.bias", NULL};

#define FEEDFORWARD_RULES(ours, theirs)                                                                       \
    {ours "ffn_norm", theirs "norm"},                                                                         \
    {ours "ffn_up.weight", theirs "W1", SPAR__TRANSPOSED},                                                    \
    {ours "ffn_up.bias", theirs "b1"},                                                                        \
    {ours "ffn_down.weight", theirs "W2", SPAR__TRANSPOSED},                                                  \
    {ours "ffn_down.bias", theirs "b2"},                                                                      \
    {ours "ffn_controller_down.weight", theirs "M1", SPAR__TRANSPOSED},                                       \
    {ours "ffn_controller_up.weight", theirs "M2", SPAR__TRANSPOSED},                                         \
    {ours "ffn_controller_up.bias", theirs "mb"},                                                             \
    {ours "ffn_neurons.weight", theirs "W1|" theirs "W2", SPAR__COLUMN_AND_ROW},                              \
    {ours "ffn_neurons.bias", theirs "b2"},                                                                   \
    {ours "sru_norm", theirs "sru.norm"},                                                                     \
    {ours "sru_in.weight", theirs "sru.in.weight", SPAR__TRANSPOSED},                                         \
    {ours "sru_in.bias", theirs "sru.in.bias"},                                                               \
    {ours "sru_out.weight", theirs "sru.out.weight", SPAR__TRANSPOSED},                                       \
    {ours "sru_out.bias", theirs "sru.out.bias"},                                                             \
    UNIT(ours, theirs, "0"), UNIT(ours, theirs, "1"), UNIT(ours, theirs, "2"), UNIT(ours, theirs, "3"),       \
    UNIT(ours, theirs, "4"), UNIT(ours, theirs, "5"), UNIT(ours, theirs, "6"), UNIT(ours, theirs, "7")
#define UNIT(ours, theirs, n)                                                                                 \
    {ours "sru." n ".weight", theirs "sru." n ".weight", SPAR__TRANSPOSED},                                   \
    {ours "sru." n ".bias", theirs "sru." n ".bias"}

/* {b} is the block and {j} the attention that a layer is. */
#define ENC "enc.blk.{i}."
#define DEC "dec.blk.{i}."
#define ATTENTION "decoder.layers.{b}.attention.{j}."

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed"},
    {"enc.position_embd", "encoder.positions"},
    {"dec.position_embd", "decoder.positions"},
    {ENC "attn_norm", "encoder.layers.{i}.attention.norm"},
    {ENC "attn_q.weight", "encoder.layers.{i}.attention.q.weight", SPAR__TRANSPOSED},
    {ENC "attn_q.bias", "encoder.layers.{i}.attention.q.bias"},
    {ENC "attn_k.weight", "encoder.layers.{i}.attention.k.weight", SPAR__TRANSPOSED},
    {ENC "attn_k.bias", "encoder.layers.{i}.attention.k.bias"},
    {ENC "attn_v.weight", "encoder.layers.{i}.attention.v.weight", SPAR__TRANSPOSED},
    {ENC "attn_v.bias", "encoder.layers.{i}.attention.v.bias"},
    {ENC "attn_output.weight", "encoder.layers.{i}.attention.o.weight", SPAR__TRANSPOSED},
    {ENC "attn_output.bias", "encoder.layers.{i}.attention.o.bias"},
    FEEDFORWARD_RULES(ENC, "encoder.layers.{i}.ff."),
    {"enc.output_project.weight", "encoder.project.weight", SPAR__TRANSPOSED},
    {"enc.output_project.bias", "encoder.project.bias"},
    {"enc.output_norm", "encoder.norm"},
    {DEC "attn_norm", ATTENTION "norm"},
    {DEC "attn_q.weight", ATTENTION "conv_q.kernel|" ATTENTION "conv_q.weight|" ATTENTION "q.weight", SPAR__TRANSPOSED},
    {DEC "attn_q.bias", ATTENTION "conv_q.bias|" ATTENTION "q.bias"},
    {DEC "attn_k.weight", ATTENTION "conv_k.kernel|" ATTENTION "conv_k.weight|" ATTENTION "k.weight", SPAR__TRANSPOSED},
    {DEC "attn_k.bias", ATTENTION "conv_k.bias|" ATTENTION "k.bias"},
    {DEC "attn_v.weight", ATTENTION "conv_v.kernel|" ATTENTION "conv_v.weight|" ATTENTION "v.weight", SPAR__TRANSPOSED},
    {DEC "attn_v.bias", ATTENTION "conv_v.bias|" ATTENTION "v.bias"},
    {DEC "attn_qk.weight", ATTENTION "conv_qk.kernel|" ATTENTION "conv_qk.weight", SPAR__TRANSPOSED},
    {DEC "attn_qk.bias", ATTENTION "conv_qk.bias"},
    {DEC "attn_shared_scale.weight", ATTENTION "mult.D"},
    {DEC "attn_shared_mix.weight", ATTENTION "mult.E", SPAR__TRANSPOSED},
    {DEC "attn_shared.weight", ATTENTION "mult.weight", SPAR__TRANSPOSED},
    {DEC "attn_shared.bias", ATTENTION "mult.bias"},
    {DEC "attn_output_scale.weight", ATTENTION "out.mult.D"},
    {DEC "attn_output_mix.weight", ATTENTION "out.mult.E", SPAR__TRANSPOSED},
    {DEC "attn_output.weight", ATTENTION "out.mult.weight|" ATTENTION "o.weight", SPAR__TRANSPOSED},
    {DEC "attn_output.bias", ATTENTION "out.mult.bias|" ATTENTION "o.bias"},
    {DEC "attn_output_conv.weight", ATTENTION "out.conv.kernel|" ATTENTION "out.conv.weight", SPAR__TRANSPOSED},
    {DEC "attn_output_conv.bias", ATTENTION "out.conv.bias"},
    FEEDFORWARD_RULES(DEC, "decoder.layers.{b}.ff."),
    {"dec.output_norm", "norm"},
    {"output_scale.weight", "head.D"},
    {"output_mix.weight", "head.E", SPAR__TRANSPOSED},
    {"output.weight", "head.weight", SPAR__TRANSPOSED},
    {"output.bias", "head.bias"},
    {0}};

static json_t *read_projection(spar__config_reader *r) {
    const char *attention =
        spar__config_one_of(r, "attention", (const char *const[]){"dense", "multiplicative_conv", NULL},
                                   "dense or multiplicative_conv");
    int64_t modules = spar__config_integer(r, "sparsity", 1), length = spar__config_integer(r, "conv_length", 3);
    int64_t width = spar__config_integer(r, "conv_modules", 3), value = spar__config_integer(r, "conv_modules_v", 1);
    bool share = spar__config_bool(r, "share_qk", false);
    const char *concat = spar__config_one_of(r, "v_concat", (const char *const[]){"none", "fixed", "original", NULL},
                                "none, fixed or original");
    const char *output =
        spar__config_one_of(r, "output_layer", (const char *const[]){"none", "mult", "conv", "multconv", NULL},
                                "none, mult, conv or multconv");
    if (strcmp(attention, "dense") == 0) return json_string("dense");
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "kind", "multiplicative-conv", "modules", modules,
                     "length", length, "width", width, "value_width", value, "share_qk", share, "v_concat", concat,
                     "output", output);
}

static json_t *read_feedforward(spar__config_reader *r) {
    int64_t d_ff = spar__config_integer(r, "d_ff", SPAR__REQUIRED), block = spar__config_integer(r, "ff_sparsity", 0);
    int64_t rank = spar__config_integer(r, "ff_rank", 0);
    bool relu = strcmp(spar__config_one_of(r, "ff_activation", (const char *const[]){"relu", "gelu_tanh", NULL},
                                           "relu or gelu_tanh"),
                       "relu") == 0;
    if (!block)
        return json_pack("{s:s, s:I, s:s}", "kind", "dense", "d_ff", d_ff, "activation", relu ? "relu" : "gelu-tanh");
    if (!relu) spar__config_fail(r, "ff_activation", "relu with ff_sparsity");
    return json_pack("{s:s, s:I, s:I, s:I, s:s}", "kind", "sparse", "d_ff", d_ff, "block", block, "rank",
                     rank ? rank : d_ff / block, "mode", "straight-through");
}

/* n − 1 layers of attention alone before each with a feed-forward. */
static json_t *behind_attentions(json_t *feedforward, int64_t n) {
    json_t *all = json_array();
    for (int64_t i = 1; i < n; i++) json_array_append_new(all, json_string("none"));
    json_array_append_new(all, feedforward);
    return all;
}

static json_t *read_head(spar__config_reader *r) {
    bool tied = spar__config_bool(r, "tied_embeddings", false);
    int64_t modules = spar__config_integer(r, "loss_sparsity", 0);
    if (tied && modules) spar__config_fail(r, "tied_embeddings", "false with loss_sparsity");
    if (modules) return json_pack("{s:s, s:I}", "kind", "sparse", "modules", modules);
    return json_pack("{s:s, s:b}", "kind", tied ? "tied" : "separate", "bias", 1);
}

static json_t *read_encoder(spar__config_reader *r, json_t *feedforward) {
    bool reversible = spar__config_bool(r, "reversible_encoder", true);
    bool twice = spar__config_bool(r, "two_swaps_per_encoder_block", true);
    spar__config_one_of(r, "encoder_attention", (const char *const[]){"dense", NULL}, "dense");
    const char *residual = reversible ? twice ? "reversible-joined" : "reversible-once-joined"
                                      : twice ? "reversible" : "reversible-once";
    return json_pack("{s:I, s:s, s:{s:b}, s:s, s:o}", "n_layers", spar__config_integer(r, "n_encoder_layers", SPAR__REQUIRED),
                     "residual", residual, "norm", "final", !reversible, "projection", "dense", "feedforward", feedforward);
}

static json_t *read(spar__config_reader *r) {
    spar__config_one_of(r, "positions", (const char *const[]){"learned", NULL}, "learned");
    spar__config_one_of(r, "residual", (const char *const[]){"reversible", NULL}, "reversible");
    bool joined = strcmp(spar__config_one_of(r, "streams_out", (const char *const[]){"average", "concatenate", NULL},
                                "average or concatenate"), "concatenate") == 0;
    int64_t attentions = spar__config_integer(r, "n_decoder_attention_layers", 2);
    int64_t layers = spar__config_integer(r, "n_decoder_layers", SPAR__REQUIRED);
    if (attentions < 1 || attentions > 64) spar__config_fail(r, "n_decoder_attention_layers", "1 to 64");
    int64_t units = spar__config_integer(r, "sru_layers", 0), width = spar__config_integer(r, "sru_units", 32);
    bool reversible = spar__config_bool(r, "reversible_encoder", true);
    if (attentions < 1 || attentions > 64) attentions = 1;
    json_t *feedforward = read_feedforward(r);
    json_t *encoder = read_encoder(r, json_deep_copy(feedforward));
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:I}, s:o, s:{s:s, s:b}, s:o, s:{s:I, s:s, s:o, s:o}, s:I}",
        "architecture", "encoder-decoder", "vocab_size", spar__config_integer(r, "vocab_size", SPAR__REQUIRED), "context",
        spar__config_integer(r, "max_positions", SPAR__REQUIRED), "d_model",
        spar__config_integer(r, "d_model", SPAR__REQUIRED), "n_layers", (json_int_t)1, "norm", "kind",
        spar__config_bool(r, "norm_center", true) ? "layer" : "rms", "eps", spar__config_real(r, "norm_epsilon", 1e-6),
        "position", "learned", "attention", "n_heads", spar__config_integer(r, "n_heads", SPAR__REQUIRED), "head",
        read_head(r), "memory", "kind", "joined", "project", !reversible, "encoder", encoder, "decoder", "n_layers",
        layers * attentions, "residual", joined ? "reversible-joined" : "reversible", "projection", read_projection(r),
        "feedforward", behind_attentions(feedforward, attentions), "start", spar__config_integer(r, "start_token", 0));
    if (units > 0 && m)
        json_object_set_new(m, "recurrent", json_pack("{s:I, s:I}", "layers", units, "width", width));
    return m;
}

/* The authors' folders are read, not written. */
static json_t *publish(const json_t *m) {
    (void)m;
    return NULL;
}

const spar__family spar__family_terraformer = {
    .name = "terraformer",
    .types = types,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
