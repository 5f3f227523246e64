/* Dense products of bf16 matrices with sums in f32. Without instructions for them, both matrices
 * are widened into memory that is kept for the next product. */
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

spar_status spar__gemm_bf16(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            real alpha, const uint16_t *a, int64_t lda, const uint16_t *b,
                            int64_t ldb, real beta, real *c, int64_t ldc) {
    int64_t a_cols = transpose_a ? m : k, b_cols = transpose_b ? k : n;
    pthread_mutex_lock(&lock);
    spar_status status = widen(&wide_a, a, transpose_a ? k : m, a_cols, lda);
    if (status == SPAR_OK) status = widen(&wide_b, b, transpose_b ? n : k, b_cols, ldb);
    if (status == SPAR_OK)
        status = spar__gemm(transpose_a, transpose_b, m, n, k, alpha, wide_a.numbers, a_cols,
                            wide_b.numbers, b_cols, beta, c, ldc);
    pthread_mutex_unlock(&lock);
    return status;
}

bool spar__gemm_bf16_fast(void) {
    return false;
}
