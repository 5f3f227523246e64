/* Byte-level BPE: a vocabulary is learned, used, saved and read back; special tokens; long pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/memory.h"
#include "format/gguf.h"
#include "spar/machine.h"
#include "spar/tokenizer.h"
#include "token/gguf.h"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static const char *const text =
    "the cat sat on the mat; the cat's hat isn't on the rat. that's 1234 and 5678!\n\n"
    "  the   other the theatre th th  naïve café, Привет мир 你好\n";

typedef struct corpus {
    int left;
    const char *text;
} corpus;

static spar_status next_text(void *context, const char **out, size_t *length) {
    corpus *c = context;
    *out = c->left-- > 0 ? c->text : NULL;
    *length = *out ? strlen(*out) : 0;
    return SPAR_OK;
}

static spar_tokenizer *trained(int vocab_size, const char *splitter) {
    spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
    corpus c = {3, text};
    spar_text_reader reader = {next_text, &c};
    spar_tokenizer *t;
    o.vocab_size = vocab_size;
    o.splitter = splitter;
    ok(spar_tokenizer_train(&o, &reader, NULL, &t));
    return t;
}

static void assert_round_trip(const spar_tokenizer *t, const char *s, size_t length) {
    int32_t *ids;
    size_t count, back_length;
    char *back;
    ok(spar_tokenizer_encode(t, s, length, 0, &ids, &count));
    ok(spar_tokenizer_decode(t, ids, count, &back, &back_length));
    assert_int_equal(back_length, length);
    assert_memory_equal(back, s, length);
    spar_free(ids);
    spar_free(back);
}

static void assert_same(const spar_tokenizer *a, const spar_tokenizer *b, const char *s) {
    int32_t *x, *y;
    size_t n, m;
    ok(spar_tokenizer_encode(a, s, strlen(s), SPAR_TOKENIZE_SPECIAL, &x, &n));
    ok(spar_tokenizer_encode(b, s, strlen(s), SPAR_TOKENIZE_SPECIAL, &y, &m));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n * sizeof *x);
    spar_free(x);
    spar_free(y);
}

static void test_train(void **state) {
    (void)state;
    static const char *const splitters[] = {"gpt2", "llama3", "qwen2"};
    for (int i = 0; i < 3; i++) {
        spar_tokenizer *t = trained(300, splitters[i]);
        assert_int_equal(spar_tokenizer_size(t), 300);
        assert_int_equal(spar_tokenizer_eos(t), 0);
        assert_int_equal(spar_tokenizer_bos(t), 0);
        assert_true(spar_tokenizer_is_special(t, 0));
        assert_false(spar_tokenizer_is_special(t, 1));
        assert_string_equal(spar_tokenizer_kind(t), "bpe");
        /* The most frequent pair is "th", with id 257 as the first merge. */
        assert_int_equal(spar_tokenizer_find(t, "th", 2), 257);
        assert_true(spar_tokenizer_find(t, " the", 4) > 0);
        assert_round_trip(t, text, strlen(text));
        spar_tokenizer_free(t);
    }
}

static void test_train_ends_early(void **state) {
    (void)state;
    spar_tokenizer *t = trained(100000, "gpt2");
    assert_in_range(spar_tokenizer_size(t), 300, 600);
    assert_round_trip(t, text, strlen(text));
    spar_tokenizer_free(t);
}

static void test_train_options(void **state) {
    (void)state;
    static const char *const twice[] = {"<a>", "<a>"};
    corpus c = {0, text};
    spar_text_reader reader = {next_text, &c};
    spar_tokenizer *t = NULL;
    spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
    o.vocab_size = 256;
    assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
    o = (spar_tokenizer_options)SPAR_TOKENIZER_OPTIONS_INIT;
    o.kind = "bpq";
    assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
    assert_non_null(strstr(spar_error(), "nearest is bpe"));
    o = (spar_tokenizer_options)SPAR_TOKENIZER_OPTIONS_INIT;
    o.special = twice;
    o.n_special = 2;
    assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
    o = (spar_tokenizer_options)SPAR_TOKENIZER_OPTIONS_INIT;
    o.splitter = "gpt9";
    assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_UNSUPPORTED);
    assert_null(t);
}

static void test_threads(void **state) {
    (void)state;
    spar_threads_set(1);
    spar_tokenizer *a = trained(350, "gpt2");
    spar_threads_set(3);
    spar_tokenizer *b = trained(350, "gpt2");
    spar_threads_set(0);
    ok(spar_tokenizer_save(a, scratch("a.json")));
    ok(spar_tokenizer_save(b, scratch("b.json")));
    for (int32_t id = 0; id < 350; id++) {
        size_t n, m;
        const char *x = spar_tokenizer_piece(a, id, &n), *y = spar_tokenizer_piece(b, id, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
    }
    spar_tokenizer_free(a);
    spar_tokenizer_free(b);
}

static void test_forms(void **state) {
    (void)state;
    spar_tokenizer *t = trained(320, "llama3"), *json, *gguf, *foreign;
    ok(spar_tokenizer_save(t, scratch("tokenizer.json")));
    ok(spar_tokenizer_open(scratch("tokenizer.json"), &json));
    assert_same(t, json, text);

    spar__gguf_writer *w;
    ok(spar__gguf_writer_create(&w));
    ok(spar__tokenizer_to_gguf(t, w));
    ok(spar__gguf_writer_begin(w, scratch("t.gguf")));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    ok(spar_tokenizer_open(scratch("t.gguf"), &gguf));
    assert_same(t, gguf, text);
    assert_int_equal(spar_tokenizer_eos(gguf), 0);

    /* The same from the keys that other programs write, without the whole tokenizer.json. */
    spar__gguf *g;
    ok(spar__gguf_open(scratch("t.gguf"), &g));
    ok(spar__gguf_writer_create(&w));
    for (size_t i = 0; i < spar__gguf_n_keys(g); i++) {
        spar__gguf_value value;
        const char *key = spar__gguf_key(g, i, &value);
        if (!strcmp(key, "tokenizer.huggingface.json")) continue;
        ok(spar__gguf_add_value(w, key, &value));
    }
    ok(spar__gguf_writer_begin(w, scratch("foreign.gguf")));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    spar__gguf_free(g);
    ok(spar_tokenizer_open(scratch("foreign.gguf"), &foreign));
    assert_same(t, foreign, text);
    spar_tokenizer_free(t);
    spar_tokenizer_free(json);
    spar_tokenizer_free(gguf);
    spar_tokenizer_free(foreign);
}

static void test_special(void **state) {
    (void)state;
    spar_tokenizer *t = trained(300, "gpt2");
    static const char s[] = "a<|endoftext|>b<|endoftext|><|endoftext|>";
    int32_t *ids;
    size_t count;
    ok(spar_tokenizer_encode(t, s, strlen(s), 0, &ids, &count));
    assert_int_equal(count, 5);
    assert_int_equal(ids[1], 0);
    assert_int_equal(ids[4], 0);
    spar_free(ids);
    ok(spar_tokenizer_encode(t, s, strlen(s), SPAR_TOKENIZE_PLAIN, &ids, &count));
    for (size_t i = 0; i < count; i++) assert_int_not_equal(ids[i], 0);
    spar_free(ids);
    ok(spar_tokenizer_encode(t, "", 0, 0, &ids, &count));
    assert_int_equal(count, 0);
    assert_non_null(ids);
    spar_free(ids);
    spar_tokenizer_free(t);
}

static void test_long_pieces(void **state) {
    (void)state;
    static const char *const units[] = {"a", " ", "th", "\n", "é", ".", "1", "你"};
    enum { N = 100000 };
    char *s = malloc(N);
    assert_non_null(s);
    for (int splitter = 0; splitter < 2; splitter++) {
        spar_tokenizer *t = trained(330, splitter ? "llama3" : "gpt2");
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = strlen(units[u]), length = N / n * n;
            for (size_t i = 0; i < length; i += n) memcpy(s + i, units[u], n);
            assert_round_trip(t, s, length);
        }
        spar_tokenizer_free(t);
    }
    free(s);
}

/* Pieces on both sides of the length where the heap takes over are merged alike. */
static void test_short_is_long(void **state) {
    (void)state;
    spar_tokenizer *t = trained(330, "gpt2");
    char s[160];
    for (size_t i = 0; i < sizeof s; i++) s[i] = "theatrehatcat"[i * 7 % 13];
    for (size_t n = 1; n <= sizeof s; n++) assert_round_trip(t, s, n);
    spar_tokenizer_free(t);
}

static void test_invalid_bytes(void **state) {
    (void)state;
    spar_tokenizer *t = trained(300, "gpt2");
    static const char bad[] = "a\xFFz\xE4\xBD", good[] = "a\xEF\xBF\xBDz\xEF\xBF\xBD";
    int32_t *ids;
    size_t count, length;
    char *back;
    ok(spar_tokenizer_encode(t, bad, strlen(bad), 0, &ids, &count));
    ok(spar_tokenizer_decode(t, ids, count, &back, &length));
    assert_string_equal(back, good);
    spar_free(ids);
    spar_free(back);
    int32_t half[2] = {spar_tokenizer_find(t, "\xE4", 1), spar_tokenizer_find(t, "\xBD", 1)};
    ok(spar_tokenizer_decode(t, half, 2, &back, &length));
    assert_string_equal(back, "\xEF\xBF\xBD");
    spar_free(back);
    half[1] = 300;
    assert_int_equal(spar_tokenizer_decode(t, half, 2, &back, &length), SPAR_ERR_ARGUMENT);
    half[1] = -1;
    assert_int_equal(spar_tokenizer_decode(t, half, 2, &back, &length), SPAR_ERR_ARGUMENT);
    spar_tokenizer_free(t);
}

static void test_no_memory(void **state) {
    (void)state;
    spar_tokenizer *t = trained(300, "gpt2"), *again;
    ok(spar_tokenizer_save(t, scratch("m.json")));
    for (size_t n = 1; n < 40; n++) {
        int32_t *ids;
        size_t count;
        const char *path = scratch("m.json");
        spar__alloc_fail_at(n, true);
        spar_status open = spar_tokenizer_open(path, &again);
        spar__alloc_fail_at(n, true);
        spar_status encode = spar_tokenizer_encode(t, text, strlen(text), 0, &ids, &count);
        spar__alloc_fail_at(0, false);
        if (!open) spar_tokenizer_free(again);
        else assert_int_equal(open, SPAR_ERR_MEMORY);
        if (!encode) spar_free(ids);
        else assert_int_equal(encode, SPAR_ERR_MEMORY);
    }
    spar_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train),         cmocka_unit_test(test_train_ends_early),
        cmocka_unit_test(test_train_options), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_special),
        cmocka_unit_test(test_long_pieces),   cmocka_unit_test(test_short_is_long),
        cmocka_unit_test(test_invalid_bytes), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
