/* The metadata of GGUF files of published architectures, from a "model" section. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "family/export.h"
#include "family/rope_freqs.h"

/* What the common keys say, or the tensors; the rest must be the family's fixed parts. */
static const char *const said[] = {
    "architecture", "vocab_size", "context", "d_model", "n_layers", "norm.eps", "attention.n_heads",
    "attention.n_kv_heads", "attention.head_dim", "attention.bias", "attention.output_bias", "attention.pattern",
    "feedforward.d_ff", "feedforward.bias", "feedforward.n_experts", "feedforward.top_k", "feedforward.expert.d_ff", "feedforward.balance",
    "feedforward.jitter", "position.base",
    "position.scaling", "position.factor", "position.original_context",
    "position.low_freq_factor", "position.high_freq_factor", "head", NULL};
/* What those of encoders, and of encoder–decoders, say besides. */
static const char *const said_encoder[] = {"norm.kind", "embedding.norm", "embedding.segments", NULL};
static const char *const said_sequence[] = {"feedforward.kind", "feedforward.activation", "position.buckets",
                                            "decoder.n_layers", "start", NULL};

static void set_path(json_t *object, const char *path, const json_t *value) {
    const char *dot = strchr(path, '.');
    char part[64];
    if (!dot) {
        json_object_set(object, path, (json_t *)value);
        return;
    }
    snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
    json_t *inner = json_object_get(object, part);
    if (!json_is_object(inner)) {
        json_t *full = json_object();
        if (inner) json_object_set(full, "kind", inner);
        json_object_set_new(object, part, full);
        inner = full;
    }
    set_path(inner, dot + 1, value);
}

static void say(json_t *section, const json_t *ours, const char *const *paths, bool positions) {
    for (int i = 0; paths[i]; i++) {
        const json_t *value = spar__model_value(ours, paths[i]);
        if (value && (positions || strncmp(paths[i], "position.", 9) != 0)) set_path(section, paths[i], value);
    }
}

/* Heads of encoders are those that pool; of encoder–decoders, a tied one is scaled by 1/√d_model without gates, as
 * T5 1.0's. */
static bool head_is_known(const json_t *m, bool encoder, bool sequence) {
    const char *head = spar__model_kind(m, "head", "tied");
    double scale = spar__model_real(m, "head.scale", 1), d = (double)spar__model_integer(m, "d_model", 1);
    if (encoder) return !strcmp(head, "embedding") || !strcmp(head, "classifier");
    bool gated = strcmp(spar__model_kind(m, "feedforward", "dense"), "gated") == 0;
    if (sequence) return fabs(scale - (gated || strcmp(head, "tied") ? 1 : 1 / sqrt(d))) < 1e-9;
    return true;
}

/* The activation is not said: it is the one of the family where there is a gate, and where there is none. */
static bool activation_is_known(const json_t *m) {
    bool gated = strcmp(spar__model_kind(m, "feedforward", "dense"), "gated") == 0;
    const char *activation = spar__model_kind(m, "feedforward.activation", gated ? "silu" : "gelu-tanh");
    return strcmp(activation, gated ? "gelu-tanh" : "relu") == 0 && spar__model_integer(m, "position.max_distance", 128) == 128;
}

bool spar__gguf_can_say(const spar_model *m, const spar__family *family) {
    const json_t *ours = spar__model_config(m);
    json_t *section = json_loads(family->gguf_model, 0, NULL);
    const char *scaling = spar__model_kind(ours, "position.scaling", "none");
    const json_t *pattern = spar__model_value(ours, "attention.pattern");
    const char *architecture = spar__model_kind(section, "architecture", "decoder");
    bool encoder = !strcmp(architecture, "encoder"), sequence = !strcmp(architecture, "encoder-decoder");
    bool can = section && strcmp(scaling, "dynamic") != 0 && strcmp(scaling, "longrope") != 0 && !json_is_array(pattern) &&
               strcmp(spar__model_kind(ours, "architecture", "decoder"), architecture) == 0;
    can = can && head_is_known(ours, encoder, sequence) && (!sequence || activation_is_known(ours));
    if (can) {
        say(section, ours, said, strcmp(spar__model_kind(section, "position", ""), "rotary") == 0);
        if (encoder) say(section, ours, said_encoder, true);
        if (sequence) say(section, ours, said_sequence, true);
    }
    const char *usual = encoder || sequence ? "full" : "causal", *kind = spar__model_kind(ours, "attention.pattern", usual);
    bool plain = encoder || sequence ? !pattern : !strcmp(kind, "causal") || !strcmp(kind, "band");
    can = can && plain && spar__section_fits(section, m);
    json_decref(section);
    return can;
}

typedef struct keys {
    spar__gguf_writer *writer;
    const char *architecture;
    spar_status status;
} keys;

static void u32(keys *k, const char *key, int64_t value) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", k->architecture, key);
    if (!k->status) k->status = spar__gguf_add_u32(k->writer, name, (uint32_t)value);
}

static void f32(keys *k, const char *key, double value) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", k->architecture, key);
    if (!k->status) k->status = spar__gguf_add_f32(k->writer, name, (float)value);
}

static void text(keys *k, const char *key, const char *value) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", k->architecture, key);
    if (!k->status) k->status = spar__gguf_add_text(k->writer, name, value, strlen(value));
}

static void write_rope(keys *k, const json_t *m, int64_t head_dim) {
    const char *scaling = spar__model_kind(m, "position.scaling", "none");
    double factor = spar__model_real(m, "position.factor", 1);
    f32(k, "rope.freq_base", spar__model_real(m, "position.base", 10000));
    u32(k, "rope.dimension_count",
        (int64_t)(spar__model_real(m, "position.fraction", 1) * (double)head_dim + 1e-6));
    if (strcmp(scaling, "linear") && strcmp(scaling, "yarn")) return; /* llama3 is in rope_freqs.weight */
    text(k, "rope.scaling.type", scaling);
    f32(k, "rope.scaling.factor", factor);
    if (strcmp(scaling, "yarn") == 0)
        u32(k, "rope.scaling.original_context_length",
            spar__model_integer(m, "position.original_context", spar__model_integer(m, "context", 1024)));
}

static void flag(keys *k, const char *key, bool value) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", k->architecture, key);
    if (!k->status) k->status = spar__gguf_add_bool(k->writer, name, value);
}

/* pooling_type: 1 mean, 2 the first token, 3 the last, 4 a classifier's. */
static void write_encoder(keys *k, const json_t *m) {
    const char *pooling = spar__model_kind(m, "head.pooling", "mean"), *head = spar__model_kind(m, "head", "embedding");
    int64_t segments = spar__model_integer(m, "embedding.segments", 0);
    const json_t *labels = json_object_get(m, "labels");
    flag(k, "attention.causal", false);
    u32(k, "pooling_type",
        !strcmp(head, "classifier") ? 4 : !strcmp(pooling, "cls") ? 2 : !strcmp(pooling, "last") ? 3 : 1);
    if (segments && !k->status)
        k->status = spar__gguf_add_u32(k->writer, "tokenizer.ggml.token_type_count", (uint32_t)segments);
    size_t n = json_array_size(labels);
    if (!n || strcmp(head, "classifier") != 0 || k->status) return;
    spar__gguf_string *texts = spar__array(n, sizeof *texts);
    char key[64];
    snprintf(key, sizeof key, "%s.classifier.output_labels", k->architecture);
    for (size_t i = 0; texts && i < n; i++) {
        const json_t *label = json_array_get(labels, i);
        texts[i] = (spar__gguf_string){json_string_value(label), json_string_length(label)};
    }
    k->status = texts ? spar__gguf_add_texts(k->writer, key, texts, n) : SPAR_ERR_MEMORY;
    spar__free(texts);
}

static void write_sequence(keys *k, const json_t *m, int64_t layers) {
    u32(k, "attention.relative_buckets_count", spar__model_integer(m, "position.buckets", 32));
    u32(k, "decoder_start_token_id", spar__model_integer(m, "start", 0));
    u32(k, "decoder_block_count", spar__model_integer(m, "decoder.n_layers", layers));
    f32(k, "attention.layer_norm_epsilon", spar__model_real(m, "norm.eps", 1e-5));
}

spar_status spar__gguf_write_keys(spar__gguf_writer *w, const spar_model *model, const spar__family *family) {
    const json_t *m = spar__model_config(model);
    const spar__shape *s = spar__model_shape(model);
    keys k = {w, family->gguf, SPAR_OK};
    bool rms = strcmp(spar__model_kind(m, "norm", "layer"), "rms") == 0;
    int64_t default_ff = strcmp(spar__model_kind(m, "feedforward", "dense"), "dense") ? (8 * s->d_model / 3 + 31) / 32 * 32
                                                                                  : 4 * s->d_model;
    int64_t d_ff = spar__model_integer(m, "feedforward.d_ff", 0), experts = spar__model_integer(m, "feedforward.n_experts", 8);
    bool mixed = strcmp(spar__model_kind(m, "feedforward", "dense"), "experts") == 0;
    if (mixed) d_ff = spar__model_integer(m, "feedforward.expert.d_ff", 0);
    u32(&k, "vocab_size", s->vocab_size);
    u32(&k, "context_length", s->context);
    u32(&k, "embedding_length", s->d_model);
    u32(&k, "block_count", s->n_layers);
    u32(&k, "feed_forward_length", d_ff ? d_ff : default_ff);
    u32(&k, "attention.head_count", s->n_heads);
    u32(&k, "attention.head_count_kv", s->n_kv_heads);
    f32(&k, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        spar__model_real(m, "norm.eps", 1e-5));
    u32(&k, "attention.key_length", s->head_dim);
    u32(&k, "attention.value_length", s->head_dim);
    if (strcmp(spar__model_kind(m, "attention.pattern", "causal"), "band") == 0)
        u32(&k, "attention.sliding_window", spar__model_integer(m, "attention.pattern.width", 0));
    if (strcmp(spar__model_kind(m, "position", ""), "rotary") == 0) write_rope(&k, m, s->head_dim);
    const char *architecture = spar__model_kind(m, "architecture", "decoder");
    if (strcmp(architecture, "encoder") == 0) write_encoder(&k, m);
    if (strcmp(architecture, "encoder-decoder") == 0) write_sequence(&k, m, s->n_layers);
    if (mixed) {
        u32(&k, "expert_count", experts);
        u32(&k, "expert_used_count", spar__model_integer(m, "feedforward.top_k", 1));
    }
    return k.status;
}

spar_status spar__gguf_rope_factors(const spar_model *model, float **factors, int64_t *count) {
    const json_t *m = spar__model_config(model);
    const spar__shape *s = spar__model_shape(model);
    *factors = NULL;
    if (strcmp(spar__model_kind(m, "position.scaling", "none"), "llama3") != 0) return SPAR_OK;
    double low = spar__model_real(m, "position.low_freq_factor", 1), high = spar__model_real(m, "position.high_freq_factor", 4);
    double factor = spar__model_real(m, "position.factor", 1), base = spar__model_real(m, "position.base", 10000);
    double context = (double)spar__model_integer(m, "position.original_context", 0);
    if (context == 0) context = (double)s->context;
    int64_t n = (int64_t)(spar__model_real(m, "position.fraction", 1) * (double)s->head_dim + 1e-6);
    float *out = spar__array((size_t)(n / 2) + 1, sizeof *out);
    if (!out) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < n / 2; i++)
        out[i] = (float)spar__llama3_factor(base, i, n, factor, low, high, context);
    *factors = out;
    *count = n / 2;
    return SPAR_OK;
}
