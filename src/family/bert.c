/* BERT (Devlin et al. 2019, arXiv 1810.04805) and the sentence encoders made of it: an encoder with norms
 * after the residual sums, trained positions and token types. */
#include <string.h>

#include "family/encoder.h"

static const char *const types[] = {"bert", NULL};
static const char *const prefixes[] = {"bert.", "", NULL};
static const char *const ignored[] = {"*position_ids", "*pooler.dense.*", "cls.seq_relationship.*",
                                      "cls.predictions.decoder.*", "cls.predictions.bias", NULL};

static const spar__tensor_rule tensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.{i}.attn_q", "encoder.layer.{i}.attention.self.query"},
    {"blk.{i}.attn_k", "encoder.layer.{i}.attention.self.key"},
    {"blk.{i}.attn_v", "encoder.layer.{i}.attention.self.value"},
    {"blk.{i}.attn_output", "encoder.layer.{i}.attention.output.dense"},
    {"blk.{i}.attn_norm", "encoder.layer.{i}.attention.output.LayerNorm"},
    {"blk.{i}.ffn_up", "encoder.layer.{i}.intermediate.dense"},
    {"blk.{i}.ffn_down", "encoder.layer.{i}.output.dense"},
    {"blk.{i}.ffn_norm", "encoder.layer.{i}.output.LayerNorm"},
    {"mlm_dense", "/cls.predictions.transform.dense"},
    {"mlm_norm", "/cls.predictions.transform.LayerNorm"},
    SPAR__MASKED_OUTPUT(""),
    {"cls.output", "/classifier"},
    {"cls", "pooler.dense"},
    {0}};

static const spar__tensor_rule gguf_tensors[] = {
    {"blk.{i}.attn_norm", "blk.{i}.attn_output_norm"},
    {"blk.{i}.ffn_norm", "blk.{i}.layer_output_norm"},
    {0}};

static json_t *read(spar__config_reader *r) {
    const char *activation = spar__config_activation(r, "hidden_act", "gelu");
    double eps = spar__config_real(r, "layer_norm_eps", 1e-12);
    const char *positions = spar__config_text(r, "position_embedding_type", "absolute");
    spar__config_only(r, "add_cross_attention", false, false);
    static const char *const unused[] = {"pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
                                         "pooler_size_per_head", "pooler_type", NULL}; /* of its first program */
    for (const char *const *key = unused; *key; key++) spar__config_value(r, *key);
    if (strcmp(positions, "absolute") != 0) spar__config_fail(r, "position_embedding_type", "absolute");
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:s, s:{s:I}, s:{s:s, s:I, s:s}, s:{s:b, s:I}, s:o}",
        "architecture", "encoder", "vocab_size", spar__config_integer(r, "vocab_size", 30522), "context",
        spar__config_integer(r, "max_position_embeddings", 512), "d_model",
        spar__config_integer(r, "hidden_size", 768), "n_layers", spar__config_integer(r, "num_hidden_layers", 12),
        "norm", "kind", "layer", "eps", eps, "residual", "post-norm", "position", "learned", "attention", "n_heads",
        spar__config_integer(r, "num_attention_heads", 12), "feedforward", "kind", "dense", "d_ff",
        spar__config_integer(r, "intermediate_size", 3072), "activation", activation, "embedding", "norm", true,
        "segments", spar__config_integer(r, "type_vocab_size", 2), "head",
        spar__encoder_head(r, activation, eps, "tanh"));
    if (strcmp(spar__model_kind(m, "head", ""), "embedding") == 0 &&
        (spar__config_tensor(r, "pooler.dense.weight") || spar__config_tensor(r, "bert.pooler.dense.weight")))
        json_object_set_new(json_object_get(m, "head"), "pooler", json_true());
    if (spar__config_bool(r, "is_decoder", false))
        json_object_set_new(json_object_get(m, "attention"), "pattern", json_string("causal"));
    spar__encoder_labels(r, m);
    return m;
}

static json_t *publish(const json_t *m) {
    int64_t d = spar__model_integer(m, "d_model", 0), d_ff = spar__model_integer(m, "feedforward.d_ff", 0);
    if (strcmp(spar__model_kind(m, "position", "learned"), "learned") != 0 || !spar__model_value(m, "embedding.segments"))
        return NULL;
    json_t *c = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:I}", "model_type", "bert", "vocab_size",
        spar__model_integer(m, "vocab_size", 0), "max_position_embeddings", spar__model_integer(m, "context", 1024),
        "hidden_size", d, "num_hidden_layers", spar__model_integer(m, "n_layers", 0), "num_attention_heads",
        spar__model_integer(m, "attention.n_heads", 0), "intermediate_size", d_ff ? d_ff : 4 * d, "hidden_act",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "layer_norm_eps",
        spar__model_real(m, "norm.eps", 1e-5), "type_vocab_size", spar__model_integer(m, "embedding.segments", 0));
    spar__publish_encoder(c, m, "Bert");
    return c;
}

const spar__family spar__family_bert = {
    .name = "bert",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
    .gguf = "bert",
    .gguf_tensors = gguf_tensors,
    .gguf_model = "{\"architecture\": \"encoder\", \"residual\": \"post-norm\", \"position\": \"learned\", "
                  "\"feedforward\": {\"kind\": \"dense\", \"activation\": \"gelu\"}, \"head\": \"embedding\"}",
};
