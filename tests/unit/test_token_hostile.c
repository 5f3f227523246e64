/* Malformed tokenizer files: each is refused with a message that names the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/buffer.h"
#include "spar/tokenizer.h"

static void refused(const char *json, size_t length, spar_status expected, const char *part) {
    spar_tokenizer *t = NULL;
    assert_int_equal(spar_tokenizer_open(scratch_file("tokenizer.json", json, length), &t),
                     expected);
    assert_null(t);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

#define MODEL(vocab, merges)                                                                       \
    "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"decoder\": {\"type\": \"ByteLevel\"}, "     \
    "\"model\": {\"type\": \"BPE\", \"vocab\": " vocab ", \"merges\": " merges "}"

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *json;
        spar_status status;
        const char *part;
    } cases[] = {
        {"", SPAR_ERR_FORMAT, "line"},
        {"[]", SPAR_ERR_FORMAT, "expected a JSON object"},
        {"{}", SPAR_ERR_FORMAT, "'model'"},
        {"{\"model\": 3}", SPAR_ERR_FORMAT, "'model'"},
        {"{\"model\": {\"type\": \"BPE\"}}", SPAR_ERR_FORMAT, "'vocab'"},
        {"{\"model\": {\"type\": \"Magic\", \"vocab\": {}}}", SPAR_ERR_UNSUPPORTED, "Magic"},
        {MODEL("{\"a\": 0}", "3") "}", SPAR_ERR_FORMAT, "'merges'"},
        {MODEL("{\"a\": -1}", "[]") "}", SPAR_ERR_FORMAT, "id -1"},
        {MODEL("{\"a\": 2147483648}", "[]") "}", SPAR_ERR_FORMAT, "id 2147483648"},
        {MODEL("{\"a\": 9223372036854775807}", "[]") "}", SPAR_ERR_FORMAT, "9223372036854775807"},
        {MODEL("{\"a\": 1000000000}", "[]") "}", SPAR_ERR_FORMAT, "expected 0 to"},
        {MODEL("{\"a\": 1.5}", "[]") "}", SPAR_ERR_FORMAT, "no integer"},
        {MODEL("{\"a\": 0, \"b\": 0}", "[]") "}", SPAR_ERR_FORMAT, "taken by 'a'"},
        {MODEL("{\"a\": 0, \"a\": 1}", "[]") "}", SPAR_ERR_FORMAT, "duplicate"},
        {MODEL("{\"a\": 0}", "[\"ab\"]") "}", SPAR_ERR_FORMAT, "entry 0"},
        {MODEL("{\"a\": 0}", "[[\"a\"]]") "}", SPAR_ERR_FORMAT, "entry 0"},
        {MODEL("{\"a\": 0}", "[[\"a\", 1]]") "}", SPAR_ERR_FORMAT, "entry 0"},
        {MODEL("{\"a\": 0}", "[\"a b\"]") "}", SPAR_ERR_FORMAT, "'b' is no token"},
        {MODEL("{\"a\": 0}", "[\"a a\"]") "}", SPAR_ERR_FORMAT, "is no token"},
        {MODEL("{\"a\": 0}", "[]") ", \"added_tokens\": [7]}", SPAR_ERR_FORMAT, "no object"},
        {MODEL("{\"a\": 0}", "[]") ", \"added_tokens\": [{\"id\": 1, \"content\": \"\"}]}",
         SPAR_ERR_LIMIT, "0 bytes"},
        {MODEL("{\"a\": 0}", "[]") ", \"added_tokens\": [{\"id\": 0, \"content\": \"b\"}]}",
         SPAR_ERR_FORMAT, "'b' here"},
        {MODEL("{\"a\": 0}", "[]") ", \"added_tokens\": [{\"id\": 99999999, \"content\": \"b\"}]}",
         SPAR_ERR_FORMAT, "99999999"},
        {MODEL("{\"a\": 0}", "[]") ", \"normalizer\": {\"type\": \"Odd\"}}", SPAR_ERR_UNSUPPORTED,
         "'Odd'"},
        {MODEL("{\"a\": 0}", "[]") ", \"post_processor\": {\"type\": \"TemplateProcessing\", "
         "\"single\": [{\"SpecialToken\": {\"id\": \"x\"}}]}}", SPAR_ERR_FORMAT, "'x' is missing"},
        {MODEL("{\"a\": 0}", "[]") ", \"post_processor\": {\"type\": \"BertProcessing\", "
         "\"cls\": [\"a\", 70000], \"sep\": [\"a\", 0]}}", SPAR_ERR_FORMAT, "70000"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}}, \"model\": "
         "{\"vocab\": {}, \"merges\": []}}", SPAR_ERR_FORMAT, "expression '('"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {}}, \"model\": "
         "{\"vocab\": {}, \"merges\": []}}", SPAR_ERR_FORMAT, "'pattern'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].json, strlen(cases[i].json), cases[i].status, cases[i].part);
}

static void test_nesting(void **state) {
    (void)state;
    enum { DEPTH = 200000 };
    char *json = malloc(DEPTH);
    assert_non_null(json);
    memset(json, '[', DEPTH);
    refused(json, DEPTH, SPAR_ERR_FORMAT, "depth");
    free(json);
    char stages[2048] = "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [";
    for (int i = 0; i < 17; i++) strcat(stages, i ? ", {\"type\": \"NFC\"}" : "{\"type\": \"NFC\"}");
    strcat(stages, "]}, \"model\": {\"vocab\": {}, \"merges\": []}}");
    refused(stages, strlen(stages), SPAR_ERR_LIMIT, "16 stages");
}

static void test_truncated(void **state) {
    (void)state;
    static const char whole[] = MODEL("{\"a\": 0, \"b\": 1, \"ab\": 2}", "[\"a b\"]") "}";
    spar_tokenizer *t = NULL;
    for (size_t n = 0; n + 1 < sizeof whole; n++)
        refused(whole, n, SPAR_ERR_FORMAT, "line");
    assert_int_equal(spar_tokenizer_open(scratch_file("t.json", whole, sizeof whole - 1), &t), 0);
    spar_tokenizer_free(t);
}

static void test_missing(void **state) {
    (void)state;
    spar_tokenizer *t = NULL;
    assert_int_not_equal(spar_tokenizer_open(scratch("absent.json"), &t), SPAR_OK);
    assert_int_not_equal(spar_tokenizer_open("/dev/null", &t), SPAR_OK);
    assert_int_not_equal(spar_tokenizer_open("/dev", &t), SPAR_OK);
    assert_null(t);
}

/* An expression that backtracks without end is an error with a position, and soon. */
static void test_backtracking(void **state) {
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a|aa|a+)+$\"}}, "
        "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}";
    spar_tokenizer *t;
    char text[4001];
    int32_t *ids;
    size_t count;
    memset(text, 'a', 4000);
    text[4000] = '!';
    assert_int_equal(spar_tokenizer_open(scratch_file("t.json", json, strlen(json)), &t), SPAR_OK);
    assert_int_equal(spar_tokenizer_encode(t, text, sizeof text, 0, &ids, &count), SPAR_ERR_LIMIT);
    assert_non_null(strstr(spar_error(), "byte 0"));
    spar_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_backtracking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
