/* Every kind of normaliser, pre-tokeniser, model and decoder of tokenizer.json in small tokenizers,
 * with the ids and texts that Hugging Face's library gives for them
 * (tests/golden/data/tokenizers/kinds.jsonl); and offsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/scratch.h"
#include "spar/tokenizer.h"

static void same_ids(const char *name, const json_t *line, const char *key, const int32_t *ids,
                     size_t count) {
    const json_t *want = json_object_get(line, key);
    const char *text = json_string_value(json_object_get(line, "text"));
    bool same = count == json_array_size(want);
    for (size_t i = 0; same && i < count; i++)
        same = ids[i] == json_integer_value(json_array_get(want, i));
    if (same) return;
    for (size_t i = 0; i < count; i++) print_message(" %d", ids[i]);
    fail_msg("%s: %s of '%s' differ", name, key, text);
}

/* Offsets lie in the text, one after the other; with them or not, the ids are the same. */
static void check_offsets(const char *name, const spar_tokenizer *t, const json_t *line,
                          unsigned flags) {
    const json_t *text = json_object_get(line, "text");
    int32_t *ids;
    size_t(*offsets)[2], count, last = 0;
    assert_int_equal(spar_tokenizer_encode_offsets(t, json_string_value(text),
                                                   json_string_length(text), flags, &ids, &offsets,
                                                   &count), SPAR_OK);
    same_ids(name, line, flags ? "ids_special" : "ids", ids, count);
    for (size_t i = 0; i < count; i++) {
        if (offsets[i][0] > offsets[i][1] || offsets[i][1] > json_string_length(text) ||
            offsets[i][0] < last)
            fail_msg("%s: '%s': token %zu at %zu to %zu", name, json_string_value(text), i,
                     offsets[i][0], offsets[i][1]);
        last = offsets[i][0];
    }
    spar_free(ids);
    spar_free(offsets);
}

static void check_case(const char *name, const spar_tokenizer *t, const json_t *line) {
    const json_t *text = json_object_get(line, "text");
    int32_t *ids;
    size_t count, length;
    char *back;
    for (unsigned flags = 0; flags < 2; flags++) {
        if (spar_tokenizer_encode(t, json_string_value(text), json_string_length(text), flags, &ids,
                                  &count))
            fail_msg("%s: %s", name, spar_error());
        same_ids(name, line, flags ? "ids_special" : "ids", ids, count);
        check_offsets(name, t, line, flags);
        if (!flags) {
            assert_int_equal(spar_tokenizer_decode(t, ids, count, &back, &length), SPAR_OK);
            const char *decoded = json_string_value(json_object_get(line, "decoded"));
            if (strcmp(back, decoded))
                fail_msg("%s: decoded '%s', expected '%s'", name, back, decoded);
            spar_free(back);
        }
        spar_free(ids);
    }
}

static void test_kinds(void **state) {
    (void)state;
    static char line[1 << 20];
    FILE *f = fopen("tests/golden/data/tokenizers/kinds.jsonl", "r");
    assert_non_null(f);
    int tokenizers = 0;
    while (fgets(line, sizeof line, f)) {
        json_t *object = json_loads(line, 0, NULL), *one;
        assert_non_null(object);
        const char *name = json_string_value(json_object_get(object, "name"));
        char *text = json_dumps(json_object_get(object, "tokenizer"), JSON_COMPACT);
        spar_tokenizer *t;
        size_t i;
        if (spar_tokenizer_open(scratch_file("tokenizer.json", text, strlen(text)), &t))
            fail_msg("%s: %s", name, spar_error());
        json_array_foreach(json_object_get(object, "cases"), i, one) check_case(name, t, one);
        spar_tokenizer_free(t);
        free(text);
        json_decref(object);
        tokenizers++;
    }
    fclose(f);
    assert_true(tokenizers > 10);
}

/* Where tokens stand in the source, through normalisers that add, drop and change bytes. */
static void test_offsets(void **state) {
    (void)state;
    static const char json[] =
        "{\"added_tokens\": [{\"id\": 6, \"content\": \"<x>\", \"special\": true}], \"normalizer\": "
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}, {\"type\": \"Strip\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"--\"}, \"content\": \"\"}, {\"type\": "
        "\"Prepend\", \"prepend\": \"_\"}]}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": "
        "{\"String\": \" \"}, \"behavior\": \"Removed\"}, \"decoder\": {\"type\": \"Fuse\"}, "
        "\"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"_\": 1, "
        "\"f\": 2, \"i\": 3, \"fi\": 4, \"_fi\": 5}, \"merges\": [\"f i\", \"_ fi\"]}}";
    /* " ﬁ--fi é f<x>\xff" */
    static const char text[] = " \xEF\xAC\x81--fi \xC3\xA9 f<x>\xFF";
    static const size_t want[][3] = {{5, 1, 4}, {4, 6, 8}, {0, 9, 11}, {2, 12, 13}, {6, 13, 16},
                                     {1, 16, 16}, {0, 16, 17}};
    spar_tokenizer *t;
    int32_t *ids;
    size_t(*offsets)[2], count;
    if (spar_tokenizer_open(scratch_file("t.json", json, strlen(json)), &t))
        fail_msg("%s", spar_error());
    assert_int_equal(spar_tokenizer_encode_offsets(t, text, sizeof text - 1, 0, &ids, &offsets,
                                                   &count), SPAR_OK);
    assert_int_equal(count, sizeof want / sizeof *want);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ids[i], want[i][0]);
        assert_int_equal(offsets[i][0], want[i][1]);
        assert_int_equal(offsets[i][1], want[i][2]);
    }
    spar_free(ids);
    spar_free(offsets);
    spar_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_offsets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
