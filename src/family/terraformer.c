/* Terraformers (Jaszczur et al. 2021, arXiv 2111.12763) with the names of the authors' code (trax): a reversible
 * encoder–decoder whose decoder reads the source's rows before its own, everything sparse, with a recurrent branch.
 * A block's several attentions are layers of ours, of which the last has the feed-forward. */
#include <string.h>

#include "family/trax.h"

static const char *const types[] = {"terraformer", NULL};
static const char *const ignored[] = {"*norm.bias", NULL};

#define FEEDFORWARD(ours, theirs)                                                                             \
    SPAR__TRAX_FEEDFORWARD(ours, theirs), {ours "sru_norm", theirs "sru.norm"},                               \
        SPAR__TRAX_DENSE(ours, "sru_in", theirs, "sru.in"), SPAR__TRAX_DENSE(ours, "sru_out", theirs, "sru.out"), \
        UNIT(ours, theirs, "0"), UNIT(ours, theirs, "1"), UNIT(ours, theirs, "2"), UNIT(ours, theirs, "3"),   \
        UNIT(ours, theirs, "4"), UNIT(ours, theirs, "5"), UNIT(ours, theirs, "6"), UNIT(ours, theirs, "7")
#define UNIT(ours, theirs, n) SPAR__TRAX_DENSE(ours, "sru." n, theirs, "sru." n)

/* {b} is the block and {j} the attention that a layer is. */
static const spar__tensor_rule tensors[] = {
    {"token_embd", "embed"},
    {"enc.position_embd", "encoder.positions"},
    {"dec.position_embd", "decoder.positions"},
    SPAR__TRAX_ATTENTION("enc.blk.{i}.", "encoder.layers.{i}.attention."),
    FEEDFORWARD("enc.blk.{i}.", "encoder.layers.{i}.ff."),
    SPAR__TRAX_DENSE("enc.", "output_project", "encoder.", "project"),
    {"enc.output_norm", "encoder.norm"},
    SPAR__TRAX_ATTENTION("dec.blk.{i}.", "decoder.layers.{b}.attention.{j}."),
    FEEDFORWARD("dec.blk.{i}.", "decoder.layers.{b}.ff."),
    {"dec.output_norm", "norm"},
    SPAR__TRAX_HEAD,
    {0}};

/* n − 1 layers of attention alone before each with a feed-forward. */
static json_t *behind_attentions(json_t *feedforward, int64_t n) {
    json_t *all = json_array();
    for (int64_t i = 1; i < n; i++) json_array_append_new(all, json_string("none"));
    json_array_append_new(all, feedforward);
    return all;
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
    json_t *feedforward = spar__trax_feedforward(r);
    json_t *encoder = read_encoder(r, json_deep_copy(feedforward));
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:I}, s:o, s:{s:s, s:b}, s:o, s:{s:I, s:s, s:o, s:o}, s:I}",
        "architecture", "encoder-decoder", "vocab_size", spar__config_integer(r, "vocab_size", SPAR__REQUIRED), "context",
        spar__config_integer(r, "max_positions", SPAR__REQUIRED), "d_model",
        spar__config_integer(r, "d_model", SPAR__REQUIRED), "n_layers", (json_int_t)1, "norm", "kind",
        spar__config_bool(r, "norm_center", true) ? "layer" : "rms", "eps", spar__config_real(r, "norm_epsilon", 1e-6),
        "position", "learned", "attention", "n_heads", spar__config_integer(r, "n_heads", SPAR__REQUIRED), "head",
        spar__trax_head(r), "memory", "kind", "joined", "project", !reversible, "encoder", encoder, "decoder", "n_layers",
        layers * attentions, "residual", joined ? "reversible-joined" : "reversible", "projection", spar__trax_projection(r),
        "feedforward", behind_attentions(feedforward, attentions), "start", spar__config_integer(r, "start_token", 0));
    if (units > 0 && m)
        json_object_set_new(m, "recurrent", json_pack("{s:I, s:I}", "layers", units, "width", width));
    return m;
}

/* The last attention of a block has its feed-forward. */
static int64_t attentions_of(const json_t *feedforward) {
    int64_t n = (int64_t)json_array_size(feedforward);
    return n ? n : 1;
}

static json_t *publish(const json_t *m) {
    const json_t *decoder = json_object_get(m, "decoder"), *encoder = json_object_get(m, "encoder");
    const json_t *feedforward = spar__model_value(decoder, "feedforward");
    const char *residual = spar__model_kind(decoder, "residual", ""), *of_encoder = spar__model_kind(encoder, "residual", "");
    int64_t attentions = attentions_of(feedforward);
    if (strcmp(spar__model_kind(m, "memory", "cross"), "joined") != 0) return NULL;
    json_t *layer = json_pack("{s:O*, s:O*}", "projection", json_object_get(decoder, "projection"), "feedforward",
                              json_is_array(feedforward) ? json_array_get(feedforward, (size_t)attentions - 1) : feedforward);
    json_t *c = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:I}", "model_type", "terraformer", "residual",
        "reversible", "encoder_attention", "dense", "streams_out",
        strcmp(residual, "reversible-joined") == 0 ? "concatenate" : "average", "n_encoder_layers",
        spar__model_integer(encoder, "n_layers", 0), "n_decoder_layers",
        spar__model_integer(decoder, "n_layers", 0) / attentions, "n_decoder_attention_layers", attentions, "sru_layers",
        spar__model_value(m, "recurrent") ? spar__model_integer(m, "recurrent.layers", 1) : 0, "sru_units",
        spar__model_integer(m, "recurrent.width", 32), "reversible_encoder", strstr(of_encoder, "-joined") != NULL,
        "two_swaps_per_encoder_block", strstr(of_encoder, "-once") == NULL, "start_token",
        spar__model_integer(m, "start", 0));
    spar__trax_publish(c, m, layer);
    json_decref(layer);
    return c;
}

const spar__family spar__family_terraformer = {
    .name = "terraformer",
    .types = types,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
