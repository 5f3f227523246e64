/* SentencePiece models: small ones made here, read from every form; damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "token/gguf.h"
#include "token/spm.h"

#define B SPAR__SPM_BLANK

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

#define PIECE(text, score, type) {text, sizeof text - 1, score, SPAR__SPM_##type}
static spar__spm_piece pieces[] = {
    PIECE("<unk>", 0, UNKNOWN), PIECE("<s>", 0, CONTROL),  PIECE("</s>", 0, CONTROL),
    PIECE("<x>", 0, USER),      PIECE("he", -1, NORMAL),   PIECE("hel", -3, NORMAL),
    PIECE("lo", -2, NORMAL),    PIECE(B "he", -2.5, NORMAL), PIECE("h", -5, NORMAL),
    PIECE("e", -6, NORMAL),     PIECE("l", -7, NORMAL),    PIECE("o", -8, NORMAL),
    PIECE(B, -9, NORMAL),       PIECE("llo", -4, NORMAL),
};
enum { COUNT = sizeof pieces / sizeof *pieces };

/* Writes the model's file; the map, if any, stands before the settings that point to it. */
static const char *model_file(int algorithm, spar__buffer *file) {
    spar__spm s = {.pieces = pieces, .count = COUNT, .algorithm = algorithm, .bos = 1, .eos = 2,
                   .pad = -1, .dummy_prefix = true, .remove_extra = true, .escape = true};
    *file = spar__buffer_make(SIZE_MAX);
    ok(spar__spm_write(&s, file));
    return scratch_file("tokenizer.model", file->bytes, file->length);
}

static void assert_ids(const spar_tokenizer *t, const char *text, unsigned flags,
                       const int32_t *want, size_t n) {
    int32_t *ids;
    size_t count;
    ok(spar_tokenizer_encode(t, text, strlen(text), flags, &ids, &count));
    assert_int_equal(count, n);
    assert_memory_equal(ids, want, n * sizeof *ids);
    spar_free(ids);
}

static void assert_text(const spar_tokenizer *t, const int32_t *ids, size_t n, const char *want) {
    char *text;
    size_t length;
    ok(spar_tokenizer_decode(t, ids, n, &text, &length));
    assert_string_equal(text, want);
    spar_free(text);
}

static void check_bpe(const spar_tokenizer *t) {
    /* he and lo by score, then ▁he before hel, then llo. */
    static const int32_t hello[] = {1, 7, 13}, user[] = {12, 3, 4}, unknown[] = {7, 0, 11};
    assert_ids(t, "hello", SPAR_TOKENIZE_SPECIAL, hello, 3);
    assert_text(t, hello, 3, "hello");
    assert_ids(t, " <x>he ", 0, user, 3);
    assert_ids(t, "heZZo", 0, unknown, 3);
    assert_ids(t, "   ", 0, NULL, 0);
    assert_int_equal(spar_tokenizer_bos(t), 1);
    assert_int_equal(spar_tokenizer_eos(t), 2);
    assert_true(spar_tokenizer_is_special(t, 2));
    assert_int_equal(spar_tokenizer_find(t, " he", 3), 7);
}

static void check_unigram(const spar_tokenizer *t) {
    static const int32_t hello[] = {7, 13}; /* −2.5 − 4 is best */
    assert_ids(t, "hello", 0, hello, 2);
    assert_text(t, hello, 2, "hello");
}

/* The same ids from tokenizer.model, from what is saved, and from GGUF. */
static void test_forms(void **state) {
    (void)state;
    for (int algorithm = SPAR__SPM_UNIGRAM; algorithm <= SPAR__SPM_BPE; algorithm++) {
        void (*check)(const spar_tokenizer *) =
            algorithm == SPAR__SPM_BPE ? check_bpe : check_unigram;
        spar__buffer file;
        spar_tokenizer *t, *again;
        spar__gguf_writer *w;
        ok(spar_tokenizer_open(model_file(algorithm, &file), &t));
        spar__buffer_free(&file);
        check(t);
        ok(spar_tokenizer_save(t, scratch("saved.json")));
        ok(spar_tokenizer_open(scratch("saved.json"), &again));
        check(again);
        spar_tokenizer_free(again);
        ok(spar__gguf_writer_create(&w));
        ok(spar__tokenizer_to_gguf(t, w));
        ok(spar__gguf_writer_begin(w, scratch("t.gguf")));
        ok(spar__gguf_writer_commit(w));
        spar__gguf_writer_free(w);
        spar_tokenizer_free(t);
        ok(spar_tokenizer_open(scratch("t.gguf"), &again));
        check(again);
        spar_tokenizer_free(again);

        spar__gguf *g; /* as other programs write it */
        ok(spar__gguf_open(scratch("t.gguf"), &g));
        ok(spar__gguf_writer_create(&w));
        for (size_t i = 0; i < spar__gguf_n_keys(g); i++) {
            spar__gguf_value value;
            const char *key = spar__gguf_key(g, i, &value);
            if (!strncmp(key, "tokenizer.ggml.", 15)) ok(spar__gguf_add_value(w, key, &value));
        }
        ok(spar__gguf_writer_begin(w, scratch("foreign.gguf")));
        ok(spar__gguf_writer_commit(w));
        spar__gguf_writer_free(w);
        spar__gguf_free(g);
        ok(spar_tokenizer_open(scratch("foreign.gguf"), &again));
        check(again);
        spar_tokenizer_free(again);
    }
}

static void use(spar_tokenizer *t) {
    int32_t *ids;
    size_t count, length;
    char *text;
    if (spar_tokenizer_encode(t, "hello \xFFhe <x>\xE4", 13, 1, &ids, &count) == SPAR_OK) {
        if (!spar_tokenizer_decode(t, ids, count, &text, &length)) spar_free(text);
        spar_free(ids);
    }
    spar_tokenizer_free(t);
}

/* Every truncation and every flipped bit: an error or a tokenizer that works. */
static void test_damaged(void **state) {
    (void)state;
    spar__buffer file;
    spar_tokenizer *t;
    size_t refused = 0;
    model_file(SPAR__SPM_BPE, &file);
    for (size_t n = 0; n < file.length; n++)
        if (spar__tokenizer_from_spm("cut", file.bytes, n, -1, -1, &t)) refused++;
        else use(t);
    assert_true(refused > file.length / 2);
    for (size_t bit = 0; bit < file.length * 8; bit++) {
        file.bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (!spar__tokenizer_from_spm("flipped", file.bytes, file.length, -1, -1, &t)) use(t);
        file.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    spar__buffer_free(&file);
}

static void test_long_text(void **state) {
    (void)state;
    enum { N = 100000 };
    for (int algorithm = SPAR__SPM_UNIGRAM; algorithm <= SPAR__SPM_BPE; algorithm++) {
        static const char *const units[] = {"h", "hello", " ", "Z"};
        spar__buffer file;
        spar_tokenizer *t;
        ok(spar_tokenizer_open(model_file(algorithm, &file), &t));
        spar__buffer_free(&file);
        char *text = malloc(N);
        assert_non_null(text);
        for (int u = 0; u < 4; u++) {
            int32_t *ids;
            size_t count, n = strlen(units[u]);
            for (size_t i = 0; i < N; i++) text[i] = units[u][i % n];
            ok(spar_tokenizer_encode(t, text, N, 0, &ids, &count));
            spar_free(ids);
        }
        free(text);
        spar_tokenizer_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
