#include "op/route.h"

#include <math.h>
#include <string.h>

/* `rows` is the name of a variable. */
#define EACH_ROW(r)                                                                                \
    _Pragma("omp parallel for schedule(static) if (rows > SPAR__ROW_CHUNK)") for (int64_t r = 0;   \
                                                                                  r < rows; r++)

/* ---- p = softmax(logits); w = p of the chosen -------------------------------------------------
 * dp_c += dw_c, or with S = Σ p_c and w = p/S:  dp_c += (dw_c − Σ dw·w)/S
 * dlogits = p·(dp − Σ dp·p) */

typedef struct route_arguments {
    spar__tensor *logits;
    const spar__routing *routing;
    bool normalise;
} route_arguments;

static void softmax_back(spar__pass *pass, void *arguments) {
    route_arguments *a = arguments;
    const spar__tensor *p = a->routing->p;
    bool add;
    real *d = p->grad_started ? spar__grad(pass, a->logits, &add) : NULL;
    if (!d) return;
    int64_t n = p->cols, rows = p->rows;
    EACH_ROW(r) {
        const real *pr = spar__data(p) + r * n, *dp = p->grad + r * n;
        real mean = spar__k()->dot(pr, dp, n);
        for (int64_t i = 0; i < n; i++) {
            real slope = pr[i] * (dp[i] - mean);
            d[r * n + i] = add ? d[r * n + i] + slope : slope;
        }
    }
}

static void weights_back(spar__pass *pass, void *arguments) {
    route_arguments *a = arguments;
    const spar__routing *t = a->routing;
    bool add;
    real *d = t->weights->grad_started ? spar__grad(pass, t->p, &add) : NULL;
    if (!d) return;
    int64_t rows = t->rows, k = t->top_k, n = t->n;
    EACH_ROW(r) {
        const real *w = spar__data(t->weights) + r * k, *dw = t->weights->grad + r * k;
        real mean = 0, sum = 1;
        if (a->normalise) {
            mean = spar__k()->dot(w, dw, k);
            sum = 0;
            for (int64_t i = 0; i < k; i++) sum += spar__data(t->p)[r * n + t->expert[r * k + i]];
        }
        if (!add) memset(d + r * n, 0, (size_t)n * sizeof *d);
        for (int64_t i = 0; i < k; i++) d[r * n + t->expert[r * k + i]] += (dw[i] - mean) / sum;
    }
}

/* `known`: the experts are, since a block that is run again must not choose others. */
static void choose(const spar__routing *t, int64_t r, bool normalise, bool known) {
    const real *p = spar__data(t->p) + r * t->n;
    real *w = spar__data(t->weights) + r * t->top_k, sum = 0;
    int32_t *chosen = t->expert + r * t->top_k;
    for (int64_t k = 0; k < t->top_k; k++) {
        int32_t best = known ? chosen[k] : -1;
        for (int32_t i = 0; !known && i < t->n; i++) {
            bool taken = false;
            for (int64_t j = 0; j < k; j++) taken |= chosen[j] == i;
            if (!taken && (best < 0 || p[i] > p[best])) best = i;
        }
        chosen[k] = best;
        w[k] = p[best];
        sum += w[k];
    }
    for (int64_t k = 0; normalise && k < t->top_k; k++) w[k] /= sum;
}

/* ---- Grouping ---------------------------------------------------------------------------------- */

static int64_t capacity_of(const spar__route_options *o, int64_t rows, int64_t n) {
    if (o->capacity) return o->capacity;
    if (!(o->capacity_factor > 0)) return INT64_MAX;
    return (int64_t)ceil(o->capacity_factor * (double)o->top_k * (double)rows / (double)n);
}

/* Counts into begin[e + 1], and marks the dropped in `slot`. */
static void count_sequence(const spar__routing *t, int64_t first, int64_t count, int64_t capacity,
                           int64_t *taken) {
    memset(taken, 0, (size_t)t->n * sizeof *taken);
    for (int64_t i = first * t->top_k; i < (first + count) * t->top_k; i++) {
        int32_t e = t->expert[i];
        t->chosen[e]++;
        t->slot[i] = taken[e] < capacity ? 0 : -1;
        if (taken[e]++ < capacity) t->begin[e + 1]++;
    }
}

/* Rows beside each other as they belong to experts. */
static void group(spar__routing *t, int64_t *next) {
    for (int64_t e = 0; e < t->n; e++) {
        t->begin[e + 1] += t->begin[e];
        next[e] = t->begin[e];
    }
    for (int64_t i = 0; i < t->rows * t->top_k; i++) {
        if (t->slot[i] < 0) continue;
        int64_t at = next[t->expert[i]]++;
        t->slot[i] = (int32_t)at;
        t->row[at] = (int32_t)(i / t->top_k);
    }
}

static bool take_routing(spar__pass *pass, spar__routing *t, spar__tensor *logits, bool *known) {
    int64_t pairs = t->rows * t->top_k;
    t->p = spar__new(pass, t->rows, t->n, logits->needs_grad);
    t->weights = spar__new(pass, t->rows, t->top_k, logits->needs_grad);
    t->expert = spar__keep(pass, pass->site++, pairs, sizeof *t->expert, known);
    t->slot = spar__take(pass, pairs, sizeof *t->slot);
    t->row = spar__take(pass, pairs, sizeof *t->row);
    t->begin = spar__take(pass, 2 * t->n + 1, sizeof *t->begin);
    if (!spar__ok(pass)) return false;
    t->chosen = t->begin + t->n + 1;
    memset(t->begin, 0, (size_t)(2 * t->n + 1) * sizeof *t->begin);
    return true;
}

static void assign(spar__pass *pass, spar__routing *t, const spar__route_options *o) {
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t *scratch = spar__take(pass, t->n, sizeof *scratch);
    if (!scratch) return;
    const spar__rows *rows = pass->rows;
    if (!o->capacity && !(o->capacity_factor > 0)) {
        count_sequence(t, 0, t->rows, INT64_MAX, scratch);
    } else if (!rows || rows->n_rows != t->rows) {
        spar__stop(pass, spar__fail(SPAR_ERR_UNSUPPORTED,
                                    "experts with a capacity need whole sequences, not chunks of them"));
    } else {
        for (int s = 0; s < rows->n_sequences; s++) {
            const spar__sequence *q = &rows->sequences[s];
            count_sequence(t, q->begin, q->count, capacity_of(o, q->count, t->n), scratch);
        }
    }
    group(t, scratch);
    spar__arena_rewind(pass->arena, mark);
}

spar__routing *spar__route(spar__pass *pass, spar__tensor *logits, const spar__route_options *o) {
    spar__routing *t = logits ? spar__take(pass, 1, sizeof *t) : NULL;
    if (!t) return NULL;
    *t = (spar__routing){.rows = logits->rows, .n = logits->cols, .top_k = o->top_k};
    bool known = false;
    if (!take_routing(pass, t, logits, &known)) return NULL;
    int64_t rows = t->rows, n = t->n;
    EACH_ROW(r) {
        memcpy(spar__data(t->p) + r * n, spar__data(logits) + r * n, (size_t)n * sizeof(real));
        spar__k()->softmax(spar__data(t->p) + r * n, n);
        choose(t, r, o->normalise, known);
    }
    assign(pass, t, o);
    if (t->p->needs_grad) {
        route_arguments a = {logits, t, o->normalise};
        spar__push(pass, softmax_back, &a, sizeof a);
        spar__push(pass, weights_back, &a, sizeof a);
    }
    return spar__ok(pass) ? t : NULL;
}

/* ---- Rows to experts: dx[r] (+)= Σ_k d(gathered)[slot[r, k]] ------------------------------------ */

typedef struct dispatched {
    const spar__routing *routing;
    spar__tensor *x;
    spar__tensor **parts;
} dispatched;

static void dispatch_back(spar__pass *pass, void *arguments) {
    dispatched *a = arguments;
    const spar__routing *t = a->routing;
    bool add;
    real *dx = spar__grad(pass, a->x, &add);
    if (!dx) return;
    int64_t rows = t->rows, d = a->x->cols;
    EACH_ROW(r) {
        if (!add) memset(dx + r * d, 0, (size_t)d * sizeof *dx);
        for (int64_t i = r * t->top_k; i < (r + 1) * t->top_k; i++) {
            if (t->slot[i] < 0) continue;
            int64_t e = t->expert[i];
            const spar__tensor *part = a->parts[e];
            if (part->grad_started)
                spar__k()->add(dx + r * d, part->grad + (t->slot[i] - t->begin[e]) * d, d);
        }
    }
}

spar__tensor **spar__dispatch(spar__pass *pass, const spar__routing *t, spar__tensor *x) {
    if (!t || !x || !spar__ok(pass)) return NULL;
    int64_t rows = t->begin[t->n], d = x->cols;
    spar__tensor **parts = spar__take(pass, t->n, sizeof *parts);
    spar__tensor *tensors = spar__take(pass, t->n, sizeof *tensors);
    real *gathered = spar__take(pass, rows * d, sizeof *gathered);
    if (!parts || !tensors || !gathered) return NULL;
    EACH_ROW(a)
    memcpy(gathered + a * d, spar__data(x) + t->row[a] * d, (size_t)d * sizeof(real));
    for (int64_t e = 0; e < t->n; e++) {
        int64_t count = t->begin[e + 1] - t->begin[e];
        tensors[e] = (spar__tensor){.data = gathered + t->begin[e] * d, .type = SPAR__F32, .rows = count,
                                    .cols = d, .needs_grad = x->needs_grad};
        parts[e] = count ? &tensors[e] : NULL;
    }
    if (x->needs_grad) spar__push(pass, dispatch_back, &(dispatched){t, x, parts}, sizeof(dispatched));
    return parts;
}

/* ---- y[r] = Σ_k w[r, k] · out[slot[r, k]];  dw = out·dy,  dout = w·dy ---------------------------- */

typedef struct combined {
    const spar__routing *routing;
    spar__tensor *const *outputs;
    spar__tensor *y;
} combined;

static void combine_back(spar__pass *pass, void *arguments) {
    combined *c = arguments;
    const spar__routing *t = c->routing;
    if (!c->y->grad_started) return;
    bool add = false, add_out;
    real *dw = spar__grad(pass, t->weights, &add);
    for (int64_t e = 0; e < t->n; e++)
        if (c->outputs[e]) spar__grad(pass, c->outputs[e], &add_out);
    if (!spar__ok(pass)) return;
    int64_t rows = t->rows, d = c->y->cols;
    EACH_ROW(r)
    for (int64_t i = r * t->top_k; i < (r + 1) * t->top_k; i++) {
        const real *dy = c->y->grad + r * d;
        if (dw && !add) dw[i] = 0;
        if (t->slot[i] < 0) continue;
        int64_t e = t->expert[i], at = (t->slot[i] - t->begin[e]) * d;
        const spar__tensor *out = c->outputs[e];
        if (dw) dw[i] += spar__k()->dot(spar__data(out) + at, dy, d);
        if (!out->grad) continue;
        memset(out->grad + at, 0, (size_t)d * sizeof(real));
        spar__k()->axpy(out->grad + at, spar__data(t->weights)[i], dy, d);
    }
}

spar__tensor *spar__combine(spar__pass *pass, const spar__routing *t, spar__tensor *const *outputs,
                            int64_t d) {
    if (!t || !outputs || !spar__ok(pass)) return NULL;
    bool needs = t->weights->needs_grad;
    for (int64_t e = 0; e < t->n; e++) needs |= outputs[e] && outputs[e]->needs_grad;
    spar__tensor *y = spar__new(pass, t->rows, d, needs);
    if (!y) return NULL;
    int64_t rows = t->rows;
    EACH_ROW(r) {
        real *out = spar__data(y) + r * d;
        memset(out, 0, (size_t)d * sizeof *out);
        for (int64_t i = r * t->top_k; i < (r + 1) * t->top_k; i++) {
            if (t->slot[i] < 0) continue;
            int64_t e = t->expert[i];
            spar__k()->axpy(out, spar__data(t->weights)[i],
                            spar__data(outputs[e]) + (t->slot[i] - t->begin[e]) * d, d);
        }
    }
    if (y->needs_grad) spar__push(pass, combine_back, &(combined){t, outputs, y}, sizeof(combined));
    return y;
}

/* ---- Jitter: the noise is a function of (seed, step, site, element), drawn again going back ------ */

typedef struct jittered {
    spar__tensor *x, *y;
    double width;
    uint64_t site;
} jittered;

static void shake(spar__pass *pass, real *out, const real *in, const jittered *j, bool add) {
    spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_NOISE, pass->step, j->site);
    int64_t rows = j->x->rows, cols = j->x->cols;
    EACH_ROW(r)
    for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
        double factor = 1 + j->width * (2 * (double)spar__rng_uniform(&rng, (uint64_t)i) - 1);
        out[i] = (add ? out[i] : 0) + (real)factor * in[i];
    }
}

static void jitter_back(spar__pass *pass, void *arguments) {
    jittered *j = arguments;
    bool add;
    real *dx = j->y->grad_started ? spar__grad(pass, j->x, &add) : NULL;
    if (dx) shake(pass, dx, j->y->grad, j, add);
}

spar__tensor *spar__jitter(spar__pass *pass, spar__tensor *x, double width) {
    if (!x || width <= 0 || !pass->training) return x;
    jittered j = {x, spar__new(pass, x->rows, x->cols, x->needs_grad), width, pass->site++};
    if (!j.y) return NULL;
    shake(pass, spar__data(j.y), spar__data(x), &j, false);
    if (j.y->needs_grad) spar__push(pass, jitter_back, &j, sizeof j);
    return j.y;
}
