/* Blocks of every format beside those of the reference: the bytes of simple quantisers, what any
 * block decodes to, and its products; and the error of our quantisers beside the reference's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "format/safetensors.h"
#include "kernel/quant.h"

#define EACH_TABLE(k)                                                                              \
    const spar__kernels *const *tables_;                                                           \
    int n_tables_ = spar__kernels_all(&tables_);                                                   \
    for (int t_ = 0; t_ < n_tables_; t_++)                                                         \
        for (const spar__kernels *k = tables_[t_]; k; k = NULL)

static spar__st *blocks;

typedef struct piece {
    int64_t rows, n;
    size_t bytes;
    float *numbers; /* aligned copies, freed together at the end */
    unsigned char *raw;
} piece;
static void *copies[256];
static int n_copies;

static piece get(const char *type, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", type, *type ? "." : "", what);
    const spar__st_tensor *t = spar__st_find(blocks, name);
    if (!t) fail_msg("no tensor '%s'", name);
    void *copy = malloc(t->bytes);
    copies[n_copies++] = copy;
    memcpy(copy, t->data, t->bytes);
    return (piece){t->shape[0], t->n_dims > 1 ? t->shape[1] : 1, t->bytes, copy, copy};
}

static int free_copies(void **state) {
    (void)state;
    while (n_copies) free(copies[--n_copies]);
    return 0;
}

/* Types whose reference quantiser is exact: the others search. */
static bool exact(spar__type type) {
    static const char *const names[] = {"f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "tq1_0", "tq2_0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], spar__type_of(type)->name)) return true;
    return false;
}

static void bytes_of_quantisers(void **state) {
    (void)state;
    const float *x = get("", "x").numbers;
    size_t bytes;
    EACH_TABLE(k) for (int t = 0; t < SPAR__N_TYPES; t++) {
        const char *type = spar__type_of((spar__type)t)->name;
        if (!exact((spar__type)t)) continue;
        piece want = get(type, "quantised"), of_x = get(type, "of_x");
        assert_true(spar__row_bytes((spar__type)t, 512, &bytes));
        unsigned char *got = malloc(bytes);
        for (int r = 0; r < 16; r++) {
            float decoded[512];
            k->encode[t](got, x + 512 * r, 512);
            for (size_t i = 0; i < bytes; i++)
                if (got[i] != want.raw[(size_t)r * bytes + i])
                    fail_msg("%s %s row %d: byte %zu is %d, expected %d", k->isa, type, r, i, got[i],
                             want.raw[(size_t)r * bytes + i]);
            k->decode[t](decoded, got, 512);
            assert_memory_equal(decoded, of_x.numbers + 512 * r, sizeof decoded);
        }
        free(got);
    }
}

static void near_last_bit(const char *isa, const char *type, int64_t i, float got, float want) {
    if (got == want || nextafterf(got, want) == want) return;
    fail_msg("%s %s: element %lld is %.9g, expected %.9g", isa, type, (long long)i, (double)got, (double)want);
}

static void any_blocks(void **state) {
    (void)state;
    EACH_TABLE(k) for (int t = SPAR__BF16 + 1; t < SPAR__N_TYPES; t++) {
        const char *type = spar__type_of((spar__type)t)->name;
        piece raw = get(type, "bytes"), values = get(type, "values");
        int64_t rows = values.rows, n = values.n;
        const float *x = get(type, "vector").numbers, *want = values.numbers, *dots = get(type, "dot").numbers;
        size_t row = 0;
        assert_true(spar__row_bytes((spar__type)t, (size_t)n, &row));
        assert_int_equal(raw.bytes, row * (size_t)rows);
        float *got = malloc((size_t)n * sizeof *got), *dot = malloc((size_t)rows * sizeof *dot);
        void *packed = malloc(spar__packed_bytes(n));
        for (int64_t r = 0; r < rows; r++) {
            k->decode[t](got, raw.raw + (size_t)r * row, n);
            for (int64_t i = 0; i < n; i++) near_last_bit(k->isa, type, r * n + i, got[i], want[r * n + i]);
        }
        for (int eight = 0; eight < 2; eight++) {
            if (eight && !k->packed_dot[t]) break;
            if (eight) k->pack(packed, x, n);
            if (eight) k->packed_dot[t](dot, raw.raw, row, packed, rows, n);
            else k->rows_dot[t](dot, raw.raw, row, x, rows, n);
            for (int64_t r = 0; r < rows; r++) {
                double size = 0, w2 = 0, x2 = 0, exact_dot = (double)dots[r];
                for (int64_t i = 0; i < n; i++) {
                    double w = (double)want[r * n + i];
                    size += fabs(w * (double)x[i]);
                    w2 += w * w;
                    x2 += (double)x[i] * (double)x[i];
                }
                if (fabs((double)dot[r] - exact_dot) > (eight ? 1e-3 * sqrt(w2 * x2) : 1e-5 * size))
                    fail_msg("%s %s row %lld: product %.9g, expected %.9g", k->isa, type, (long long)r,
                             (double)dot[r], exact_dot);
            }
        }
        free(got), free(dot), free(packed);
    }
}

static double error_of(spar__type type, bool laplace) {
    enum { ROWS = 256, N = 1024 };
    const spar__kernels *k = spar__k();
    size_t bytes;
    double error = 0, size = 0;
    assert_true(spar__row_bytes(type, N, &bytes));
    void *stored = malloc(bytes);
    spar__rng rng = spar__rng_for(5, SPAR__RNG_TEST, laplace, 0);
    for (int r = 0; r < ROWS; r++) {
        float x[N], y[N];
        for (int i = 0; i < N; i++) {
            uint64_t at = (uint64_t)(r * N + i);
            double u = spar__rng_uniform(&rng, at) - 0.5;
            x[i] = (float)(laplace ? (u < 0 ? 1 : -1) * log(1 - 2 * fabs(u) + 1e-12) : spar__rng_normal(&rng, at));
        }
        k->encode[type](stored, x, N);
        k->decode[type](y, stored, N);
        for (int i = 0; i < N; i++) {
            error += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
            size += (double)x[i] * (double)x[i];
        }
    }
    free(stored);
    return sqrt(error / size);
}

/* The reference's relative errors, from golden/quants; the sample is another, hence the margin. */
static void error_of_quantisers(void **state) {
    (void)state;
    static const struct {
        const char *type;
        double gaussian, laplace;
    } table[] = {
        {"q8_0", 0.00535, 0.00671},   {"q6_k", 0.01784, 0.02176}, {"q5_k", 0.03849, 0.04678},
        {"q5_1", 0.03785, 0.04439},   {"q5_0", 0.04265, 0.05330}, {"q4_k", 0.07212, 0.08590},
        {"iq4_nl", 0.07608, 0.08760}, {"iq4_xs", 0.07668, 0.08828}, {"q4_1", 0.07815, 0.09178},
        {"q4_0", 0.08589, 0.10641},   {"q3_k", 0.15140, 0.17598}, {"q2_k", 0.30412, 0.35799}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        spar__type type;
        if (!spar__type_find(table[i].type, &type)) continue;
        double gaussian = error_of(type, false), laplace = error_of(type, true);
        print_message("%s %.5f (%.5f) %.5f (%.5f)\n", table[i].type, gaussian, table[i].gaussian,
                      laplace, table[i].laplace);
        assert_true(gaussian <= 1.005 * table[i].gaussian);
        assert_true(laplace <= 1.01 * table[i].laplace);
    }
}

int main(void) {
    if (spar__st_open("tests/golden/data/quants/blocks.safetensors", &blocks)) {
        fprintf(stderr, "%s\n", spar_error());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_quantisers),
        cmocka_unit_test(any_blocks),
        cmocka_unit_test(error_of_quantisers),
    };
    int failed = cmocka_run_group_tests(tests, NULL, free_copies);
    spar__st_free(blocks);
    return failed;
}
