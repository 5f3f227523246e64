/* GGUF files of published architectures, with the keys and names that llama.cpp writes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family/mapping.h"
#include "family/open.h"
#include "family/rope_freqs.h"
#include "token/gguf.h"

/* Reads keys "ARCHITECTURE.KEY"; the first failure is kept. */
typedef struct keys {
    const spar__gguf *file;
    const char *architecture;
    spar_status status;
} keys;

static const char *full(const keys *k, const char *key, char out[128]) {
    snprintf(out, 128, "%s.%s", k->architecture, key);
    return out;
}

static bool has(const keys *k, const char *key) {
    char name[128];
    return spar__gguf_find(k->file, full(k, key, name), NULL);
}

static int64_t integer(keys *k, const char *key, int64_t fallback) {
    char name[128];
    int64_t out = fallback;
    spar_status status =
        fallback == SPAR__REQUIRED
            ? spar__gguf_integer(k->file, full(k, key, name), 0, INT32_MAX, &out)
            : spar__gguf_integer_or(k->file, full(k, key, name), 0, INT32_MAX, fallback, &out);
    if (!k->status) k->status = status;
    return out;
}

/* The shortest decimal number that gives the same float: 1e-5 was 1e-5 before it became one. */
static double shortest(double value) {
    char text[40];
    for (int digits = 6; digits < 10; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value) return strtod(text, NULL);
    }
    return value;
}

static double number(keys *k, const char *key, double fallback) {
    char name[128];
    double out = fallback;
    spar_status status = spar__gguf_real_or(k->file, full(k, key, name), fallback, &out);
    if (!k->status) k->status = status;
    return shortest(out);
}

/* Keys that are read below, and those that change nothing. */
static const char *const known[] = {
    "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.sliding_window",
    "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.finetuned",
    "vocab_size", "expert_count", "expert_used_count", "expert_feed_forward_length", "tensor_data_layout",
    "attention.causal", "attention.relative_buckets_count", "decoder_start_token_id", "decoder_block_count",
    "pooling_type", "classifier.output_labels", NULL};

static spar_status refuse_unknown(const keys *k) {
    size_t n = strlen(k->architecture);
    for (size_t i = 0; i < spar__gguf_n_keys(k->file); i++) {
        const char *key = spar__gguf_key(k->file, i, NULL);
        if (strncmp(key, k->architecture, n) != 0 || key[n] != '.') continue;
        bool found = false;
        for (int j = 0; !found && known[j]; j++) found = strcmp(known[j], key + n + 1) == 0;
        if (!found)
            return spar__fail(SPAR_ERR_UNSUPPORTED,
                              "%s: key '%s' is not known and may change what the model computes",
                              spar__gguf_path(k->file), key);
    }
    return SPAR_OK;
}

static void read_rope(keys *k, json_t *position, int64_t head_dim) {
    char name[128];
    json_object_set_new(position, "base", json_real(number(k, "rope.freq_base", 10000)));
    int64_t turned = integer(k, "rope.dimension_count", head_dim);
    if (turned != head_dim && head_dim > 0)
        json_object_set_new(position, "fraction", json_real((double)turned / (double)head_dim));
    spar__gguf_string type;
    if (!k->status) k->status = spar__rope_freqs_read(k->file, position, turned);
    if (!has(k, "rope.scaling.type") || k->status) return;
    k->status = spar__gguf_text(k->file, full(k, "rope.scaling.type", name), &type);
    if (k->status || (type.length == 4 && !memcmp(type.bytes, "none", 4))) return;
    bool linear = type.length == 6 && !memcmp(type.bytes, "linear", 6);
    if (!linear && !(type.length == 4 && !memcmp(type.bytes, "yarn", 4))) {
        k->status = spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key '%s': found '%.*s', expected none, linear or yarn",
                               spar__gguf_path(k->file), name, (int)(type.length < 40 ? type.length : 40),
                               type.bytes);
        return;
    }
    json_object_set_new(position, "scaling", json_string(linear ? "linear" : "yarn"));
    json_object_set_new(position, "factor", json_real(number(k, "rope.scaling.factor", 1)));
    int64_t original = integer(k, "rope.scaling.original_context_length", 0);
    if (original) json_object_set_new(position, "original_context", json_integer(original));
    /* There it multiplies yarn's own factor of sines and cosines; ours replaces it. */
    double attention = number(k, "rope.scaling.attn_factor", 1), factor = spar__model_real(position, "factor", 1);
    if (!linear && attention != 1)
        json_object_set_new(position, "attention_factor",
                            json_real(attention * (factor > 1 ? 1 + 0.1 * log(factor) : 1)));
}

static bool has_tensor(const spar__gguf *file, const char *name) { return spar__gguf_tensor_find(file, name) != NULL; }

/* A head of its own, unless its tensor is missing or a copy of the embedding. */
static bool is_tied(const spar__gguf *file) {
    const spar__gguf_tensor *head = spar__gguf_tensor_find(file, "output.weight");
    const spar__gguf_tensor *embedding = spar__gguf_tensor_find(file, "token_embd.weight");
    return !head || (embedding && head->type == embedding->type && head->bytes == embedding->bytes &&
                     memcmp(head->data, embedding->data, head->bytes) == 0);
}

static json_t *object_of(json_t *m, const char *key) {
    json_t *o = json_object_get(m, key);
    if (!json_is_object(o)) {
        json_t *full_form = json_object();
        if (o) json_object_set(full_form, "kind", o);
        json_object_set_new(m, key, full_form);
        o = full_form;
    }
    return o;
}

/* The keys that decoders of all architectures share; whether there are biases is seen from the tensors. */
static void read_decoder(keys *k, json_t *m) {
    const spar__gguf *file = k->file;
    const spar__gguf_tensor *embedding = spar__gguf_tensor_find(file, "token_embd.weight");
    int64_t d = integer(k, "embedding_length", SPAR__REQUIRED);
    int64_t heads = integer(k, "attention.head_count", SPAR__REQUIRED);
    int64_t kv = integer(k, "attention.head_count_kv", heads), head_dim = integer(k, "attention.key_length", 0);
    if (!json_object_get(m, "architecture")) json_object_set_new(m, "architecture", json_string("decoder"));
    json_object_set_new(m, "vocab_size", json_integer(embedding ? embedding->ne[1] : 0));
    json_object_set_new(m, "context", json_integer(integer(k, "context_length", SPAR__REQUIRED)));
    json_object_set_new(m, "d_model", json_integer(d));
    json_object_set_new(m, "n_layers", json_integer(integer(k, "block_count", SPAR__REQUIRED)));
    json_t *norm = object_of(m, "norm");
    bool rms = has(k, "attention.layer_norm_rms_epsilon");
    json_object_set_new(norm, "eps",
                        json_real(number(k, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-5)));
    bool bias = spar__model_flag(m, "attention.bias", false) || has_tensor(file, "blk.0.attn_q.bias") || has_tensor(file, "blk.0.attn_qkv.bias");
    json_t *attention = object_of(m, "attention");
    json_object_update_new(attention, json_pack("{s:I, s:I, s:b, s:b}", "n_heads", heads, "n_kv_heads", kv, "bias", bias,
                                                "output_bias", has_tensor(file, "blk.0.attn_output.bias")));
    if (head_dim) json_object_set_new(attention, "head_dim", json_integer(head_dim));
    int64_t window = integer(k, "attention.sliding_window", 0);
    if (window)
        json_object_set_new(attention, "pattern", json_pack("{s:s, s:I}", "kind", "band", "width", window));
    json_t *feedforward = object_of(m, "feedforward");
    int64_t d_ff = integer(k, "feed_forward_length", SPAR__REQUIRED), experts = integer(k, "expert_count", 0);
    if (experts) {
        json_object_set_new(object_of(feedforward, "expert"), "d_ff",
                            json_integer(integer(k, "expert_feed_forward_length", d_ff)));
        json_object_set_new(feedforward, "n_experts", json_integer(experts));
        json_object_set_new(feedforward, "top_k", json_integer(integer(k, "expert_used_count", SPAR__REQUIRED)));
    } else {
        json_object_set_new(feedforward, "d_ff", json_integer(d_ff));
        json_object_set_new(feedforward, "bias", json_boolean(has_tensor(file, "blk.0.ffn_down.bias")));
    }
    if (strcmp(spar__model_kind(m, "position", ""), "rotary") == 0)
        read_rope(k, object_of(m, "position"), head_dim ? head_dim : heads ? d / heads : 0);
    if (!json_object_get(m, "head")) json_object_set_new(m, "head", json_string(is_tied(file) ? "tied" : "separate"));
}

/* A classifier, on the first token's state through a layer of its own. */
static void read_classifier(keys *k, json_t *m, const spar__gguf_tensor *classes) {
    char name[128];
    spar__gguf_value texts;
    spar__gguf_string text;
    json_object_set_new(m, "head", json_pack("{s:s, s:I, s:s, s:b}", "kind", "classifier", "classes",
                                             classes->n_dims > 1 ? classes->ne[1] : 1, "activation", "tanh", "pooler",
                                             has_tensor(k->file, "cls.weight")));
    if (!has(k, "classifier.output_labels") || k->status) return;
    json_t *labels = json_array();
    k->status = spar__gguf_texts(k->file, full(k, "classifier.output_labels", name), 0, 65536, &texts);
    while (!k->status && spar__gguf_next_text(&texts, &text)) json_array_append_new(labels, json_stringn(text.bytes, text.length));
    json_object_set_new(m, "labels", labels);
}

/* Encoders: token types, and how states are pooled. */
static void read_encoder(keys *k, json_t *m) {
    static const char *const poolings[] = {"mean", "mean", "cls", "last"}; /* 0: not said */
    const spar__gguf_tensor *types = spar__gguf_tensor_find(k->file, "token_types.weight");
    json_t *embedding = object_of(m, "embedding");
    json_object_set_new(embedding, "norm", json_boolean(has_tensor(k->file, "token_embd_norm.weight")));
    if (types) json_object_set_new(embedding, "segments", json_integer(types->n_dims > 1 ? types->ne[1] : 1));
    int64_t pooling = integer(k, "pooling_type", 0);
    const spar__gguf_tensor *classes = spar__gguf_tensor_find(k->file, "cls.output.weight");
    if (classes) {
        read_classifier(k, m, classes);
        return;
    }
    if (pooling > 3) pooling = 0;
    json_t *head = object_of(m, "head");
    json_object_set_new(head, "pooling", json_string(poolings[pooling]));
    if (has_tensor(k->file, "cls.weight")) json_object_set_new(head, "pooler", json_true());
}

/* Encoder–decoders: relative positions; the feed-forward is seen from its tensors. T5 1.0, which has no gates, ties its
 * head and scales what enters it. */
static void read_sequence(keys *k, json_t *m) {
    int64_t layers = spar__model_integer(m, "n_layers", 0), d = spar__model_integer(m, "d_model", 1);
    json_object_set_new(m, "start", json_integer(integer(k, "decoder_start_token_id", 0)));
    json_object_set_new(object_of(m, "position"), "buckets", json_integer(integer(k, "attention.relative_buckets_count", 32)));
    json_object_set_new(m, "decoder", json_pack("{s:I}", "n_layers", integer(k, "decoder_block_count", layers)));
    bool gated = has_tensor(k->file, "enc.blk.0.ffn_gate.weight");
    if (!gated && strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0)
        json_object_set_new(m, "head", json_pack("{s:s, s:f}", "kind", "tied", "scale", 1 / sqrt((double)(d > 0 ? d : 1))));
    json_t *feedforward = object_of(m, "feedforward");
    json_object_set_new(feedforward, "kind", json_string(gated ? "gated" : "dense"));
    json_object_set_new(feedforward, "activation", json_string(gated ? "gelu-tanh" : "relu"));
}

/* What Spar itself wrote beside the common keys. */
static spar_status own_section(const spar__gguf *file, json_t **section, json_t **source) {
    spar__gguf_string text;
    spar_config *config;
    SPAR_TRY(spar__gguf_text(file, "spar.config", &text));
    spar_status status = spar_config_parse(text.bytes, text.length, &config);
    if (status) return spar__fail_within(status, "%s: spar.config", spar__gguf_path(file));
    *section = json_incref(json_object_get(config->root, "model"));
    *source = json_incref(json_object_get(config->root, "source"));
    spar_config_free(config);
    return *section ? SPAR_OK
                    : spar__fail(SPAR_ERR_FORMAT, "%s: spar.config: no \"model\" section", spar__gguf_path(file));
}

/* {"family", "general": {"name", "license", …}, "chat_template"} */
static json_t *collect(const spar__gguf *file, const spar__family *family) {
    json_t *general = json_object(), *source = json_pack("{s:s, s:O}", "family", family->name, "general", general);
    spar__gguf_string text;
    for (size_t i = 0; i < spar__gguf_n_keys(file); i++) {
        spar__gguf_value value;
        const char *key = spar__gguf_key(file, i, &value);
        if (strncmp(key, "general.", 8) != 0 || value.kind != SPAR__GGUF_STRING || !strcmp(key, "general.type") ||
            !strcmp(key, "general.architecture"))
            continue;
        json_t *string = spar__gguf_text(file, key, &text) ? NULL : json_stringn(text.bytes, text.length);
        if (string) json_object_set_new(general, key + 8, string);
    }
    json_decref(general);
    if (spar__gguf_find(file, "tokenizer.chat_template", NULL) &&
        !spar__gguf_text(file, "tokenizer.chat_template", &text))
        json_object_set_new(source, "chat_template", json_stringn(text.bytes, text.length));
    return source;
}

static spar_status section_of(const spar__gguf *file, const spar__family *family, json_t **out) {
    keys k = {.file = file, .architecture = family->gguf};
    json_t *m = json_loads(family->gguf_model, 0, NULL);
    if (!m) return spar__fail(SPAR_ERR_MEMORY, "out of memory: %s", spar__gguf_path(file));
    read_decoder(&k, m);
    const char *architecture = spar__model_kind(m, "architecture", "decoder");
    if (strcmp(architecture, "encoder") == 0) read_encoder(&k, m);
    if (strcmp(architecture, "encoder-decoder") == 0) read_sequence(&k, m);
    spar_status status = k.status ? k.status : refuse_unknown(&k);
    if (status) json_decref(m);
    else *out = m;
    return status;
}

static const char *const never[] = {"output.weight", "rope_freqs.weight", NULL};

static spar_status open_weights(spar__gguf *file, const char *path, const spar__family *family, spar_model *m) {
    spar__binding binding = {
        .path = path, .family = family, .rules = family->gguf_tensors, .file = file, .ignored = never};
    SPAR_TRY(spar__bind(&binding, m));
    SPAR_TRY(spar__model_prepare(m));
    if (!spar__gguf_find(file, "tokenizer.ggml.model", NULL) ||
        spar__gguf_text_is(file, "tokenizer.ggml.model", "none"))
        return SPAR_OK;
    spar_tokenizer *tokenizer;
    SPAR_TRY(spar__tokenizer_from_gguf(file, &tokenizer));
    return spar__give_tokenizer(m, path, tokenizer);
}

spar_status spar__published_open(spar__gguf *file, const char *path, spar_model **out) {
    const spar__family *family = spar__family_of_gguf(file);
    json_t *section = NULL, *source = NULL;
    spar_model *m = NULL;
    char list[512];
    spar__family_list(list, sizeof list);
    spar_status status = !family                                      ? spar__fail(SPAR_ERR_UNSUPPORTED,
                                             "%s: key 'general.architecture': expected spar or that of a family: %s",
                                             path, list)
                         : spar__gguf_find(file, "spar.config", NULL) ? own_section(file, &section, &source)
                                                                      : section_of(file, family, &section);
    if (!status) status = spar__model_build(section, &m);
    json_decref(section);
    if (status) {
        json_decref(source);
        spar__gguf_free(file);
        return status;
    }
    spar__model_set_source(m, source ? source : collect(file, family));
    spar__model_adopt(m, file, NULL);
    status = open_weights(file, path, family, m);
    if (status) spar_model_free(m);
    else *out = m;
    return status;
}
