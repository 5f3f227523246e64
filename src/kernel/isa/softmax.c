/* Softmax of a row, and cross entropy with its gradient.
 * With p = softmax(x), lse = log Σ exp(x), smoothing s (Szegedy et al. 2015) over n classes:
 *     loss = lse − (1 − s)·x[target] − s·mean(x)
 *     d(loss + z·lse²)/dx = p·(1 + 2·z·lse) − s/n − (1 − s)·[target] */
#include "kernel/isa/functions.h"
#include "kernel/isa/vec.h"

enum { BLOCK = 512 }; /* summed in one go; the sums of blocks are added in double */

static real top_of(const real *x, int64_t n) {
    vec top = vec_all(-INFINITY);
    int64_t i = 0;
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) top = vec_max(vec_load(x + i), top);
    real out = vec_top(top);
    for (; i < n; i++) out = x[i] > out ? x[i] : out;
    return out;
}

static double sum_of(const real *x, int64_t n) {
    double total = 0;
    for (int64_t b = 0; b < n; b += BLOCK) {
        int64_t end = b + BLOCK < n ? b + BLOCK : n;
        real sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = b; i < end; i++) sum += x[i];
        total += (double)sum;
    }
    return total;
}

/* x becomes exp(x − top); returns the sum. */
static double exp_all(real *x, int64_t n, real top) {
    double total = 0;
    for (int64_t b = 0; b < n; b += BLOCK) {
        int64_t end = b + BLOCK < n ? b + BLOCK : n;
        real sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = b; i < end; i++) {
            real e = real_exp(x[i] - top);
            x[i] = e;
            sum += e;
        }
        total += (double)sum;
    }
    return total;
}

static void softmax(real *x, int64_t n) {
    real inverse = (real)(1 / exp_all(x, n, top_of(x, n)));
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] *= inverse;
}

static double cross_entropy(real *logits, int64_t n, int64_t target, real scale, real smoothing,
                            real z_loss, double *lse) {
    real top = top_of(logits, n);
    double wanted = (double)logits[target];
    if (smoothing != 0)
        wanted =
            (1 - (double)smoothing) * wanted + (double)smoothing * (sum_of(logits, n) / (double)n);
    double sum = exp_all(logits, n, top);
    *lse = (double)top + log(sum);
    if (scale != 0) {
        real p = (real)((double)scale * (1 + 2 * (double)z_loss * *lse) / sum);
        real spread = scale * smoothing / (real)n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) logits[i] = logits[i] * p - spread;
        logits[target] -= scale * (1 - smoothing);
    }
    return *lse - wanted;
}

void SPAR__FN(fill_softmax)(spar__kernels *k) {
    k->softmax = softmax;
    k->cross_entropy = cross_entropy;
}
