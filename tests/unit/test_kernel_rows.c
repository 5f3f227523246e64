/* Stored rows: every binary16 and bfloat16 by its bits, blocks of q8_0, and the products of rows
 * with a vector, of every table that runs here. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/kernel.h"

#define EACH_TABLE(k)                                                                              \
    const spar__kernels *const *tables_;                                                           \
    int n_tables_ = spar__kernels_all(&tables_);                                                   \
    for (int t_ = 0; t_ < n_tables_; t_++)                                                         \
        for (const spar__kernels *k = tables_[t_]; k; k = NULL)

enum { ALL = 65536 };
static real x_[ALL], y_[ALL];
static uint16_t h_[ALL], g_[ALL];

/* The value of sign, exponent and fraction, by the definition of the formats of IEEE 754. */
static double value(unsigned h, int fraction_bits, int exponent_bits) {
    int bias = (1 << (exponent_bits - 1)) - 1, fraction = (int)(h & ((1u << fraction_bits) - 1));
    int exponent = (int)(h >> fraction_bits & ((1u << exponent_bits) - 1));
    double sign = h & 0x8000 ? -1 : 1, unit = ldexp(1, -fraction_bits);
    if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction * unit, 1 - bias);
    return sign * ldexp(1 + fraction * unit, exponent - bias);
}

static void check_all(const spar__kernels *k, bool bf16) {
    int fraction = bf16 ? 7 : 10, exponent = bf16 ? 8 : 5;
    for (int i = 0; i < ALL; i++) h_[i] = (uint16_t)i;
    if (bf16)
        k->from_bf16(x_, h_, ALL), k->to_bf16(g_, x_, ALL);
    else
        k->from_f16(x_, h_, ALL), k->to_f16(g_, x_, ALL);
    for (int i = 0; i < ALL; i++) {
        double want = value((unsigned)i, fraction, exponent);
        if (isnan(want)) {
            assert_true(isnan(x_[i]) && isnan(value(g_[i], fraction, exponent)));
        } else if ((double)x_[i] != want || !signbit(x_[i]) != !signbit(want) || g_[i] != i) {
            fail_msg("%s: %#x is %g and back %#x, expected %g", k->isa, (unsigned)i, (double)x_[i],
                     g_[i], want);
        }
    }
}

static void every_half_number(void **state) {
    (void)state;
    EACH_TABLE(k) {
        check_all(k, false);
        check_all(k, true);
    }
}

/* Between neighbours: halfway goes to the even one, off halfway to the nearer. */
static void check_rounding(const spar__kernels *k, bool bf16) {
    int fraction = bf16 ? 7 : 10, exponent = bf16 ? 8 : 5;
    unsigned end = ((1u << exponent) - 1) << fraction; /* infinity */
    int n = 0;
    for (unsigned h = 0; h + 1 < end; h += 3) {
        double a = value(h, fraction, exponent), b = value(h + 1, fraction, exponent);
        float middle = (float)((a + b) / 2);
        x_[n] = (real)middle, h_[n++] = (uint16_t)(h & 1 ? h + 1 : h);
        x_[n] = (real)nextafterf(middle, 0), h_[n++] = (uint16_t)h;
        x_[n] = -(real)nextafterf(middle, INFINITY), h_[n++] = (uint16_t)((h + 1) | 0x8000);
    }
    x_[n] = (real)INFINITY, h_[n++] = (uint16_t)end;
    x_[n] = bf16 ? (real)3.4e38 : (real)65520, h_[n++] = (uint16_t)end; /* rounds up to infinity */
    x_[n] = bf16 ? (real)3.39e38 : (real)65519, h_[n++] = (uint16_t)(end - 1);
    if (bf16)
        k->to_bf16(g_, x_, n);
    else
        k->to_f16(g_, x_, n);
    for (int i = 0; i < n; i++)
        if (g_[i] != h_[i])
            fail_msg("%s: %s of %.9g is %#x, expected %#x", k->isa, bf16 ? "bf16" : "f16",
                     (double)x_[i], g_[i], h_[i]);
}

static void rounding_to_nearest_even(void **state) {
    (void)state;
    EACH_TABLE(k) {
        check_rounding(k, false);
        check_rounding(k, true);
    }
}

static void fill(real *x, int64_t n, uint64_t stream) {
    spar__rng rng = spar__rng_for(11, SPAR__RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
}

static void blocks_of_q8_0(void **state) {
    (void)state;
    EACH_TABLE(k) {
        enum { N = 32 * 50 };
        unsigned char packed[34 * 50 + 1], plain[34 * 50];
        fill(x_, N, 1);
        for (int i = 0; i < 32; i++) x_[64 + i] = 0;           /* an empty block */
        for (int i = 0; i < 32; i++) x_[96 + i] *= (real)1e-6; /* a tiny one: a subnormal scale */
        x_[130] = (real)1000;
        packed[sizeof packed - 1] = 0xAA;
        k->encode[SPAR__Q8_0](packed, x_, N);
        k->decode[SPAR__Q8_0](y_, packed, N);
        assert_int_equal(packed[sizeof packed - 1], 0xAA);
        tables_[0]->encode[SPAR__Q8_0](plain, x_, N);
        assert_memory_equal(packed, plain, sizeof plain);
        for (int b = 0; b < N; b += 32) {
            double top = 0;
            for (int i = b; i < b + 32; i++)
                top = top < fabs((double)x_[i]) ? fabs((double)x_[i]) : top;
            for (int i = b; i < b + 32; i++) /* half a step, and the rounding of the scale */
                assert_true(fabs((double)y_[i] - (double)x_[i]) <=
                            top / 254 * 1.001 + top * 0x1p-11 + 127 * 0x1p-25);
        }
        x_[3] = (real)NAN; /* hostile numbers give something, not a trap */
        x_[40] = (real)INFINITY;
        k->encode[SPAR__Q8_0](packed, x_, N);
    }
}

static void rows_times_vector(void **state) {
    (void)state;
    enum { ROWS = 7 };
    static const int64_t sizes[] = {1,  2,  5,  7,  8,  15, 17,  31,  32,
                                    33, 63, 64, 65, 67, 96, 128, 257, 1024};
    static char stored[ROWS * 1100 * sizeof(real)];
    static real decoded[1100];
    EACH_TABLE(k)
    for (int type = 0; type < SPAR__N_TYPES; type++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int64_t n = sizes[s];
            size_t bytes;
            if (!spar__row_bytes((spar__type)type, (size_t)n, &bytes)) continue;
            size_t row = bytes + (type == SPAR__F32 ? sizeof(real) : 2); /* rows may be padded */
            real *x = x_ + 1, y[ROWS + 1], one;
            fill(x, n, 99);
            for (int r = 0; r < ROWS; r++) {
                fill(y_, n, (uint64_t)r);
                k->encode[type](stored + (size_t)r * row, y_, n);
            }
            y[ROWS] = 12345;
            k->rows_dot[type](y, stored, row, x, ROWS, n);
            assert_true(y[ROWS] == 12345);
            for (int r = 0; r < ROWS; r++) {
                double sum = 0, size = 0;
                k->decode[type](decoded, stored + (size_t)r * row, n);
                for (int64_t i = 0; i < n; i++) {
                    sum += (double)decoded[i] * (double)x[i];
                    size += fabs((double)decoded[i] * (double)x[i]);
                }
                if (fabs((double)y[r] - sum) > size * (sizeof(real) == 8 ? 1e-14 : 1e-6))
                    fail_msg("%s %s row %d of %lld: %.9g, expected %.9g", k->isa,
                             spar__type_of((spar__type)type)->name, r, (long long)n, (double)y[r],
                             sum);
                real sums[1100];
                memcpy(sums, x, (size_t)n * sizeof *x);
                if (k->row_axpy[type]) k->row_axpy[type](sums, (real)0.5, stored + (size_t)r * row, n);
                for (int64_t i = 0; i < n && k->row_axpy[type]; i++)
                    if (fabs((double)sums[i] - ((double)x[i] + 0.5 * (double)decoded[i])) > 1e-6)
                        fail_msg("%s %s: element %lld: %.9g", k->isa, spar__type_of((spar__type)type)->name,
                                 (long long)i, (double)sums[i]);
                /* A row's product does not depend on the rows beside it. */
                k->rows_dot[type](&one, stored + (size_t)r * row, row, x, 1, n);
                assert_memory_equal(&one, &y[r], sizeof one);
            }
        }
}

/* Several vectors at once give the bits that each gives alone. */
static void rows_times_vectors(void **state) {
    (void)state;
    enum { VECTORS = 8, N = 77, W = 5 };
    static real x[VECTORS * N], alone[W], together[VECTORS * (W + 1)];
    static char stored[W * N * sizeof(real)];
    const spar__kernels *const *tables;
    int n_tables = spar__kernels_all(&tables);
    fill(x, VECTORS * N, 5);
    for (int t = 0; t < n_tables; t++)
        for (int type = 0; type < SPAR__N_TYPES; type++) {
            const spar__kernels *k = tables[t];
            size_t row = 0;
            if (!k->rows_dots[type]) continue;
            spar__row_bytes((spar__type)type, N, &row);
            for (int r = 0; r < W; r++) k->encode[type](stored + (size_t)r * row, x + r, N);
            for (int count = 1; count <= VECTORS; count++) {
                for (int i = 0; i < VECTORS * (W + 1); i++) together[i] = -7;
                k->rows_dots[type](together, W + 1, stored, row, x, count, W, N);
                for (int v = 0; v < count; v++) {
                    k->rows_dot[type](alone, stored, row, x + v * N, W, N);
                    assert_memory_equal(alone, together + v * (W + 1), sizeof alone);
                    assert_true(together[v * (W + 1) + W] == -7);
                }
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_number),
        cmocka_unit_test(rounding_to_nearest_even),
        cmocka_unit_test(blocks_of_q8_0),
        cmocka_unit_test(rows_times_vector),
        cmocka_unit_test(rows_times_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
