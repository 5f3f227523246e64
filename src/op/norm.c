/* Layer norm (Ba et al. 2016) and RMS norm (Zhang and Sennrich 2019) of each row:
 * y = (x − mean)/√(variance + eps)·weight + bias; RMS leaves the mean out. */
#include <string.h>

#include "op/op.h"

typedef struct norm {
    spar__tensor *x, *y;
    spar__param *weight, *bias;
    real *stats; /* [rows, 2] */
    bool center;
} norm;

/* Rows that one partial sum of the weights' gradients covers: at most 16 partial sums. */
static int64_t rows_of_part(int64_t rows) {
    int64_t n = (rows + 15) / 16;
    return n < SPAR__ROW_CHUNK ? SPAR__ROW_CHUNK : n;
}

static void fold(real *out, const real *parts, int64_t n_parts, int64_t d, bool add) {
    if (!add) memset(out, 0, (size_t)d * sizeof *out);
    for (int64_t p = 0; p < n_parts; p++) spar__k()->add(out, parts + 2 * p * d, d);
}

static void norm_back(spar__pass *pass, void *arguments) {
    norm *a = arguments;
    if (!a->y->grad_started) return;
    int64_t rows = a->x->rows, d = a->x->cols, step = rows_of_part(rows);
    int64_t n_parts = (rows + step - 1) / step;
    bool add = false, add_weight, add_bias;
    real *dx = spar__grad(pass, a->x, &add);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *parts = spar__take(pass, n_parts * 2 * d, sizeof(real));
    real *spare = dx ? NULL : spar__take(pass, n_parts * d, sizeof(real));
    if (!parts || (!dx && !spare)) return;
    const spar__kernels *k = spar__k();
    const real *x = spar__data(a->x), *dy = a->y->grad;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < n_parts; p++) {
        real *part = parts + 2 * p * d;
        memset(part, 0, (size_t)(2 * d) * sizeof *part);
        int64_t end = (p + 1) * step < rows ? (p + 1) * step : rows;
        for (int64_t r = p * step; r < end; r++)
            k->norm_back(dx ? dx + r * d : spare + p * d, part, part + d, x + r * d,
                         a->weight->value.data, a->stats + 2 * r, dy + r * d, a->center, d, add && dx);
    }
    real *dweight = spar__grad(pass, &a->weight->value, &add_weight);
    real *dbias = a->bias ? spar__grad(pass, &a->bias->value, &add_bias) : NULL;
    if (dweight) fold(dweight, parts, n_parts, d, add_weight);
    if (dbias) fold(dbias, parts + d, n_parts, d, add_bias);
    spar__arena_rewind(pass->arena, mark);
    spar__grad_done(pass, a->y);
}

spar__tensor *spar__norm(spar__pass *pass, spar__tensor *x, spar__param *weight, spar__param *bias,
                         double eps, bool center) {
    if (!x || !spar__ok(pass)) return NULL;
    int64_t rows = x->rows, d = x->cols;
    bool needs = x->needs_grad || weight->value.needs_grad;
    spar__tensor *y = spar__new(pass, rows, d, needs);
    real *stats = spar__take(pass, 2 * rows, sizeof *stats);
    if (!stats) return NULL;
    const spar__kernels *k = spar__k();
    const real *b = bias ? bias->value.data : NULL;
#pragma omp parallel for schedule(static) if (rows > 4)
    for (int64_t r = 0; r < rows; r++)
        k->norm(spar__data(y) + r * d, stats + 2 * r, spar__data(x) + r * d, weight->value.data, b,
                (real)eps, center, d);
    if (needs)
        spar__push(pass, norm_back, &(norm){x, y, weight, bias, stats, center}, sizeof(norm));
    return y;
}
