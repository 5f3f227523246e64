/* Losses beside the cross entropy: see observe.h. Sums over rows are made in parts of SPAR__ROW_CHUNK
 * rows, added in their order, so that they are the same at any number of threads. */
#include <math.h>
#include <string.h>

#include "op/observe.h"
#include "op/op.h"

typedef struct added {
    spar__tensor *loss;
    real weight;
} added;

static void added_back(spar__pass *pass, void *arguments) {
    added *a = arguments;
    bool add;
    real *d = spar__grad(pass, a->loss, &add);
    if (d) *d = (add ? *d : 0) + a->weight;
}

void spar__add_loss(spar__pass *pass, const char *name, spar__tensor *loss, double weight) {
    if (!loss || weight == 0 || !spar__ok(pass)) return;
    spar__observe_loss(pass, name, (double)*spar__data(loss), weight);
    double scale = pass->loss_scale > 0 ? pass->loss_scale : 1;
    if (loss->needs_grad)
        spar__push(pass, added_back, &(added){loss, (real)(weight * scale)}, sizeof(added));
}

/* ---- Balance: dp[row, g, i] = n·f_i/(rows·groups) · dloss ---- */

typedef struct balance {
    spar__tensor *p, *loss;
    real *f; /* [groups·n]: n·f_i/(rows·groups) */
} balance;

static void balance_back(spar__pass *pass, void *arguments) {
    balance *b = arguments;
    bool add;
    real *dp = b->loss->grad_started ? spar__grad(pass, b->p, &add) : NULL;
    if (!dp) return;
    int64_t rows = b->p->rows, cols = b->p->cols;
    real d = *b->loss->grad;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        if (!add) memset(dp + r * cols, 0, (size_t)cols * sizeof *dp);
        spar__k()->axpy(dp + r * cols, d, b->f, cols);
    }
}

spar__tensor *spar__balance_loss(spar__pass *pass, spar__tensor *p, const int64_t *counts,
                                 int64_t groups) {
    if (!p || !spar__wants_loss(pass) || !p->rows) return NULL;
    int64_t rows = p->rows, cols = p->cols, n = cols / groups;
    spar__tensor *loss = spar__new(pass, 1, 1, p->needs_grad);
    real *f = spar__take(pass, cols, sizeof *f);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t parts = (rows + SPAR__ROW_CHUNK - 1) / SPAR__ROW_CHUNK;
    double *sums = spar__take(pass, parts, sizeof *sums);
    if (!loss || !f || !sums) return NULL;
    double scale = (double)n / ((double)rows * (double)rows * (double)groups), sum = 0;
    for (int64_t i = 0; i < cols; i++) f[i] = (real)(scale * (double)counts[i]);
#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < parts; part++) {
        int64_t end = (part + 1) * SPAR__ROW_CHUNK;
        sums[part] = 0;
        for (int64_t r = part * SPAR__ROW_CHUNK; r < rows && r < end; r++)
            sums[part] += (double)spar__k()->dot(spar__data(p) + r * cols, f, cols);
    }
    for (int64_t part = 0; part < parts; part++) sum += sums[part];
    spar__arena_rewind(pass->arena, mark);
    *spar__data(loss) = (real)sum;
    if (loss->needs_grad) spar__push(pass, balance_back, &(balance){p, loss, f}, sizeof(balance));
    return loss;
}

/* ---- z: with L = lse(row), dlogits = 2·L/rows · softmax(row) · dloss ---- */

typedef struct z_loss {
    spar__tensor *logits, *loss;
    double *lse; /* [rows] */
} z_loss;

static void z_loss_back(spar__pass *pass, void *arguments) {
    z_loss *z = arguments;
    bool add;
    real *d = z->loss->grad_started ? spar__grad(pass, z->logits, &add) : NULL;
    if (!d) return;
    int64_t rows = z->logits->rows, cols = z->logits->cols;
    double scale = 2 * (double)*z->loss->grad / (double)rows;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) {
            double x = (double)spar__data(z->logits)[r * cols + i];
            real slope = (real)(scale * z->lse[r] * exp(x - z->lse[r]));
            d[r * cols + i] = add ? d[r * cols + i] + slope : slope;
        }
}

static double log_sum_exp(const real *x, int64_t n) {
    double most = (double)x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) most = fmax(most, (double)x[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
    return most + log(sum);
}

spar__tensor *spar__z_loss(spar__pass *pass, spar__tensor *logits) {
    if (!logits || !spar__wants_loss(pass) || !logits->rows) return NULL;
    int64_t rows = logits->rows, cols = logits->cols;
    spar__tensor *loss = spar__new(pass, 1, 1, logits->needs_grad);
    double *lse = spar__take(pass, rows, sizeof *lse), sum = 0;
    if (!loss || !lse) return NULL;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) lse[r] = log_sum_exp(spar__data(logits) + r * cols, cols);
    for (int64_t r = 0; r < rows; r++) sum += lse[r] * lse[r];
    *spar__data(loss) = (real)(sum / (double)rows);
    if (loss->needs_grad) spar__push(pass, z_loss_back, &(z_loss){logits, loss, lse}, sizeof(z_loss));
    return loss;
}
