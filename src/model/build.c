/* From a configuration to the description of a model: kinds chosen, options read, parameters listed. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "model/inside.h"

static const char *const architectures[] = {"decoder", NULL};
static const char *const norm_kinds[] = {"layer", "rms", NULL};

typedef struct model_options {
    int64_t vocab_size, context, d_model, n_layers;
    int architecture;
    double init_std, dropout;
} model_options;

static const spar_option model_table[] = {
    {"architecture", SPAR_OPTION_NAME, offsetof(model_options, architecture), 0, 0, 0, architectures, ""},
    {"vocab_size", SPAR_OPTION_INT, offsetof(model_options, vocab_size), NAN, 1, 1 << 24, NULL, ""},
    {"context", SPAR_OPTION_INT, offsetof(model_options, context), 1024, 1, 1 << 24, NULL, ""},
    {"d_model", SPAR_OPTION_INT, offsetof(model_options, d_model), NAN, 1, 1 << 20, NULL, ""},
    {"n_layers", SPAR_OPTION_INT, offsetof(model_options, n_layers), NAN, 0, 4096, NULL, ""},
    {"init_std", SPAR_OPTION_REAL, offsetof(model_options, init_std), 0.02, 0, 10, NULL, ""},
    {"dropout", SPAR_OPTION_REAL, offsetof(model_options, dropout), 0, 0, 0.95, NULL, ""},
    {0}};
static const char *const model_sections[] = {"norm",       "residual",   "position",    "attention",
                                             "projection", "feedforward", "head",       "embedding", NULL};

typedef struct norm_options {
    int kind;
    double eps;
    bool bias;
} norm_options;

static const spar_option norm_table[] = {
    {"kind", SPAR_OPTION_NAME, offsetof(norm_options, kind), 0, 0, 0, norm_kinds, ""},
    {"eps", SPAR_OPTION_REAL, offsetof(norm_options, eps), 1e-5, 0, 1, NULL, ""},
    {"bias", SPAR_OPTION_BOOL, offsetof(norm_options, bias), 1, 0, 1, NULL, "layer norm only"},
    {0}};

typedef struct attention_options {
    int64_t n_heads, n_kv_heads, head_dim;
    double scale;
    bool bias, output_bias;
} attention_options;

static const spar_option attention_table[] = {
    {"n_heads", SPAR_OPTION_INT, offsetof(attention_options, n_heads), NAN, 1, 65536, NULL, ""},
    {"n_kv_heads", SPAR_OPTION_INT, offsetof(attention_options, n_kv_heads), 0, 0, 65536, NULL, ""},
    {"head_dim", SPAR_OPTION_INT, offsetof(attention_options, head_dim), 0, 0, 65536, NULL, ""},
    {"scale", SPAR_OPTION_REAL, offsetof(attention_options, scale), 0, 0, 1e6, NULL, ""},
    {"bias", SPAR_OPTION_BOOL, offsetof(attention_options, bias), 1, 0, 1, NULL, ""},
    {"output_bias", SPAR_OPTION_BOOL, offsetof(attention_options, output_bias), 1, 0, 1, NULL, ""},
    {0}};
static const char *const attention_sections[] = {"pattern", NULL};

typedef struct embedding_options {
    double scale;
    bool norm;
} embedding_options;

static const spar_option embedding_table[] = {
    {"scale", SPAR_OPTION_REAL, offsetof(embedding_options, scale), 1, -1e6, 1e6, NULL, ""},
    {"norm", SPAR_OPTION_BOOL, offsetof(embedding_options, norm), 0, 0, 1, NULL, ""},
    {0}};

/* ---- Choosing kinds ---- */

typedef const spar__kind *(*kind_table)(int index);

/* Patterns are a public struct that begins with the same three members. */
static const spar__kind *pattern_at(int index) { return (const spar__kind *)spar_pattern_at(index); }

static spar_status unknown_kind(const char *where, const char *name, const char *const *names, int n) {
    char list[256] = "";
    for (int i = 0; i < n; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", i ? ", " : "", names[i]);
    }
    int near = spar__nearest(name, names, n);
    return spar__fail(SPAR_ERR_CONFIG, "%s: unknown kind '%.40s'%s%s%s; there are %s", where, name,
                      near >= 0 ? "; did you mean '" : "", near >= 0 ? names[near] : "",
                      near >= 0 ? "'?" : "", list);
}

/* `value` is a name or an object with "kind"; NULL takes the table's `fallback`. */
static spar_status choose(const json_t *value, const char *where, kind_table at, const char *fallback,
                          spar__choice *out) {
    static const char *const also[] = {"kind", NULL};
    const json_t *object = json_is_object(value) ? value : NULL;
    const char *name = object ? json_string_value(json_object_get(object, "kind"))
                       : value ? json_string_value(value)
                               : fallback;
    if (!name)
        return spar__fail(SPAR_ERR_CONFIG, "%s: expected a name or an object with \"kind\"", where);
    const char *names[64];
    int n = 0;
    const spar__kind *kind = NULL;
    for (const spar__kind *k; n < 64 && (k = at(n)); n++) {
        names[n] = k->name;
        if (strcmp(k->name, name) == 0) kind = k;
    }
    if (!kind) return unknown_kind(where, name, names, n);
    void *options = spar__alloc(kind->options_size);
    if (!options) return SPAR_ERR_MEMORY;
    spar_status status = spar__options_read(object, where, kind->options, also, options);
    if (status) spar__free(options);
    else *out = (spar__choice){kind, options};
    return status;
}

/* A list is repeated over the layers. */
static const json_t *of_layer(const json_t *value, int64_t layer) {
    size_t n = json_array_size(value);
    return json_is_array(value) && n ? json_array_get(value, (size_t)layer % n) : value;
}

static spar_status choose_residual(const json_t *value, const spar__residual_kind **out) {
    const char *name = value ? json_string_value(value) : "pre-norm", *names[16];
    int n = 0;
    if (!name) return spar__fail(SPAR_ERR_CONFIG, "model.residual: expected a name");
    for (const spar__residual_kind *k; n < 16 && (k = spar__residual_at(n)); n++) {
        names[n] = k->name;
        if (strcmp(k->name, name) == 0) return *out = k, SPAR_OK;
    }
    return unknown_kind("model.residual", name, names, n);
}

/* ---- Building ---- */

static void declare_norm(spar_model *m, const norm_options *o, const char *name, spar__norm_layer *out) {
    char full[64];
    out->eps = o->eps;
    out->center = o->kind == 0;
    snprintf(full, sizeof full, "%s.weight", name);
    out->weight = spar__declare_vector(&m->params, full, 1, m->shape.d_model);
    snprintf(full, sizeof full, "%s.bias", name);
    if (out->center && o->bias) out->bias = spar__declare_vector(&m->params, full, 0, m->shape.d_model);
}

static spar_status make_self(size_t size, void **out) {
    return (*out = spar__alloc(size ? size : 1)) ? SPAR_OK : SPAR_ERR_MEMORY;
}

static spar_status build_block(spar_model *m, const norm_options *norm, double scale, int64_t i) {
    spar__block *b = &m->blocks[i];
    const json_t *c = m->config;
    b->index = (int)i;
    b->shape = &m->shape;
    b->attention_scale = scale;
    b->dropout = m->dropout;
    b->position = (const spar__position_kind *)m->position.kind;
    b->position_self = m->position_self;
    SPAR_TRY(choose_residual(of_layer(json_object_get(c, "residual"), i), &b->residual));
    const json_t *pattern = json_object_get(json_object_get(c, "attention"), "pattern");
    SPAR_TRY(choose(of_layer(pattern, i), "model.attention.pattern", pattern_at, "causal", &b->pattern));
    SPAR_TRY(choose(of_layer(json_object_get(c, "projection"), i), "model.projection", spar__projection_at,
                    "dense", &b->projection));
    SPAR_TRY(choose(of_layer(json_object_get(c, "feedforward"), i), "model.feedforward",
                    spar__feedforward_at, "dense", &b->feedforward));
    const spar__projection_kind *p = (const spar__projection_kind *)b->projection.kind;
    const spar__feedforward_kind *f = (const spar__feedforward_kind *)b->feedforward.kind;
    SPAR_TRY(make_self(p->self_size, &b->projection_self));
    SPAR_TRY(make_self(f->self_size, &b->feedforward_self));
    snprintf(m->params.prefix, sizeof m->params.prefix, "blk.%lld.", (long long)i);
    declare_norm(m, norm, "attn_norm", &b->norm[0]);
    SPAR_TRY(p->declare(&m->params, &m->shape, b->projection.options, b->projection_self));
    if (b->residual->norms > 1) declare_norm(m, norm, "ffn_norm", &b->norm[1]);
    SPAR_TRY(f->declare(&m->params, &m->shape, b->feedforward.options, b->feedforward_self));
    m->params.prefix[0] = 0;
    return m->params.status;
}

static spar_status read_shape(spar_model *m, double *attention_scale) {
    model_options o;
    attention_options a;
    SPAR_TRY(spar__options_read(m->config, "model", model_table, model_sections, &o));
    SPAR_TRY(spar__options_read(json_object_get(m->config, "attention"), "model.attention", attention_table,
                                attention_sections, &a));
    if (!a.n_kv_heads) a.n_kv_heads = a.n_heads;
    if (a.n_heads % a.n_kv_heads)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.attention.n_kv_heads: %lld does not divide n_heads, %lld",
                          (long long)a.n_kv_heads, (long long)a.n_heads);
    if (!a.head_dim && o.d_model % a.n_heads)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.attention.n_heads: %lld does not divide d_model, %lld, and head_dim is not given",
                          (long long)a.n_heads, (long long)o.d_model);
    m->dropout = o.dropout;
    m->shape = (spar__shape){.d_model = o.d_model,
                             .n_layers = o.n_layers,
                             .context = o.context,
                             .vocab_size = o.vocab_size,
                             .n_heads = (int)a.n_heads,
                             .n_kv_heads = (int)a.n_kv_heads,
                             .head_dim = a.head_dim ? a.head_dim : o.d_model / a.n_heads,
                             .bias = a.bias,
                             .output_bias = a.output_bias,
                             .std = o.init_std};
    m->shape.residual_std = o.n_layers ? o.init_std / sqrt(2.0 * (double)o.n_layers) : o.init_std;
    *attention_scale = a.scale > 0 ? a.scale : 1 / sqrt((double)m->shape.head_dim);
    return SPAR_OK;
}

static spar_status build(spar_model *m) {
    double scale = 0;
    norm_options norm;
    embedding_options embedding;
    const json_t *c = m->config;
    SPAR_TRY(read_shape(m, &scale));
    const spar__shape *s = &m->shape;
    SPAR_TRY(spar__options_read(json_object_get(c, "norm"), "model.norm", norm_table, NULL, &norm));
    SPAR_TRY(spar__options_read(json_object_get(c, "embedding"), "model.embedding", embedding_table, NULL,
                                &embedding));
    m->embedding_scale = embedding.scale;
    m->embedding = spar__declare_matrix(&m->params, "token_embd.weight", s->std, s->vocab_size, s->d_model);
    if (embedding.norm) declare_norm(m, &norm, "token_embd_norm", &m->embedding_norm);

    SPAR_TRY(choose(json_object_get(c, "position"), "model.position", spar__position_at, "learned",
                    &m->position));
    const spar__position_kind *position = (const spar__position_kind *)m->position.kind;
    SPAR_TRY(make_self(position->self_size, &m->position_self));
    if (position->declare)
        SPAR_TRY(position->declare(&m->params, s, m->position.options, m->position_self));

    m->blocks = spar__array((size_t)s->n_layers, sizeof *m->blocks);
    if (!m->blocks) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < s->n_layers; i++) SPAR_TRY(build_block(m, &norm, scale, i));
    if (s->n_layers && m->blocks[s->n_layers - 1].residual->final_norm)
        declare_norm(m, &norm, "output_norm", &m->final_norm);

    SPAR_TRY(choose(json_object_get(c, "head"), "model.head", spar__head_at, "tied", &m->head));
    const spar__head_kind *head = (const spar__head_kind *)m->head.kind;
    SPAR_TRY(make_self(head->self_size, &m->head_self));
    SPAR_TRY(head->declare(&m->params, s, m->head.options, m->embedding, m->head_self));
    return m->params.status;
}

spar_status spar__model_build(const json_t *config, spar_model **out) {
    if (!json_is_object(config))
        return spar__fail(SPAR_ERR_CONFIG, "model: missing; a configuration has a \"model\" section");
    spar_model *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    m->config = json_deep_copy(config);
    spar_status status = m->config ? build(m) : SPAR_ERR_MEMORY;
    if (status) spar_model_free(m);
    else *out = m;
    return status;
}
