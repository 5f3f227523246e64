/* AdamW (Loshchilov and Hutter, arXiv 1711.05101), without its decay:
 *     m = β1·m + (1 − β1)·g, v = β2·v + (1 − β2)·g², w −= lr·(m/c1)/(√(v/c2) + eps) */
#include "kernel/isa/functions.h"

static void adamw(real *w, real *m, real *v, const real *g, int64_t n, real lr, real beta1,
                  real beta2, real eps, real correction1, real correction2, real grad_scale) {
    real step = lr / correction1, root = 1 / real_sqrt(correction2);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        real d = g[i] * grad_scale;
        m[i] = beta1 * m[i] + (1 - beta1) * d;
        v[i] = beta2 * v[i] + (1 - beta2) * d * d;
        w[i] -= step * m[i] / (real_sqrt(v[i]) * root + eps);
    }
}

void SPAR__FN(fill_optimiser)(spar__kernels *k) {
    k->adamw = adamw;
}
