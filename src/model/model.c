/* Models: making, freeing, and asking about them. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "model/inside.h"

static size_t elements_of(const spar__param *p) { return (size_t)(p->value.rows * p->value.cols); }

/* Sizes come from configurations that may be absurd: every product is checked. */
static spar_status total_bytes(const spar_model *m, size_t *out) {
    size_t total = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *p = m->params.params[i];
        size_t n = sizeof(real);
        for (int d = 0; d < p->n_dims; d++)
            if (!spar__mul(n, (size_t)p->shape[d], &n)) goto overflow;
        if (!spar__align(n, 64, &n) || !spar__add(total, n, &total)) goto overflow;
    }
    *out = total;
    return SPAR_OK;
overflow:
    return spar__fail(SPAR_ERR_LIMIT, "model: its weights are more than memory can be addressed");
}

spar_status spar__model_allocate(spar_model *m) {
    size_t bytes;
    SPAR_TRY(total_bytes(m, &bytes));
    char *memory = spar__alloc(bytes);
    if (!memory) return spar__fail_within(SPAR_ERR_MEMORY, "model's weights");
    char *at = memory;
    for (int i = 0; i < m->params.n_params; i++) {
        spar__param *p = m->params.params[i];
        p->value.data = at;
        p->value.type = SPAR__F32;
        at += (elements_of(p) * sizeof(real) + 63) & ~(size_t)63;
    }
    m->weights = memory;
    return SPAR_OK;
}

spar_status spar__model_prepare(spar_model *m) {
    const spar__position_kind *position = (const spar__position_kind *)m->position.kind;
    return position->prepare ? position->prepare(&m->shape, m->position.options, m->position_self) : SPAR_OK;
}

static void initialise(spar__param *p, uint64_t seed) {
    real *w = p->value.data;
    int64_t n = (int64_t)elements_of(p);
    spar__rng rng = spar__rng_for(seed, SPAR__RNG_INIT, spar__hash_name(p->name), 0);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++)
        w[i] = (real)(p->constant ? p->init : p->init * spar__rng_normal(&rng, (uint64_t)i));
}

spar_status spar_model_create(const spar_config *config, uint64_t seed, spar_model **out) {
    spar_model *m;
    SPAR_TRY(spar__kernels_choose());
    SPAR_TRY(spar__model_build(json_object_get(config->root, "model"), &m));
    spar_status status = spar__model_allocate(m);
    if (!status) status = spar__model_prepare(m);
    if (status) {
        spar_model_free(m);
        return status;
    }
    for (int i = 0; i < m->params.n_params; i++) initialise(m->params.params[i], seed);
    *out = m;
    return SPAR_OK;
}

static void free_choice(spar__choice *c) { spar__free(c->options); }

void spar_model_free(spar_model *m) {
    if (!m) return;
    for (int64_t i = 0; m->blocks && i < m->shape.n_layers; i++) {
        spar__block *b = &m->blocks[i];
        free_choice(&b->pattern);
        free_choice(&b->projection);
        free_choice(&b->feedforward);
        spar__free(b->projection_self);
        spar__free(b->feedforward_self);
    }
    spar__free(m->blocks);
    const spar__position_kind *position = (const spar__position_kind *)m->position.kind;
    if (position && position->release && m->position_self) position->release(m->position_self);
    free_choice(&m->position);
    free_choice(&m->head);
    spar__free(m->position_self);
    spar__free(m->head_self);
    for (int i = 0; i < m->params.n_params; i++) spar__param_free(m->params.params[i]);
    spar__free(m->params.params);
    spar__free(m->weights);
    spar__free(m->gradients);
    spar__gguf_free(m->file);
    spar_tokenizer_free(m->tokenizer);
    json_decref(m->config);
    spar__free(m);
}

int spar__model_n_params(const spar_model *m) { return m->params.n_params; }
spar__param *spar__model_param(spar_model *m, int index) { return m->params.params[index]; }
const json_t *spar__model_config(const spar_model *m) { return m->config; }
const spar_tokenizer *spar_model_tokenizer(const spar_model *m) { return m->tokenizer; }
int32_t spar_model_vocab_size(const spar_model *m) { return (int32_t)m->shape.vocab_size; }
int64_t spar_model_context(const spar_model *m) { return m->shape.context; }
void spar__model_set_recompute(spar_model *m, bool recompute) { m->recompute = recompute; }

void spar__model_set_dropout(spar_model *m, double dropout) {
    m->dropout = dropout;
    for (int64_t i = 0; i < m->shape.n_layers; i++) m->blocks[i].dropout = dropout;
}

void spar__model_set_tokenizer(spar_model *m, spar_tokenizer *tokenizer) {
    if (m->tokenizer != tokenizer) spar_tokenizer_free(m->tokenizer);
    m->tokenizer = tokenizer;
}

spar_status spar__model_make_trainable(spar_model *m) {
    if (m->gradients) return SPAR_OK;
    size_t bytes;
    SPAR_TRY(total_bytes(m, &bytes));
    if (!m->weights) {
        /* Weights of a file: decode them into memory of our own. */
        spar__tensor *stored = spar__array((size_t)m->params.n_params, sizeof *stored);
        if (!stored) return SPAR_ERR_MEMORY;
        for (int i = 0; i < m->params.n_params; i++) stored[i] = m->params.params[i]->value;
        spar_status status = spar__model_allocate(m);
        for (int i = 0; !status && i < m->params.n_params; i++) {
            const spar__tensor *from = &stored[i];
            size_t row_bytes = 0;
            spar__row_bytes(from->type, (size_t)from->cols, &row_bytes);
            for (int64_t r = 0; r < from->rows; r++)
                spar__k()->decode[from->type]((real *)m->params.params[i]->value.data + r * from->cols,
                                              (const char *)from->data + (size_t)r * row_bytes, from->cols);
        }
        spar__free(stored);
        SPAR_TRY(status);
    }
    if (!(m->gradients = spar__alloc(bytes))) return spar__fail_within(SPAR_ERR_MEMORY, "gradients");
    char *at = (char *)m->gradients;
    for (int i = 0; i < m->params.n_params; i++) {
        spar__param *p = m->params.params[i];
        p->value.grad = (real *)at;
        p->value.needs_grad = true;
        at += (elements_of(p) * sizeof(real) + 63) & ~(size_t)63;
    }
    return SPAR_OK;
}
