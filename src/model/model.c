/* Models: making, freeing, and asking about them. */
#include "model/model.h"

#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "model/inside.h"
#include "op/content.h"

spar__type spar__stored_type(const spar__param *p, spar__type wanted) {
    return p->vector || p->value.cols % spar__type_of(wanted)->block ? SPAR__F32 : wanted;
}

const char *spar_type_names(void) { return spar__type_names(); }

/* Sizes come from configurations that may be absurd: every product is checked. */
static bool add_bytes(const spar__param *p, spar__type type, size_t *total) {
    size_t rows = 1, row;
    for (int d = 0; d + 1 < p->n_dims; d++)
        if (!spar__mul(rows, (size_t)p->shape[d], &rows)) return false;
    return spar__row_bytes(type, (size_t)p->shape[p->n_dims - 1], &row) &&
           spar__mul(row, rows, &row) && spar__align(row, 64, &row) &&
           spar__add(*total, row, total);
}

static spar_status total_bytes(const spar_model *m, spar__type type, size_t *out) {
    *out = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *p = m->params.params[i];
        if (!add_bytes(p, spar__stored_type(p, type), out))
            return spar__fail(SPAR_ERR_LIMIT,
                              "model: its weights are more than memory can be addressed");
    }
    return SPAR_OK;
}

spar_status spar__model_allocate(spar_model *m, spar__type type) {
    size_t bytes;
    SPAR_TRY(total_bytes(m, type, &bytes));
    char *memory = spar__alloc(bytes);
    if (!memory) return spar__fail_within(SPAR_ERR_MEMORY, "model's weights");
    size_t at = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        spar__param *p = m->params.params[i];
        p->value.data = memory + at;
        p->value.type = spar__stored_type(p, type);
        add_bytes(p, p->value.type, &at);
    }
    m->weights = memory;
    m->owned = true;
    return SPAR_OK;
}

/* Weights have a place now, or another one than before. */
static void weights_placed(spar_model *m) {
    for (int i = 0; i < m->n_stacks; i++)
        for (int64_t l = 0; l < m->stacks[i].shape.n_layers; l++) {
            spar__block *b = &m->stacks[i].blocks[l];
            const spar__feedforward_kind *f = (const spar__feedforward_kind *)b->feedforward.kind;
            if (f->prepare) f->prepare(b->feedforward_self);
        }
}

spar_status spar__model_prepare(spar_model *m) {
    weights_placed(m);
    for (int i = 0; i < m->n_stacks; i++) {
        spar__stack *s = &m->stacks[i];
        const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
        if (position->prepare)
            SPAR_TRY(position->prepare(&s->shape, s->position.options, s->position_self));
        for (int64_t k = 0; k < s->shape.n_layers; k++) {
            const spar__block *b = &s->blocks[k];
            const spar__content *content = ((const spar_pattern_kind *)b->pattern.kind)->content;
            if (content && content->prepare)
                SPAR_TRY(content->prepare(&s->shape, b->index, b->pattern.options, b->pattern_self));
        }
    }
    return SPAR_OK;
}

/* Element i of the parameter is draw i of a stream of its own, whatever the type; `row` has room for
 * one row for each thread. */
static void initialise(spar__param *p, uint64_t seed, real *row) {
    const spar__tensor *v = &p->value;
    size_t row_bytes = 0;
    spar__row_bytes(v->type, (size_t)v->cols, &row_bytes);
    spar__rng rng = spar__rng_for(seed, SPAR__RNG_INIT, spar__hash_name(p->name), 0);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < v->rows; r++) {
        char *at = (char *)v->data + (size_t)r * row_bytes;
        real *w = v->type == SPAR__F32 ? (real *)(void *)at
                                       : row + (int64_t)omp_get_thread_num() * v->cols;
        for (int64_t c = 0; c < v->cols; c++)
            w[c] = (real)(p->constant
                              ? p->init
                              : (p->init_half != 0 && 2 * c >= v->cols ? p->init_half : p->init) *
                                    spar__rng_normal(&rng, (uint64_t)(r * v->cols + c)));
        if (v->type != SPAR__F32) spar__k()->encode[v->type](at, w, v->cols);
    }
}

static spar_status initialise_all(spar_model *m, uint64_t seed) {
    int64_t widest = 1;
    for (int i = 0; i < m->params.n_params; i++)
        if (m->params.params[i]->value.cols > widest) widest = m->params.params[i]->value.cols;
    real *rows = spar__array((size_t)widest * (size_t)spar__threads(), sizeof *rows);
    if (!rows) return SPAR_ERR_MEMORY;
    for (int i = 0; i < m->params.n_params; i++) initialise(m->params.params[i], seed, rows);
    spar__free(rows);
    return SPAR_OK;
}

spar_status spar__model_create_with(const spar_config *config, const char *type,
                                    spar_status (*fill)(spar_model *model, uint64_t seed), uint64_t seed,
                                    spar_model **out) {
    spar__type stored = SPAR__F32;
    if (type && !spar__type_find(type, &stored))
        return spar__fail(SPAR_ERR_ARGUMENT, "type '%s': expected one of %s", type,
                          spar__type_names());
    spar_model *m;
    SPAR_TRY(spar__kernels_choose());
    SPAR_TRY(spar__model_build(json_object_get(config->root, "model"), &m));
    spar_status status = spar__model_allocate(m, stored);
    if (!status) status = spar__model_prepare(m);
    if (!status) status = fill(m, seed);
    if (status) spar_model_free(m);
    else *out = m;
    return status;
}

spar_status spar_model_create_as(const spar_config *config, const char *type, uint64_t seed,
                                 spar_model **out) {
    return spar__model_create_with(config, type, initialise_all, seed, out);
}

spar_status spar_model_create(const spar_config *config, uint64_t seed, spar_model **out) {
    return spar_model_create_as(config, NULL, seed, out);
}

static void free_choice(spar__choice *c) {
    if (c->kind) spar__options_free(c->kind->options, c->options);
}

static void free_stack(spar__stack *s) {
    for (int64_t i = 0; s->blocks && i < s->shape.n_layers; i++) {
        spar__block *b = &s->blocks[i];
        const spar__feedforward_kind *f = (const spar__feedforward_kind *)b->feedforward.kind;
        if (b->feedforward_self && f->release) f->release(b->feedforward_self);
        const spar_pattern_kind *pattern = (const spar_pattern_kind *)b->pattern.kind;
        if (b->pattern_self && pattern->content->release) pattern->content->release(b->pattern_self);
        spar__free(b->pattern_self);
        free_choice(&b->pattern);
        free_choice(&b->projection);
        free_choice(&b->feedforward);
        spar__free(b->projection_self);
        spar__free(b->feedforward_self);
        free_choice(&b->cross);
        spar__free(b->cross_self);
    }
    spar__free(s->blocks);
    const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
    if (position && position->release && s->position_self) position->release(s->position_self);
    free_choice(&s->position);
    spar__free(s->position_self);
    json_decref(s->config);
}

void spar_model_free(spar_model *m) {
    if (!m) return;
    for (int i = 0; i < m->n_stacks; i++) free_stack(&m->stacks[i]);
    free_choice(&m->head);
    spar__free(m->head_self);
    for (int i = 0; i < m->params.n_params; i++) spar__param_free(m->params.params[i]);
    spar__free(m->params.params);
    spar__free(m->weights);
    spar__free(m->gradients);
    spar__gguf_free(m->file);
    spar__st_free(m->tensors);
    json_decref(m->source);
    spar_tokenizer_free(m->tokenizer);
    json_decref(m->config);
    spar__free(m);
}

void spar__model_adopt(spar_model *m, spar__gguf *file, spar__st *tensors) {
    m->file = file;
    m->tensors = tensors;
}

void *spar__model_room(spar_model *m, size_t bytes) { return m->weights = spar__alloc(bytes); }

const json_t *spar__model_source(const spar_model *m) { return m->source; }

const char *spar_model_chat_template(const spar_model *m) {
    const json_t *t = json_object_get(m->source, "chat_template");
    if (!t) t = json_object_get(json_object_get(m->source, "tokenizer_config"), "chat_template");
    /* Several, by name: {"name": "default", "template": …}. */
    for (size_t i = 0; json_is_array(t) && i < json_array_size(t); i++) {
        const json_t *one = json_array_get(t, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0) return json_string_value(json_object_get(one, "template"));
    }
    return json_string_value(t);
}

void spar__model_set_source(spar_model *m, json_t *source) {
    json_decref(m->source);
    m->source = source;
}

int spar__model_n_params(const spar_model *m) { return m->params.n_params; }
spar__param *spar__model_param(spar_model *m, int index) { return m->params.params[index]; }
const json_t *spar__model_config(const spar_model *m) { return m->config; }
const spar__shape *spar__model_shape_of(const spar_model *m, const char *param) {
    for (int i = 0; i < m->n_stacks; i++) {
        const spar__stack *s = &m->stacks[i];
        if (strncmp(param, s->prefix, strlen(s->prefix)) == 0) return &s->shape;
    }
    return spar__model_shape(m);
}

const spar__shape *spar__model_shape(const spar_model *m) { return &spar__model_last(m)->shape; }

spar__attend_options spar__model_attention(const spar_model *m, int64_t layer) {
    const spar__stack *s = spar__model_last(m);
    const spar__block *b = &s->blocks[layer];
    return (spar__attend_options){.n_heads = s->shape.n_heads,
                                  .n_kv_heads = s->shape.n_kv_heads,
                                  .head_dim = s->shape.head_dim,
                                  .scale = b->attention_scale,
                                  .kind = (const spar_pattern_kind *)b->pattern.kind,
                                  .pattern = b->pattern.options,
                                  .pattern_self = b->pattern_self};
}

const spar_tokenizer *spar_model_tokenizer(const spar_model *m) { return m->tokenizer; }
int32_t spar_model_vocab_size(const spar_model *m) { return (int32_t)spar__model_last(m)->shape.vocab_size; }
int64_t spar_model_context(const spar_model *m) { return spar__model_last(m)->shape.context; }
int64_t spar_model_text_limit(const spar_model *m) {
    int64_t context = spar_model_context(m);
    int64_t own = json_integer_value(json_object_get(json_object_get(m->config, "head"), "most_tokens"));
    return own > 0 && (!context || own < context) ? own : context;
}
void spar__model_set_recompute(spar_model *m, bool recompute) { m->recompute = recompute; }

void spar__model_set_dropout(spar_model *m, double dropout) {
    for (int i = 0; i < m->n_stacks; i++) {
        spar__stack *s = &m->stacks[i];
        s->dropout = dropout;
        for (int64_t l = 0; l < s->shape.n_layers; l++) s->blocks[l].dropout = dropout;
    }
}

void spar__model_set_tokenizer(spar_model *m, spar_tokenizer *tokenizer) {
    if (m->tokenizer != tokenizer) spar_tokenizer_free(m->tokenizer);
    m->tokenizer = tokenizer;
}

/* Weights that lie in a file, or are stored in another type, go into memory of our own as f32. */
static spar_status decode_weights(spar_model *m) {
    bool own = m->owned;
    for (int i = 0; i < m->params.n_params; i++)
        own = own && m->params.params[i]->value.type == SPAR__F32;
    if (own) return SPAR_OK;
    spar__tensor *stored = spar__array((size_t)m->params.n_params, sizeof *stored);
    if (!stored) return SPAR_ERR_MEMORY;
    for (int i = 0; i < m->params.n_params; i++) stored[i] = m->params.params[i]->value;
    void *before = m->weights;
    spar_status status = spar__model_allocate(m, SPAR__F32);
    for (int i = 0; !status && i < m->params.n_params; i++) {
        const spar__tensor *from = &stored[i];
        size_t row_bytes = 0;
        spar__row_bytes(from->type, (size_t)from->cols, &row_bytes);
        for (int64_t r = 0; r < from->rows; r++)
            spar__k()->decode[from->type](
                (real *)m->params.params[i]->value.data + r * from->cols,
                (const char *)from->data + (size_t)r * row_bytes, from->cols);
    }
    spar__free(stored);
    if (!status) spar__free(before);
    return status;
}

spar_status spar__model_make_trainable(spar_model *m) {
    if (m->gradients) return SPAR_OK;
    size_t bytes;
    SPAR_TRY(decode_weights(m));
    SPAR_TRY(total_bytes(m, SPAR__F32, &bytes));
    if (!(m->gradients = spar__alloc(bytes))) return spar__fail_within(SPAR_ERR_MEMORY, "gradients");
    size_t at = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        spar__param *p = m->params.params[i];
        p->value.grad = (real *)(void *)((char *)m->gradients + at);
        p->value.needs_grad = true;
        add_bytes(p, SPAR__F32, &at);
    }
    weights_placed(m);
    return SPAR_OK;
}
