/* A dense layer for each module; two rows joined piece by piece; and the first columns alone. */
#include <string.h>

#include "op/modules.h"
#include "op/product.h"

typedef struct layer {
    spar__tensor *x, *y;
    spar__param *k, *bias;
    int64_t modules, in, out; /* of a module */
} layer;

static void back(spar__pass *pass, void *arguments) {
    layer *l = arguments;
    if (!l->y->grad_started) return;
    bool add_x = false, add_k = false, add;
    int64_t rows = l->x->rows, from = l->x->cols, to = l->y->cols;
    real *dx = spar__grad(pass, l->x, &add_x), *dk = spar__grad(pass, &l->k->value, &add_k);
    real *db = l->bias ? spar__grad(pass, &l->bias->value, &add) : NULL;
    if (db) spar__add_column_sums(db, l->y->grad, rows, to, add);
    for (int64_t s = 0; s < l->modules && spar__ok(pass); s++) {
        const real *dy = l->y->grad + s * l->out, *x = spar__data(l->x) + s * l->in;
        const real *k = spar__data(&l->k->value) + s * l->out * l->in;
        if (dx)
            spar__stop(pass, spar__gemm(false, false, rows, l->in, l->out, 1, dy, to, k, l->in, add_x ? 1 : 0,
                                        dx + s * l->in, from));
        if (dk)
            spar__stop(pass, spar__gemm(true, false, l->out, l->in, rows, 1, dy, to, x, from, add_k ? 1 : 0,
                                        dk + s * l->out * l->in, l->in));
    }
}

/* A token or a few: the weights are read once, as they are stored. */
static void forward_few(const layer *l, spar__tensor *y) {
    const spar__tensor *w = &l->k->value, *x = l->x;
    size_t row_bytes = 0;
    spar__row_bytes(w->type, (size_t)w->cols, &row_bytes);
#pragma omp parallel for schedule(static)
    for (int64_t s = 0; s < l->modules; s++)
        for (int64_t r = 0; r < x->rows; r++) {
            real *to = spar__data(y) + r * y->cols + s * l->out;
            spar__k()->rows_dot[w->type](to, (const char *)w->data + (size_t)(s * l->out) * row_bytes, row_bytes,
                                         spar__data(x) + r * x->cols + s * l->in, l->out, l->in);
            if (l->bias) spar__k()->add(to, (const real *)l->bias->value.data + s * l->out, l->out);
        }
}

static void forward_many(spar__pass *pass, const layer *l, spar__tensor *y) {
    spar__arena_mark mark = spar__arena_here(pass->arena);
    const real *weights = spar__decoded(pass, l->k);
    real *out = spar__data(y);
    for (int64_t r = 0; l->bias && r < y->rows; r++)
        memcpy(out + r * y->cols, l->bias->value.data, (size_t)y->cols * sizeof *out);
    for (int64_t s = 0; s < l->modules && spar__ok(pass); s++)
        spar__stop(pass, spar__gemm(false, true, y->rows, l->out, l->in, 1, spar__data(l->x) + s * l->in, l->x->cols,
                                    weights + s * l->out * l->in, l->in, l->bias ? 1 : 0, out + s * l->out, y->cols));
    spar__arena_rewind(pass->arena, mark);
}

spar__tensor *spar__modular(spar__pass *pass, spar__tensor *x, spar__param *k, spar__param *bias) {
    if (!x || !spar__ok(pass)) return NULL;
    layer l = {.x = x, .k = k, .bias = bias, .modules = k->shape[0], .in = k->shape[2], .out = k->shape[1]};
    if (x->cols != l.modules * l.in)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: %lld inputs, expected %lld", k->name,
                                           (long long)x->cols, (long long)(l.modules * l.in)));
    bool needs = x->needs_grad || k->value.needs_grad;
    l.y = spar__new(pass, x->rows, l.modules * l.out, needs);
    if (!l.y) return NULL;
    if (x->rows <= spar__few_rows(pass)) forward_few(&l, l.y);
    else forward_many(pass, &l, l.y);
    if (needs) spar__push(pass, back, &l, sizeof l);
    return spar__ok(pass) ? l.y : NULL;
}

/* ---- Joining ---- */

typedef struct joined {
    spar__tensor *part[2], *y;
    int64_t width;
} joined;

/* Piece i of a row of part p stands at (2·i + p)·width. */
static void join_back(spar__pass *pass, void *arguments) {
    joined *j = arguments;
    if (!j->y->grad_started) return;
    for (int p = 0; p < 2; p++) {
        bool add;
        real *d = spar__grad(pass, j->part[p], &add);
        int64_t cols = j->part[p]->cols, w = j->width;
        for (int64_t r = 0; d && r < j->y->rows; r++)
            for (int64_t i = 0; i < cols / w; i++) {
                real *to = d + r * cols + i * w;
                const real *from = j->y->grad + r * j->y->cols + (2 * i + p) * w;
                if (add) spar__k()->add(to, from, w);
                else memcpy(to, from, (size_t)w * sizeof *to);
            }
    }
}

spar__tensor *spar__join(spar__pass *pass, spar__tensor *a, spar__tensor *b, int64_t width) {
    if (!a || !b || !spar__ok(pass)) return NULL;
    if (a->rows != b->rows || a->cols != b->cols || a->cols % width)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "joined rows of %lld and %lld in pieces of %lld",
                                           (long long)a->cols, (long long)b->cols, (long long)width));
    bool needs = a->needs_grad || b->needs_grad;
    joined j = {{a, b}, spar__new(pass, a->rows, 2 * a->cols, needs), width};
    if (!j.y) return NULL;
    for (int p = 0; p < 2; p++)
        for (int64_t r = 0; r < a->rows; r++)
            for (int64_t i = 0; i < a->cols / width; i++)
                memcpy(spar__data(j.y) + r * j.y->cols + (2 * i + p) * width,
                       spar__data(j.part[p]) + r * a->cols + i * width, (size_t)width * sizeof(real));
    if (needs) spar__push(pass, join_back, &j, sizeof j);
    return j.y;
}

/* ---- The first columns ---- */

static void columns_back(spar__pass *pass, void *arguments) {
    joined *j = arguments;
    bool add;
    real *d = j->y->grad_started ? spar__grad(pass, j->part[0], &add) : NULL;
    if (!d) return;
    int64_t from = j->y->cols, to = j->part[0]->cols;
    for (int64_t r = 0; r < j->y->rows; r++) {
        if (!add) memset(d + r * to, 0, (size_t)to * sizeof *d);
        spar__k()->add(d + r * to, j->y->grad + r * from, from);
    }
}

spar__tensor *spar__columns(spar__pass *pass, spar__tensor *x, int64_t n) {
    if (!x || !spar__ok(pass) || x->cols == n) return x;
    joined j = {{x, NULL}, spar__new(pass, x->rows, n, x->needs_grad), 0};
    for (int64_t r = 0; j.y && r < x->rows; r++)
        memcpy(spar__data(j.y) + r * n, spar__data(x) + r * x->cols, (size_t)n * sizeof(real));
    if (j.y && x->needs_grad) spar__push(pass, columns_back, &j, sizeof j);
    return j.y;
}
