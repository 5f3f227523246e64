/* exp, tanh and erf without branches, so that loops over them vectorise: relative errors of about
 * 1e-7 (a few units in the last place). The polynomials are minimax fits made for these ranges.
 * In the f64 variant they are libm's, so that gradients can be checked to 1e-8. */
#ifndef SPAR_KERNEL_ISA_FUNCTIONS_H
#define SPAR_KERNEL_ISA_FUNCTIONS_H

#include <math.h>

#include "kernel/isa/half.h"

#ifdef SPAR_REAL_DOUBLE

static inline real real_exp(real x) {
    return exp(x);
}
static inline real real_tanh(real x) {
    return tanh(x);
}
static inline real real_erf(real x) {
    return erf(x);
}
static inline real real_sqrt(real x) {
    return sqrt(x);
}

#else

static inline real real_sqrt(real x) {
    return sqrtf(x);
}

/* exp(x) = 2^n·exp(r), |r| ≤ ln(2)/2, exp(r) = 1 + r + r²·P(r). 1.5·2^23 added to a number leaves
 * its nearest integer in the low bits. 2^n is applied in two steps, since n reaches beyond the
 * exponents of a float at both ends: overflow gives infinity, underflow denormals and 0. */
static inline real real_exp(real x) {
    const float shift = 0x1.8p23f;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float t = x * 1.442695041f + shift, n = t - shift;
    float r = (x - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f;
    float p = 1.395054042e-3f;
    p = p * r + 8.368917877e-3f;
    p = p * r + 4.166620506e-2f;
    p = p * r + 1.666651860e-1f;
    p = p * r + 5.000000095e-1f;
    int32_t k = (int32_t)(bits_of(t) - bits_of(shift)), half = k >> 1;
    float low = of_bits((uint32_t)(half + 127) << 23);
    float high = of_bits((uint32_t)(k - half + 127) << 23);
    return (1.0f + (r + r * r * p)) * low * high;
}

/* x + x³·P(x²) near 0, else 1 − 2/(exp(2|x|) + 1). */
static inline real real_tanh(real x) {
    float a = fabsf(x), s = x * x;
    float p = -5.717045611e-3f;
    p = p * s + 2.065058787e-2f;
    p = p * s - 5.374349829e-2f;
    p = p * s + 1.333149129e-1f;
    p = p * s - 3.333328393e-1f;
    float near = x + x * s * p, far = 1.0f - 2.0f / (real_exp(2.0f * a) + 1.0f);
    return a < 0.625f ? near : copysignf(far, x);
}

/* x·P(x²) up to 1, then 1 − exp(Q(x)), where Q fits log(erfc) on [1, 4]; beyond, it is 1. */
static inline real real_erf(real x) {
    float s = x * x, a = fabsf(x);
    float t = a > 4.0f ? 4.0f : a;
    float p = 7.853896676e-5f;
    p = p * s - 8.010205207e-4f;
    p = p * s + 5.188329149e-3f;
    p = p * s - 2.685381282e-2f;
    p = p * s + 1.128358517e-1f;
    p = p * s - 3.761262583e-1f;
    p = p * s + 1.128379166e+0f;
    float q = 1.863784002e-4f;
    q = q * t - 2.947650948e-3f;
    q = q * t + 2.183803609e-2f;
    q = q * t - 1.031066991e-1f;
    q = q * t - 6.381448937e-1f;
    q = q * t - 1.127089155e+0f;
    q = q * t - 3.415312906e-4f;
    float far = 1.0f - real_exp(q);
    return a < 1.0f ? x * p : copysignf(far, x);
}

#endif
#endif
