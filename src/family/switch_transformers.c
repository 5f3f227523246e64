/* Switch Transformers (Fedus et al. 2021, arXiv 2101.03961): T5 1.0 with a mixture of experts in every so many
 * layers, of which a token takes one. */
#include <string.h>

#include "family/t5.h"

static const char *const types[] = {"switch_transformers", NULL};
static const char *const prefixes[] = {"", NULL};
static const char *const ignored[] = {"*embed_tokens.weight", "*EncDecAttention.relative_attention_bias.weight",
                                      "lm_head.weight", "shared.weight", NULL};

#define FEED_FORWARD(ours, theirs)                                                                               \
    {ours ".blk.{i}.ffn_norm", theirs ".layer_norm"}, {ours ".blk.{i}.ffn_up", theirs ".mlp.wi"},                \
        {ours ".blk.{i}.ffn_down", theirs ".mlp.wo"},                                                            \
        {ours ".blk.{i}.ffn_gate_inp", theirs ".mlp.router.classifier"},                                         \
        {ours ".blk.{i}.ffn_up_exps", theirs ".mlp.experts.expert_{e}.wi"},                                      \
        {ours ".blk.{i}.ffn_down_exps", theirs ".mlp.experts.expert_{e}.wo"}

static const spar__tensor_rule tensors[] = {
    SPAR__T5_EMBEDDINGS,
    SPAR__T5_STACK("enc", "encoder"),
    SPAR__T5_STACK("dec", "decoder"),
    FEED_FORWARD("enc", "encoder.block.{i}.layer.1"),
    FEED_FORWARD("dec", "decoder.block.{i}.layer.2"),
    SPAR__T5_CROSS,
    {0}};

/* Which layers of a stack are sparse: those with i mod step = 1, or all where the step is 1. */
static json_t *layers_of(int64_t layers, int64_t sparse, const json_t *dense, const json_t *experts) {
    int64_t step = sparse > 0 ? layers / sparse : layers;
    json_t *list = json_array();
    for (int64_t i = 0; i < layers && layers <= 4096; i++)
        json_array_append_new(list, json_deep_copy(step > 0 && (step == 1 || i % step == 1) ? experts : dense));
    return list;
}

static json_t *read(spar__config_reader *r) {
    int64_t d_ff = spar__config_integer(r, "d_ff", 2048);
    const char *activation = spar__config_activation(r, "dense_act_fn", "relu");
    json_t *dense = json_pack("{s:s, s:I, s:s, s:b}", "kind", "dense", "d_ff", d_ff, "activation", activation, "bias", false);
    json_t *experts = json_pack(
        "{s:s, s:I, s:I, s:b, s:I, s:b, s:f, s:f, s:f, s:o}", "kind", "experts", "n_experts",
        spar__config_integer(r, "num_experts", 8), "top_k", (json_int_t)1, "normalise", false, "capacity",
        spar__config_integer(r, "expert_capacity", 64), "router_bias", spar__config_bool(r, "router_bias", false), "jitter",
        spar__config_real(r, "router_jitter_noise", 0.01), "balance", spar__config_real(r, "router_aux_loss_coef", 0.001),
        "z_loss", spar__config_real(r, "router_z_loss_coef", 0.001), "expert", json_deep_copy(dense));
    spar__config_text(r, "router_dtype", "float32");
    spar__config_bool(r, "router_ignore_padding_tokens", false);
    spar__config_bool(r, "add_router_probs", false);
    spar__config_bool(r, "add_cross_attention", false);
    spar__config_integer(r, "encoder_sparse_step", 0);
    spar__config_integer(r, "decoder_sparse_step", 0);
    json_t *m = spar__t5_section(r, json_incref(dense));
    int64_t layers = spar__model_integer(m, "n_layers", 0), decoders = spar__model_integer(m, "decoder.n_layers", layers);
    json_t *encoder = json_pack("{s:o}", "feedforward",
                                layers_of(layers, spar__config_integer(r, "num_sparse_encoder_layers", 3), dense, experts));
    json_object_set_new(m, "encoder", encoder);
    json_object_set_new(json_object_get(m, "decoder"), "feedforward",
                        layers_of(decoders, spar__config_integer(r, "num_sparse_decoder_layers", 3), dense, experts));
    json_decref(dense);
    json_decref(experts);
    return m;
}

const spar__family spar__family_switch_transformers = {
    .name = "switch_transformers",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
};
