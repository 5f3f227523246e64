/* Sparse layers with weights of stored types: tokens one by one, whose rows are read as they are stored, give what
 * all at once give, where rows are decoded for many. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "spar/spar.h"

enum { VOCABULARY = 64, LENGTH = 40 };

static const char *const models[] = {
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 8}, \"projection\": {\"kind\": \"multiplicative-conv\", "
    "\"modules\": 2}, \"head\": {\"kind\": \"sparse\", \"modules\": 2}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 4, \"mode\": \"straight-through\"}, "
    "\"projection\": {\"kind\": \"modular\", \"modules\": 4}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 2}, \"projection\": {\"kind\": \"conv\", \"modules\": 4}",
    NULL};
static const char *const types[] = {"f32", "bf16", "f16", "q8_0", NULL};

/* 48 is no multiple of a block of q8_0, and two rows of it are. */
static const int widths[] = {64, 48};

static void check(const char *members, const char *type, int width) {
    char text[1024];
    snprintf(text, sizeof text, "{\"model\": {\"vocab_size\": %d, \"context\": %d, \"d_model\": %d, \"n_layers\": 2, "
                                "\"init_std\": 0.2, \"attention\": {\"n_heads\": 2}, %s}}",
             VOCABULARY, LENGTH, width, members);
    spar_config *config;
    spar_model *model;
    spar_session *session;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create_as(config, type, 3, &model))
        fail_msg("%s: %s", type, spar_error());
    int32_t tokens[LENGTH];
    static float all[LENGTH * VOCABULARY];
    for (int i = 0; i < LENGTH; i++) tokens[i] = (i * 11 + i / 7) % VOCABULARY;
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.cache_type = "f32";
    assert_int_equal(spar_session_create(model, &o, &session), SPAR_OK);
    /* A pass without a cache does not round what it multiplies weights in blocks by; a session does. */
    if (strcmp(type, "q8_0")) assert_int_equal(spar_model_logits(model, tokens, LENGTH, all), SPAR_OK);
    else
        for (int t = 0; t < LENGTH; t++) {
            const float *last;
            spar_session_reset(session);
            assert_int_equal(spar_session_feed(session, tokens, (size_t)t + 1, &last), SPAR_OK);
            memcpy(all + t * VOCABULARY, last, sizeof(float) * VOCABULARY);
        }
    spar_session_reset(session);
    /* Sums of another order differ in their last bit, and of what lies between two whole numbers of 8 bits, that
     * decides: such differences grow to the size of the rounding, and at few positions to another choice of neurons. */
    bool rounded = strcmp(type, "q8_0") == 0;
    int positions_apart = 0;
    for (int t = 0; t < LENGTH; t++) {
        const float *one;
        bool apart = false;
        assert_int_equal(spar_session_feed(session, tokens + t, 1, &one), SPAR_OK);
        for (int i = 0; i < VOCABULARY; i++) {
            float there = all[t * VOCABULARY + i];
            if (fabsf(one[i] - there) <= (rounded ? 5e-2f : 2e-5f) * fmaxf(1, fabsf(one[i]))) continue;
            if (!rounded || positions_apart >= LENGTH / 10)
                fail_msg("%s of %d: position %d: %g alone, %g among all", type, width, t, (double)one[i], (double)there);
            apart = true;
        }
        positions_apart += apart;
    }
    spar_session_free(session);
    spar_model_free(model);
    spar_config_free(config);
}

static void test_types(void **state) {
    (void)state;
    for (int m = 0; models[m]; m++)
        for (int t = 0; types[t]; t++)
            for (int w = 0; w < 2; w++) check(models[m], types[t], widths[w]);
}

/* Settings that do not fit say which do. */
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *members, *expected;
    } cases[] = {
        {"\"feedforward\": {\"kind\": \"sparse\", \"d_ff\": 100, \"block\": 16}", "10 or 20"},
        {"\"feedforward\": {\"kind\": \"sparse\", \"multiply_by_controller_output\": true}", "expected false"},
        {"\"projection\": {\"kind\": \"multiplicative\", \"modules\": 7}", "4 or 8"},
        {"\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 128}", "divisor of d_model, 64: 64"},
        {"\"projection\": {\"kind\": \"multiplicative-conv\", \"width\": 4}", "3 or 5"},
        {"\"head\": {\"kind\": \"sparse\", \"modules\": 65}", "at most vocab_size, 64"},
        {"\"head\": {\"kind\": \"sparse\", \"modules\": 0}", "1 to"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"model\": {\"vocab_size\": 64, \"d_model\": 64, \"n_layers\": 1, "
                                    "\"attention\": {\"n_heads\": 2}, %s}}",
                 cases[i].members);
        spar_config *config;
        spar_model *model;
        assert_int_equal(spar_config_parse(text, strlen(text), &config), SPAR_OK);
        assert_int_equal(spar_model_create(config, 1, &model), SPAR_ERR_CONFIG);
        if (!strstr(spar_error(), cases[i].expected))
            fail_msg("%s: %s: expected to name %s", cases[i].members, spar_error(), cases[i].expected);
        spar_config_free(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
