/* Tokenizer files that lie: tokenizer.json, tokenizer.model, vocab.txt, GGUF and Marian's folder,
 * cut at every 97th byte and with each number in them replaced by 0, −1, 2³¹ and 2⁶³ − 1. What opens
 * all the same encodes and decodes. Memory stays below the file's size + 64 MB.
 * SPAR_HOSTILE=long takes every place, and every tokenizer below $SPAR_GOLDEN too. */
#include <ctype.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "spar/tokenizer.h"

enum { STEP = 97, EXTRA_KB = 64 << 10, LARGEST = 1 << 24, MAX_PLACES = 2000 };

static const char *const numbers[] = {"0", "-1", "2147483648", "9223372036854775807"};
static const uint64_t values[] = {0, UINT64_MAX, 1ull << 31, INT64_MAX};

static bool is_long(void) {
    const char *how = getenv("SPAR_HOSTILE");
    return how && !strcmp(how, "long");
}

static long peak_kb(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static bool opens(const char *path) {
    static const char text[] = "The \xC3\xA4 1234 \xE4\xB8\x96 <s>==== \xFF";
    spar_tokenizer *t;
    int32_t *ids;
    size_t count, length;
    char *back;
    if (spar_tokenizer_open(path, &t)) {
        assert_true(strlen(spar_error()) > 0);
        return false;
    }
    if (!spar_tokenizer_encode(t, text, sizeof text - 1, SPAR_TOKENIZE_SPECIAL, &ids, &count)) {
        for (size_t i = 0; i < count; i++) assert_in_range(ids[i], 0, spar_tokenizer_size(t) - 1);
        if (!spar_tokenizer_decode(t, ids, count, &back, &length)) spar_free(back);
        spar_free(ids);
    }
    spar_tokenizer_free(t);
    return true;
}

static void store(const char *path, const char *bytes, size_t length) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static void cut(const char *file, const char *path, const char *bytes, size_t length, size_t step,
                bool json) {
    size_t least = length / (is_long() ? MAX_PLACES : 40);
    if (step < least) step = least / STEP * STEP + STEP;
    for (size_t n = 0; n < length; n += step) {
        store(file, bytes, n);
        if (opens(path) && json) fail_msg("%s: opens with %zu of %zu bytes", file, n, length);
    }
}

/* Numbers of a text, or (not `json`) at every `step`-th byte. */
static void lie(const char *file, const char *path, const char *bytes, size_t length, size_t step,
                bool json) {
    char *out = malloc(length + 32);
    assert_non_null(out);
    size_t places = 0, most = is_long() ? MAX_PLACES : 60, each = length / most + 1;
    if (json) step = 1;
    else if (step < each) step = each;
    for (size_t i = 1; i + 8 < length; i += step) {
        size_t stop = i;
        if (json) {
            if (!strchr(" :[,", bytes[i - 1])) continue;
            while (stop < length && (isdigit((unsigned char)bytes[stop]) || bytes[stop] == '-')) stop++;
            if (stop == i || (places++ > 40 && i % each)) continue;
        }
        for (int k = 0; k < 4; k++) {
            const char *put = json ? numbers[k] : (const char *)&values[k];
            size_t n = json ? strlen(put) : 4, rest = json ? stop : i + 4;
            memcpy(out, bytes, i);
            memcpy(out + i, put, n);
            memcpy(out + i + n, bytes + rest, length - rest);
            store(file, out, i + n + length - rest);
            (void)opens(path);
        }
    }
    free(out);
}

/* The file's own name within `path`, which is the file itself or the folder that it is in. */
static void hostile(const char *file, const char *path, size_t step) {
    char *bytes;
    size_t length;
    assert_int_equal(spar__read_file(file, LARGEST, &bytes, &length), SPAR_OK);
    size_t n = strlen(file);
    bool json = n > 5 && !strcmp(file + n - 5, ".json");
    long before = peak_kb();
    if (opens(path)) {
        before = peak_kb();
        cut(file, path, bytes, length, step, json);
        lie(file, path, bytes, length, step, json);
        store(file, bytes, length);
        long grown = peak_kb() - before;
#ifdef __SANITIZE_ADDRESS__ /* which keeps what was freed for a while */
        grown = 0;
#endif
        if (grown > (long)(length >> 10) + EXTRA_KB)
            fail_msg("%s: %ld KB of memory for %zu bytes", file, grown, length);
    }
    spar__free(bytes);
}

static void hostile_copy(const char *from, const char *name, size_t step) {
    char *bytes, file[1024];
    size_t length;
    assert_int_equal(spar__read_file(from, LARGEST, &bytes, &length), SPAR_OK);
    snprintf(file, sizeof file, "%s", scratch_file(name, bytes, length));
    spar__free(bytes);
    hostile(file, file, step);
    remove(file);
}

static void test_kinds(void **state) {
    (void)state;
    static char line[1 << 20];
    char file[1024];
    FILE *f = fopen("tests/golden/data/tokenizers/kinds.jsonl", "r");
    assert_non_null(f);
    for (int i = 0; fgets(line, sizeof line, f); i++) {
        if (i % 5 && !is_long()) continue;
        json_t *object = json_loads(line, 0, NULL);
        char *text = json_dumps(json_object_get(object, "tokenizer"), JSON_COMPACT);
        assert_non_null(text);
        snprintf(file, sizeof file, "%s", scratch_file("kind.json", text, strlen(text)));
        hostile(file, file, STEP);
        free(text);
        json_decref(object);
    }
    fclose(f);
}

static void test_marian(void **state) {
    (void)state;
    static const char *const names[] = {"source.spm", "target.spm", "vocab.json"};
    char folder[900], file[1024], from[1024], *bytes;
    snprintf(folder, sizeof folder, "%s", scratch("marian"));
    mkdir(folder, 0700);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 3; i++) {
            size_t length;
            snprintf(from, sizeof from, "tests/golden/data/tokenizers/marian/%s", names[i]);
            snprintf(file, sizeof file, "%s/%s", folder, names[i]);
            if (pass) {
                hostile(file, folder, STEP);
                continue;
            }
            assert_int_equal(spar__read_file(from, LARGEST, &bytes, &length), SPAR_OK);
            store(file, bytes, length);
            spar__free(bytes);
        }
    hostile_copy("tests/golden/data/tokenizers/marian/source.spm", "t.model", STEP);
}

static int visit(const char *path, const struct stat *s, int type, struct FTW *place) {
    static const char *const ends[] = {"tokenizer.json", ".model", "vocab.txt", ".gguf"};
    (void)place;
    for (int i = 0; type == FTW_F && s->st_size < LARGEST && i < 4; i++) {
        size_t n = strlen(path), m = strlen(ends[i]);
        if (n < m || strcmp(path + n - m, ends[i])) continue;
        hostile_copy(path, i == 0 ? "tokenizer.json" : i == 1 ? "t.model" : i == 2 ? "vocab.txt" : "t.gguf",
                     STEP);
    }
    return 0;
}

static void test_every_fixture(void **state) {
    (void)state;
    const char *golden = getenv("SPAR_GOLDEN");
    if (!golden || !is_long()) skip();
    char path[1024];
    snprintf(path, sizeof path, "%s/tokenizers", golden);
    assert_int_equal(nftw(path, visit, 16, FTW_PHYS), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_marian),
                                       cmocka_unit_test(test_every_fixture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
