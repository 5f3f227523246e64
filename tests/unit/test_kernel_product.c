/* Our own dense product of every instruction set that runs here, and the library's, against the
 * definition: packed and plain A, both orders of B, edges, bias, alpha and beta. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "kernel/gemm.h"
#include "kernel/packed.h"

enum { M = 29, N = 67, K = 41, GAP = 3 };
static real a[(M + GAP) * (K + M)], b[(N + GAP) * (K + N)], bias[N], c[M * (N + GAP)], old[M * (N + GAP)];
static real a_packed[(M + 64) * K], b_packed[(N + 64) * K];

static void fill(real *x, int64_t n, uint64_t stream) {
    spar__rng rng = spar__rng_for(5, SPAR__RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
}

static void fill_all(int64_t m, int64_t n, real beta) {
    fill(a, sizeof a / sizeof *a, 1), fill(b, sizeof b / sizeof *b, 2), fill(bias, N, 3);
    fill(old, sizeof old / sizeof *old, 4);
    memcpy(c, old, sizeof c);
    for (int64_t i = 0; i < m && beta == 0; i++) /* must not be read */
        for (int64_t j = 0; j < n; j++) c[i * (n + GAP) + j] = (real)NAN;
}

static void check(const char *name, const spar__product *p) {
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->ldc; j++) {
            double sum = 0, size = 1;
            for (int64_t l = 0; l < p->k; l++) {
                double x = (double)a[p->transpose_a ? l * p->lda + i : i * p->lda + l] *
                           (double)b[p->transpose_b ? j * p->ldb + l : l * p->ldb + j];
                sum += x, size += fabs(x);
            }
            double before = old[i * p->ldc + j], want = (double)p->alpha * sum;
            if (p->bias && j < p->n) want += (double)bias[j];
            if (p->beta != 0) want += (double)p->beta * before;
            if (j >= p->n) want = before; /* what lies between rows is not touched */
            double got = c[i * p->ldc + j];
            if (!(fabs(got - want) <= (sizeof(real) == 8 ? 1e-14 : 1e-6) * size))
                fail_msg("%s %lld×%lld×%lld: [%lld, %lld] is %.9g, expected %.9g", name, (long long)p->m,
                         (long long)p->n, (long long)p->k, (long long)i, (long long)j, got, want);
        }
}

static spar__product product(int64_t m, int64_t n, int64_t k, int variant) {
    spar__product p = {variant & 1, variant & 2, m, n, k, 1, 0, a, 0, b, 0, c, n + GAP, NULL};
    p.lda = (p.transpose_a ? m : k) + 1;
    p.ldb = (p.transpose_b ? k : n) + GAP;
    if (variant & 4) p.bias = bias;
    if (variant & 8) p.beta = 1, p.alpha = (real)0.5;
    if (variant & 16) p.beta = (real)-0.25;
    return p;
}

static void own(const spar__kernels *k, const spar__product *p) {
    const spar__packed_product *o = &k->product;
    fill_all(p->m, p->n, p->beta);
    o->pack_cols(b_packed, b, p->ldb, p->transpose_b, p->k, p->n);
    if (p->transpose_a) o->pack_rows(a_packed, a, p->lda, p->m, p->k);
    o->tile(&(spar__tile){p->m, p->n, p->k, p->transpose_a ? a_packed : a, p->lda, p->transpose_a, b_packed,
                          p->alpha, p->beta, p->bias, c, p->ldc});
    check(k->isa, p);
}

static const int64_t sizes[][3] = {{1, 1, 1},    {6, 16, 8},   {12, 32, 16}, {5, 15, 7},  {7, 17, 9},
                                   {13, 33, 41}, {29, 67, 41}, {24, 64, 40}, {M, N, 1},   {1, N, K},
                                   {M, 1, K},    {4, 4, 4},    {18, 48, 24}, {12, 34, 17}};
enum { N_SIZES = sizeof sizes / sizeof *sizes, VARIANTS = 32 };

static void every_table(void **state) {
    (void)state;
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    for (int t = 0; t < n; t++)
        for (int s = 0; s < N_SIZES; s++)
            for (int v = 0; v < VARIANTS; v++) {
                spar__product p = product(sizes[s][0], sizes[s][1], sizes[s][2], v);
                own(tables[t], &p);
            }
}

static void library(void **state) {
    (void)state;
    for (int s = 0; s < N_SIZES; s++)
        for (int v = 0; v < VARIANTS; v++) {
            spar__product p = product(sizes[s][0], sizes[s][1], sizes[s][2], v & ~4);
            fill_all(p.m, p.n, p.beta);
            assert_true(spar__product_tile(&p));
            check(spar__gemm_library(), &p);
        }
}

/* Rows of n numbers, k even of them told to the tile. */
static void whole_numbers(const spar__kernels *k, int64_t m, int64_t n, int64_t depth, bool add) {
    int64_t even = depth + (depth & 1);
    static int16_t rows[M * (K + 1)], cols[N * (K + 1)], panels[(N + 64) * (K + 1)];
    static real row_scales[M], col_scales[N];
    fill_all(m, n, add);
    memset(rows, 0, sizeof rows), memset(cols, 0, sizeof cols);
    for (int64_t i = 0; i < m; i++) row_scales[i] = k->shorts.shorten(rows + i * even, a + i * K, depth);
    for (int64_t j = 0; j < n; j++) col_scales[j] = k->shorts.shorten(cols + j * even, b + j * K, depth);
    k->shorts.pack(panels, cols, even, n);
    k->shorts.tile(&(spar__short_tile){m, n, even, rows, panels, row_scales, col_scales, add, c, n + GAP});
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n + GAP; j++) {
            int64_t whole = 0;
            double exact = 0, at = i * (n + GAP) + j, top = 0;
            for (int64_t l = 0; l < depth && j < n; l++) {
                whole += (int64_t)rows[i * even + l] * cols[j * even + l];
                exact += (double)a[i * K + l] * (double)b[j * K + l];
                top += fabs((double)a[i * K + l]) + fabs((double)b[j * K + l]);
                assert_true(abs(rows[i * even + l]) <= SPAR__SHORT_TOP);
            }
            double before = old[(int64_t)at], got = c[(int64_t)at];
            if (j >= n) assert_true(got == before);
            if (j >= n) continue;
            double want = (double)whole * (double)row_scales[i] * (double)col_scales[j] + (add ? before : 0);
            if (!(fabs(got - want) <= 1e-6 * (1 + fabs(want))))
                fail_msg("%s: [%lld, %lld] is %.9g, expected %.9g", k->isa, (long long)i, (long long)j, got, want);
            assert_true(fabs(want - (add ? before : 0) - exact) <= 5.0 / SPAR__SHORT_TOP * top);
        }
}

static void every_table_of_whole_numbers(void **state) {
    (void)state;
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    for (int t = 0; t < n && tables[t]->shorts.tile; t++)
        for (int s = 0; s < N_SIZES; s++)
            for (int add = 0; add < 2; add++) whole_numbers(tables[t], sizes[s][0], sizes[s][1], sizes[s][2], add);
}

/* Numbers that say nothing: zeros, and what is not finite. */
static void odd_rows(void **state) {
    (void)state;
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    real x[40] = {0};
    int16_t out[40];
    for (int t = 0; t < n && tables[t]->shorts.tile; t++) {
        x[3] = 0;
        assert_true(tables[t]->shorts.shorten(out, x, 40) == 0);
        x[3] = (real)INFINITY;
        assert_true(isnan(tables[t]->shorts.shorten(out, x, 40)));
        x[3] = 1, x[39] = (real)NAN;
        assert_true(isnan(tables[t]->shorts.shorten(out, x, 40)));
        x[3] = -2, x[39] = 0;
        assert_true(tables[t]->shorts.shorten(out, x, 40) > 0);
        assert_int_equal(out[3], -SPAR__SHORT_TOP);
        assert_int_equal(out[4], 0);
    }
}

/* Weights in blocks at once, and by way of what they decode to. */
static void weights_in_blocks(void **state) {
    (void)state;
    enum { LENGTH = SPAR__SHORT_DEPTH };
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    real x[LENGTH], decoded[LENGTH];
    int16_t out[LENGTH];
    char row[4 * LENGTH];
    fill(x, LENGTH, 7);
    for (int i = 0; i < 64; i++) x[i] *= (real)0.01; /* scales that differ */
    for (int t = 0; t < n; t++)
        for (int type = 0; type < SPAR__N_TYPES; type++) {
            const spar__kernels *k = tables[t];
            if (!k->shorts.shorten_row[type]) continue;
            for (int64_t length = spar__type_of((spar__type)type)->block; length <= LENGTH; length *= 2) {
                double worst = 0, top = 0;
                k->encode[type](row, x, length);
                k->decode[type](decoded, row, length);
                real scale = k->shorts.shorten_row[type](out, row, length);
                for (int64_t i = 0; i < length; i++) {
                    double apart = fabs((double)(scale * (real)out[i]) - (double)decoded[i]);
                    worst = apart > worst ? apart : worst;
                    top = fabs((double)decoded[i]) > top ? fabs((double)decoded[i]) : top;
                    assert_true(abs(out[i]) <= SPAR__SHORT_TOP);
                }
                /* Half of the last place, and what the factors of the scales leave out. */
                if (!(worst <= 0.8 * (double)scale + 1e-9))
                    fail_msg("%s %s of %lld: off by %g of %g, a place is %g", k->isa, spar__type_of((spar__type)type)->name,
                             (long long)length, worst, top, (double)scale);
                memset(row, 0, sizeof row);
                assert_true(k->shorts.shorten_row[type](out, row, length) == 0);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table),
        cmocka_unit_test(library),
        cmocka_unit_test(every_table_of_whole_numbers),
        cmocka_unit_test(odd_rows),
        cmocka_unit_test(weights_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
