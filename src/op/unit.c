/* Each head of each row brought to unit mean square, y = x/√(mean(x²) + eps): the keys of layers that share
 * them with the queries (Kitaev et al. 2020, arXiv 2001.04451, section 2). */
#include <math.h>

#include "op/op.h"

typedef struct unit {
    spar__tensor *x, *y;
    int64_t head_dim;
    real *inverse; /* [rows, heads] */
} unit;

static void unit_back(spar__pass *pass, void *arguments) {
    unit *u = arguments;
    bool add;
    real *dx = u->y->grad_started ? spar__grad(pass, u->x, &add) : NULL;
    if (!dx) return;
    int64_t d = u->head_dim, n = u->x->rows * (u->x->cols / d);
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t h = 0; h < n; h++) {
        const real *y = spar__data(u->y) + h * d, *dy = u->y->grad + h * d;
        real along = k->dot(y, dy, d) / (real)d, scale = u->inverse[h];
        for (int64_t i = 0; i < d; i++) {
            real value = scale * (dy[i] - along * y[i]);
            dx[h * d + i] = add ? dx[h * d + i] + value : value;
        }
    }
}

spar__tensor *spar__unit(spar__pass *pass, spar__tensor *x, int64_t head_dim, double eps) {
    if (!x || !spar__ok(pass)) return NULL;
    int64_t d = head_dim, n = x->rows * (x->cols / d);
    spar__tensor *y = spar__new(pass, x->rows, x->cols, x->needs_grad);
    real *inverse = spar__take(pass, n, sizeof *inverse);
    if (!inverse) return NULL;
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static) if (x->rows > 4)
    for (int64_t h = 0; h < n; h++) {
        const real *from = spar__data(x) + h * d;
        inverse[h] = (real)(1 / sqrt((double)k->dot(from, from, d) / (double)d + eps));
        for (int64_t i = 0; i < d; i++) spar__data(y)[h * d + i] = inverse[h] * from[i];
    }
    if (y->needs_grad) spar__push(pass, unit_back, &(unit){x, y, d, inverse}, sizeof(unit));
    return y;
}
