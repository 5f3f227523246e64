/* One product on one thread: what gemm.c needs of a library. */
#ifndef SPAR_KERNEL_GEMM_H
#define SPAR_KERNEL_GEMM_H

#include "kernel/kernel.h"

typedef struct spar__product {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    real alpha, beta;
    const real *a;
    int64_t lda;
    const real *b;
    int64_t ldb;
    real *c;
    int64_t ldc;
    const real *bias; /* [n], added to each row, or NULL: kernel/packed.c only */
} spar__product;

/* Called within a parallel region, several at once. False when the library refuses. */
bool spar__product_tile(const spar__product *p);

/* The whole product by our own kernels, on all threads. False without memory. */
bool spar__packed_gemm(const spar__product *p);

#endif
