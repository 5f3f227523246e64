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

#endif
