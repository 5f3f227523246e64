/* Rotary positions (Su et al. 2021, arXiv 2104.09864). Works in place: nobody needs the unrotated
 * values, and turning the gradient back in place is the backward pass. */
#include "op/op.h"

typedef struct rotary {
    spar__tensor *x;
    int64_t head_dim, n;
    const real *cosine, *sine;
    const int32_t *positions;
    bool halves;
} rotary;

static void turn(const rotary *a, real *data, int sign) {
    int64_t rows = a->x->rows, cols = a->x->cols;
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static) if (rows > 4)
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = a->positions[r] * (a->n / 2);
        for (int64_t h = 0; h + a->head_dim <= cols; h += a->head_dim)
            k->rotate(data + r * cols + h, a->cosine + at, a->sine + at, a->n, a->halves, sign);
    }
}

static void rotary_back(spar__pass *pass, void *arguments) {
    (void)pass;
    rotary *a = arguments;
    if (a->x->grad_started) turn(a, a->x->grad, -1);
}

spar__tensor *spar__rotary(spar__pass *pass, spar__tensor *x, int64_t head_dim, const real *cosine,
                           const real *sine, int64_t n, bool halves, const int32_t *positions) {
    if (!x || !spar__ok(pass)) return NULL;
    rotary a = {x, head_dim, n, cosine, sine, positions, halves};
    turn(&a, spar__data(x), 1);
    if (x->needs_grad) spar__push(pass, rotary_back, &a, sizeof a);
    return x;
}
