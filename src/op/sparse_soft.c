/* The soft branch: every neuron takes part, h = relu((x·W1)·m), y = h·W2 + bias. */
#include <string.h>

#include "op/product.h"
#include "op/sparse_inside.h"

/* out = relu(pre·m), elements [begin, begin + n). */
static void mask(const spar__sparse_pass *s, real *out, int64_t begin, int64_t n) {
    spar__k()->mul(out, s->pre + begin, s->m + begin, n);
    for (int64_t i = 0; i < n; i++) out[i] = out[i] > 0 ? out[i] : 0;
}

static real *hidden_of(spar__pass *pass, const spar__sparse_pass *s) {
    real *h = spar__take(pass, s->rows * s->d_ff, sizeof *h);
    if (!h) return NULL;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < s->rows; r++) mask(s, h + r * s->d_ff, r * s->d_ff, s->d_ff);
    return h;
}

void spar__sparse_soft(spar__pass *pass, spar__sparse_pass *s) {
    const real *w = spar__data(&s->w->value);
    int64_t d = s->d;
    spar__stop(pass, spar__gemm(false, true, s->rows, s->d_ff, d, 1, spar__data(s->x), d, w, 2 * d, 0, s->pre, s->d_ff));
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *h = hidden_of(pass, s), *y = spar__data(s->y);
    for (int64_t r = 0; h && s->bias && r < s->rows; r++)
        memcpy(y + r * d, s->bias->value.data, (size_t)d * sizeof *y);
    if (h)
        spar__stop(pass, spar__gemm(false, false, s->rows, d, s->d_ff, 1, h, s->d_ff, w + d, 2 * d,
                                    s->bias ? 1 : 0, y, d));
    spar__arena_rewind(pass->arena, mark);
}

/* dh becomes dpre, and dm = pre·dL/d(pre·m). */
static void mask_back(const spar__sparse_pass *s, const real *h, real *dh, real *dm, int64_t n) {
    const real *pre = s->pre, *m = s->m;
    for (int64_t i = 0; i < n; i++) {
        real d = h[i] > 0 ? dh[i] : 0;
        dm[i] = d * pre[i];
        dh[i] = d * m[i];
    }
}

void spar__sparse_soft_back(spar__pass *pass, const spar__sparse_pass *s) {
    bool add_x, add_w;
    int64_t d = s->d, f = s->d_ff, rows = s->rows;
    const real *w = spar__data(&s->w->value), *dy = s->y->grad, *x = spar__data(s->x);
    real *dx = spar__grad(pass, s->x, &add_x), *dw = spar__grad(pass, &s->w->value, &add_w);
    spar__grad_room(pass, s->g);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *h = hidden_of(pass, s), *dh = spar__take(pass, rows * f, sizeof *dh);
    real *dm = spar__take(pass, rows * f, sizeof *dm);
    if (spar__ok(pass)) {
        spar__stop(pass, spar__gemm(false, true, rows, f, d, 1, dy, d, w + d, 2 * d, 0, dh, f));
        if (dw)
            spar__stop(pass, spar__gemm(true, false, f, d, rows, 1, h, f, dy, d, add_w ? 1 : 0, dw + d, 2 * d));
        mask_back(s, h, dh, dm, rows * f);
        if (dx) spar__stop(pass, spar__gemm(false, false, rows, d, f, 1, dh, f, w, 2 * d, add_x ? 1 : 0, dx, d));
        if (dw)
            spar__stop(pass, spar__gemm(true, false, f, d, rows, 1, dh, f, x, d, add_w ? 1 : 0, dw, 2 * d));
        spar__sparse_choice_back(pass, s, NULL, dm);
    }
    spar__arena_rewind(pass->arena, mark);
}
