/* Dense products of bf16 matrices with sums in f32: by the library, in pieces that depend on the shape
 * alone, where there are instructions for them; elsewhere both matrices are widened into memory that is
 * kept for the next product. */
#include <pthread.h>

#include "kernel/gemm.h"

typedef struct wide {
    real *numbers;
    size_t capacity;
} wide;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static wide wide_a, wide_b; /* under the lock */

static spar_status widen(wide *w, const uint16_t *x, int64_t rows, int64_t cols, int64_t ld) {
    size_t count;
    if (!spar__mul((size_t)rows, (size_t)cols, &count))
        return spar__fail(SPAR_ERR_LIMIT, "matrix of %lld×%lld is too large", (long long)rows,
                          (long long)cols);
    if (count > w->capacity) {
        real *larger = spar__array(count, sizeof *larger);
        if (!larger) return SPAR_ERR_MEMORY;
        spar__free(w->numbers);
        *w = (wide){larger, count};
    }
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++) k->from_bf16(w->numbers + i * cols, x + i * ld, cols);
    return SPAR_OK;
}

static bool by_library(const spar__bf16_product *p) {
    spar__grid g = spar__grid_for(p->m, p->n, p->k);
    int failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(| : failed)
    for (int64_t t = 0; t < g.tiles; t++) {
        spar__piece at = spar__grid_at(&g, t, p->m, p->n);
        spar__bf16_product tile = *p;
        tile.m = at.m;
        tile.n = at.n;
        tile.a = p->a + (p->transpose_a ? at.i : at.i * p->lda);
        tile.b = p->b + (p->transpose_b ? at.j * p->ldb : at.j);
        tile.c = p->c + at.i * p->ldc + at.j;
        failed |= !spar__bf16_product_tile(&tile);
    }
    return !failed;
}

static spar_status widened(const spar__bf16_product *p) {
    int64_t a_cols = p->transpose_a ? p->m : p->k, b_cols = p->transpose_b ? p->k : p->n;
    pthread_mutex_lock(&lock);
    spar_status status = widen(&wide_a, p->a, p->transpose_a ? p->k : p->m, a_cols, p->lda);
    if (status == SPAR_OK) status = widen(&wide_b, p->b, p->transpose_b ? p->n : p->k, b_cols, p->ldb);
    if (status == SPAR_OK)
        status = spar__gemm(p->transpose_a, p->transpose_b, p->m, p->n, p->k, p->alpha, wide_a.numbers, a_cols,
                            wide_b.numbers, b_cols, p->beta, p->c, p->ldc);
    pthread_mutex_unlock(&lock);
    return status;
}

spar_status spar__gemm_bf16(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            real alpha, const uint16_t *a, int64_t lda, const uint16_t *b,
                            int64_t ldb, real beta, real *c, int64_t ldc) {
    spar__bf16_product p = {transpose_a, transpose_b, m, n, k, alpha, beta, a, lda, b, ldb, c, ldc};
    if (!spar__gemm_bf16_fast() || m <= 0 || n <= 0 || k <= 0) return widened(&p);
    if (by_library(&p)) return SPAR_OK;
    return spar__fail(SPAR_ERR_MEMORY, "%s: bf16 product of %lld×%lld×%lld: no memory", spar__gemm_library(),
                      (long long)m, (long long)n, (long long)k);
}
