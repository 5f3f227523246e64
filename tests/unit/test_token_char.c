/* Vocabularies of characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spar/memory.h"
#include "spar/tokenizer.h"

static const char *corpus[] = {"to be, or not to be\n", "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82",
                               NULL};

static spar_status next(void *context, const char **text, size_t *length) {
    int *at = context;
    *text = corpus[*at];
    *length = *text ? strlen(*text) : 0;
    if (*text) ++*at;
    return SPAR_OK;
}

static spar_tokenizer *train(int32_t vocab_size) {
    int at = 0;
    spar_text_reader reader = {next, &at};
    spar_tokenizer_options options = SPAR_TOKENIZER_OPTIONS_INIT;
    spar_tokenizer *t;
    options.kind = "char";
    options.vocab_size = vocab_size;
    assert_int_equal(spar_tokenizer_train(&options, &reader, NULL, &t), SPAR_OK);
    return t;
}

/* The text, one token a character, through ids and back; what is unknown shows as <unk>. */
static void expect(const spar_tokenizer *t, const char *text, size_t tokens, const char *back) {
    int32_t *ids;
    size_t n, length;
    char *decoded;
    assert_int_equal(spar_tokenizer_encode(t, text, strlen(text), SPAR_TOKENIZE_PLAIN, &ids, &n),
                     SPAR_OK);
    assert_int_equal(n, tokens);
    assert_int_equal(spar_tokenizer_decode(t, ids, n, &decoded, &length), SPAR_OK);
    assert_string_equal(decoded, back);
    spar_free(ids);
    spar_free(decoded);
}

static void test_characters(void **state) {
    (void)state;
    spar_tokenizer *t = train(8192);
    /* "\n ,behnort" and three others, after <|endoftext|> and <unk> */
    assert_int_equal(spar_tokenizer_size(t), 2 + 10 + 3);
    assert_int_equal(spar_tokenizer_eos(t), 0);
    assert_int_equal(spar_tokenizer_find(t, "\n", 1), 2);
    assert_int_equal(spar_tokenizer_find(t, "\xf0\x9f\x99\x82", 4), 14);
    expect(t, "not h\xc3\xa9r\xe2\x82\xac", 8, "not h\xc3\xa9r\xe2\x82\xac");
    expect(t, "too Zen", 7, "too <unk>en");
    expect(t, "", 0, "");
    /* Long texts take another path through the merging than words do. */
    char text[1001];
    for (int i = 0; i < 1000; i++) text[i] = "to be"[i % 5];
    text[1000] = 0;
    expect(t, text, 1000, text);

    char path[] = "/tmp/spar-char-XXXXXX.json";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(spar_tokenizer_save(t, path), SPAR_OK);
    spar_tokenizer_free(t);
    assert_int_equal(spar_tokenizer_open(path, &t), SPAR_OK);
    expect(t, "not h\xc3\xa9r\xe2\x82\xac", 8, "not h\xc3\xa9r\xe2\x82\xac");
    spar_tokenizer_free(t);
    unlink(path);
}

static void test_most_frequent(void **state) {
    (void)state;
    spar_tokenizer *t = train(5); /* <|endoftext|>, <unk> and three of " obet" (5, 4, 2, 2, 3) */
    assert_int_equal(spar_tokenizer_size(t), 5);
    expect(t, "to be", 5, "to <unk><unk>");
    spar_tokenizer_free(t);
    int at = 0;
    spar_text_reader reader = {next, &at};
    spar_tokenizer_options options = SPAR_TOKENIZER_OPTIONS_INIT;
    options.kind = "char";
    options.vocab_size = 2;
    assert_int_equal(spar_tokenizer_train(&options, &reader, NULL, &t), SPAR_ERR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_most_frequent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
