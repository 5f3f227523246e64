/* Products of two thin matrices by rows: c[i,j] = a[i]·b[j], four rows of a by three of b at a time, so that twelve
 * sums run along k at once. No packing: what is multiplied once is not worth it. And the largest of a vector. */
#include "kernel/isa/functions.h"
#include "kernel/isa/vec.h"

enum { DOWN = 4, ACROSS = 3 };

/* `down` and `across` are constant in each use. */
SPAR__INLINE void tile(real *c, int64_t ldc, const real *a, int64_t lda, int down, const real *b, int64_t ldb,
                       int across, int64_t k) {
    vec s[DOWN][ACROSS] = {{{0}}};
    int64_t i = 0;
    for (; i + SPAR__LANES <= k; i += SPAR__LANES) {
        vec y[ACROSS];
        for (int q = 0; q < across; q++) y[q] = vec_load(b + q * ldb + i);
        for (int p = 0; p < down; p++) {
            vec x = vec_load(a + p * lda + i);
            for (int q = 0; q < across; q++) s[p][q] += x * y[q];
        }
    }
    for (int p = 0; p < down; p++)
        for (int q = 0; q < across; q++) {
            real sum = vec_sum(s[p][q]);
            for (int64_t t = i; t < k; t++) sum += a[p * lda + t] * b[q * ldb + t];
            c[p * ldc + q] = sum;
        }
}

static void row_dots(real *c, int64_t ldc, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb,
                     int64_t n, int64_t k) {
    for (int64_t i = 0; i < m; i += DOWN) {
        int64_t down = m - i < DOWN ? m - i : DOWN, j = 0;
        const real *x = a + i * lda;
        for (; down == DOWN && j + ACROSS <= n; j += ACROSS)
            tile(c + i * ldc + j, ldc, x, lda, DOWN, b + j * ldb, ldb, ACROSS, k);
        for (; j < n; j++)
            for (int64_t p = 0; p < down; p++)
                tile(c + (i + p) * ldc + j, ldc, x + p * lda, lda, 1, b + j * ldb, ldb, 1, k);
    }
}

/* The first of the largest numbers. */
static int64_t largest(const real *x, int64_t n) {
    int64_t i = 0;
    real top = x[0];
    if (n >= 2 * SPAR__LANES) {
        vec best = vec_load(x);
        for (i = SPAR__LANES; i + SPAR__LANES <= n; i += SPAR__LANES) best = vec_max(vec_load(x + i), best);
        top = vec_top(best);
    }
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    for (i = 0; i < n; i++)
        if (x[i] == top) return i;
    return 0;
}

void SPAR__FN(fill_thin)(spar__kernels *k) {
    k->row_dots = row_dots;
    k->largest = largest;
}
