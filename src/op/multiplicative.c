/* y = (x∘D)·Eᵀ: rows are spread to [rows·S, d_in] a chunk at a time and multiplied at once.
 *     dA = dy·E,  dE = dyᵀ·A,  dx[r] = Σ_s dA[r,s]∘D[s],  dD[s] = Σ_r dA[r,s]∘x[r] */
#include <string.h>

#include "op/modules.h"
#include "op/product.h"

enum {
    SPREAD = 1 << 20, /* elements of a chunk's spread rows */
    FEW_MODULES = 8   /* of a large matrix in blocks: each is better a row of its own */
};

typedef struct layer {
    spar__tensor *x, *y;
    spar__param *d, *e, *bias;
    int64_t modules, in, out; /* out: of a module */
} layer;

const real *spar__decoded(spar__pass *pass, const spar__param *p) {
    const spar__tensor *w = &p->value;
    if (w->type == SPAR__F32) return spar__data(w);
    size_t row_bytes = 0;
    spar__row_bytes(w->type, (size_t)w->cols, &row_bytes);
    real *out = spar__take(pass, w->rows * w->cols, sizeof *out);
    if (!out) return NULL;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < w->rows; r++)
        spar__k()->decode[w->type](out + r * w->cols, (const char *)w->data + (size_t)r * row_bytes, w->cols);
    return out;
}

void spar__spread(const real *x, const real *d, int64_t rows, int64_t modules, int64_t width, real *out) {
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t s = 0; s < modules; s++)
            k->mul(out + (r * modules + s) * width, x + r * width, d + s * width, width);
}

void spar__spread_back(const real *x, const real *d, const real *da, int64_t rows, int64_t modules,
                       int64_t width, real *dx, real *dd) {
    if (dx) {
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t s = 0; s < modules; s++) {
                const real *a = da + (r * modules + s) * width, *b = d + s * width;
                for (int64_t i = 0; i < width; i++) dx[r * width + i] += a[i] * b[i];
            }
    }
    if (dd) {
#pragma omp parallel for schedule(static)
        for (int64_t s = 0; s < modules; s++)
            for (int64_t r = 0; r < rows; r++) {
                const real *a = da + (r * modules + s) * width, *b = x + r * width;
                for (int64_t i = 0; i < width; i++) dd[s * width + i] += a[i] * b[i];
            }
    }
}

static int64_t chunk_of(const layer *l) {
    int64_t n = SPREAD / (l->modules * l->in);
    return n < 1 ? 1 : n < l->x->rows ? n : l->x->rows;
}

static real *cleared(spar__pass *pass, spar__tensor *t) {
    bool add;
    real *g = spar__grad(pass, t, &add);
    if (g && !add) memset(g, 0, (size_t)(t->rows * t->cols) * sizeof *g);
    return g;
}

static void back(spar__pass *pass, void *arguments) {
    layer *l = arguments;
    if (!l->y->grad_started) return;
    bool add;
    int64_t width = l->modules * l->out, step = chunk_of(l);
    real *dx = cleared(pass, l->x), *dd = cleared(pass, &l->d->value), *de = cleared(pass, &l->e->value);
    real *db = l->bias ? spar__grad(pass, &l->bias->value, &add) : NULL;
    if (db) spar__add_column_sums(db, l->y->grad, l->y->rows, width, add);
    const real *d = spar__data(&l->d->value), *e = spar__data(&l->e->value);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *a = spar__take(pass, step * l->modules * l->in, sizeof *a);
    for (int64_t r = 0; r < l->x->rows && spar__ok(pass); r += step) {
        int64_t n = l->x->rows - r < step ? l->x->rows - r : step, m = n * l->modules;
        const real *x = spar__data(l->x) + r * l->in, *dy = l->y->grad + r * width;
        if (de) {
            spar__spread(x, d, n, l->modules, l->in, a);
            spar__stop(pass, spar__gemm(true, false, l->out, l->in, m, 1, dy, l->out, a, l->in, 1, de, l->in));
        }
        spar__stop(pass, spar__gemm(false, false, m, l->in, l->out, 1, dy, l->out, e, l->in, 0, a, l->in));
        spar__spread_back(x, d, a, n, l->modules, l->in, dx ? dx + r * l->in : NULL, dd);
    }
    spar__arena_rewind(pass->arena, mark);
}

/* E in blocks meets few modules at the speed of memory, as rows. */
static void forward_rows(spar__pass *pass, const layer *l, const real *d, int64_t begin, int64_t rows) {
    int64_t width = l->modules * l->out;
    real *y = spar__data(l->y) + begin * width;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    spar__tensor spread = {.rows = rows * l->modules, .cols = l->in};
    spread.data = spar__take(pass, spread.rows * l->in, sizeof *y);
    if (spread.data) {
        for (int64_t r = 0; l->bias && r < rows; r++)
            memcpy(y + r * width, l->bias->value.data, (size_t)width * sizeof *y);
        spar__spread(spar__data(l->x) + begin * l->in, d, rows, l->modules, l->in, spread.data);
        spar__times_weight(pass, &spread, &l->e->value, 1, l->bias ? 1 : 0, y);
    }
    spar__arena_rewind(pass->arena, mark);
}

/* A token or a few, from row `begin`: D and E are read once, as they are stored. */
static void forward_few(spar__pass *pass, const layer *l, int64_t begin, int64_t rows) {
    const real *a[SPAR__TOGETHER];
    int64_t width = l->modules * l->out;
    real *y = spar__data(l->y) + begin * width;
    for (int64_t r = 0; r < rows; r++) a[r] = spar__data(l->x) + (begin + r) * l->in;
    for (int64_t r = 0; l->bias && r < rows; r++)
        memcpy(y + r * width, l->bias->value.data, (size_t)width * sizeof *y);
    spar__thin_product(pass, &(spar__thin){.groups = rows, .rows = l->modules, .segments = 1, .width = l->in,
                                           .n = l->out, .a = a, .scale = &l->d->value, .w = &l->e->value,
                                           .add = l->bias, .y = y});
}

static void forward(spar__pass *pass, const layer *l) {
    int64_t rows = l->x->rows;
    if (spar__rounds(pass) && l->modules <= FEW_MODULES && spar__k()->packed_dot[l->e->value.type]) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        const real *d = spar__decoded(pass, l->d);
        for (int64_t r = 0; d && r < rows; r += SPAR__TOGETHER)
            forward_rows(pass, l, d, r, rows - r < SPAR__TOGETHER ? rows - r : SPAR__TOGETHER);
        spar__arena_rewind(pass->arena, mark);
        return;
    }
    if (rows <= spar__few_rows(pass) || spar__rounds(pass)) {
        for (int64_t r = 0; r < rows; r += SPAR__TOGETHER)
            forward_few(pass, l, r, rows - r < SPAR__TOGETHER ? rows - r : SPAR__TOGETHER);
        return;
    }
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t width = l->modules * l->out, step = chunk_of(l);
    const real *d = spar__decoded(pass, l->d), *e = spar__decoded(pass, l->e);
    real *a = spar__take(pass, step * l->modules * l->in, sizeof *a), *y = spar__data(l->y);
    for (int64_t r = 0; r < l->x->rows && spar__ok(pass); r += step) {
        int64_t n = l->x->rows - r < step ? l->x->rows - r : step;
        for (int64_t i = r; l->bias && i < r + n; i++)
            memcpy(y + i * width, l->bias->value.data, (size_t)width * sizeof *y);
        spar__spread(spar__data(l->x) + r * l->in, d, n, l->modules, l->in, a);
        spar__stop(pass, spar__gemm(false, true, n * l->modules, l->out, l->in, 1, a, l->in, e, l->in,
                                    l->bias ? 1 : 0, y + r * width, l->out));
    }
    spar__arena_rewind(pass->arena, mark);
}

spar__tensor *spar__multiplicative(spar__pass *pass, spar__tensor *x, spar__param *d, spar__param *e,
                                   spar__param *bias) {
    if (!x || !spar__ok(pass)) return NULL;
    layer l = {x, NULL, d, e, bias, d->value.rows, x->cols, e->value.rows};
    if (d->value.cols != x->cols || e->value.cols != x->cols)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: %lld inputs, expected %lld", d->name,
                                           (long long)x->cols, (long long)d->value.cols));
    bool needs = x->needs_grad || d->value.needs_grad || e->value.needs_grad;
    l.y = spar__new(pass, x->rows, l.modules * l.out, needs);
    if (l.y) forward(pass, &l);
    if (needs) spar__push(pass, back, &l, sizeof l);
    return spar__ok(pass) ? l.y : NULL;
}
