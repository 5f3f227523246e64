/* Rotary positions (Su et al., arXiv 2104.09864): pairs of elements are turned by angles. */
#include "kernel/isa/isa.h"

static void rotate(real *x, const real *cosine, const real *sine, int64_t n, bool halves,
                   int sign) {
    int64_t half = n / 2;
    real s = (real)sign;
    if (halves) {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            real a = x[i], b = x[i + half];
            x[i] = a * cosine[i] - s * sine[i] * b;
            x[i + half] = b * cosine[i] + s * sine[i] * a;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            real a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cosine[i] - s * sine[i] * b;
            x[2 * i + 1] = b * cosine[i] + s * sine[i] * a;
        }
    }
}

void SPAR__FN(fill_rotary)(spar__kernels *k) {
    k->rotate = rotate;
}
