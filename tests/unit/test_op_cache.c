/* The tracks of a cache: rows by position in rings and without, cutting back, types, exact plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "op/cache.h"

enum { CONTEXT = 50, CHUNK = 4, SLOTS = 2 };

/* Number c of the row that stands at a position of a slot's track. */
static real number(int layer, int track, int slot, int64_t position, int64_t c) {
    return (real)(position * 8 + c + track * 1000 + layer * 2000 + slot * 4000);
}

static const spar__cache_track first_tracks[] = {{4, 0, false}, {4, 7, false}};
static const spar__cache_track second_tracks[] = {{4, 0, false}, {4, 0, false}, {5, 3, true}, {1, 2, true}};
static const spar__cache_layer layers[] = {{2, first_tracks}, {4, second_tracks}};

static void feed(spar__cache *c, int slot, int64_t past, int64_t count) {
    real rows[CHUNK * 8];
    for (int layer = 0; layer < 2; layer++)
        for (int t = 0; t < layers[layer].n_tracks; t++) {
            int64_t width = layers[layer].tracks[t].width;
            for (int64_t i = 0; i < count * width; i++)
                rows[i] = number(layer, t, slot, past + i / width, i % width);
            spar__cache_store(c, layer, t, slot, past, count, rows);
        }
}

/* What rows from `next` on need is there. */
static void check_rows(const spar__cache *c, int slot, int64_t next) {
    real row[8];
    for (int layer = 0; layer < 2; layer++)
        for (int t = 0; t < layers[layer].n_tracks; t++) {
            const spar__cache_track *k = &layers[layer].tracks[t];
            for (int64_t p = k->keep ? next - (k->keep - 1) : -1; p < next; p++) {
                spar__cache_load(c, layer, t, slot, p, row);
                for (int64_t i = 0; i < k->width; i++)
                    assert_true(row[i] == (p < 0 ? 0 : number(layer, t, slot, p, i)));
            }
        }
}

static void test_rows(void **state) {
    (void)state;
    spar__cache *c;
    assert_int_equal(spar__cache_create(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__F32, &c), SPAR_OK);
    for (int64_t at = 0; at < CONTEXT; at += CHUNK) {
        int64_t n = CONTEXT - at < CHUNK ? CONTEXT - at : CHUNK;
        for (int slot = 0; slot < SLOTS; slot++) feed(c, slot, at, n);
        for (int slot = 0; slot < SLOTS; slot++) check_rows(c, slot, at + n);
    }
    spar__cache_free(c);
}

static void test_cut(void **state) {
    (void)state;
    spar__cache *c;
    assert_int_equal(spar__cache_create(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__F32, &c), SPAR_OK);
    assert_int_equal(spar__cache_cut_limit(c, 1), 0);
    for (int64_t at = 0; at < 20; at += CHUNK) feed(c, 1, at, CHUNK);
    int64_t limit = spar__cache_cut_limit(c, 20);
    assert_int_equal(limit, 20 - CHUNK);
    for (int64_t next = limit; next <= 20; next++) check_rows(c, 1, next);
    /* Cut back, other rows in their places, and the old ones before them. */
    feed(c, 1, limit, 2);
    check_rows(c, 1, limit + 2);
    spar__cache_free(c);
}

static void test_plan(void **state) {
    (void)state;
    size_t f32 = spar__type_of(SPAR__F32)->block_bytes;
    uint64_t narrow = 4 * CONTEXT + 4 * (7 - 1 + CHUNK) + 4 * CONTEXT + 4 * CONTEXT;
    uint64_t exact = 5 * (3 - 1 + CHUNK) + 1 * (2 - 1 + CHUNK);
    assert_int_equal(spar__cache_plan_bytes(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__F32),
                     SLOTS * (narrow + exact) * f32);
    assert_int_equal(spar__cache_plan_bytes(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__BF16),
                     SLOTS * (narrow * 2 + exact * f32));
    spar__cache *c;
    assert_int_equal(spar__cache_create(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__BF16, &c), SPAR_OK);
    assert_int_equal(SLOTS * spar__cache_slot_bytes(c, 0, CONTEXT), SLOTS * (narrow * 2 + exact * f32));
    assert_int_equal(spar__cache_at(c, 1, 0, 0).type, SPAR__BF16);
    assert_int_equal(spar__cache_at(c, 1, 2, 0).type, SPAR__F32);
    spar__cache_free(c);
}

/* Rows of whole blocks for each head are kept in blocks; others, and those that must be exact, as they are. */
static void test_blocks(void **state) {
    (void)state;
    static const spar__cache_track of[] = {{.width = 64, .part = 32}, {.width = 64, .part = 16}, {.width = 64, .exact = true},
                                           {.width = 64, .keep = 7, .part = 64}};
    static const spar__cache_layer one[] = {{4, of}};
    size_t f32 = spar__type_of(SPAR__F32)->block_bytes;
    uint64_t bytes = CONTEXT * (68 + 128 * f32) + (7 - 1 + CHUNK) * 68;
    assert_int_equal(spar__cache_plan_bytes(1, one, SLOTS, CONTEXT, CHUNK, SPAR__Q8_0), SLOTS * bytes);
    spar__cache *c;
    assert_int_equal(spar__cache_create(1, one, SLOTS, CONTEXT, CHUNK, SPAR__Q8_0, &c), SPAR_OK);
    assert_int_equal(spar__cache_slot_bytes(c, 1, CONTEXT), bytes);
    real rows[2 * 64], row[64];
    for (int i = 0; i < 128; i++) rows[i] = (real)(i % 50 - 20);
    for (int track = 0; track < 4; track++) {
        spar__cache_store(c, 0, track, 1, 9, 2, rows);
        spar__cache_load(c, 0, track, 1, 10, row);
        for (int i = 0; i < 64; i++) assert_true(row[i] - rows[64 + i] < 0.2 && rows[64 + i] - row[i] < 0.2);
        spar__cache_load(c, 0, track, 0, 10, row);
        for (int i = 0; i < 64; i++) assert_true(row[i] == 0);
    }
    /* A slot's bytes are all that it is. */
    char *packed = malloc((size_t)spar__cache_slot_bytes(c, 1, 11));
    spar__cache_pack(c, 1, 11, packed);
    spar__cache_unpack(c, 0, 11, 0, packed);
    spar__cache_load(c, 0, 1, 0, 10, row);
    for (int i = 0; i < 64; i++) assert_true(row[i] == rows[64 + i]);
    free(packed);
    spar__cache_free(c);
}

/* Every allocation fails in turn. */
static void test_memory(void **state) {
    (void)state;
    spar__cache *c;
    for (size_t n = 1;; n++) {
        spar__alloc_fail_at(n, false);
        spar_status status = spar__cache_create(2, layers, SLOTS, CONTEXT, CHUNK, SPAR__F32, &c);
        spar__alloc_fail_at(0, false);
        if (!status) break;
        assert_int_equal(status, SPAR_ERR_MEMORY);
        assert_true(n < 100);
    }
    spar__cache_free(c);
    const spar__cache_track wide = {INT64_MAX / 2, 0, false};
    const spar__cache_layer huge = {1, &wide};
    assert_int_equal(spar__cache_create(1, &huge, SLOTS, CONTEXT, CHUNK, SPAR__F32, &c), SPAR_ERR_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_plan), cmocka_unit_test(test_blocks), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
