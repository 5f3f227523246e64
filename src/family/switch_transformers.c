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
    spar__config_value(r, "router_type");
    spar__config_value(r, "capacity_factor"); /* expert_capacity says it */
    spar__config_only(r, "is_gated_act", false, false);
    spar__config_only(r, "batch_prioritized_routing", false, false);
    if (strncmp(spar__config_text(r, "feed_forward_proj", "relu"), "gated-", 6) == 0)
        spar__config_fail(r, "feed_forward_proj", "an activation without a gate");
    if (spar__config_integer(r, "num_selected_experts", 1) != 1) spar__config_fail(r, "num_selected_experts", "1");
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

/* How many layers of a stack's list have to be called sparse for the list to come out; -1 = none does. */
static int64_t sparse_of(const json_t *m, const char *stack, int64_t layers, const json_t **experts) {
    const json_t *list = spar__model_value(json_object_get(m, stack), "feedforward");
    if (!list) list = spar__model_value(m, "feedforward");
    for (int64_t sparse = 0; sparse <= layers; sparse++) {
        int64_t step = sparse ? layers / sparse : layers;
        bool same = true;
        for (int64_t i = 0; same && i < layers; i++) {
            size_t n = json_array_size(list);
            const json_t *f = n ? json_array_get(list, (size_t)i % n) : list;
            bool is = json_is_object(f) && strcmp(spar__model_kind(f, "kind", "dense"), "experts") == 0;
            if (is) *experts = f;
            same = is == (step == 1 || i % step == 1);
        }
        if (same) return sparse;
    }
    return -1;
}

static json_t *publish(const json_t *m) {
    const json_t *experts = NULL;
    int64_t layers = spar__model_integer(m, "n_layers", 0), decoders = spar__model_integer(m, "decoder.n_layers", layers);
    int64_t encoder = sparse_of(m, "encoder", layers, &experts), decoder = sparse_of(m, "decoder", decoders, &experts);
    json_t *c = encoder < 0 || decoder < 0
                    ? NULL
                    : spar__t5_publish(m, "switch_transformers", "SwitchTransformersForConditionalGeneration");
    if (!c) return NULL;
    json_object_update_new(
        c, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:f}", "dense_act_fn",
                     spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "d_ff",
                     spar__model_integer(m, "feedforward.d_ff", 4 * spar__model_integer(m, "d_model", 0)),
                     "num_sparse_encoder_layers", encoder, "num_sparse_decoder_layers", decoder, "num_experts",
                     spar__model_integer(experts, "n_experts", 8), "expert_capacity",
                     spar__model_integer(experts, "capacity", 64), "router_bias",
                     spar__model_flag(experts, "router_bias", false), "router_jitter_noise",
                     spar__model_real(experts, "jitter", 0), "router_aux_loss_coef",
                     spar__model_real(experts, "balance", 0.01), "router_z_loss_coef",
                     spar__model_real(experts, "z_loss", 0)));
    json_object_set_new(c, "num_layers", json_integer(layers));
    return c;
}

const spar__family spar__family_switch_transformers = {
    .name = "switch_transformers",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
