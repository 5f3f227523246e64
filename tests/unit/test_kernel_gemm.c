/* Dense products against the definition: all transposes, odd sizes, padded rows, and the same bits
 * at any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "kernel/kernel.h"

static real *numbers(int64_t n, uint64_t stream) {
    real *x = spar__array((size_t)n + 1, sizeof *x);
    assert_non_null(x);
    spar__rng rng = spar__rng_for(3, SPAR__RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    return x;
}

static void to_half(uint16_t *y, real *x, int64_t n) { /* and rounds x */
    spar__k()->to_bf16(y, x, n);
    spar__k()->from_bf16(x, y, n);
}

static void check(int64_t m, int64_t n, int64_t k, bool ta, bool tb, real alpha, real beta,
                  bool half) {
    int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    real *a = numbers((ta ? k : m) * lda, 1), *b = numbers((tb ? n : k) * ldb, 2);
    real *c = numbers(m * ldc, 3), *old = numbers(m * ldc, 3);
    if (beta == 0)
        for (int64_t i = 0; i < m * ldc; i++) c[i] = (real)NAN; /* must not be read */
    if (half) {
        int64_t na = (ta ? k : m) * lda, nb = (tb ? n : k) * ldb;
        uint16_t *ah = spar__array((size_t)na, 2), *bh = spar__array((size_t)nb, 2);
        to_half(ah, a, na), to_half(bh, b, nb);
        assert_int_equal(spar__gemm_bf16(ta, tb, m, n, k, alpha, ah, lda, bh, ldb, beta, c, ldc),
                         SPAR_OK);
        spar__free(ah), spar__free(bh);
    } else {
        assert_int_equal(spar__gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), SPAR_OK);
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int64_t l = 0; l < k; l++) {
                double p = (double)a[ta ? l * lda + i : i * lda + l] *
                           (double)b[tb ? j * ldb + l : l * ldb + j];
                sum += p;
                size += fabs(p);
            }
            double want =
                (double)alpha * sum + (beta != 0 ? (double)beta * (double)old[i * ldc + j] : 0);
            double got = c[i * ldc + j], within = (sizeof(real) == 8 ? 1e-14 : 1e-6) * (1 + size);
            if (!(fabs(got - want) <= within))
                fail_msg(
                    "%s%lld×%lld×%lld %d%d alpha %g beta %g: [%lld, %lld] is %.9g, expected %.9g",
                    half ? "bf16 " : "", (long long)m, (long long)n, (long long)k, ta, tb,
                    (double)alpha, (double)beta, (long long)i, (long long)j, got, want);
        }
    for (int64_t i = 0; i < m; i++) /* what lies between the rows is not touched */
        for (int64_t j = n; j < ldc && beta != 0; j++)
            assert_true(c[i * ldc + j] == old[i * ldc + j]);
    spar__free(a), spar__free(b), spar__free(c), spar__free(old);
}

static void sizes_and_transposes(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 5, 8, 9, 17, 33, 67};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int l = 0; l < N; l++)
                for (int v = 0; v < 4; v++) {
                    int odd = (i + j + l) % 3;
                    real alpha = odd == 1 ? (real)0.5 : 1, beta = odd == 2   ? 1
                                                                  : odd == 1 ? (real)-2
                                                                             : 0;
                    check(sizes[i], sizes[j], sizes[l], v & 1, v & 2, alpha, beta, false);
                    if ((i + j + l) % 2)
                        check(sizes[i], sizes[j], sizes[l], v & 1, v & 2, alpha, beta, true);
                }
}

static void larger_products(void **state) {
    (void)state;
    for (int v = 0; v < 4; v++) {
        check(517, 301, 65, v & 1, v & 2, 1, 0, false);
        check(301, 1031, 33, v & 1, v & 2, (real)0.5, 1, true);
        check(3, 1031, 257, v & 1, v & 2, 1, 1, false);
    }
}

static void empty_products(void **state) {
    (void)state;
    real c[4] = {1, 2, 3, 4};
    assert_int_equal(spar__gemm(false, false, 2, 2, 0, 1, c, 1, c, 2, (real)0.5, c, 2), SPAR_OK);
    assert_true(c[0] == (real)0.5 && c[3] == 2);
    assert_int_equal(spar__gemm(false, false, 2, 2, 0, 1, c, 1, c, 2, 0, c, 2), SPAR_OK);
    assert_true(c[0] == 0 && c[3] == 0);
    assert_int_equal(spar__gemm(false, false, 0, 2, 3, 1, c, 1, c, 2, 0, c, 2), SPAR_OK);
}

static void same_bits_at_any_thread_count(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {
        {1024, 384, 128}, {256, 512, 1024}, {515, 1030, 77}, {64, 64, 4096}, {7, 1000, 512}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int v = 0; v < 8; v++) {
            int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
            bool ta = v & 1, tb = v & 2, half = v & 4;
            if (half && s % 2) continue;
            real *a = numbers(m * k, 1), *b = numbers(n * k, 2), *c[2];
            uint16_t *ah = spar__array((size_t)(m * k), 2), *bh = spar__array((size_t)(n * k), 2);
            to_half(ah, a, m * k), to_half(bh, b, n * k);
            c[0] = numbers(m * n, 3), c[1] = numbers(m * n, 4);
            int threads = spar__threads();
            for (int t = 1; t <= 4; t++) {
                spar__threads_set(t);
                real *out = c[t > 1];
                spar_status status =
                    half ? spar__gemm_bf16(ta, tb, m, n, k, 1, ah, ta ? m : k, bh, tb ? k : n, 0,
                                           out, n)
                         : spar__gemm(ta, tb, m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, out, n);
                assert_int_equal(status, SPAR_OK);
                if (t > 1) assert_memory_equal(c[0], c[1], (size_t)(m * n) * sizeof(real));
            }
            spar__threads_set(threads);
            spar__free(a), spar__free(b), spar__free(c[0]), spar__free(c[1]);
            spar__free(ah), spar__free(bh);
        }
}

static void library_has_a_name(void **state) {
    (void)state;
    assert_true(strlen(spar__gemm_library()) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_transposes), cmocka_unit_test(larger_products),
        cmocka_unit_test(empty_products),       cmocka_unit_test(same_bits_at_any_thread_count),
        cmocka_unit_test(library_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
