/* WordPiece: cleaning, splitting, longest pieces, decoding, and the forms of its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "spar/tokenizer.h"
#include "token/gguf.h"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static const char lines[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\n,\n.\ncafe\n"
                            "\xE4\xBD\xA0\n##a\na\n";

static void assert_ids(const spar_tokenizer *t, const char *text, const int32_t *want, size_t n) {
    int32_t *ids;
    size_t count;
    ok(spar_tokenizer_encode(t, text, strlen(text), 0, &ids, &count));
    assert_int_equal(count, n);
    assert_memory_equal(ids, want, n * sizeof *ids);
    spar_free(ids);
}

static void check(const spar_tokenizer *t) {
    static const int32_t words[] = {5, 6, 7, 8, 10, 9}, ideographs[] = {11, 11, 13},
                         unknown[] = {1, 13}, special[] = {5, 4, 13};
    assert_ids(t, "Unaffable,\tcaf\xC3\xA9\xC2\xAD.", words, 6);
    assert_ids(t, "\xE4\xBD\xA0\xE4\xBD\xA0" "A", ideographs, 3);
    assert_ids(t, "unaffablez a", unknown, 2);
    assert_ids(t, "un[MASK]a", special, 3);
    char *text;
    size_t length, n;
    ok(spar_tokenizer_decode(t, words, 6, &text, &length));
    assert_string_equal(text, "unaffable, cafe.");
    spar_free(text);
    int32_t *ids;
    ok(spar_tokenizer_encode(t, "a", 1, SPAR_TOKENIZE_SPECIAL, &ids, &n));
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[2], 3);
    spar_free(ids);
    assert_int_equal(spar_tokenizer_unk(t), 1);
    assert_int_equal(spar_tokenizer_pad(t), 0);
    char longest[202];
    memset(longest, 'a', sizeof longest);
    ok(spar_tokenizer_encode(t, longest, 100, 0, &ids, &n));
    assert_int_equal(n, 100);
    spar_free(ids);
    ok(spar_tokenizer_encode(t, longest, 101, 0, &ids, &n));
    assert_int_equal(n, 1);
    spar_free(ids);
}

static void write_gguf(const spar_tokenizer *t, const char *path, const char *without) {
    spar__gguf_writer *w;
    spar__gguf *g;
    ok(spar__gguf_writer_create(&w));
    ok(spar__tokenizer_to_gguf(t, w));
    ok(spar__gguf_writer_begin(w, scratch("whole.gguf")));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    ok(spar__gguf_open(scratch("whole.gguf"), &g));
    ok(spar__gguf_writer_create(&w));
    for (size_t i = 0; i < spar__gguf_n_keys(g); i++) {
        spar__gguf_value value;
        const char *key = spar__gguf_key(g, i, &value);
        if (strcmp(key, without)) ok(spar__gguf_add_value(w, key, &value));
    }
    ok(spar__gguf_writer_begin(w, path));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    spar__gguf_free(g);
}

static void test_forms(void **state) {
    (void)state;
    spar_tokenizer *t, *again;
    ok(spar_tokenizer_open(scratch_file("vocab.txt", lines, sizeof lines - 1), &t));
    check(t);
    ok(spar_tokenizer_save(t, scratch("saved.json")));
    ok(spar_tokenizer_open(scratch("saved.json"), &again));
    check(again);
    spar_tokenizer_free(again);
    static const char *const without[] = {"", "tokenizer.huggingface.json"};
    for (int i = 0; i < 2; i++) {
        write_gguf(t, scratch("t.gguf"), without[i]);
        ok(spar_tokenizer_open(scratch("t.gguf"), &again));
        check(again);
        spar_tokenizer_free(again);
    }
    spar_tokenizer_free(t);
}

static void test_refused(void **state) {
    (void)state;
    spar_tokenizer *t = NULL;
    assert_int_equal(spar_tokenizer_open(scratch_file("vocab.txt", "a\nb\n", 4), &t),
                     SPAR_ERR_FORMAT);
    assert_non_null(strstr(spar_error(), "[UNK]"));
    assert_int_equal(spar_tokenizer_open(scratch_file("vocab.txt", "[UNK]\n\xFF\n", 8), &t),
                     SPAR_ERR_FORMAT);
    assert_non_null(strstr(spar_error(), "line 2"));
    assert_null(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
