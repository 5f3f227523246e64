/* The metadata of GGUF files of published architectures, from a "model" section. */
#include <stdio.h>
#include <string.h>

#include "family/export.h"
#include "family/rope_freqs.h"

/* What the common keys say; the rest must be the family's fixed parts. */
static const char *const said[] = {
    "architecture", "vocab_size", "context", "d_model", "n_layers", "norm.eps", "attention.n_heads",
    "attention.n_kv_heads", "attention.head_dim", "attention.bias", "attention.output_bias", "attention.pattern",
    "feedforward.d_ff", "feedforward.bias", "feedforward.n_experts", "feedforward.top_k", "feedforward.expert.d_ff", "feedforward.balance",
    "feedforward.jitter", "position.base",
    "position.scaling", "position.factor", "position.original_context",
    "position.low_freq_factor", "position.high_freq_factor", "head", NULL};

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

bool spar__gguf_can_say(const spar_model *m, const spar__family *family) {
    const json_t *ours = spar__model_config(m);
    json_t *section = json_loads(family->gguf_model, 0, NULL);
    const char *scaling = spar__model_kind(ours, "position.scaling", "none");
    const json_t *pattern = spar__model_value(ours, "attention.pattern");
    bool can = section && strcmp(scaling, "dynamic") != 0 && !json_is_array(pattern);
    bool rotary = strcmp(spar__model_kind(section, "position", ""), "rotary") == 0;
    for (int i = 0; can && said[i]; i++) {
        const json_t *value = spar__model_value(ours, said[i]);
        if (value && (rotary || strncmp(said[i], "position.", 9) != 0)) set_path(section, said[i], value);
    }
    const char *kind = spar__model_kind(ours, "attention.pattern", "causal");
    can = can && (!strcmp(kind, "causal") || !strcmp(kind, "band")) && spar__section_fits(section, m);
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
