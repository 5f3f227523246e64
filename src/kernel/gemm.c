/* Dense products: by our own kernels where they are the faster ones (kernel/packed.c), else by the
 * library. For the library C is cut into a grid of tiles that depends on the shape alone, and each
 * tile is one single-threaded product over the whole of k: sums are never split, so the bits are the
 * same at any number of threads. */
#include "kernel/gemm.h"

#include <string.h>

enum {
    TILE_ROWS = 128, /* no tile is cut below this */
    TILE_COLS = 256,
    TILES = 4,   /* wanted, where the product is big enough */
    FEW_ROWS = 8, /* of C: read the other matrix once, by rows, with the kernels of decoding */
};
static const double TILE_WORK = 8e6; /* m·n·k that pays for a tile of its own */

static int64_t parts(int64_t n, int64_t pieces, int64_t multiple) {
    int64_t part = (n + pieces - 1) / pieces;
    return (part + multiple - 1) / multiple * multiple;
}

/* Halves the longer side of a tile until there are enough of them. */
spar__grid spar__grid_for(int64_t m, int64_t n, int64_t k) {
    int64_t down = 1, across = 1;
    double work = (double)m * (double)n * (double)k;
    while (down * across < TILES && work / (double)(down * across) > 2 * TILE_WORK) {
        bool can_rows = m / (2 * down) >= TILE_ROWS, can_cols = n / (2 * across) >= TILE_COLS;
        if (!can_rows && !can_cols) break;
        if (can_rows && (m / down >= n / across || !can_cols))
            down *= 2;
        else
            across *= 2;
    }
    spar__grid g = {.rows = parts(m, down, 24), .cols = parts(n, across, 16)};
    g.across = (n + g.cols - 1) / g.cols;
    g.tiles = g.across * ((m + g.rows - 1) / g.rows);
    return g;
}

static spar__product tile_of(const spar__product *p, const spar__grid *g, int64_t index) {
    spar__product t = *p;
    spar__piece at = spar__grid_at(g, index, p->m, p->n);
    t.m = at.m;
    t.n = at.n;
    t.a = p->a + (p->transpose_a ? at.i : at.i * p->lda);
    t.b = p->b + (p->transpose_b ? at.j * p->ldb : at.j);
    t.c = p->c + at.i * p->ldc + at.j;
    return t;
}

static void scale_only(const spar__product *p) {
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            real *c = p->c + i * p->ldc + j;
            *c = p->beta == 0 ? 0 : p->beta * *c;
        }
}

/* Few rows of C = A·Bᵀ: 64 rows of B stay in the cache while they meet each row of A. */
static void few_rows(const spar__product *p) {
    const spar__kernels *k = spar__k();
    enum { AT_ONCE = 64 };
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < p->n; j += AT_ONCE) {
        int64_t n = p->n - j < AT_ONCE ? p->n - j : AT_ONCE;
        real dots[AT_ONCE];
        for (int64_t i = 0; i < p->m; i++) {
            real *c = p->c + i * p->ldc + j;
            k->rows_dot[SPAR__F32](dots, p->b + j * p->ldb, (size_t)p->ldb * sizeof(real),
                                   p->a + i * p->lda, n, p->k);
            for (int64_t r = 0; r < n; r++)
                c[r] = p->alpha * dots[r] + (p->beta == 0 ? 0 : p->beta * c[r]);
        }
    }
}

static bool own(void) {
#if defined SPAR_REAL_DOUBLE || defined SPAR_BLAS_NONE
    return true;
#else
    return spar__k()->product.preferred;
#endif
}

bool spar__gemm_turns(void) {
    return own();
}

static bool by_library(const spar__product *p) {
    spar__grid g = spar__grid_for(p->m, p->n, p->k);
    int failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(| : failed)
    for (int64_t t = 0; t < g.tiles; t++) {
        spar__product tile = tile_of(p, &g, t);
        failed |= !spar__product_tile(&tile);
    }
    return !failed;
}

static spar_status multiply(const spar__product *p) {
    if (p->m <= 0 || p->n <= 0) return SPAR_OK;
    if (p->k <= 0 || p->alpha == 0)
        scale_only(p);
    else if (p->m <= FEW_ROWS && !p->transpose_a && p->transpose_b)
        few_rows(p);
    else if (!(own() ? spar__packed_gemm(p) : by_library(p)))
        return spar__fail(SPAR_ERR_MEMORY, "%s: product of %lld×%lld×%lld: no memory",
                          spar__gemm_library(), (long long)p->m, (long long)p->n, (long long)p->k);
    return SPAR_OK;
}

spar_status spar__gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                       real alpha, const real *a, int64_t lda, const real *b, int64_t ldb,
                       real beta, real *c, int64_t ldc) {
    spar__product p = {transpose_a, transpose_b, m, n, k, alpha, beta, a, lda, b, ldb, c, ldc, NULL};
    return multiply(&p);
}

spar_status spar__gemm_bias(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            real alpha, const real *a, int64_t lda, const real *b, int64_t ldb,
                            const real *bias, real *c, int64_t ldc) {
    spar__product p = {transpose_a, transpose_b, m, n, k, alpha, 0, a, lda, b, ldb, c, ldc, NULL};
    if (bias && own() && k > 0 && m > FEW_ROWS) {
        p.bias = bias;
    } else if (bias) {
#pragma omp parallel for schedule(static) if (m > FEW_ROWS)
        for (int64_t i = 0; i < m; i++) memcpy(c + i * ldc, bias, (size_t)n * sizeof *c);
        p.beta = 1;
    }
    return multiply(&p);
}
