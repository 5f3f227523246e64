/* Objectives: what they hide can be put together again, their draws are functions of the row, and their shapes hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "spar/data.h"

enum { LENGTH = 100, ROWS = 7, VOCABULARY = 200, BIG = 50 };

static int32_t rows[ROWS * (LENGTH + 1)];
static int32_t inputs[BIG * ROWS * LENGTH], targets[BIG * ROWS * LENGTH], source[ROWS * 2 * LENGTH];

static spar_batches *make(const char *objective, double noise, double span) {
    spar_batches_options o = SPAR_BATCHES_OPTIONS;
    spar_batches *b;
    for (int i = 0; i < ROWS * (LENGTH + 1); i++) rows[i] = (i * 7 + i / 9) % 100;
    o.length = LENGTH;
    o.batch = ROWS;
    o.order = SPAR_ORDER_SEQUENTIAL;
    o.objective = objective;
    o.vocab_size = VOCABULARY;
    o.special = 150;
    o.noise = noise;
    o.span = span;
    assert_int_equal(spar_batches_from_rows(rows, ROWS, &o, &b), SPAR_OK);
    return b;
}

static void test_masked(void **state) {
    (void)state;
    spar_batches *b = make("masked", 0.2, 0);
    int hidden = 0, masked = 0, kept = 0, n = 0;
    for (int k = 0; k < BIG; k++) {
        spar_batch batch = {inputs, targets, NULL, NULL};
        assert_int_equal(spar_batches_fill(b, (uint64_t)k, &batch), SPAR_OK);
        for (int r = 0; r < ROWS; r++)
            for (int t = 0; t < LENGTH; t++, n++) {
                int32_t was = rows[r * (LENGTH + 1) + t], is = inputs[r * LENGTH + t], to = targets[r * LENGTH + t];
                if (to < 0) {
                    assert_int_equal(is, was);
                    continue;
                }
                assert_int_equal(to, was);
                hidden++;
                masked += is == 150;
                kept += is == was;
            }
    }
    double share = (double)hidden / n;
    assert_true(share > 0.19 && share < 0.21);
    assert_true((double)masked / hidden > 0.78 && (double)masked / hidden < 0.82);
    assert_true((double)kept / hidden > 0.08 && (double)kept / hidden < 0.12);
    spar_batches_free(b);
}

/* The source with each sentinel replaced by what the target says of it. */
static void check_row(const int32_t *row, const int32_t *in, const int32_t *to, size_t width, const int32_t *from,
                      size_t n_source) {
    size_t at = 0, t = 0;
    int32_t sentinel = VOCABULARY;
    for (size_t i = 0; i < n_source; i++) {
        if (from[i] < 100) {
            assert_int_equal(from[i], row[at++]);
            continue;
        }
        assert_int_equal(from[i], --sentinel);
        assert_int_equal(to[t++], sentinel);
        assert_true(to[t] < 100);
        while (t < width && to[t] < 100) assert_int_equal(to[t++], row[at++]);
    }
    assert_int_equal(at, LENGTH + 1);
    assert_int_equal(to[t++], sentinel - 1);
    assert_int_equal(t, width);
    assert_int_equal(in[0], 150);
    assert_memory_equal(in + 1, to, (width - 1) * sizeof *to);
}

static void test_denoise(void **state) {
    (void)state;
    static const double settings[][2] = {{0.15, 3}, {0.5, 1}, {0.9, 20}, {0.001, 1}, {0.5, 1000}};
    for (int k = 0; k < 5; k++) {
        spar_batches *b = make("denoise", settings[k][0], settings[k][1]);
        size_t width, n_source;
        spar_batches_shape(b, &width, &n_source);
        assert_true(n_source <= 2 * LENGTH && width <= 2 * LENGTH);
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            spar_batch batch = {inputs, targets, NULL, source};
            assert_int_equal(spar_batches_fill(b, epoch, &batch), SPAR_OK);
            for (size_t r = 0; r < ROWS; r++)
                check_row(rows + r * (LENGTH + 1), inputs + r * width, targets + r * width, width, source + r * n_source,
                          n_source);
        }
        spar_batches_free(b);
    }
}

static void test_prefix(void **state) {
    (void)state;
    for (int share = 0; share < 4; share++) {
        spar_batches_options o = SPAR_BATCHES_OPTIONS;
        spar_batches *b = make("causal", 0, 0);
        spar_batches_free(b);
        o.length = LENGTH;
        o.batch = ROWS;
        o.order = SPAR_ORDER_SEQUENTIAL;
        o.objective = "prefix";
        o.prefix = share / 3.0;
        assert_int_equal(spar_batches_from_rows(rows, ROWS, &o, &b), SPAR_OK);
        int32_t prefix[ROWS];
        long least = LENGTH, most = 0, other = 0;
        for (uint64_t k = 0; k < BIG; k++) {
            spar_batch batch = {inputs, targets, NULL, NULL, prefix};
            assert_int_equal(spar_batches_fill(b, k, &batch), SPAR_OK);
            for (int r = 0; r < ROWS; r++) {
                const int32_t *row = rows + r * (LENGTH + 1);
                least = prefix[r] < least ? prefix[r] : least;
                most = prefix[r] > most ? prefix[r] : most;
                other += prefix[r] != prefix[0];
                assert_memory_equal(inputs + r * LENGTH, row, LENGTH * sizeof *row);
                for (int t = 0; t < LENGTH; t++)
                    assert_int_equal(targets[r * LENGTH + t], t + 1 < prefix[r] ? -1 : row[t + 1]);
            }
        }
        if (share) assert_true(least == most && least == (share == 3 ? LENGTH : share * (LENGTH + 1) / 3));
        else assert_true(least >= 1 && least < 10 && most > LENGTH - 10 && most <= LENGTH && other);
        spar_batches_free(b);
    }
}

static void test_refused(void **state) {
    (void)state;
    spar_batches_options o = SPAR_BATCHES_OPTIONS;
    spar_batches *b;
    o.length = LENGTH;
    o.objective = "masked";
    o.vocab_size = VOCABULARY;
    o.special = VOCABULARY;
    assert_int_equal(spar_batches_from_rows(rows, ROWS, &o, &b), SPAR_ERR_CONFIG);
    o.objective = "denoise";
    o.vocab_size = 5;
    assert_int_equal(spar_batches_from_rows(rows, ROWS, &o, &b), SPAR_ERR_CONFIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_masked), cmocka_unit_test(test_denoise), cmocka_unit_test(test_prefix),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
