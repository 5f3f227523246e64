/* Sessions of every kind: several tokens at once have the bits of one by one; a session that was saved goes on as the
 * one that was not; files of sessions are distrusted; decoding allocates nothing; caches of types in few bits are as
 * planned and near the exact ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/decoders.h"
#include "../support/scratch.h"
#include "base/memory.h"
#include "spar/machine.h"
#include "spar/session.h"

enum { V = DECODER_VOCABULARY };
static const char *const types[] = {"f32", "q8_0", "bf16"};
enum { N_TYPES = sizeof types / sizeof *types };

static int32_t token_of(int64_t position) { return (int32_t)((position * position * 7 + position * 3 + 5) % V); }

static spar_session *open(const spar_model *m, const char *cache_type) {
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    spar_session *s;
    o.chunk = 20;
    o.cache_type = cache_type;
    if (spar_session_create(m, &o, &s)) fail_msg("%s", spar_error());
    return s;
}

static const float *feed(spar_session *s, int64_t count) {
    const float *logits;
    int32_t tokens[DECODER_CONTEXT];
    for (int64_t i = 0; i < count; i++) tokens[i] = token_of(spar_session_position(s) + i);
    if (spar_session_feed(s, tokens, (size_t)count, &logits)) fail_msg("%s", spar_error());
    return logits;
}

static void check_each(int kind, const char *type) {
    spar_model *m = decoder_make(kind, type, 3);
    spar_session *together = open(m, "f32"), *alone = open(m, "f32");
    feed(together, 23);
    feed(alone, 23);
    for (size_t count = 2; count <= 16; count += 7) { /* 2, 9, 16 */
        int32_t tokens[16];
        const float *each;
        for (size_t i = 0; i < count; i++) tokens[i] = token_of(spar_session_position(together) + (int64_t)i);
        if (spar_session_feed_each(together, tokens, count, &each)) fail_msg("%s", spar_error());
        for (size_t i = 0; i < count; i++)
            if (memcmp(each + i * V, feed(alone, 1), V * sizeof *each) != 0)
                fail_msg("%s in %s: token %zu of %zu differs from alone", decoder_text(kind), type, i, count);
    }
    spar_session_free(together);
    spar_session_free(alone);
    spar_model_free(m);
}

static void several_at_once(void **state) {
    (void)state;
    for (int k = 0; k < decoders_count(); k++)
        for (int t = 0; t < N_TYPES; t++)
            if (t < 2 || k % 3 == 0) check_each(k, types[t]);
}

static void check_saved(int kind, const char *type, const char *cache_type) {
    spar_model *m = decoder_make(kind, type, 3);
    spar_session *first = open(m, cache_type), *second = open(m, cache_type);
    const char *path = scratch("session");
    feed(first, 30);
    feed(second, 7); /* what it held is gone */
    if (spar_session_save(first, path) || spar_session_load(second, path)) fail_msg("%s: %s", decoder_text(kind), spar_error());
    assert_int_equal(spar_session_position(second), 30);
    assert_memory_equal(spar_session_tokens(first), spar_session_tokens(second), 30 * sizeof(int32_t));
    for (int i = 0; i < 4; i++)
        if (memcmp(feed(first, i + 1), feed(second, i + 1), V * sizeof(float)) != 0)
            fail_msg("%s in %s: differs after loading", decoder_text(kind), type);
    spar_session_free(first);
    spar_session_free(second);
    spar_model_free(m);
}

static void saved_and_loaded(void **state) {
    (void)state;
    static const char *const cache_types[] = {"f32", "bf16", "f16", "q8_0"};
    for (int k = 0; k < decoders_count(); k++) check_saved(k, types[k % N_TYPES], cache_types[k % 4]);
}

static void write_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) fail_msg("%s: cannot write", path);
}

/* Every truncation and every flipped bit is refused, and the session is as before. */
static void damaged(void **state) {
    (void)state;
    spar_model *m = decoder_make(0, "f32", 3);
    spar_session *s = open(m, "q8_0"), *other = open(m, "q8_0");
    char path[256], bad[256];
    snprintf(path, sizeof path, "%s", scratch("good"));
    snprintf(bad, sizeof bad, "%s", scratch("bad"));
    feed(s, 3);
    assert_int_equal(spar_session_save(s, path), SPAR_OK);
    FILE *f = fopen(path, "rb");
    static char bytes[1 << 16];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 200 && n < sizeof bytes);
    feed(other, 3);
    feed(other, 2);
    for (size_t cut = 0; cut < n; cut += cut < 130 ? 1 : 37) {
        write_file(bad, bytes, cut);
        if (!spar_session_load(other, bad)) fail_msg("%zu of %zu bytes were taken", cut, n);
    }
    for (size_t bit = 0; bit < 8 * n; bit += bit < 8 * 130 ? 1 : 101) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        write_file(bad, bytes, n);
        if (!spar_session_load(other, bad)) fail_msg("bit %zu flipped was taken", bit);
        if (!strstr(spar_error(), bad)) fail_msg("%s: the file is not named", spar_error());
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    bytes[n] = 0;
    write_file(bad, bytes, n + 1);
    assert_int_not_equal(spar_session_load(other, bad), SPAR_OK);
    assert_int_not_equal(spar_session_load(other, "/no/such/file"), SPAR_OK);
    assert_int_equal(spar_session_position(other), 5);
    feed(s, 2); /* the other one goes on as if nothing had been tried */
    assert_memory_equal(feed(other, 1), feed(s, 1), V * sizeof(float));
    spar_session_free(s);
    spar_session_free(other);
    spar_model_free(m);
}

static void refused(const spar_model *m, const spar_session_options *o, const char *path, const char *expected) {
    spar_session *s;
    assert_int_equal(spar_session_create(m, o, &s), SPAR_OK);
    assert_int_equal(spar_session_load(s, path), SPAR_ERR_ARGUMENT);
    if (!strstr(spar_error(), expected)) fail_msg("%s: expected to name '%s'", spar_error(), expected);
    spar_session_free(s);
}

static void another_model(void **state) {
    (void)state;
    spar_model *m = decoder_make(0, "f32", 3), *weights = decoder_make(0, "f32", 4), *kind = decoder_make(1, "f32", 3);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 20;
    spar_session *s = open(m, "f32");
    const char *path = scratch("own");
    feed(s, 9);
    assert_int_equal(spar_session_save(s, path), SPAR_OK);
    refused(weights, &o, path, "another model");
    refused(kind, &o, path, "another model");
    o.context = 50;
    refused(m, &o, path, "context");
    o.context = 0;
    o.cache_type = "bf16";
    refused(m, &o, path, "cache type");
    spar_session_free(s);
    spar_model_free(m);
    spar_model_free(weights);
    spar_model_free(kind);
}

/* After the first tokens of a size nothing is allocated: neither by sessions nor by batches. */
static void check_allocations(int kind, const char *type) {
    spar_model *m = decoder_make(kind, type, 3);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 20;
    spar_session *s = open(m, "f32");
    spar_batch *batch;
    assert_int_equal(spar_batch_create(m, &o, 3, &batch), SPAR_OK);
    feed(s, 20);
    for (int round = 0; round < 12; round++) {
        int32_t token = token_of(round);
        spar_batch_item items[3] = {{0, &token, 1, NULL}, {1, &token, 1, NULL}, {2, &token, 1, NULL}};
        if (round == 2) spar__alloc_fail_at(0, false);
        feed(s, 1);
        assert_int_equal(spar_batch_feed(batch, items, 3), SPAR_OK);
    }
    size_t made = spar__alloc_fail_at(0, false);
    if (made) fail_msg("%s in %s: %zu allocations in ten tokens", decoder_text(kind), type, made);
    spar_batch_free(batch);
    spar_session_free(s);
    spar_model_free(m);
}

static void nothing_is_allocated(void **state) {
    (void)state;
    for (int k = 0; k < decoders_count(); k++) check_allocations(k, types[k % N_TYPES]);
}

/* The bytes that are planned are those that are taken, and the logits those of an exact cache within what the type
 * rounds. */
static void check_cache(int kind, const char *cache_type, double tolerance) {
    spar_model *m = decoder_make(kind, "f32", 3);
    spar_session *exact = open(m, "f32"), *s = open(m, cache_type);
    double worst = 0, size = 0;
    feed(exact, 20);
    feed(s, 20);
    for (int i = 0; i < 8; i++) {
        const float *a = feed(exact, 1), *b = feed(s, 1);
        for (int v = 0; v < V; v++) {
            worst = fmax(worst, fabs((double)a[v] - (double)b[v]));
            size = fmax(size, fabs((double)a[v]));
        }
    }
    if (!(worst <= tolerance * size)) fail_msg("%s with a cache in %s: %g of %g", decoder_text(kind), cache_type, worst, size);
    assert_true(spar_session_cache_bytes(s) <= spar_session_cache_bytes(exact));
    spar_session_free(exact);
    spar_session_free(s);
    spar_model_free(m);
}

static bool chooses(const char *text) { /* small differences change what is chosen */
    return strstr(text, "sparse") || strstr(text, "experts") || strstr(text, "lsh");
}

static void cache_types(void **state) {
    (void)state;
    for (int k = 0; k < decoders_count(); k++) {
        if (chooses(decoder_text(k))) continue;
        check_cache(k, "f16", 0.02);
        check_cache(k, "bf16", 0.1);
        check_cache(k, "q8_0", 0.1);
    }
}

int main(void) {
    spar_threads_set(1); /* the models are too small for more */
    const struct CMUnitTest tests[] = {cmocka_unit_test(several_at_once),      cmocka_unit_test(saved_and_loaded),
                                       cmocka_unit_test(damaged),              cmocka_unit_test(another_model),
                                       cmocka_unit_test(nothing_is_allocated), cmocka_unit_test(cache_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
