#include "train/optimiser.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "model/model.h"
#include "train/kind.h"

static const spar__optimiser_kind *const kinds[] = {
#define OPTIMISER(name, symbol) &symbol,
#include "train/optimiser.def"
#undef OPTIMISER
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* A run of elements of one parameter: the unit of parallel work. */
typedef struct chunk {
    int param;
    int64_t begin, end;
} chunk;

struct spar__optimiser {
    const spar__optimiser_kind *kind;
    void *options; /* begins with spar__optimiser_base */
    spar__param **params;
    spar__update *updates; /* [n_params] */
    int n_params, n_slots, n_arrays;
    real *state; /* all slots of all parameters */
    double *scratch;
    chunk *chunks;
    double *sums; /* [n_chunks] */
    int64_t n_chunks;
};

static int64_t size_of(const spar__param *param) {
    return param->value.rows * param->value.cols;
}

static int64_t slot_size(const spar__optimiser *o, int param, int slot) {
    const spar__param *p = o->params[param];
    return o->kind->slot_size ? o->kind->slot_size(o->options, p, slot) : size_of(p);
}

static spar_status read_kind(const json_t *section, spar__optimiser *o) {
    const char *names[N_KINDS], *const also[] = {"kind", NULL};
    for (int i = 0; i < N_KINDS; i++) names[i] = kinds[i]->name;
    int index;
    SPAR_TRY(spar__kind_read(section, "train.optimizer", names, N_KINDS, 0, &index));
    o->kind = kinds[index];
    if (!(o->options = spar__alloc(o->kind->options_size))) return SPAR_ERR_MEMORY;
    while (o->kind->slots[o->n_slots]) o->n_slots++;
    return spar__options_read(section, "train.optimizer", o->kind->options, also, o->options);
}

static spar_status make_chunks(spar__optimiser *o) {
    for (int i = 0; i < o->n_params; i++)
        o->n_chunks += (size_of(o->params[i]) + SPAR__OPTIMISER_CHUNK - 1) / SPAR__OPTIMISER_CHUNK;
    o->chunks = spar__array((size_t)o->n_chunks, sizeof *o->chunks);
    o->sums = spar__array((size_t)o->n_chunks, sizeof *o->sums);
    if (!o->chunks || !o->sums) return SPAR_ERR_MEMORY;
    chunk *next = o->chunks;
    for (int i = 0; i < o->n_params; i++) {
        int64_t n = size_of(o->params[i]);
        for (int64_t at = 0; at < n; at += SPAR__OPTIMISER_CHUNK)
            *next++ =
                (chunk){i, at, at + SPAR__OPTIMISER_CHUNK < n ? at + SPAR__OPTIMISER_CHUNK : n};
    }
    return SPAR_OK;
}

/* Slots start at multiples of 16 elements, so that each is aligned for SIMD. */
static spar_status make_slots(spar__optimiser *o) {
    size_t total = 0, scratch = 0;
    for (int i = 0; i < o->n_params; i++) {
        for (int s = 0; s < o->n_slots; s++) {
            size_t n;
            if (!spar__align((size_t)slot_size(o, i, s), 16, &n) || !spar__add(total, n, &total))
                return spar__fail(SPAR_ERR_LIMIT, "state of the optimiser: too large");
        }
        size_t n = o->kind->scratch ? (size_t)o->kind->scratch(o->options, o->params[i]) : 0;
        if (n > scratch) scratch = n;
    }
    o->state = spar__array(total ? total : 1, sizeof *o->state);
    o->scratch = spar__array(scratch ? scratch : 1, sizeof *o->scratch);
    o->updates = spar__array((size_t)o->n_params, sizeof *o->updates);
    if (!o->state || !o->scratch || !o->updates) return SPAR_ERR_MEMORY;
    real *next = o->state;
    for (int i = 0; i < o->n_params; i++) {
        spar__param *p = o->params[i];
        spar__update *u = &o->updates[i];
        *u = (spar__update){.param = p,
                            .rows = p->value.rows,
                            .cols = p->value.cols,
                            .weight = spar__data(&p->value),
                            .grad = p->value.grad,
                            .scratch = o->scratch};
        for (int s = 0; s < o->n_slots; s++) {
            int64_t n = slot_size(o, i, s);
            u->slots[s] = n ? next : NULL;
            o->n_arrays += n != 0;
            next += (n + 15) / 16 * 16;
        }
    }
    return SPAR_OK;
}

spar_status spar__optimiser_create(const json_t *section, spar__param *const *params, int n_params,
                                   spar__optimiser **out) {
    spar__optimiser *o = spar__alloc(sizeof *o);
    if (!o) return SPAR_ERR_MEMORY;
    spar_status status;
    o->n_params = n_params;
    o->params = spar__array((size_t)n_params, sizeof *o->params);
    if (!o->params) SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
    memcpy(o->params, params, (size_t)n_params * sizeof *params);
    SPAR_TRY_GOTO(fail, read_kind(section, o));
    SPAR_TRY_GOTO(fail, make_chunks(o));
    SPAR_TRY_GOTO(fail, make_slots(o));
    *out = o;
    return SPAR_OK;
fail:
    spar__optimiser_free(o);
    return status;
}

void spar__optimiser_free(spar__optimiser *o) {
    if (!o) return;
    spar__free(o->options);
    spar__free(o->params);
    spar__free(o->updates);
    spar__free(o->state);
    spar__free(o->scratch);
    spar__free(o->chunks);
    spar__free(o->sums);
    spar__free(o);
}

double spar__optimiser_lr(const spar__optimiser *o) {
    return ((const spar__optimiser_base *)o->options)->lr;
}

const char *spar__optimiser_name(const spar__optimiser *o) {
    return o->kind->name;
}

double spar__optimiser_grad_norm(spar__optimiser *o) {
    for (int i = 0; i < o->n_params; i++) {
        spar__tensor *t = &o->params[i]->value;
        if (!t->grad_started) memset(t->grad, 0, (size_t)(t->rows * t->cols) * sizeof *t->grad);
        t->grad_started = true;
    }
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static) num_threads(spar__threads())
    for (int64_t i = 0; i < o->n_chunks; i++) {
        const chunk *c = &o->chunks[i];
        o->sums[i] = k->sum_squares(o->params[c->param]->value.grad + c->begin, c->end - c->begin);
    }
    double sum = 0;
    for (int64_t i = 0; i < o->n_chunks; i++) sum += o->sums[i];
    return sqrt(sum);
}

void spar__optimiser_clear(spar__optimiser *o) {
    for (int i = 0; i < o->n_params; i++) o->params[i]->value.grad_started = false;
}

void spar__optimiser_step(spar__optimiser *o, uint64_t t, double lr, double grad_scale) {
    double weight_decay = ((const spar__optimiser_base *)o->options)->weight_decay;
    for (int i = 0; i < o->n_params; i++) {
        spar__update *u = &o->updates[i];
        u->t = t;
        u->lr = lr;
        u->grad_scale = grad_scale;
        if (o->kind->prepare) o->kind->prepare(o->options, u);
    }
    const spar__kernels *k = spar__k();
    real keep = (real)(1 - lr * weight_decay);
#pragma omp parallel for schedule(static) num_threads(spar__threads())
    for (int64_t i = 0; i < o->n_chunks; i++) {
        const chunk *c = &o->chunks[i];
        const spar__update *u = &o->updates[c->param];
        if (u->param->decay && keep != 1)
            k->scale(u->weight + c->begin, keep, c->end - c->begin);
        o->kind->update(o->options, u, c->begin, c->end);
    }
    spar__optimiser_clear(o);
}

int spar__optimiser_n_arrays(const spar__optimiser *o) {
    return o->n_arrays;
}

void spar__optimiser_array_at(const spar__optimiser *o, int index, spar__optimiser_array *out) {
    for (int i = 0; i < o->n_params; i++) {
        for (int s = 0; s < o->n_slots; s++) {
            if (!o->updates[i].slots[s] || index--) continue;
            snprintf(out->name, sizeof out->name, "%s/%s", o->kind->slots[s], o->params[i]->name);
            out->data = o->updates[i].slots[s];
            out->count = (size_t)slot_size(o, i, s);
            return;
        }
    }
}
