/* Vectors packed to 8 bits for products with weights in blocks, and tiles of such products. */
#ifndef SPAR_KERNEL_QUANT_H
#define SPAR_KERNEL_QUANT_H

#include "kernel/kernel.h"

/* A vector of n numbers (a multiple of 32): x = d·p, 32 at a time. Sums of p, 16 and 32 at a time,
 * whole and times d. All lie in one piece of memory. */
typedef struct spar__packed {
    const float *d;                  /* [n / 32] */
    const float *scaled32, *scaled16; /* [n / 32], [n / 16] d·sums */
    const int32_t *sums32, *sums16;
    const int8_t *p; /* [n] */
} spar__packed;

static inline size_t spar__packed_bytes(int64_t n) {
    return ((size_t)n + (size_t)n / 32 * 28 + 63) / 64 * 64;
}
static inline spar__packed spar__packed_at(const void *memory, int64_t n) {
    spar__packed v = {.d = memory};
    v.scaled32 = v.d + n / 32;
    v.scaled16 = v.scaled32 + n / 32;
    v.sums32 = (const int32_t *)(v.scaled16 + n / 16);
    v.sums16 = v.sums32 + n / 32;
    v.p = (const int8_t *)(v.sums16 + n / 16);
    return v;
}

enum {
    SPAR__PACKED_OUTPUTS = 64,  /* most weight rows of a tile, which are taken by 16 */
    SPAR__PACKED_DEPTH = 512,   /* elements of them that are unpacked at once */
    SPAR__PACKED_ROWS = 256     /* most vectors of a tile */
};

/* y[r·y_stride + o] = alpha·w[o,:]·x[r,:] + beta·(what was there) for o < n_out ≤ 64 weight rows and n_rows ≤ 256 vectors. */
typedef struct spar__packed_tile {
    const void *w;
    size_t row_bytes;
    int64_t n_out, n_rows, n;
    int64_t n_next; /* rows after these that are wanted next: few vectors leave the time to fetch them */
    const char *x; /* packed vectors, spar__packed_bytes(n) apart */
    real *y;
    int64_t y_stride;
    real alpha, beta;
} spar__packed_tile;

#endif
