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

/* C in f32 of A and B in bf16. */
typedef struct spar__bf16_product {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    real alpha, beta;
    const uint16_t *a;
    int64_t lda;
    const uint16_t *b;
    int64_t ldb;
    real *c;
    int64_t ldc;
} spar__bf16_product;

/* As spar__product_tile, where spar__gemm_bf16_fast(); false elsewhere. */
bool spar__bf16_product_tile(const spar__bf16_product *p);

/* The pieces of an m × n product, cut by its shape alone: `rows` × `cols` each, `across` beside one another. */
typedef struct spar__grid {
    int64_t rows, cols, across, tiles;
} spar__grid;
spar__grid spar__grid_for(int64_t m, int64_t n, int64_t k);

/* One of them: rows i … i + m − 1 and columns j … j + n − 1. */
typedef struct spar__piece {
    int64_t i, j, m, n;
} spar__piece;
static inline spar__piece spar__grid_at(const spar__grid *g, int64_t index, int64_t m, int64_t n) {
    spar__piece p = {.i = index / g->across * g->rows, .j = index % g->across * g->cols};
    p.m = m - p.i < g->rows ? m - p.i : g->rows;
    p.n = n - p.j < g->cols ? n - p.j : g->cols;
    return p;
}

/* The whole product by our own kernels, on all threads. False without memory. */
bool spar__packed_gemm(const spar__product *p);

#endif
