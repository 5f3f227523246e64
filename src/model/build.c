/* From a configuration to the description of a model: kinds chosen, options read, parameters listed. */
#include <math.h>
#include <string.h>

#include "model/inside.h"
#include "op/content.h"

enum { DECODER, ENCODER, ENCODER_DECODER };
static const char *const architectures[] = {"decoder", "encoder", "encoder-decoder", NULL};
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
                                             "projection", "feedforward", "head",       "embedding",
                                             "encoder",    "decoder",    "convolution", "cross",
                                             "labels",     "start",   "recurrent", "memory", NULL};

typedef struct norm_options {
    int kind;
    double eps;
    bool bias, final;
} norm_options;

static const spar_option norm_table[] = {
    {"kind", SPAR_OPTION_NAME, offsetof(norm_options, kind), 0, 0, 0, norm_kinds, ""},
    {"eps", SPAR_OPTION_REAL, offsetof(norm_options, eps), 1e-5, 0, 1, NULL, ""},
    {"bias", SPAR_OPTION_BOOL, offsetof(norm_options, bias), 1, 0, 1, NULL, "layer norm only"},
    {"final", SPAR_OPTION_BOOL, offsetof(norm_options, final), 1, 0, 1, NULL, "after the last layer"},
    {0}};

typedef struct attention_options {
    int64_t n_heads, n_kv_heads, head_dim;
    bool bias, key_bias, output_bias;
} attention_options;

static const spar_option attention_table[] = {
    {"n_heads", SPAR_OPTION_INT, offsetof(attention_options, n_heads), NAN, 1, 65536, NULL, ""},
    {"n_kv_heads", SPAR_OPTION_INT, offsetof(attention_options, n_kv_heads), 0, 0, 65536, NULL, ""},
    {"head_dim", SPAR_OPTION_INT, offsetof(attention_options, head_dim), 0, 0, 65536, NULL, ""},
    {"bias", SPAR_OPTION_BOOL, offsetof(attention_options, bias), 1, 0, 1, NULL, ""},
    {"key_bias", SPAR_OPTION_BOOL, offsetof(attention_options, key_bias), 1, 0, 1, NULL, "of keys, beside the others"},
    {"output_bias", SPAR_OPTION_BOOL, offsetof(attention_options, output_bias), 1, 0, 1, NULL, ""},
    {0}};
static const char *const attention_sections[] = {"pattern", "scale", NULL};

/* Of one layer: of scores, 0 = 1/√(head_dim·terms), where a score may have terms for positions. */
static const spar_option scale_table[] = {{"scale", SPAR_OPTION_REAL, 0, 0, 0, 1e6, NULL, ""}, {0}};

typedef struct embedding_options {
    double scale;
    int64_t width, segments;
    int project;
    bool norm, shared, bias;
} embedding_options;

enum { PROJECT_WORD, PROJECT_SUM };
static const char *const projected[] = {"word", "sum", NULL};

static const spar_option embedding_table[] = {
    {"scale", SPAR_OPTION_REAL, offsetof(embedding_options, scale), 1, -1e6, 1e6, NULL, ""},
    {"width", SPAR_OPTION_INT, offsetof(embedding_options, width), 0, 0, 1 << 20, NULL,
     "of the table, with a projection to d_model and, before words are predicted, back; 0 = d_model"},
    {"norm", SPAR_OPTION_BOOL, offsetof(embedding_options, norm), 0, 0, 1, NULL, ""},
    {"shared", SPAR_OPTION_BOOL, offsetof(embedding_options, shared), 1, 0, 1, NULL, "with the encoder"},
    {"project", SPAR_OPTION_NAME, offsetof(embedding_options, project), PROJECT_WORD, 0, 0, projected,
     "to d_model: before positions and segments are added, or (then not back) after"},
    {"bias", SPAR_OPTION_BOOL, offsetof(embedding_options, bias), 0, 0, 1, NULL, "of that projection"},
    {"segments", SPAR_OPTION_INT, offsetof(embedding_options, segments), 0, 0, 65536, NULL, "token types"},
    {0}};

typedef struct convolution_options {
    int64_t width;
    int activation;
} convolution_options;

static const spar_option convolution_table[] = {
    {"width", SPAR_OPTION_INT, offsetof(convolution_options, width), NAN, 1, 4095, NULL, "odd"},
    {"activation", SPAR_OPTION_NAME, offsetof(convolution_options, activation), SPAR__TANH, 0, 0,
     spar__activation_names, ""},
    {0}};

/* ---- Building ---- */

static void declare_norm_of(spar_model *m, int64_t width, const norm_options *o, const char *name,
                            spar__norm_layer *out) {
    char full[64];
    out->eps = o->eps;
    out->center = o->kind == 0;
    snprintf(full, sizeof full, "%s.weight", name);
    out->weight = spar__declare_vector(&m->params, full, 1, width);
    snprintf(full, sizeof full, "%s.bias", name);
    if (out->center && o->bias) out->bias = spar__declare_vector(&m->params, full, 0, width);
}

static void declare_norm(spar_model *m, const spar__stack *s, const norm_options *o, const char *name,
                         spar__norm_layer *out) {
    declare_norm_of(m, s->shape.d_model, o, name, out);
}

int64_t spar__stack_width(const spar__stack *s) {
    if (s->project) return s->shape.d_model;
    bool joined = s->shape.n_layers && s->blocks[s->shape.n_layers - 1].residual->joined;
    return joined ? 2 * s->shape.d_model : s->shape.d_model;
}

static spar_status make_self(size_t size, void **out) {
    return (*out = spar__alloc(size ? size : 1)) ? SPAR_OK : SPAR_ERR_MEMORY;
}

static void set_prefix(spar_model *m, const spar__stack *s) {
    snprintf(m->params.prefix, sizeof m->params.prefix, "%s", s->prefix);
}

static spar_status choose_kinds(spar__stack *s, spar__block *b) {
    const json_t *c = s->config;
    int64_t i = b->index;
    const json_t *pattern = json_object_get(json_object_get(c, "attention"), "pattern");
    const char *sees = s->shape.encoder ? "full" : "causal";
    SPAR_TRY(spar__choose_residual(spar__of_layer(json_object_get(c, "residual"), i), s->where, &b->residual));
    SPAR_TRY(spar__choose_pattern(spar__of_layer(pattern, i), s->where, &s->shape, sees, &b->pattern));
    const struct spar__content *content = ((const spar_pattern_kind *)b->pattern.kind)->content;
    SPAR_TRY(spar__choose(spar__of_layer(json_object_get(c, "projection"), i), s->where, "projection",
                          spar__projection_at, content ? "shared-qk" : "dense", &b->projection));
    if (content && !((const spar__projection_kind *)b->projection.kind)->keys)
        return spar__fail(SPAR_ERR_CONFIG, "%s.projection: '%s' with pattern '%s', expected one whose keys are its "
                          "queries: 'shared-qk'", s->where, b->projection.kind->name, b->pattern.kind->name);
    return spar__choose(spar__of_layer(json_object_get(c, "feedforward"), i), s->where, "feedforward",
                        spar__feedforward_at, "dense", &b->feedforward);
}

static spar_status read_scale(const spar__stack *s, int64_t layer, double *out) {
    const json_t *attention = json_object_get(s->config, "attention");
    const json_t *value = spar__of_layer(json_object_get(attention, "scale"), layer);
    json_t *object = value ? json_pack("{s:O}", "scale", value) : json_object();
    char where[48];
    snprintf(where, sizeof where, "%s.attention", s->where);
    spar_status status = spar__options_read(object, where, scale_table, NULL, out);
    json_decref(object);
    const spar__position_kind *p = (const spar__position_kind *)s->position.kind;
    const spar__relative *r = p->relative ? p->relative(s->position_self) : NULL;
    int terms = r ? 1 + r->to_query + r->to_key : 1;
    if (*out == 0) *out = 1 / sqrt((double)s->shape.head_dim * terms);
    return status;
}

/* Cross-attention has the decoder's heads; its projection is of any kind that can project other rows. */
static spar_status build_cross(spar_model *m, spar__stack *s, spar__block *b, const norm_options *norm) {
    const spar__shape *shape = &s->shape;
    if (shape->d_model != m->stacks[0].shape.d_model)
        return spar__fail(SPAR_ERR_CONFIG, "%s.d_model: %lld, expected the encoder's, %lld", s->where,
                          (long long)shape->d_model, (long long)m->stacks[0].shape.d_model);
    SPAR_TRY(spar__choose(spar__of_layer(json_object_get(s->config, "cross"), b->index), s->where, "cross",
                          spar__projection_at, "dense", &b->cross));
    const spar__projection_kind *p = (const spar__projection_kind *)b->cross.kind;
    if (!p->part)
        return spar__fail(SPAR_ERR_CONFIG, "%s.cross: found '%s', expected a projection that other rows can "
                          "go through, such as 'dense'", s->where, p->kind.name);
    SPAR_TRY(make_self(p->self_size, &b->cross_self));
    b->memory_context = m->stacks[0].shape.context;
    b->cross_scale = b->attention_scale;
    declare_norm(m, s, norm, "cross_attn_norm", &b->cross_norm);
    snprintf(m->params.prefix, sizeof m->params.prefix, "%sblk.%d.cross_", s->prefix, b->index);
    SPAR_TRY(p->declare(&m->params, shape, b->cross.options, b->cross_self));
    snprintf(m->params.prefix, sizeof m->params.prefix, "%sblk.%d.", s->prefix, b->index);
    return m->params.status;
}

static spar_status build_relative(spar_model *m, const spar__stack *s, spar__block *b) {
    const spar__relative *r = b->position->relative ? b->position->relative(b->position_self) : NULL;
    const spar__shape *shape = &s->shape;
    if (!r) return SPAR_OK;
    if (r->shared && !((const spar__projection_kind *)b->projection.kind)->part)
        return spar__fail(SPAR_ERR_CONFIG, "%s.position.shared: projection '%s' cannot project positions",
                          s->where, b->projection.kind->name);
    if (r->to_query && !r->shared) {
        int64_t width = shape->n_kv_heads * shape->head_dim;
        b->relative_key =
            spar__declare_matrix(&m->params, "attn_rel_k.weight", shape->std, width, shape->d_model);
        if (r->key_bias) b->relative_key_bias = spar__declare_vector(&m->params, "attn_rel_k.bias", 0, width);
    }
    if (r->to_key && !r->shared) {
        int64_t width = shape->n_heads * shape->head_dim;
        b->relative_query =
            spar__declare_matrix(&m->params, "attn_rel_q.weight", shape->std, width, shape->d_model);
        b->relative_query_bias = spar__declare_vector(&m->params, "attn_rel_q.bias", 0, width);
    }
    return m->params.status;
}

/* Layers whose section is null, and those without a feed-forward, have none. */
static spar_status build_recurrent(spar_model *m, const spar__stack *s, spar__block *b, const norm_options *norm) {
    const json_t *section = spar__of_layer(json_object_get(s->config, "recurrent"), b->index);
    spar__recurrent_options o;
    char where[48];
    if (!section || json_is_null(section)) return SPAR_OK;
    snprintf(where, sizeof where, "%s.recurrent", s->where);
    SPAR_TRY(spar__options_read(section, where, spar__recurrent_table, NULL, &o));
    declare_norm(m, s, norm, "sru_norm", &b->recurrent.norm);
    return spar__recurrent_declare(&m->params, &s->shape, &o, &b->recurrent);
}

static spar_status build_convolution(spar_model *m, spar__stack *s, const norm_options *norm) {
    const json_t *section = json_object_get(s->config, "convolution");
    convolution_options o;
    char where[48];
    if (!section) return SPAR_OK;
    snprintf(where, sizeof where, "%s.convolution", s->where);
    SPAR_TRY(spar__options_read(section, where, convolution_table, NULL, &o));
    if (!s->shape.encoder || o.width % 2 == 0)
        return spar__fail(SPAR_ERR_CONFIG, "%s: expected an odd width, in an encoder", where);
    int64_t d = s->shape.d_model;
    s->convolution_width = o.width;
    s->convolution_activation = (spar__activation)o.activation;
    s->convolution = spar__declare(&m->params, "conv.weight", s->shape.std, 3, (int64_t[]){d, d, o.width});
    if (s->convolution) s->convolution->value.rows = d, s->convolution->value.cols = d * o.width;
    s->convolution_bias = spar__declare_vector(&m->params, "conv.bias", 0, d);
    declare_norm(m, s, norm, "conv_norm", &s->convolution_norm);
    return m->params.status;
}

static spar_status read_shape(spar__stack *s) {
    model_options o;
    attention_options a;
    char where[48];
    SPAR_TRY(spar__options_read(s->config, s->where, model_table, model_sections, &o));
    snprintf(where, sizeof where, "%s.attention", s->where);
    SPAR_TRY(spar__options_read(json_object_get(s->config, "attention"), where, attention_table,
                                attention_sections, &a));
    if (!a.n_kv_heads) a.n_kv_heads = a.n_heads;
    if (a.n_heads % a.n_kv_heads)
        return spar__fail(SPAR_ERR_CONFIG, "%s.n_kv_heads: %lld does not divide n_heads, %lld", where,
                          (long long)a.n_kv_heads, (long long)a.n_heads);
    if (!a.head_dim && o.d_model % a.n_heads)
        return spar__fail(SPAR_ERR_CONFIG,
                          "%s.n_heads: %lld does not divide d_model, %lld, and head_dim is not given", where,
                          (long long)a.n_heads, (long long)o.d_model);
    s->dropout = o.dropout;
    s->shape = (spar__shape){.d_model = o.d_model,
                             .n_layers = o.n_layers,
                             .context = o.context,
                             .vocab_size = o.vocab_size,
                             .n_heads = (int)a.n_heads,
                             .n_kv_heads = (int)a.n_kv_heads,
                             .head_dim = a.head_dim ? a.head_dim : o.d_model / a.n_heads,
                             .bias = a.bias,
                             .no_key_bias = !a.key_bias,
                             .output_bias = a.output_bias,
                             .std = o.init_std};
    s->shape.encoder = strcmp(s->name, "encoder") == 0;
    s->shape.residual_std = o.n_layers ? o.init_std / sqrt(2.0 * (double)o.n_layers) : o.init_std;
    return SPAR_OK;
}

/* The table of the first stack serves all that do not want their own. */
static spar_status build_embedding(spar_model *m, spar__stack *s, const norm_options *norm) {
    embedding_options o;
    char where[48];
    snprintf(where, sizeof where, "%s.embedding", s->where);
    SPAR_TRY(spar__options_read(json_object_get(s->config, "embedding"), where, embedding_table, NULL, &o));
    s->embedding_scale = o.scale;
    s->shape.embedding_width = o.width && o.project == PROJECT_SUM ? o.width : s->shape.d_model;
    s->project_sum = o.project == PROJECT_SUM;
    const spar__stack *first = &m->stacks[0];
    int64_t d = s->shape.d_model, width = o.width ? o.width : d;
    if (s == first || !o.shared) {
        if (s == first) m->params.prefix[0] = 0;
        s->embedding =
            spar__declare_matrix(&m->params, "token_embd.weight", s->shape.std, s->shape.vocab_size, width);
        set_prefix(m, s);
    } else if (!first->embedding || width != first->embedding->shape[1] || s->shape.vocab_size != first->shape.vocab_size) {
        return spar__fail(SPAR_ERR_CONFIG,
                          "%s.shared: true, but d_model or vocab_size differ from the encoder's", where);
    } else {
        s->embedding = first->embedding;
    }
    if (o.segments)
        s->segments = spar__declare_matrix(&m->params, "token_types.weight", s->shape.std, o.segments,
                                           s->shape.embedding_width);
    if (width != d) {
        s->widen = spar__declare_matrix(&m->params, "embd_in.weight", s->shape.std, d, width);
        if (o.bias) s->widen_bias = spar__declare_vector(&m->params, "embd_in.bias", 0, d);
    }
    if (width != d && !s->project_sum && s == spar__model_last(m)) {
        s->narrow = spar__declare_matrix(&m->params, "embd_out.weight", s->shape.std, width, d);
    }
    if (o.norm) declare_norm(m, s, norm, "token_embd_norm", &s->embedding_norm);
    return m->params.status;
}

static spar_status build_block(spar_model *m, spar__stack *s, const norm_options *norm, int64_t i) {
    spar__block *b = &s->blocks[i];
    b->index = (int)i;
    b->shape = &s->shape;
    b->dropout = s->dropout;
    b->position = (const spar__position_kind *)s->position.kind;
    b->position_self = s->position_self;
    SPAR_TRY(read_scale(s, i, &b->attention_scale));
    SPAR_TRY(choose_kinds(s, b));
    const spar__projection_kind *p = (const spar__projection_kind *)b->projection.kind;
    const spar__feedforward_kind *f = (const spar__feedforward_kind *)b->feedforward.kind;
    const struct spar__content *content = ((const spar_pattern_kind *)b->pattern.kind)->content;
    SPAR_TRY(make_self(p->self_size, &b->projection_self));
    SPAR_TRY(make_self(f->self_size, &b->feedforward_self));
    if (content) SPAR_TRY(make_self(content->self_size, &b->pattern_self));
    snprintf(m->params.prefix, sizeof m->params.prefix, "%sblk.%lld.", s->prefix, (long long)i);
    declare_norm(m, s, norm, "attn_norm", &b->norm[0]);
    SPAR_TRY(p->declare(&m->params, &s->shape, b->projection.options, b->projection_self));
    if (content && content->declare)
        SPAR_TRY(content->declare(&m->params, &s->shape, b->pattern.options, b->pattern_self));
    SPAR_TRY(build_relative(m, s, b));
    if (m->n_stacks > 1 && !m->joined && !s->shape.encoder) SPAR_TRY(build_cross(m, s, b, norm));
    if (b->residual->norms > 1 && !f->absent) declare_norm(m, s, norm, "ffn_norm", &b->norm[1]);
    SPAR_TRY(f->declare(&m->params, &s->shape, b->feedforward.options, b->feedforward_self));
    if (!f->absent) SPAR_TRY(build_recurrent(m, s, b, norm));
    set_prefix(m, s);
    return m->params.status;
}

/* Two streams run through all layers or none, of a decoder or an encoder by itself. */
static spar_status check_streams(const spar_model *m, const spar__stack *s) {
    for (int64_t i = 0; i < s->shape.n_layers; i++) {
        const spar__residual_kind *first = s->blocks[0].residual, *other = s->blocks[i].residual;
        if (other != first && (first->reversible || other->reversible))
            return spar__fail(SPAR_ERR_CONFIG, "%s.residual: '%s' beside '%s', expected a reversible one in all layers or in none",
                              s->where, other->name, first->name);
        if (first->reversible && ((m->n_stacks > 1 && !m->joined) || json_object_get(s->config, "convolution")))
            return spar__fail(SPAR_ERR_CONFIG, "%s.residual: '%s', expected another with an encoder or a convolution beside it",
                              s->where, first->name);
    }
    if (s->narrow && spar__stack_width(s) != s->shape.d_model)
        return spar__fail(SPAR_ERR_CONFIG, "%s.embedding.width: given, expected none where streams are joined", s->where);
    return SPAR_OK;
}

static spar_status build_stack(spar_model *m, spar__stack *s) {
    norm_options norm;
    char where[48];
    const json_t *c = s->config;
    SPAR_TRY(read_shape(s));
    set_prefix(m, s);
    snprintf(where, sizeof where, "%s.norm", s->where);
    SPAR_TRY(spar__options_read(json_object_get(c, "norm"), where, norm_table, NULL, &norm));
    SPAR_TRY(build_embedding(m, s, &norm));
    SPAR_TRY(spar__choose(json_object_get(c, "position"), s->where, "position", spar__position_at, "learned",
                          &s->position));
    const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
    SPAR_TRY(make_self(position->self_size, &s->position_self));
    if (position->declare)
        SPAR_TRY(position->declare(&m->params, &s->shape, s->position.options, s->position_self));
    s->blocks = spar__array((size_t)s->shape.n_layers, sizeof *s->blocks);
    if (!s->blocks) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < s->shape.n_layers; i++) SPAR_TRY(build_block(m, s, &norm, i));
    SPAR_TRY(check_streams(m, s));
    if (m->joined && m->project_memory && s->shape.encoder) {
        int64_t d = s->shape.d_model;
        spar__param *w = spar__declare_matrix(&m->params, "output_project.weight", s->shape.std, d, spar__stack_width(s));
        s->project_bias = spar__declare_vector(&m->params, "output_project.bias", 0, d);
        s->project = w;
    }
    if (m->joined) SPAR_TRY(spar__joined_check(m, s));
    if (norm.final && s->shape.n_layers && s->blocks[s->shape.n_layers - 1].residual->final_norm)
        declare_norm_of(m, spar__stack_width(s), &norm, "output_norm", &s->final_norm);
    SPAR_TRY(build_convolution(m, s, &norm));
    m->params.prefix[0] = 0;
    return m->params.status;
}

static spar_status build_head(spar_model *m) {
    const spar__stack *last = spar__model_last(m);
    SPAR_TRY(spar__choose(json_object_get(m->config, "head"), "model", "head", spar__head_at, "tied", &m->head));
    const spar__head_kind *head = (const spar__head_kind *)m->head.kind;
    SPAR_TRY(make_self(head->self_size, &m->head_self));
    if (spar__stack_width(last) != last->shape.d_model && strcmp(m->head.kind->name, "tied") == 0)
        return spar__fail(SPAR_ERR_CONFIG, "model.head: 'tied' after joined streams, expected 'separate' or 'sparse'");
    spar__shape shape = last->shape;
    shape.d_model = spar__stack_width(last);
    if (last->narrow) shape.d_model = last->narrow->shape[0];
    SPAR_TRY(head->declare(&m->params, &shape, m->head.options, last->embedding, m->head_self));
    return m->params.status;
}

/* One stack's configuration: the common one with its own section over it. */
static spar_status add_stack(spar_model *m, const char *name, bool alone) {
    spar__stack *s = &m->stacks[m->n_stacks++];
    s->name = name;
    if (!alone) snprintf(s->prefix, sizeof s->prefix, "%.3s.", name);
    snprintf(s->where, sizeof s->where, alone ? "model" : "model.%s", name);
    const json_t *own = json_object_get(m->config, name);
    if (own && !json_is_object(own))
        return spar__fail(SPAR_ERR_CONFIG, "model.%s: expected an object", name);
    s->config = own ? spar__merged(m->config, own) : json_deep_copy(m->config);
    if (!s->config) return SPAR_ERR_MEMORY;
    /* What sections may not say again is refused as unknown within them. */
    if (json_object_get(own, "encoder") || json_object_get(own, "decoder") || json_object_get(own, "head") ||
        json_object_get(own, "memory"))
        return spar__fail(SPAR_ERR_CONFIG, "model.%s: sections encoder, decoder, head and memory stand in \"model\"",
                          name);
    return SPAR_OK;
}

/* How a decoder sees its encoder. */
static spar_status read_memory(spar_model *m, bool both) {
    struct {
        int kind;
        bool project;
    } o;
    static const char *const kinds[] = {"cross", "joined", NULL};
    const spar_option table[] = {
        {"kind", SPAR_OPTION_NAME, 0, 0, 0, 0, kinds, "by cross-attention, or as the rows before its own"},
        {"project", SPAR_OPTION_BOOL, offsetof(__typeof__(o), project), 0, 0, 1, NULL, "joined: a dense layer behind the encoder"},
        {0}};
    const json_t *value = json_object_get(m->config, "memory");
    if (!value) return SPAR_OK;
    json_t *section = json_is_string(value) ? json_pack("{s:O}", "kind", value) : json_deep_copy(value);
    spar_status status = section ? spar__options_read(section, "model.memory", table, NULL, &o) : SPAR_ERR_MEMORY;
    json_decref(section);
    if (status) return status;
    if (!both || (o.project && !o.kind))
        return spar__fail(SPAR_ERR_CONFIG, both ? "model.memory.project: true, expected false with 'cross'"
                                                : "model.memory: given, expected none but with architecture 'encoder-decoder'");
    m->joined = o.kind == 1;
    m->project_memory = o.project;
    return SPAR_OK;
}

static spar_status build(spar_model *m) {
    const json_t *name = json_object_get(m->config, "architecture");
    int architecture = DECODER;
    for (int i = 0; json_is_string(name) && architectures[i]; i++)
        if (strcmp(json_string_value(name), architectures[i]) == 0) architecture = i;
    m->architecture = architectures[architecture];
    bool both = architecture == ENCODER_DECODER;
    SPAR_TRY(read_memory(m, both));
    if (both || architecture == ENCODER) SPAR_TRY(add_stack(m, "encoder", !both));
    if (both || architecture == DECODER) SPAR_TRY(add_stack(m, "decoder", !both));
    for (int i = 0; i < m->n_stacks; i++) SPAR_TRY(build_stack(m, &m->stacks[i]));
    return build_head(m);
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
