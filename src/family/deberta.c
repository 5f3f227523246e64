/* DeBERTa (He et al. 2021, arXiv 2006.03654): BERT with disentangled attention. q, k and v are one matrix, head by
 * head, and only q and v have a bias. */
#include <math.h>
#include <string.h>

#include "family/encoder.h"

static const char *const types[] = {"deberta", NULL};
static const char *const prefixes[] = {"deberta.", "", NULL};
static const char *const ignored[] = {"*position_ids", "*pooler.dense.*", "cls.predictions.decoder.*", "cls.predictions.bias",
                                      "lm_predictions.*", "mask_predictions.*", "*rel_embeddings.weight", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"embd_in", "embeddings.embed_proj"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"rel_embd", "encoder.rel_embeddings"},
    {"blk.{i}.attn_q.weight", "encoder.layer.{i}.attention.self.in_proj.weight", SPAR__PER_HEAD, 0, 3},
    {"blk.{i}.attn_k.weight", "encoder.layer.{i}.attention.self.in_proj.weight", SPAR__PER_HEAD, 1, 3},
    {"blk.{i}.attn_v.weight", "encoder.layer.{i}.attention.self.in_proj.weight", SPAR__PER_HEAD, 2, 3},
    {"blk.{i}.attn_q.bias", "encoder.layer.{i}.attention.self.q_bias"},
    {"blk.{i}.attn_v.bias", "encoder.layer.{i}.attention.self.v_bias"},
    {"blk.{i}.attn_rel_k", "encoder.layer.{i}.attention.self.pos_proj"},
    {"blk.{i}.attn_rel_q", "encoder.layer.{i}.attention.self.pos_q_proj"},
    {"blk.{i}.attn_output", "encoder.layer.{i}.attention.output.dense"},
    {"blk.{i}.attn_norm", "encoder.layer.{i}.attention.output.LayerNorm"},
    {"blk.{i}.ffn_up", "encoder.layer.{i}.intermediate.dense"},
    {"blk.{i}.ffn_down", "encoder.layer.{i}.output.dense"},
    {"blk.{i}.ffn_norm", "encoder.layer.{i}.output.LayerNorm"},
    SPAR__DEBERTA_MASKED,
    {"cls.output", "/classifier"},
    {"cls", "/pooler.dense"},
    {0}};

/* A list, or names joined by |. */
static bool has_type(const json_t *list, const char *name) {
    if (json_is_string(list)) return strstr(json_string_value(list), name) != NULL;
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) return true;
    return false;
}

/* √ of head_dim × (1 + the types that are listed), be there relative attention or not. */
static void set_scale(spar__config_reader *r, json_t *m, bool first) {
    const json_t *list = spar__config_value(r, "pos_att_type"), *p = json_object_get(m, "position");
    int64_t heads = spar__model_integer(m, "attention.n_heads", 1), d = spar__model_integer(m, "d_model", 0);
    int64_t named = has_type(list, "c2p") + has_type(list, "p2c");
    if (first && json_is_array(list)) named = (int64_t)json_array_size(list);
    if (named == spar__model_flag(p, "c2p", false) + spar__model_flag(p, "p2c", false) || heads < 1) return;
    json_object_set_new(json_object_get(m, "attention"), "scale",
                        json_real(1 / sqrt((double)(d / heads) * (double)(1 + named))));
}

json_t *spar__deberta_section(spar__config_reader *r, bool first) {
    const char *activation = spar__config_activation(r, "hidden_act", "gelu");
    double eps = spar__config_real(r, "layer_norm_eps", 1e-7);
    int64_t context = spar__config_integer(r, "max_position_embeddings", 512);
    int64_t d = spar__config_integer(r, "hidden_size", first ? 768 : 1536);
    int64_t width = spar__config_integer(r, "embedding_size", d);
    int64_t types_of_tokens = spar__config_integer(r, "type_vocab_size", 0);
    int64_t heads = spar__config_integer(r, "num_attention_heads", first ? 12 : 24);
    bool absolute = spar__config_bool(r, "position_biased_input", true);
    const char *pooler = spar__config_activation(r, "pooler_hidden_act", "gelu");
    if (spar__config_integer(r, "pooler_hidden_size", d) != d) spar__config_fail(r, "pooler_hidden_size", "hidden_size");
    spar__config_bool(r, "legacy", true); /* the names of the masked head's tensors */
    int64_t usual = heads > 0 ? d / heads : 0;
    if (spar__config_integer(r, "attention_head_size", usual) != usual)
        spar__config_fail(r, "attention_head_size", "hidden_size / num_attention_heads");
    spar__config_value(r, "z_steps"); /* repeats of the last layer in DeBERTa's own program, which nothing else has */
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:o, s:{s:I, s:b}, s:{s:s, s:I, s:s}, s:{s:b, s:I}, s:o}",
        "architecture", "encoder", "vocab_size", spar__config_integer(r, "vocab_size", first ? 50265 : 128100), "context",
        context, "d_model", d, "n_layers", spar__config_integer(r, "num_hidden_layers", first ? 12 : 24), "norm", "kind",
        "layer", "eps", eps, "residual", "post-norm", "position",
        spar__deberta_position(r, first, context, absolute, eps), "attention", "n_heads", heads, "key_bias", !first,
        "feedforward", "kind", "dense", "d_ff", spar__config_integer(r, "intermediate_size", first ? 3072 : 6144),
        "activation", activation, "embedding", "norm", true, "segments", types_of_tokens, "head",
        spar__encoder_head(r, activation, eps, pooler));
    if (width != d) {
        json_t *embedding = json_object_get(m, "embedding");
        json_object_set_new(embedding, "width", json_integer(width));
        json_object_set_new(embedding, "project", json_string("sum"));
    }
    set_scale(r, m, first);
    spar__encoder_labels(r, m);
    return m;
}

json_t *spar__deberta_position(spar__config_reader *r, bool first, int64_t context, bool absolute, double eps) {
    int64_t far = spar__config_has(r, "max_relative_positions")
                      ? json_integer_value(spar__config_value(r, "max_relative_positions"))
                      : -1;
    if (far < 1) far = context;
    const json_t *list = spar__config_value(r, "pos_att_type");
    bool relative = spar__config_bool(r, "relative_attention", false);
    bool c2p = relative && has_type(list, "c2p"), p2c = relative && has_type(list, "p2c");
    if (has_type(list, "p2p")) spar__config_fail(r, "pos_att_type", "c2p and p2c");
    bool shared = false, normed = false;
    int64_t buckets = 0;
    if (!first) {
        const json_t *b = spar__config_value(r, "position_buckets");
        buckets = json_is_integer(b) && json_integer_value(b) > 0 ? json_integer_value(b) : 0;
        shared = spar__config_bool(r, "share_att_key", false);
        normed = strstr(spar__config_text(r, "norm_rel_ebd", "none"), "layer_norm") != NULL;
    }
    json_t *p = json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:b}", "kind", "disentangled", "span", buckets ? buckets : far,
                          "c2p", c2p, "p2c", p2c, "shared", shared, "key_bias", !first, "absolute", absolute);
    if (buckets) {
        json_object_set_new(p, "buckets", json_integer(buckets));
        json_object_set_new(p, "max_distance", json_integer(far));
    }
    if (normed) {
        json_object_set_new(p, "norm", json_string("layer"));
        json_object_set_new(p, "eps", json_real(eps));
    }
    return p;
}

json_t *spar__deberta_publish(const json_t *m, bool first) {
    if (strcmp(spar__model_kind(m, "position", "learned"), "disentangled") != 0 ||
        spar__model_flag(m, "attention.key_bias", true) == first)
        return NULL;
    int64_t d = spar__model_integer(m, "d_model", 0), span = spar__model_integer(m, "position.span", 0);
    int64_t buckets = spar__model_integer(m, "position.buckets", 0);
    json_t *list = json_array();
    if (spar__model_flag(m, "position.c2p", true)) json_array_append_new(list, json_string("c2p"));
    if (spar__model_flag(m, "position.p2c", true)) json_array_append_new(list, json_string("p2c"));
    bool relative = json_array_size(list) > 0;
    json_t *c = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:I, s:b, s:o, s:I, s:b}", "model_type",
        first ? "deberta" : "deberta-v2", "vocab_size", spar__model_integer(m, "vocab_size", 0),
        "max_position_embeddings", spar__model_integer(m, "context", 1024), "hidden_size", d, "num_hidden_layers",
        spar__model_integer(m, "n_layers", 0), "num_attention_heads", spar__model_integer(m, "attention.n_heads", 0),
        "intermediate_size", spar__model_integer(m, "feedforward.d_ff", 4 * d), "hidden_act",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "layer_norm_eps",
        spar__model_real(m, "norm.eps", 1e-5), "type_vocab_size", spar__model_integer(m, "embedding.segments", 0),
        "relative_attention", relative, "pos_att_type", list, "max_relative_positions",
        buckets ? spar__model_integer(m, "position.max_distance", 0) : span, "position_biased_input",
        spar__model_flag(m, "position.absolute", false));
    json_object_set_new(c, "pooler_hidden_act",
                        json_string(spar__activation_published(spar__model_kind(m, "head.activation", "gelu"))));
    json_object_set_new(c, "pooler_hidden_size", json_integer(d));
    if (spar__model_integer(m, "embedding.width", 0))
        json_object_set_new(c, "embedding_size", json_integer(spar__model_integer(m, "embedding.width", 0)));
    spar__publish_encoder(c, m, first ? "Deberta" : "DebertaV2");
    return c;
}

bool spar__deberta_kept(const json_t *config) {
    return !json_is_false(json_object_get(config, "legacy"));
}

static json_t *read(spar__config_reader *r) { return spar__deberta_section(r, true); }
static json_t *publish(const json_t *m) { return spar__deberta_publish(m, true); }

const spar__family spar__family_deberta = {
    .name = "deberta",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .kept = spar__deberta_kept,
};
