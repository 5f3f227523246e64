/* Types in blocks on every table that runs here: the same bits as the scalar one, whether a row
 * meets one packed vector or a tile of rows meets several; bytes of quantisers; hostile numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/quant.h"

enum { DIFFERENT = 19, ROWS = 69, VECTORS = 21, WIDEST = 1312 };
static const int64_t sizes[] = {32, 64, 96, 224, 256, 288, 512, 544, 768, 1280, 1312};

static real x_[VECTORS][WIDEST], w_[DIFFERENT][WIDEST], y_[WIDEST], z_[WIDEST];

static void fill(real *x, int64_t n, uint64_t stream) {
    spar__rng rng = spar__rng_for(13, SPAR__RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
}

static void fill_all(void) {
    for (int r = 0; r < DIFFERENT; r++) fill(w_[r], WIDEST, (uint64_t)r);
    for (int v = 0; v < VECTORS; v++) fill(x_[v], WIDEST, (uint64_t)(100 + v));
    memset(w_[3], 0, sizeof w_[3]);
    memset(x_[2], 0, sizeof x_[2]);
    for (int i = 0; i < 64; i++) x_[4][i] *= (real)1e-20, w_[5][i] *= (real)1e-9;
    x_[5][7] = (real)1e4;
}

/* Calls `check` with every type in blocks, every table and every size that fits. */
typedef void (*check)(const spar__kernels *k, const spar__kernels *plain, int type, int64_t n, size_t row);
static void each(check run) {
    const spar__kernels *const *tables;
    int n_tables = spar__kernels_all(&tables);
    fill_all();
    for (int t = 0; t < n_tables; t++)
        for (int type = 0; type < SPAR__N_TYPES; type++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                size_t row;
                if (spar__type_of((spar__type)type)->block > 1 &&
                    spar__row_bytes((spar__type)type, (size_t)sizes[s], &row))
                    run(tables[t], tables[0], type, sizes[s], row);
            }
}

static void check_bytes(const spar__kernels *k, const spar__kernels *plain, int type, int64_t n, size_t row) {
    unsigned char *a = malloc(row + 1), *b = malloc(row);
    float importance[WIDEST];
    for (int64_t i = 0; i < n; i++) importance[i] = (float)(1 + i % 7);
    for (int r = 0; r < DIFFERENT; r++)
        for (int weighted = 0; weighted < 2; weighted++) {
            a[row] = 0xAA;
            k->quantise[type](a, w_[r], weighted ? importance : NULL, n);
            plain->quantise[type](b, w_[r], weighted ? importance : NULL, n);
            if (memcmp(a, b, row) != 0 || a[row] != 0xAA)
                fail_msg("%s %s of %lld: bytes differ", k->isa, spar__type_of((spar__type)type)->name, (long long)n);
            k->decode[type](y_, a, n);
            plain->decode[type](z_, a, n);
            assert_memory_equal(y_, z_, (size_t)n * sizeof *y_);
        }
    memcpy(y_, w_[0], sizeof y_); /* hostile numbers give something that is finite */
    y_[3] = (real)NAN;
    y_[n - 1] = (real)INFINITY;
    y_[n / 2] = (real)-1e38;
    k->quantise[type](a, y_, NULL, n);
    free(a), free(b);
}

static void same_bytes(void **state) {
    (void)state;
    each(check_bytes);
}

static void check_axpy(const spar__kernels *k, const spar__kernels *plain, int type, int64_t n, size_t row) {
    (void)plain;
    unsigned char *stored = malloc(row);
    k->encode[type](stored, w_[1], n);
    k->decode[type](z_, stored, n);
    memcpy(y_, x_[0], sizeof y_);
    k->row_axpy[type](y_, (real)0.75, stored, n);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs((double)y_[i] - ((double)x_[0][i] + 0.75 * (double)z_[i])) < 1e-5);
    free(stored);
}

static void rows_added(void **state) {
    (void)state;
    each(check_axpy);
}

#ifndef SPAR_REAL_DOUBLE

static void check_products(const spar__kernels *k, const spar__kernels *plain, int type, int64_t n, size_t row) {
    const char *name = spar__type_of((spar__type)type)->name;
    size_t bytes = spar__packed_bytes(n), apart = row + 2;
    unsigned char *w = malloc(ROWS * apart);
    char *packed = malloc(VECTORS * bytes), *again = malloc(bytes);
    float one[VECTORS][ROWS + 1], tile[VECTORS][ROWS + 3], first;
    for (int r = 0; r < DIFFERENT; r++) k->encode[type](w + (size_t)r * apart, w_[r], n);
    for (int r = DIFFERENT; r < ROWS; r++) memcpy(w + (size_t)r * apart, w + (size_t)(r % DIFFERENT) * apart, row);
    for (int v = 0; v < VECTORS; v++) {
        memset(packed + (size_t)v * bytes, 0, bytes);
        memset(again, 0, bytes);
        k->pack(packed + (size_t)v * bytes, x_[v], n);
        plain->pack(again, x_[v], n);
        assert_memory_equal(packed + (size_t)v * bytes, again, bytes);
        one[v][ROWS] = 77;
        k->packed_dot[type](one[v], w, apart, packed + (size_t)v * bytes, ROWS, n);
        assert_true(one[v][ROWS] == 77);
        for (int r = 0; r < ROWS; r++) {
            plain->packed_dot[type](&first, w + (size_t)r * apart, apart, again, 1, n);
            if (memcmp(&first, &one[v][r], sizeof first) != 0)
                fail_msg("%s %s of %lld: row %d, vector %d: %.9g, scalar %.9g", k->isa, name, (long long)n, r,
                         v, (double)one[v][r], (double)first);
        }
    }
    for (int rows = 1; rows <= VECTORS; rows += rows < 9 ? 1 : 4) {
        for (int v = 0; v < VECTORS; v++)
            for (int r = 0; r < ROWS + 3; r++) tile[v][r] = 5;
        for (int o = 0; o < ROWS; o += SPAR__PACKED_OUTPUTS) {
            int outputs = ROWS - o < SPAR__PACKED_OUTPUTS ? ROWS - o : SPAR__PACKED_OUTPUTS;
            spar__packed_tile t = {.w = w + (size_t)o * apart, .row_bytes = apart, .n_out = outputs, .n_rows = rows,
                                   .n = n, .n_next = ROWS - o - outputs, .x = packed, .y = &tile[0][o],
                                   .y_stride = ROWS + 3, .alpha = 1};
            k->packed_tile[type](&t);
        }
        for (int v = 0; v < VECTORS; v++) {
            if (v < rows && memcmp(tile[v], one[v], ROWS * sizeof(float)) != 0)
                fail_msg("%s %s of %lld: vector %d of %d in a tile differs", k->isa, name, (long long)n, v, rows);
            for (int r = v < rows ? ROWS : 0; r < ROWS + 3; r++) assert_true(tile[v][r] == 5);
        }
    }
    spar__packed_tile t = {.w = w, .row_bytes = apart, .n_out = 3, .n_rows = 2, .n = n, .x = packed, .y = &tile[0][0],
                           .y_stride = ROWS + 3, .alpha = 2, .beta = 3};
    for (int v = 0; v < 2; v++) tile[v][2] = (float)v;
    k->packed_tile[type](&t);
    for (int v = 0; v < 2; v++) assert_true(tile[v][2] == 2 * one[v][2] + 3 * (float)v);
    free(w), free(packed), free(again);
}

static void same_products(void **state) {
    (void)state;
    each(check_products);
}

/* Numbers that are not finite, and the ends of what is. */
static void hostile_vectors(void **state) {
    (void)state;
    const spar__kernels *k = spar__k();
    float x[96] = {NAN, 1, 2}, values[2] = {3e38f, 1e-45f};
    char packed[512];
    assert_true(spar__packed_bytes(96) <= sizeof packed);
    x[32] = INFINITY;
    for (int i = 0; i < 2; i++) {
        x[64] = values[i];
        k->pack(packed, x, 96);
        spar__packed p = spar__packed_at(packed, 96);
        for (int j = 0; j < 64; j++) assert_int_equal(p.p[j], 0);
        assert_true(isfinite(p.d[2]));
        if (i == 0) assert_int_equal(p.p[64], 127);
    }
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(rows_added),
#ifndef SPAR_REAL_DOUBLE
        cmocka_unit_test(same_products),
        cmocka_unit_test(hostile_vectors),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
