/* What kernel/packed.c needs of an instruction set for dense products of its own. */
#ifndef SPAR_KERNEL_PACKED_H
#define SPAR_KERNEL_PACKED_H

#include "kernel/kernel.h"

/* C[m, n] = alpha·A·B + bias + beta·C, bias [n] added to each row (NULL = none). */
typedef struct spar__tile {
    int64_t m, n, k;
    const real *a; /* packed: strips of `rows` rows [k, rows]; else row-major, lda apart */
    int64_t lda;
    bool packed;
    const real *b; /* panels of `cols` columns [k, cols] */
    real alpha, beta;
    const real *bias;
    real *c;
    int64_t ldc;
} spar__tile;

/* The largest sum of SPAR__SHORT_DEPTH products fits 32 bits. */
enum { SPAR__SHORT_TOP = 2895, SPAR__SHORT_DEPTH = 256 };

/* C[m, n] (+)= a_scale[m]·b_scale[n]·(A·Bᵀ) of whole numbers, k even and at most SPAR__SHORT_DEPTH. */
typedef struct spar__short_tile {
    int64_t m, n, k;
    const int16_t *a; /* [m, k] */
    const int16_t *b; /* [n, k] in panels */
    const real *a_scale, *b_scale;
    bool add;
    real *c;
    int64_t ldc;
} spar__short_tile;

#endif
