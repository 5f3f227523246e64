/* Levels −1, 0 and 1 for weights that were trained so: d = max |x|, round(x/d) (BitNet b1.58, Ma et
 * al. 2024, arXiv 2402.17764). q is the level + 1. */
#ifndef SPAR_KERNEL_QUANT_TERNARY_H
#define SPAR_KERNEL_QUANT_TERNARY_H

#include "kernel/quant/search.h"

static inline float ternary_levels(const real *x, uint8_t *q) {
    float d = fabsf(farthest(x, SUPER)), inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < SUPER; i++) {
        float a = roundf((float)x[i] * inverse);
        q[i] = (uint8_t)(a >= 1 ? 2 : a <= -1 ? 0 : 1);
    }
    return d;
}

#endif
