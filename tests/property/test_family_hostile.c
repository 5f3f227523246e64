/* Published models whose files lie: cut at every 97th byte, and every number of their headers and
 * configurations set to 0, −1, 2³¹ and 2⁶³ − 1. A cut is always an error; a number that is taken
 * leaves a model that runs. Memory stays below the file's size + 64 MB.
 * The short form takes fewer places; SPAR_HOSTILE=long takes all and walks every fixture below $SPAR_GOLDEN too. */
#include <ctype.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "base/json.h"
#include "format/gguf.h"
#include "spar/model.h"

enum { STEP = 97, PATH = 1024, EXTRA_KB = 64 << 10, LARGEST = 1 << 24 };

static const char *const models[] = {"tests/golden/data/hf/llama-mqa-linear-tied/model",
                                     "tests/golden/data/hf/gpt2-base/model", NULL};
static const long long numbers[] = {0, -1, 1LL << 31, INT64_MAX};

static long peak_kb(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* Opens, runs what opens, and says whether it did. */
static bool opens(const char *path) {
    spar_model *m;
    static const int32_t tokens[] = {1, 0, 2};
    if (spar_model_open(path, &m)) {
        assert_true(strlen(spar_error()) > 0);
        return false;
    }
    int32_t vocab = spar_model_vocab_size(m);
    float *out = calloc(3 * (size_t)vocab, sizeof *out);
    if (vocab > 2) (void)spar_model_logits(m, tokens, 3, out);
    free(out);
    spar_model_free(m);
    return true;
}

static void expect_bounded(const char *path, long before, size_t length) {
    long grown = peak_kb() - before;
    if (grown > (long)(length >> 10) + EXTRA_KB) fail_msg("%s: %ld KB of memory for %zu bytes", path, grown, length);
}

static size_t load(const char *path, char **bytes) {
    size_t length;
    if (spar__read_file(path, LARGEST, bytes, &length)) fail_msg("%s", spar_error());
    return length;
}

static void store(const char *path, const char *bytes, size_t length) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

/* Ever shorter: the file is cut in place. `slack`: bytes at the end that may be padding. */
static void cut(const char *file, const char *model, size_t length, size_t slack, size_t step) {
    long before = peak_kb();
    for (size_t n = length > slack ? (length - slack) / step * step : 0; n < length; n -= step) {
        assert_int_equal(truncate(file, (off_t)n), 0);
        if (opens(model)) fail_msg("%s: opens with %zu of %zu bytes", file, n, length);
        if (n < step) break;
    }
    expect_bounded(file, before, length);
}

/* Every number in a text between `begin` and `end`, replaced in turn. */
static void replace_numbers(const char *file, const char *model, const char *bytes, size_t length, size_t begin,
                            size_t end, bool header) {
    long before = peak_kb();
    char *out = malloc(length + 32);
    for (size_t i = begin; i < end; i++) {
        bool starts = (isdigit((unsigned char)bytes[i]) || bytes[i] == '-') && strchr(" :[,", bytes[i - 1]);
        if (!starts) continue;
        size_t stop = i + 1;
        while (stop < end && (isdigit((unsigned char)bytes[stop]) || strchr(".e-+", bytes[stop]))) stop++;
        for (int k = 0; k < 4; k++) {
            char number[24];
            int n = snprintf(number, sizeof number, "%lld", numbers[k]);
            memcpy(out, bytes, i);
            memcpy(out + i, number, (size_t)n);
            memcpy(out + i + n, bytes + stop, length - stop);
            size_t size = length + (size_t)n - (stop - i);
            uint64_t head;
            memcpy(&head, out, sizeof head);
            head += (uint64_t)((int64_t)n - (int64_t)(stop - i));
            if (header) memcpy(out, &head, sizeof head);
            store(file, out, size);
            opens(model);
        }
    }
    free(out);
    store(file, bytes, length);
    expect_bounded(file, before, length);
}

/* A folder in the scratch space with copies of config.json and the weights. */
static void copy_folder(const char *from, char folder[PATH]) {
    static const char *const names[] = {"config.json", "model.safetensors"};
    snprintf(folder, PATH, "%s", scratch("folder"));
    mkdir(folder, 0700);
    for (int i = 0; i < 2; i++) {
        char path[PATH + 32], *bytes;
        snprintf(path, sizeof path, "%s/%s", from, names[i]);
        size_t length = load(path, &bytes);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        store(path, bytes, length);
        spar__free(bytes);
    }
}

static void hostile_folder(const char *from, size_t step) {
    char folder[PATH], config[PATH + 32], weights[PATH + 32], *bytes;
    copy_folder(from, folder);
    snprintf(config, sizeof config, "%s/config.json", folder);
    snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
    if (!opens(folder)) return; /* a family that is not known yet */

    size_t length = load(config, &bytes);
    replace_numbers(config, folder, bytes, length, 1, length, false);
    cut(config, folder, length, 4, STEP);
    store(config, bytes, length);
    spar__free(bytes);

    length = load(weights, &bytes);
    uint64_t head;
    memcpy(&head, bytes, sizeof head);
    for (int k = 0; k < 4; k++) {
        store(weights, bytes, length);
        FILE *f = fopen(weights, "r+b");
        fwrite(&numbers[k], sizeof numbers[k], 1, f);
        fclose(f);
        assert_false(opens(folder));
    }
    replace_numbers(weights, folder, bytes, length, 9, 8 + (step > STEP && head > 200 ? 200 : head), true);
    cut(weights, folder, length, 1, step);
    spar__free(bytes);
}

/* Numbers of a GGUF header: at every place where one can begin. */
static void hostile_gguf(const char *from, size_t step) {
    char file[PATH], *bytes;
    snprintf(file, sizeof file, "%s", scratch("hostile.gguf"));
    size_t length = load(from, &bytes), header = length;
    store(file, bytes, length);
    if (!opens(file)) {
        spar__free(bytes);
        return;
    }
    spar__gguf *g;
    assert_int_equal(spar__gguf_open(file, &g), SPAR_OK);
    size_t data = 0;
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++) data += spar__gguf_tensor_at(g, i)->bytes;
    spar__gguf_free(g);
    header = length > data ? length - data : length;
    long before = peak_kb();
    size_t places = step > STEP ? 128 : 4096;
    for (size_t i = 4; i + 8 <= header; i += header > places ? header / places : 1)
        for (int k = 0; k < 8; k++) {
            size_t width = k < 4 ? 8 : 4;
            FILE *f = fopen(file, "r+b");
            fseek(f, (long)i, SEEK_SET);
            fwrite(&numbers[k % 4], width, 1, f);
            fclose(f);
            opens(file);
            f = fopen(file, "r+b");
            fseek(f, (long)i, SEEK_SET);
            fwrite(bytes + i, width, 1, f);
            fclose(f);
        }
    expect_bounded(file, before, length);
    cut(file, file, length, 32, step);
    spar__free(bytes);
}

static bool is_long(void) {
    const char *how = getenv("SPAR_HOSTILE");
    return how && strcmp(how, "long") == 0;
}

static void test_folders(void **state) {
    (void)state;
    for (int i = 0; models[i]; i++) hostile_folder(models[i], is_long() ? STEP : 31 * STEP);
}

static void test_gguf(void **state) {
    (void)state;
    for (int i = 0; models[i]; i++) {
        spar_model *m;
        spar_export_options o = SPAR_EXPORT_OPTIONS_INIT;
        const char *path = scratch("published.gguf");
        assert_int_equal(spar_model_open(models[i], &m), SPAR_OK);
        assert_int_equal(spar_model_export(m, &o, path, NULL), SPAR_OK);
        spar_model_free(m);
        hostile_gguf(path, is_long() ? STEP : 31 * STEP);
    }
}

static int visit(const char *path, const struct stat *s, int type, struct FTW *place) {
    (void)place;
    const char *end = strrchr(path, '/');
    if (type == FTW_F && s->st_size < LARGEST && end && !strcmp(end, "/config.json")) {
        char folder[PATH], weights[PATH + 32];
        snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
        snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
        if (spar__file_exists(weights)) hostile_folder(folder, STEP);
    }
    if (type == FTW_F && s->st_size < LARGEST && end && !strcmp(end, "/model.gguf")) hostile_gguf(path, STEP);
    return 0;
}

static void test_every_fixture(void **state) {
    (void)state;
    const char *golden = getenv("SPAR_GOLDEN");
    if (!golden || !is_long()) skip();
    assert_int_equal(nftw(golden, visit, 16, FTW_PHYS), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folders), cmocka_unit_test(test_gguf),
                                       cmocka_unit_test(test_every_fixture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
