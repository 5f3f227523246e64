/* Learning unigram and WordPiece vocabularies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/rng.h"
#include "spar/machine.h"
#include "spar/tokenizer.h"

/* Words of syllables, the short ones more often: a text with something to learn. */
static char corpus[60000];

static void write_corpus(void) {
    static const char *const parts[] = {"ba", "lo", "ri", "str", "een", "ing", "u", "\xC3\xA9t"};
    spar__rng rng = spar__rng_for(3, SPAR__RNG_TEST, 1, 0);
    size_t at = 0;
    for (uint64_t word = 0; at + 64 < sizeof corpus; word++) {
        uint64_t kind = spar__rng_below(&rng, 8 * word, 400);
        kind = kind * kind / 400; /* the first words are the most frequent */
        for (uint64_t n = 1 + kind % 3; n; n--, kind = kind / 8 + 5)
            at += (size_t)sprintf(corpus + at, "%s", parts[kind % 8]);
        corpus[at++] = word % 12 == 11 ? '\n' : ' ';
    }
    corpus[at] = 0;
}

static spar_status next_text(void *context, const char **text, size_t *length) {
    int *given = context;
    *text = (*given)++ ? NULL : corpus;
    *length = strlen(corpus);
    return SPAR_OK;
}

static spar_tokenizer *learn(const spar_tokenizer_options *options) {
    int given = 0;
    spar_text_reader reader = {next_text, &given};
    spar_tokenizer *t;
    if (spar_tokenizer_train(options, &reader, NULL, &t)) fail_msg("%s", spar_error());
    return t;
}

static size_t count_of(const spar_tokenizer *t, const char *text) {
    int32_t *ids;
    size_t count, length;
    char *back;
    assert_int_equal(spar_tokenizer_encode(t, text, strlen(text), 0, &ids, &count), SPAR_OK);
    assert_int_equal(spar_tokenizer_decode(t, ids, count, &back, &length), SPAR_OK);
    spar_free(back);
    spar_free(ids);
    return count;
}

static void same_files(const spar_tokenizer *a, const spar_tokenizer *b) {
    char first[1024], second[1024], command[2200];
    snprintf(first, sizeof first, "%s", scratch("a.json"));
    snprintf(second, sizeof second, "%s", scratch("b.json"));
    assert_int_equal(spar_tokenizer_save(a, first), SPAR_OK);
    assert_int_equal(spar_tokenizer_save(b, second), SPAR_OK);
    snprintf(command, sizeof command, "cmp -s '%s' '%s'", first, second);
    assert_int_equal(system(command), 0);
}

/* A larger vocabulary takes fewer tokens, nothing of the text is unknown, and the result depends on
 * neither threads nor runs. */
static void check_kind(const char *kind, bool byte_fallback) {
    spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
    o.kind = kind;
    o.byte_fallback = byte_fallback;
    size_t counts[2];
    for (int i = 0; i < 2; i++) {
        o.vocab_size = (i ? 52 : 36) + (byte_fallback ? 256 : 0);
        spar_threads_set(1);
        spar_tokenizer *t = learn(&o);
        spar_threads_set(2);
        spar_tokenizer *again = learn(&o);
        same_files(t, again);
        assert_in_range(spar_tokenizer_size(t), 20, o.vocab_size);
        counts[i] = count_of(t, corpus);
        int32_t *ids;
        size_t count;
        assert_int_equal(spar_tokenizer_encode(t, corpus, strlen(corpus), 0, &ids, &count), SPAR_OK);
        for (size_t k = 0; k < count; k++) assert_int_not_equal(ids[k], spar_tokenizer_unk(t));
        spar_free(ids);
        spar_tokenizer_free(t);
        spar_tokenizer_free(again);
    }
    assert_true(counts[1] < counts[0]);
    assert_true(counts[1] * 2 < strlen(corpus));
}

static void test_unigram(void **state) {
    (void)state;
    check_kind("unigram", false);
    check_kind("unigram", true);
}

static void test_wordpiece(void **state) {
    (void)state;
    check_kind("wordpiece", false);
}

/* With byte fallback any text comes back; without, characters never seen are unknown. */
static void test_fallback(void **state) {
    (void)state;
    static const char text[] = "balo \xE4\xB8\xAD\xF0\x9F\x98\x80 ing";
    spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
    o.kind = "unigram";
    for (int bytes = 0; bytes < 2; bytes++) {
        o.byte_fallback = bytes;
        o.vocab_size = 400;
        spar_tokenizer *t = learn(&o);
        int32_t *ids;
        size_t count, length;
        char *back;
        assert_int_equal(spar_tokenizer_find(t, "<|endoftext|>", 13), 0);
        assert_int_equal(spar_tokenizer_encode(t, text, strlen(text), 0, &ids, &count), SPAR_OK);
        assert_int_equal(spar_tokenizer_decode(t, ids, count, &back, &length), SPAR_OK);
        if (bytes) assert_string_equal(back, text);
        else assert_non_null(strstr(back, "<unk>"));
        spar_free(back);
        spar_free(ids);
        spar_tokenizer_free(t);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const kinds[] = {"unigram", "wordpiece"};
    for (int i = 0; i < 2; i++) {
        int given = 0;
        spar_text_reader reader = {next_text, &given};
        spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
        spar_tokenizer *t = NULL;
        o.kind = kinds[i];
        o.vocab_size = 8;
        assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
        assert_non_null(strstr(spar_error(), "coverage"));
        o.vocab_size = 100;
        o.character_coverage = 1.5;
        assert_int_equal(spar_tokenizer_train(&o, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
        assert_null(t);
    }
}

static int setup(void **state) {
    (void)state;
    write_corpus();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unigram), cmocka_unit_test(test_wordpiece),
        cmocka_unit_test(test_fallback), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
