/* The parts that models of the authors' code (trax) share. */
#include "family/trax.h"

#include <string.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

json_t *spar__trax_projection(spar__config_reader *r) {
    const char *attention = spar__config_one_of(r, "attention", NAMES("dense", "multiplicative_conv"),
                                                "dense or multiplicative_conv");
    int64_t modules = spar__config_integer(r, "sparsity", 1), length = spar__config_integer(r, "conv_length", 3);
    int64_t width = spar__config_integer(r, "conv_modules", 3), value = spar__config_integer(r, "conv_modules_v", 1);
    bool share = spar__config_bool(r, "share_qk", false);
    const char *concat =
        spar__config_one_of(r, "v_concat", NAMES("none", "fixed", "original"), "none, fixed or original");
    const char *output = spar__config_one_of(r, "output_layer", NAMES("none", "mult", "conv", "multconv"),
                                             "none, mult, conv or multconv");
    if (strcmp(attention, "dense") == 0) return json_string("dense");
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "kind", "multiplicative-conv", "modules", modules,
                     "length", length, "width", width, "value_width", value, "share_qk", share, "v_concat", concat,
                     "output", output);
}

json_t *spar__trax_feedforward(spar__config_reader *r) {
    int64_t d_ff = spar__config_integer(r, "d_ff", SPAR__REQUIRED), block = spar__config_integer(r, "ff_sparsity", 0);
    int64_t rank = spar__config_integer(r, "ff_rank", 0);
    const char *activation =
        spar__config_one_of(r, "ff_activation", NAMES("relu", "gelu_tanh"), "relu or gelu_tanh");
    bool relu = strcmp(activation, "relu") == 0;
    if (!block)
        return json_pack("{s:s, s:I, s:s}", "kind", "dense", "d_ff", d_ff, "activation", relu ? "relu" : "gelu-tanh");
    if (!relu) spar__config_fail(r, "ff_activation", "relu with ff_sparsity");
    return json_pack("{s:s, s:I, s:I, s:I, s:s}", "kind", "sparse", "d_ff", d_ff, "block", block, "rank",
                     rank ? rank : d_ff / block, "mode", "straight-through");
}

json_t *spar__trax_head(spar__config_reader *r) {
    bool tied = spar__config_bool(r, "tied_embeddings", false);
    int64_t modules = spar__config_integer(r, "loss_sparsity", 0);
    if (tied && modules) spar__config_fail(r, "tied_embeddings", "false with loss_sparsity");
    if (modules) return json_pack("{s:s, s:I}", "kind", "sparse", "modules", modules);
    return json_pack("{s:s, s:b}", "kind", tied ? "tied" : "separate", "bias", 1);
}

/* ---- The way back ---- */

static void publish_projection(json_t *c, const json_t *layer) {
    const json_t *p = json_object_get(layer, "projection");
    bool dense = strcmp(spar__model_kind(layer, "projection", "dense"), "dense") == 0;
    json_object_set_new(c, "attention", json_string(dense ? "dense" : "multiplicative_conv"));
    if (dense) return;
    json_object_update_new(
        c, json_pack("{s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "sparsity", spar__model_integer(p, "modules", 16),
                     "conv_length", spar__model_integer(p, "length", 3), "conv_modules",
                     spar__model_integer(p, "width", 3), "conv_modules_v", spar__model_integer(p, "value_width", 1),
                     "share_qk", spar__model_flag(p, "share_qk", false), "v_concat",
                     spar__model_kind(p, "v_concat", "none"), "output_layer", spar__model_kind(p, "output", "mult")));
}

static void publish_feedforward(json_t *c, const json_t *layer, int64_t d) {
    const json_t *f = json_object_get(layer, "feedforward");
    bool sparse = strcmp(spar__model_kind(layer, "feedforward", "dense"), "sparse") == 0;
    int64_t block = spar__model_integer(f, "block", 16), d_ff = spar__model_integer(f, "d_ff", 4 * d);
    const char *activation = spar__model_kind(f, "activation", "gelu-tanh");
    json_object_update_new(c, json_pack("{s:I, s:I, s:I, s:s}", "d_ff", d_ff, "ff_sparsity", sparse ? block : 0,
                                        "ff_rank", sparse ? spar__model_integer(f, "rank", d_ff / block) : 0,
                                        "ff_activation",
                                        sparse || strcmp(activation, "relu") == 0 ? "relu" : "gelu_tanh"));
}

void spar__trax_publish(json_t *c, const json_t *m, const json_t *layer) {
    int64_t d = spar__model_integer(m, "d_model", 0);
    const char *head = spar__model_kind(m, "head", "tied");
    bool sparse = strcmp(head, "sparse") == 0;
    json_object_update_new(
        c, json_pack("{s:I, s:I, s:I, s:I, s:s, s:f, s:b, s:b, s:I}", "vocab_size",
                     spar__model_integer(m, "vocab_size", 0), "max_positions", spar__model_integer(m, "context", 1024),
                     "d_model", d, "n_heads", spar__model_integer(m, "attention.n_heads", 0), "positions", "learned",
                     "norm_epsilon", spar__model_real(m, "norm.eps", 1e-5), "norm_center",
                     strcmp(spar__model_kind(m, "norm", "layer"), "layer") == 0, "tied_embeddings",
                     strcmp(head, "tied") == 0, "loss_sparsity", sparse ? spar__model_integer(m, "head.modules", 4) : 0));
    publish_projection(c, layer);
    publish_feedforward(c, layer, d);
}
