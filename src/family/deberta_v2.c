/* DeBERTa of versions 2 and 3 (He et al. 2021, arXiv 2111.09543): logarithmic buckets of distances, positions that
 * may go through the layers' own projections, and a convolution beside the first layer. */
#include <string.h>

#include "family/encoder.h"

static const char *const types[] = {"deberta-v2", NULL};
static const char *const prefixes[] = {"deberta.", "", NULL};
static const char *const ignored[] = {"*position_ids", "*pooler.dense.*", "cls.predictions.decoder.*", "cls.predictions.bias",
                                      "lm_predictions.*", "mask_predictions.*", "*rel_embeddings.weight",
                                      "encoder.LayerNorm.*", "deberta.encoder.LayerNorm.*", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"embd_in", "embeddings.embed_proj"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"rel_embd", "encoder.rel_embeddings"},
    {"rel_embd_norm", "encoder.LayerNorm"},
    {"conv", "encoder.conv.conv"},
    {"conv_norm", "encoder.conv.LayerNorm"},
    {"blk.{i}.attn_q", "encoder.layer.{i}.attention.self.query_proj"},
    {"blk.{i}.attn_k", "encoder.layer.{i}.attention.self.key_proj"},
    {"blk.{i}.attn_v", "encoder.layer.{i}.attention.self.value_proj"},
    {"blk.{i}.attn_rel_k", "encoder.layer.{i}.attention.self.pos_key_proj"},
    {"blk.{i}.attn_rel_q", "encoder.layer.{i}.attention.self.pos_query_proj"},
    {"blk.{i}.attn_output", "encoder.layer.{i}.attention.output.dense"},
    {"blk.{i}.attn_norm", "encoder.layer.{i}.attention.output.LayerNorm"},
    {"blk.{i}.ffn_up", "encoder.layer.{i}.intermediate.dense"},
    {"blk.{i}.ffn_down", "encoder.layer.{i}.output.dense"},
    {"blk.{i}.ffn_norm", "encoder.layer.{i}.output.LayerNorm"},
    SPAR__DEBERTA_MASKED,
    {"cls.output", "/classifier"},
    {"cls", "/pooler.dense"},
    {0}};

static json_t *read(spar__config_reader *r) {
    json_t *m = spar__deberta_section(r, false);
    int64_t width = spar__config_integer(r, "conv_kernel_size", 0);
    const char *activation = spar__config_activation(r, "conv_act", "tanh");
    if (spar__config_integer(r, "conv_groups", 1) != 1) spar__config_fail(r, "conv_groups", "1");
    if (width) json_object_set_new(m, "convolution", json_pack("{s:I, s:s}", "width", width, "activation", activation));
    return m;
}

static json_t *publish(const json_t *m) {
    json_t *c = spar__deberta_publish(m, false);
    if (!c) return NULL;
    int64_t buckets = spar__model_integer(m, "position.buckets", 0);
    json_object_set_new(c, "position_buckets", json_integer(buckets ? buckets : -1));
    json_object_set_new(c, "share_att_key", json_boolean(spar__model_flag(m, "position.shared", false)));
    bool normed = strcmp(spar__model_kind(m, "position.norm", "none"), "layer") == 0;
    json_object_set_new(c, "norm_rel_ebd", json_string(normed ? "layer_norm" : "none"));
    int64_t width = spar__model_integer(m, "convolution.width", 0);
    if (width) {
        json_object_set_new(c, "conv_kernel_size", json_integer(width));
        json_object_set_new(c, "conv_act", json_string(spar__activation_published(
                                               spar__model_kind(m, "convolution.activation", "tanh"))));
    }
    return c;
}

const spar__family spar__family_deberta_v2 = {
    .name = "deberta-v2",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .kept = spar__deberta_kept,
};
