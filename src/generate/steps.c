/* The steps of sampling (spar/session.h names their sources). */
#include <math.h>
#include <stdlib.h>

#include "generate/sampler.h"

#define SAMPLER(symbol)                                                                            \
    void spar__sampler_##symbol(const spar_sampler_options *options, spar__candidates *c);
#include "generate/sampler.def"
#undef SAMPLER

static int by_logit(const void *a, const void *b) {
    const spar__candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

void spar__candidates_sort(spar__candidates *c) {
    if (!c->sorted) qsort(c->items, c->n, sizeof *c->items, by_logit);
    c->sorted = true;
}

void spar__candidates_weigh(spar__candidates *c) {
    float top = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) top = fmaxf(top, c->items[i].logit);
    for (size_t i = 0; i < c->n; i++) sum += c->items[i].p = expf(c->items[i].logit - top);
    for (size_t i = 0; i < c->n; i++) c->items[i].p = (float)(c->items[i].p / sum);
}

/* Before anything is sorted or left out, the candidate of an id stands at its index. */
static spar__candidate *candidate_of(spar__candidates *c, int32_t id) {
    return id >= 0 && (size_t)id < c->n ? &c->items[id] : NULL;
}

void spar__sampler_bias(const spar_sampler_options *o, spar__candidates *c) {
    for (size_t i = 0; i < o->n_biases; i++) {
        spar__candidate *item = candidate_of(c, o->biases[i].id);
        if (item) item->logit += o->biases[i].bias;
    }
}

/* `p` counts how often a token was seen. */
void spar__sampler_penalties(const spar_sampler_options *o, spar__candidates *c) {
    if (o->repeat_penalty == 1 && o->frequency_penalty == 0 && o->presence_penalty == 0) return;
    for (size_t i = 0; i < c->n; i++) c->items[i].p = 0;
    for (size_t i = 0; i < c->n_history; i++) {
        spar__candidate *item = candidate_of(c, c->history[i]);
        if (item) item->p += 1;
    }
    for (size_t i = 0; i < c->n; i++) {
        spar__candidate *item = &c->items[i];
        if (item->p == 0) continue;
        item->logit = (float)(item->logit > 0 ? item->logit / o->repeat_penalty
                                              : item->logit * o->repeat_penalty);
        item->logit -= (float)(o->frequency_penalty * (double)item->p + o->presence_penalty);
    }
}

void spar__sampler_temperature(const spar_sampler_options *o, spar__candidates *c) {
    for (size_t i = 0; o->temperature != 1 && i < c->n; i++)
        c->items[i].logit = (float)(c->items[i].logit / o->temperature);
}

void spar__sampler_top_k(const spar_sampler_options *o, spar__candidates *c) {
    if (o->top_k <= 0 || (size_t)o->top_k >= c->n) return;
    spar__candidates_sort(c);
    c->n = (size_t)o->top_k;
}

static int by_distance(const void *a, const void *b) {
    const spar__candidate *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Those whose surprise −ln p is nearest to the entropy, until their mass reaches typical_p. */
void spar__sampler_typical(const spar_sampler_options *o, spar__candidates *c) {
    if (o->typical_p >= 1) return;
    spar__candidates_weigh(c);
    double entropy = 0, mass = 0, log_sum = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].p > 0) entropy -= c->items[i].p * log((double)c->items[i].p);
    float top = -INFINITY;
    for (size_t i = 0; i < c->n; i++) top = fmaxf(top, c->items[i].logit);
    for (size_t i = 0; i < c->n; i++) log_sum += exp((double)c->items[i].logit - (double)top);
    log_sum = log(log_sum) + (double)top;
    for (size_t i = 0; i < c->n; i++)
        c->items[i].p = (float)fabs(log_sum - (double)c->items[i].logit - entropy);
    qsort(c->items, c->n, sizeof *c->items, by_distance);
    c->sorted = false;
    for (size_t i = 0; i < c->n; i++) {
        mass += exp((double)c->items[i].logit - log_sum);
        if (mass >= o->typical_p) c->n = i + 1;
    }
}

void spar__sampler_top_p(const spar_sampler_options *o, spar__candidates *c) {
    if (o->top_p >= 1) return;
    spar__candidates_sort(c);
    spar__candidates_weigh(c);
    double mass = 0;
    for (size_t i = 0; i < c->n; i++) {
        mass += (double)c->items[i].p;
        if (mass >= o->top_p) c->n = i + 1;
    }
}

void spar__sampler_min_p(const spar_sampler_options *o, spar__candidates *c) {
    if (o->min_p <= 0) return;
    spar__candidates_sort(c);
    double least = (double)c->items[0].logit + log(o->min_p);
    size_t n = 1;
    while (n < c->n && (double)c->items[n].logit >= least) n++;
    c->n = n;
}
