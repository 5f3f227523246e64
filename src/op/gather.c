/* Rows made of other rows of their sequence: one for a whole sequence (pooling), and a row with its
 * neighbours side by side (the input of a convolution along the sequence). */
#include <math.h>
#include <string.h>

#include "op/op.h"

const char *const spar__pooling_names[] = {"mean", "cls", "last", NULL};

typedef struct gathered {
    spar__tensor *x, *y;
    spar__pooling pooling;
    int64_t before, after;
} gathered;

static real *started_grad(spar__pass *pass, spar__tensor *t) {
    spar__grad_ready(pass, t);
    return t->needs_grad && spar__ok(pass) ? t->grad : NULL;
}

/* ---- y[s] = the first, the last, or the mean of the rows of sequence s ---- */

static int64_t picked_row(const spar__sequence *s, spar__pooling pooling) {
    return s->begin + (pooling == SPAR__POOL_LAST ? s->count - 1 : 0);
}

static void pool_back(spar__pass *pass, void *arguments) {
    gathered *g = arguments;
    real *dx = g->y->grad_started ? started_grad(pass, g->x) : NULL;
    int64_t d = g->x->cols;
    for (int s = 0; dx && s < pass->rows->n_sequences; s++) {
        const spar__sequence *q = &pass->rows->sequences[s];
        const real *dy = g->y->grad + s * d;
        if (g->pooling != SPAR__POOL_MEAN) {
            if (q->count) spar__k()->add(dx + picked_row(q, g->pooling) * d, dy, d);
            continue;
        }
        for (int64_t r = 0; r < q->count; r++)
            spar__k()->axpy(dx + (q->begin + r) * d, 1 / (real)q->count, dy, d);
    }
}

spar__tensor *spar__pool(spar__pass *pass, spar__tensor *x, spar__pooling pooling) {
    if (!x || !spar__ok(pass)) return NULL;
    int64_t n = pass->rows->n_sequences, d = x->cols;
    spar__tensor *y = spar__new(pass, n, d, x->needs_grad);
    if (!y) return NULL;
    memset(y->data, 0, (size_t)(n * d) * sizeof(real));
    for (int64_t s = 0; s < n; s++) {
        const spar__sequence *q = &pass->rows->sequences[s];
        real *out = spar__data(y) + s * d;
        if (!q->count) continue;
        if (pooling != SPAR__POOL_MEAN) {
            memcpy(out, spar__data(x) + picked_row(q, pooling) * d, (size_t)d * sizeof *out);
            continue;
        }
        for (int64_t r = 0; r < q->count; r++) spar__k()->add(out, spar__data(x) + (q->begin + r) * d, d);
        spar__k()->scale(out, 1 / (real)q->count, d);
    }
    if (y->needs_grad) spar__push(pass, pool_back, &(gathered){x, y, pooling, 0, 0}, sizeof(gathered));
    return y;
}

spar__tensor *spar__unit_rows(spar__tensor *x) {
    for (int64_t r = 0; r < x->rows; r++) {
        real *row = spar__data(x) + r * x->cols;
        double size = sqrt(spar__k()->sum_squares(row, x->cols));
        if (size > 0) spar__k()->scale(row, (real)(1 / size), x->cols);
    }
    return x;
}

/* ---- y[r, i, k] = x[r + k − before, i], zeros beyond the sequence ---- */

/* Forward: rows are gathered. Backward: row r gathers what it gave to the rows around it. */
static void neighbours(const spar__rows *rows, const gathered *g, real *wide, real *narrow, bool back) {
    int64_t d = g->x->cols, width = g->before + g->after + 1;
    for (int s = 0; s < rows->n_sequences; s++) {
        const spar__sequence *q = &rows->sequences[s];
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < q->count; r++)
            for (int64_t k = 0; k < width; k++) {
                int64_t other = back ? r - (k - g->before) : r + k - g->before;
                if (other < 0 || other >= q->count) continue;
                real *in = narrow + (q->begin + (back ? r : other)) * d;
                real *out = wide + (q->begin + (back ? other : r)) * width * d + k;
                for (int64_t i = 0; i < d; i++) {
                    if (back) in[i] += out[i * width];
                    else out[i * width] = in[i];
                }
            }
    }
}

static void neighbours_back(spar__pass *pass, void *arguments) {
    gathered *g = arguments;
    real *dx = g->y->grad_started ? started_grad(pass, g->x) : NULL;
    if (dx) neighbours(pass->rows, g, g->y->grad, dx, true);
}

spar__tensor *spar__neighbours(spar__pass *pass, spar__tensor *x, int64_t before, int64_t after) {
    if (!x || !spar__ok(pass)) return NULL;
    gathered g = {.x = x, .before = before, .after = after};
    g.y = spar__new(pass, x->rows, x->cols * (before + after + 1), x->needs_grad);
    if (!g.y) return NULL;
    memset(g.y->data, 0, (size_t)(g.y->rows * g.y->cols) * sizeof(real));
    neighbours(pass->rows, &g, spar__data(g.y), spar__data(x), false);
    if (g.y->needs_grad) spar__push(pass, neighbours_back, &g, sizeof g);
    return g.y;
}
