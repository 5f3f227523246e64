/* Every id of the reference vectors ($SPAR_GOLDEN/tokenizers), from every form of file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "spar/tokenizer.h"

static void compare(const spar_tokenizer *t, const json_t *line, const char *key, unsigned flags) {
    const json_t *text = json_object_get(line, "text"), *want = json_object_get(line, key);
    int32_t *ids;
    size_t count;
    if (spar_tokenizer_encode(t, json_string_value(text), json_string_length(text), flags, &ids,
                              &count))
        fail_msg("%s", spar_error());
    if (count != json_array_size(want))
        fail_msg("%s: %zu tokens, expected %zu", json_string_value(text), count,
                 json_array_size(want));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
    if (!flags) {
        const char *decoded = json_string_value(json_object_get(line, "decoded"));
        char *back;
        size_t length;
        assert_int_equal(spar_tokenizer_decode(t, ids, count, &back, &length), SPAR_OK);
        if (strcmp(back, decoded)) print_message("%s:\n", json_string_value(text));
        assert_string_equal(back, decoded);
        spar_free(back);
    }
    spar_free(ids);
}

static void check(const char *root, const char *folder, const char *file) {
    char path[1024], line[65536];
    spar_tokenizer *t;
    snprintf(path, sizeof path, "%s/tokenizers/%s/%s", root, folder, file);
    if (spar_tokenizer_open(path, &t)) fail_msg("%s", spar_error());
    snprintf(path, sizeof path, "%s/tokenizers/%s/vectors.jsonl", root, folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int lines = 0;
    while (fgets(line, sizeof line, f)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        compare(t, object, "ids", 0);
        compare(t, object, "ids_special", SPAR_TOKENIZE_SPECIAL);
        json_decref(object);
        lines++;
    }
    assert_true(lines > 0);
    fclose(f);
    spar_tokenizer_free(t);
}

static void test_vectors(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"gpt-2", "tokenizer.json"},          {"gpt-2", "vocab.json"},
        {"gpt-2", "ggml-vocab-gpt-2.gguf"},   {"bpe-gpt2re-512", "tokenizer.json"},
        {"bpe-gpt2re-512", "vocab.json"},     {"bpe-gpt2re-2000", "tokenizer.json"},
        {"bpe-gpt2re-2000", "vocab.json"},    {"bpe-llama3re-2000", "tokenizer.json"},
        {"bpe-digits-2000", "tokenizer.json"},
        {"llama-spm", "tokenizer.model"},     {"llama-spm", "ggml-vocab-llama-spm.gguf"},
        {"spm-bpe-bytefallback-1000", "tokenizer.model"},
        {"spm-bpe-user-1000", "tokenizer.model"},
        {"t5", "tokenizer.model"},            {"spm-unigram-nfkc-2000", "tokenizer.model"},
        {"spm-unigram-bytefallback-2000", "tokenizer.model"},
        {"spm-unigram-cf-1000", "tokenizer.model"},
        {"spm-unigram-zh-4000", "tokenizer.model"},
        {"bert-bge", "tokenizer.json"},       {"bert-bge", "vocab.txt"},
        {"bert-bge", "ggml-vocab-bert-bge.gguf"},
        {"wordpiece-cased-2000", "tokenizer.json"},
        {"wordpiece-cased-2000", "vocab.txt"},
    };
    const char *root = getenv("SPAR_GOLDEN");
    if (!root) {
        print_message("SPAR_GOLDEN is not set\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(root, cases[i][0], cases[i][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
