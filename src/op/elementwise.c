/* Sums, scaling, activations, gates and dropout. */
#include <string.h>

#include "op/op.h"

const char *const spar__activation_names[] = {
    "relu",  "gelu",       "gelu-tanh", "silu",       "tanh", "none",    "quick-gelu", "gelu-10",
    "relu2", "relu6",      "leaky-relu", "sigmoid",   "hard-swish", "mish", "laplace", NULL};

/* One iteration of the parallel loops here takes this many elements. */
enum { PIECE = 1 << 14 };
#define EACH_PIECE(total)                                                                          \
    _Pragma("omp parallel for schedule(static) if (elements > PIECE)") for (int64_t i = 0;         \
                                                                            i < (total);           \
                                                                            i += PIECE)
static int64_t piece(int64_t i, int64_t total) { return total - i < PIECE ? total - i : PIECE; }
static int64_t size_of(const spar__tensor *t) { return t->rows * t->cols; }

static bool alike(spar__pass *pass, const spar__tensor *a, const spar__tensor *b) {
    if (!a || !b || !spar__ok(pass)) return false;
    if (a->rows == b->rows && a->cols == b->cols) return true;
    spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "shapes [%lld, %lld] and [%lld, %lld] differ",
                                (long long)a->rows, (long long)a->cols, (long long)b->rows,
                                (long long)b->cols));
    return false;
}

typedef struct three {
    spar__tensor *a, *b, *y;
    double number;
    uint64_t site;
    spar__activation f;
} three;

/* ---- y = a + b ---- */

static void pass_on(spar__pass *pass, spar__tensor *to, const real *dy) {
    bool add;
    real *d = spar__grad(pass, to, &add);
    if (!d) return;
    int64_t elements = size_of(to);
    EACH_PIECE(elements) {
        int64_t n = piece(i, elements);
        if (add) spar__k()->add(d + i, dy + i, n);
        else memcpy(d + i, dy + i, (size_t)n * sizeof *d);
    }
}

static void sum_back(spar__pass *pass, void *arguments) {
    three *s = arguments;
    if (!s->y->grad_started) return;
    pass_on(pass, s->b, s->y->grad);
    /* Nobody reads y's gradient after this record, so the first addend takes it over: along the
     * residual stream the gradient is one buffer. */
    if (s->a->needs_grad && !s->a->grad && s->a != s->b) {
        s->a->grad = s->y->grad;
        s->a->grad_taken = s->y->grad_taken;
        s->a->grad_started = true;
        s->y->grad = NULL;
    } else {
        pass_on(pass, s->a, s->y->grad);
        spar__grad_done(pass, s->y);
    }
}

spar__tensor *spar__sum(spar__pass *pass, spar__tensor *a, spar__tensor *b) {
    if (!alike(pass, a, b)) return NULL;
    bool needs = a->needs_grad || b->needs_grad;
    spar__tensor *y = spar__new(pass, a->rows, a->cols, needs);
    if (!y) return NULL;
    int64_t elements = size_of(y);
    const real *pa = spar__data(a), *pb = spar__data(b);
    real *py = spar__data(y);
    EACH_PIECE(elements) {
        int64_t end = i + piece(i, elements);
        for (int64_t j = i; j < end; j++) py[j] = pa[j] + pb[j];
    }
    if (needs) spar__push(pass, sum_back, &(three){a, b, y, 0, 0, 0}, sizeof(three));
    return y;
}

/* ---- y = factor·x ---- */

static void scaled_back(spar__pass *pass, void *arguments) {
    three *s = arguments;
    bool add;
    real *dx = s->y->grad_started ? spar__grad(pass, s->a, &add) : NULL;
    if (!dx) return;
    int64_t elements = size_of(s->y);
    EACH_PIECE(elements) {
        int64_t n = piece(i, elements);
        if (!add) memset(dx + i, 0, (size_t)n * sizeof *dx);
        spar__k()->axpy(dx + i, (real)s->number, s->y->grad + i, n);
    }
    spar__grad_done(pass, s->y);
}

static spar__tensor *times(spar__pass *pass, spar__tensor *x, double factor) {
    spar__tensor *y = spar__new(pass, x->rows, x->cols, x->needs_grad);
    if (!y) return NULL;
    int64_t elements = size_of(y);
    EACH_PIECE(elements) {
        int64_t n = piece(i, elements);
        memcpy(spar__data(y) + i, spar__data(x) + i, (size_t)n * sizeof(real));
        spar__k()->scale(spar__data(y) + i, (real)factor, n);
    }
    if (y->needs_grad) spar__push(pass, scaled_back, &(three){x, NULL, y, factor, 0, 0}, sizeof(three));
    return y;
}

spar__tensor *spar__scaled(spar__pass *pass, spar__tensor *x, double factor) {
    return !x || factor == 1 ? x : times(pass, x, factor);
}

spar__tensor *spar__copied(spar__pass *pass, spar__tensor *x) { return x ? times(pass, x, 1) : NULL; }

/* ---- y = f(x) ---- */

static void activate_back(spar__pass *pass, void *arguments) {
    three *s = arguments;
    bool add;
    real *dx = s->y->grad_started ? spar__grad(pass, s->a, &add) : NULL;
    if (!dx) return;
    int64_t elements = size_of(s->y);
    EACH_PIECE(elements)
    spar__k()->activate_back(s->f, dx + i, spar__data(s->a) + i, s->y->grad + i, piece(i, elements),
                             add);
    spar__grad_done(pass, s->y);
}

spar__tensor *spar__activate(spar__pass *pass, spar__tensor *x, spar__activation f) {
    if (!x) return NULL;
    spar__tensor *y = spar__new(pass, x->rows, x->cols, x->needs_grad);
    if (!y) return NULL;
    int64_t elements = size_of(y);
    EACH_PIECE(elements) spar__k()->activate(f, spar__data(y) + i, spar__data(x) + i, piece(i, elements));
    if (y->needs_grad) spar__push(pass, activate_back, &(three){x, NULL, y, 0, 0, f}, sizeof(three));
    return y;
}

/* ---- y = f(g)·u ---- */

static void gate_back(spar__pass *pass, void *arguments) {
    three *s = arguments;
    if (!s->y->grad_started) return;
    bool add_g, add_u;
    real *dg = spar__grad(pass, s->a, &add_g), *du = spar__grad(pass, s->b, &add_u);
    if (!dg || !du) return;
    int64_t elements = size_of(s->y);
    /* The kernel writes both in one way; a gradient that alone is new starts from zero. */
    if (add_g != add_u) memset(add_g ? du : dg, 0, (size_t)elements * sizeof *dg);
    bool add = add_g || add_u;
    EACH_PIECE(elements)
    spar__k()->gate_back(s->f, dg + i, du + i, spar__data(s->a) + i, spar__data(s->b) + i,
                         s->y->grad + i, piece(i, elements), add);
    spar__grad_done(pass, s->y);
}

spar__tensor *spar__gate(spar__pass *pass, spar__tensor *g, spar__tensor *u, spar__activation f) {
    if (!alike(pass, g, u)) return NULL;
    spar__tensor *y = spar__new(pass, g->rows, g->cols, g->needs_grad || u->needs_grad);
    if (!y) return NULL;
    int64_t elements = size_of(y);
    EACH_PIECE(elements)
    spar__k()->gate(f, spar__data(y) + i, spar__data(g) + i, spar__data(u) + i, piece(i, elements));
    if (y->needs_grad) spar__push(pass, gate_back, &(three){g, u, y, 0, 0, f}, sizeof(three));
    return y;
}

/* ---- dropout (Srivastava et al. 2014) ----
 * The mask is a function of (seed, step, site, element): it is drawn again in the backward pass. */

/* out (+)= x·mask/(1 − p) for elements [begin, begin + n); begin is a multiple of 8. */
static void drop(real *out, const real *x, const spar__rng *rng, int64_t begin, int64_t n, double p,
                 bool add) {
    uint32_t below = (uint32_t)(p * 65536.0 + 0.5);
    real keep = (real)(1 / (1 - p));
    for (int64_t i = 0; i < n; i += 8) {
        uint32_t words[4];
        spar__rng_at(rng, (uint64_t)(begin + i) / 8, words);
        for (int64_t j = i; j < i + 8 && j < n; j++) {
            uint32_t draw = words[(j - i) / 2] >> ((j & 1) * 16) & 0xFFFF;
            real value = draw < below ? 0 : keep * x[j];
            out[j] = add ? out[j] + value : value;
        }
    }
}

static void dropout_back(spar__pass *pass, void *arguments) {
    three *s = arguments;
    bool add;
    real *dx = s->y->grad_started ? spar__grad(pass, s->a, &add) : NULL;
    if (!dx) return;
    spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_DROPOUT, pass->step, s->site);
    int64_t elements = size_of(s->y);
    EACH_PIECE(elements)
    drop(dx + i, s->y->grad + i, &rng, i, piece(i, elements), s->number, add);
    spar__grad_done(pass, s->y);
}

spar__tensor *spar__dropout(spar__pass *pass, spar__tensor *x, double p) {
    if (!x || p <= 0 || !pass->training) return x;
    uint64_t site = pass->site++;
    spar__tensor *y = spar__new(pass, x->rows, x->cols, x->needs_grad);
    if (!y) return NULL;
    spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_DROPOUT, pass->step, site);
    int64_t elements = size_of(y);
    EACH_PIECE(elements)
    drop(spar__data(y) + i, spar__data(x) + i, &rng, i, piece(i, elements), p, false);
    if (y->needs_grad) spar__push(pass, dropout_back, &(three){x, NULL, y, p, site, 0}, sizeof(three));
    return y;
}
