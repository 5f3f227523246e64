/* Layer norm (Ba et al. 2016) and RMS norm (Zhang and Sennrich 2019) of one row:
 *     y = xhat·weight + bias, xhat = (x − mean)·r, r = 1/√(mean of (x − mean)² + eps)
 * and with g = dy·weight backward:
 *     dx = r·(g − mean(g) − xhat·mean(g·xhat)); RMS has neither mean nor mean(g). */
#include "kernel/isa/functions.h"

static void norm(real *y, real *stats, const real *x, const real *weight, const real *bias,
                 real eps, bool center, int64_t n) {
    real mean = 0, square = 0;
    if (center) {
#pragma omp simd reduction(+ : mean)
        for (int64_t i = 0; i < n; i++) mean += x[i];
        mean /= (real)n;
    }
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    real r = 1 / real_sqrt(square / (real)n + eps);
    stats[0] = mean;
    stats[1] = r;
    if (bias) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * r * weight[i] + bias[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * r * weight[i];
    }
}

static void norm_back(real *dx, real *dweight, real *dbias, const real *x, const real *weight,
                      const real *stats, const real *dy, bool center, int64_t n, bool add) {
    real mean = stats[0], r = stats[1], sum = 0, product = 0;
    if (dweight) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dweight[i] += dy[i] * ((x[i] - mean) * r);
    }
    if (dbias) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dbias[i] += dy[i];
    }
#pragma omp simd reduction(+ : sum, product)
    for (int64_t i = 0; i < n; i++) {
        real g = dy[i] * weight[i];
        sum += g;
        product += g * ((x[i] - mean) * r);
    }
    sum = center ? sum / (real)n : 0;
    product /= (real)n;
    if (add) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] += r * (dy[i] * weight[i] - sum - (x[i] - mean) * r * product);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = r * (dy[i] * weight[i] - sum - (x[i] - mean) * r * product);
    }
}

void SPAR__FN(fill_norm)(spar__kernels *k) {
    k->norm = norm;
    k->norm_back = norm_back;
}
