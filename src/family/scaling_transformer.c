/* Scaling Transformers (Jaszczur et al. 2021, arXiv 2111.12763), with the names of the authors' code (trax): dense
 * or sparse feed-forward, dense or multiplicative attention, dense or multiplicative head. */
#include "family/trax.h"

static const char *const types[] = {"scaling_transformer", NULL};
/* An RMS norm has no bias; the authors store one all the same. */
static const char *const ignored[] = {"*norm.bias", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed"},
    {"position_embd", "positions"},
    SPAR__TRAX_ATTENTION("blk.{i}.", "layers.{i}.attention."),
    SPAR__TRAX_FEEDFORWARD("blk.{i}.", "layers.{i}.ff."),
    {"output_norm", "norm"},
    SPAR__TRAX_HEAD,
    {0}};

static json_t *read(spar__config_reader *r) {
    spar__config_one_of(r, "positions", (const char *const[]){"learned", NULL}, "learned");
    spar__config_integer(r, "start_token", 0); /* what evaluation puts before a text */
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I, s:s}, s:o, s:o, s:o}", "architecture", "decoder",
        "vocab_size", spar__config_integer(r, "vocab_size", SPAR__REQUIRED), "context",
        spar__config_integer(r, "max_positions", SPAR__REQUIRED), "d_model",
        spar__config_integer(r, "d_model", SPAR__REQUIRED), "n_layers",
        spar__config_integer(r, "n_layers", SPAR__REQUIRED), "norm", "kind",
        spar__config_bool(r, "norm_center", true) ? "layer" : "rms", "eps",
        spar__config_real(r, "norm_epsilon", 1e-6), "residual", "pre-norm", "position", "learned", "attention",
        "n_heads", spar__config_integer(r, "n_heads", SPAR__REQUIRED), "pattern", "causal", "projection",
        spar__trax_projection(r), "feedforward", spar__trax_feedforward(r), "head", spar__trax_head(r));
}

static json_t *publish(const json_t *m) {
    json_t *c = json_pack("{s:s, s:I, s:i}", "model_type", "scaling_transformer", "n_layers",
                          spar__model_integer(m, "n_layers", 0), "start_token", 0);
    spar__trax_publish(c, m, m);
    return c;
}

const spar__family spar__family_scaling_transformer = {
    .name = "scaling_transformer",
    .types = types,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
