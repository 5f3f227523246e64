/* Marian's tokenizer: a folder as OPUS-MT publishes them, small, with the ids and texts that
 * transformers gives (tests/golden/data/tokenizers/marian); and through a folder and a GGUF file of
 * our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/scratch.h"
#include "spar/tokenizer.h"
#include "token/gguf.h"
#include "token/save.h"

#define FOLDER "tests/golden/data/tokenizers/marian"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static void check_ids(const json_t *line, const char *key, const int32_t *ids, size_t count) {
    const json_t *want = json_object_get(line, key);
    bool same = count == json_array_size(want);
    for (size_t i = 0; same && i < count; i++)
        same = ids[i] == json_integer_value(json_array_get(want, i));
    if (!same) fail_msg("%s of '%s' differ", key, json_string_value(json_object_get(line, "text")));
}

static void check_line(const spar_tokenizer *t, const json_t *line) {
    const char *text = json_string_value(json_object_get(line, "text"));
    int32_t *ids;
    size_t(*offsets)[2], count, length;
    char *back;
    ok(spar_tokenizer_encode_offsets(t, text, strlen(text), SPAR_TOKENIZE_SPECIAL, &ids, &offsets,
                                     &count));
    check_ids(line, "ids_special", ids, count);
    for (size_t i = 0; i < count; i++) assert_true(offsets[i][1] <= strlen(text));
    spar_free(ids);
    spar_free(offsets);
    ok(spar_tokenizer_encode(t, text, strlen(text), 0, &ids, &count));
    check_ids(line, "ids", ids, count);
    ok(spar_tokenizer_decode(t, ids, count, &back, &length));
    assert_string_equal(back, json_string_value(json_object_get(line, "decoded")));
    spar_free(back);
    spar_free(ids);
}

static void check(const char *path) {
    char line[4096];
    spar_tokenizer *t;
    int lines = 0;
    ok(spar_tokenizer_open(path, &t));
    FILE *f = fopen(FOLDER "/vectors.jsonl", "r");
    assert_non_null(f);
    for (; fgets(line, sizeof line, f); lines++) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        check_line(t, object);
        json_decref(object);
    }
    fclose(f);
    assert_true(lines > 5);
    assert_string_equal(spar_tokenizer_kind(t), "marian");
    spar_tokenizer_free(t);
}

static void test_vectors(void **state) {
    (void)state;
    check(FOLDER);
    check(FOLDER "/vocab.json");
}

static void test_written(void **state) {
    (void)state;
    spar_tokenizer *t;
    spar__gguf_writer *w;
    ok(spar_tokenizer_open(FOLDER, &t));
    const char *folder = scratch("marian");
    mkdir(folder, 0777);
    ok(spar__tokenizer_save_folder(t, NULL, NULL, folder));
    check(folder);
    ok(spar__gguf_writer_create(&w));
    ok(spar__tokenizer_to_gguf(t, w));
    ok(spar__gguf_writer_begin(w, scratch("marian.gguf")));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    spar_tokenizer_free(t);
    check(scratch("marian.gguf"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
