/* Reformers in Hugging Face's form and in that of the authors' code: their folders give the reference's logits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "spar/eval.h"
#include "spar/model.h"

static void check(const char *name) {
    char path[256];
    json_t *json;
    spar__st *expected;
    const spar__st_tensor *want;
    spar_model *m;
    snprintf(path, sizeof path, "tests/golden/data/reformer/%s/case.json", name);
    assert_int_equal(spar__json_read(path, &json), SPAR_OK);
    snprintf(path, sizeof path, "tests/golden/data/reformer/%s/expected.safetensors", name);
    if (spar__st_open(path, &expected) || spar__st_get(expected, "logits", &want)) fail_msg("%s", spar_error());
    snprintf(path, sizeof path, "tests/golden/data/reformer/%s/model", name);
    if (spar_model_open(path, &m)) fail_msg("%s", spar_error());
    const json_t *ids = json_object_get(json, "input_ids");
    if (!ids) ids = json_object_get(json, "tokens");
    int32_t tokens[64];
    size_t n = json_array_size(ids), v = (size_t)spar_model_vocab_size(m);
    for (size_t i = 0; i < n; i++) tokens[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    assert_int_equal(want->elements, n * v);
    float *got = malloc(n * v * sizeof *got), *reference = malloc(n * v * sizeof *reference), scale = 1;
    memcpy(reference, want->data, n * v * sizeof *reference);
    if (spar_model_logits(m, tokens, n, got)) fail_msg("%s", spar_error());
    for (size_t i = 0; i < n * v; i++) scale = fmaxf(scale, fabsf(reference[i]));
    for (size_t i = 0; i < n * v; i++)
        if (!(fabsf(got[i] - reference[i]) <= 1e-4f * scale))
            fail_msg("%s: logit %zu of token %zu is %g, expected %g", name, i % v, i / v, (double)got[i],
                     (double)reference[i]);
    free(got);
    free(reference);
    spar_model_free(m);
    spar__st_free(expected);
    json_decref(json);
}

/* The authors' code puts a start token before the tokens and feeds it all but the last. */
static void check_loss(const char *name) {
    char path[256];
    spar_model *m;
    spar_eval_options o = SPAR_EVAL_OPTIONS_INIT;
    spar_evaluation found;
    snprintf(path, sizeof path, "tests/golden/data/reformer/%s/case.json", name);
    json_t *json;
    assert_int_equal(spar__json_read(path, &json), SPAR_OK);
    snprintf(path, sizeof path, "tests/golden/data/reformer/%s/model", name);
    if (spar_model_open(path, &m)) fail_msg("%s", spar_error());
    const json_t *ids = json_object_get(json, "tokens");
    int32_t tokens[65] = {spar_model_start(m)};
    size_t n = json_array_size(ids);
    assert_true(n > 0 && n <= 64);
    for (size_t i = 0; i < n; i++) tokens[i + 1] = (int32_t)json_integer_value(json_array_get(ids, i));
    if (spar_eval_tokens(m, tokens, n + 1, 0, &o, &found)) fail_msg("%s", spar_error());
    double want = json_number_value(json_object_get(json, "loss"));
    if (!(fabs(found.nll - want) <= 1e-4)) fail_msg("%s: loss %g, expected %g", name, found.nll, want);
    spar_model_free(m);
    json_decref(json);
}

static void test_authors(void **state) {
    (void)state;
    check("reformer-lm");
    check_loss("reformer-lm");
}

static void test_local(void **state) {
    (void)state;
    check("reformer-local-lsh");
}

static void test_padded(void **state) {
    (void)state;
    check("reformer-hashes-padded");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authors),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
