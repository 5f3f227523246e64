/* Vectors of n: sums, products, norms. */
#include "kernel/isa/vec.h"

static void add(real *y, const real *x, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void axpy(real *y, real a, const real *x, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

static void scale(real *y, real a, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] *= a;
}

static void mul(real *out, const real *a, const real *b, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}

static real dot(const real *a, const real *b, int64_t n) {
    vec s[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * SPAR__LANES <= n; i += 4 * SPAR__LANES)
        for (int j = 0; j < 4; j++)
            s[j] += vec_load(a + i + j * SPAR__LANES) * vec_load(b + i + j * SPAR__LANES);
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) s[0] += vec_load(a + i) * vec_load(b + i);
    real sum = vec_sum((s[0] + s[1]) + (s[2] + s[3]));
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double sum_squares(const real *x, int64_t n) {
    vec_double s[2] = {{0}};
    int64_t i = 0;
    for (; i + 2 * SPAR__LANES <= n; i += 2 * SPAR__LANES)
        for (int j = 0; j < 2; j++) {
            vec_double v = __builtin_convertvector(vec_load(x + i + j * SPAR__LANES), vec_double);
            s[j] += v * v;
        }
    s[0] += s[1];
    double sum = 0;
    for (int j = 0; j < SPAR__LANES; j++) sum += s[0][j];
    for (; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* 0·x is 0 for every finite x, and NaN for all others. */
static bool finite_all(const real *x, int64_t n) {
    vec s[2] = {{0}};
    int64_t i = 0;
    for (; i + 2 * SPAR__LANES <= n; i += 2 * SPAR__LANES)
        for (int j = 0; j < 2; j++) s[j] += vec_load(x + i + j * SPAR__LANES) * (real)0;
    real sum = vec_sum(s[0] + s[1]);
    for (; i < n; i++) sum += x[i] * (real)0;
    return sum == 0;
}

void SPAR__FN(fill_vector)(spar__kernels *k) {
    k->add = add;
    k->axpy = axpy;
    k->scale = scale;
    k->mul = mul;
    k->dot = dot;
    k->sum_squares = sum_squares;
    k->finite = finite_all;
}
