/* Sequences fed together, cut back, and decoded with drafts: the same bits as alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spar/memory.h"
#include "spar/session.h"

enum { VOCABULARY = 61, SEQUENCES = 5, STEPS = 6 };
static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q5_1", "iq4_nl"};
enum { N_TYPES = sizeof types / sizeof *types };

static spar_model *make(const char *type, const char *pattern) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"model\": {\"vocab_size\": %d, \"context\": 96, \"d_model\": 64, \"n_layers\": 2, \"init_std\": 0.3, "
             "\"position\": \"rotary\", \"attention\": {\"n_heads\": 4, \"n_kv_heads\": 2, \"pattern\": %s}}}",
             VOCABULARY, pattern);
    spar_config *config;
    spar_model *model;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create_as(config, type, 3, &model))
        fail_msg("%s", spar_error());
    spar_config_free(config);
    return model;
}

static int32_t token_of(int sequence, int position) { return (sequence * 17 + position * position * 5 + position) % VOCABULARY; }

static void check_batch(const char *type, const char *pattern) {
    spar_model *m = make(type, pattern);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 16;
    spar_batch *batch;
    spar_session *alone[SEQUENCES];
    int32_t tokens[SEQUENCES][64];
    assert_int_equal(spar_batch_create(m, &o, SEQUENCES + 1, &batch), SPAR_OK);
    for (int s = 0; s < SEQUENCES; s++) {
        const float *want;
        int n = 3 * s + 1;
        for (int i = 0; i < 64; i++) tokens[s][i] = token_of(s, i);
        assert_int_equal(spar_session_create(m, &o, &alone[s]), SPAR_OK);
        assert_int_equal(spar_session_feed(alone[s], tokens[s], (size_t)n, &want), SPAR_OK);
        spar_batch_item item = {.slot = SEQUENCES - s, .tokens = tokens[s], .count = (size_t)n};
        assert_int_equal(spar_batch_feed(batch, &item, 1), SPAR_OK);
        assert_memory_equal(item.logits, want, VOCABULARY * sizeof *want);
    }
    for (int step = 0; step < STEPS; step++) {
        spar_batch_item items[SEQUENCES];
        for (int s = 0; s < SEQUENCES; s++)
            items[s] = (spar_batch_item){SEQUENCES - s, &tokens[s][3 * s + 1 + step], 1, NULL};
        assert_int_equal(spar_batch_feed(batch, items, SEQUENCES), SPAR_OK);
        for (int s = 0; s < SEQUENCES; s++) {
            const float *want;
            assert_int_equal(spar_session_feed(alone[s], items[s].tokens, 1, &want), SPAR_OK);
            if (memcmp(items[s].logits, want, VOCABULARY * sizeof *want) != 0)
                fail_msg("%s %s: sequence %d differs from alone at step %d", type, pattern, s, step);
        }
    }
    spar_batch_item twice[2] = {{1, tokens[0], 1, NULL}, {1, tokens[0], 1, NULL}}, far = {9, tokens[0], 1, NULL};
    int64_t before = spar_batch_length(batch, 1);
    assert_int_equal(spar_batch_feed(batch, twice, 2), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_batch_feed(batch, &far, 1), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_batch_length(batch, 1), before);
    assert_int_equal(spar_batch_cut(batch, 1, 0), SPAR_OK);
    assert_int_equal(spar_batch_length(batch, 1), 0);
    for (int s = 0; s < SEQUENCES; s++) spar_session_free(alone[s]);
    spar_batch_free(batch);
    spar_model_free(m);
}

static void together(void **state) {
    (void)state;
    for (int t = 0; t < N_TYPES; t++) {
        check_batch(types[t], "\"causal\"");
        check_batch(types[t], "{\"kind\": \"band\", \"width\": 5}");
    }
}

static void cut_back(void **state) {
    (void)state;
    spar_model *m = make("q8_0", "[\"causal\", {\"kind\": \"band\", \"width\": 5}]");
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    o.chunk = 8;
    spar_session *s, *fresh;
    int32_t tokens[40];
    for (int i = 0; i < 40; i++) tokens[i] = token_of(1, i);
    assert_int_equal(spar_session_create(m, &o, &s), SPAR_OK);
    assert_int_equal(spar_session_create(m, &o, &fresh), SPAR_OK);
    const float *a, *b;
    assert_int_equal(spar_session_feed(s, tokens, 24, &a), SPAR_OK);
    for (int i = 24; i < 30; i++) assert_int_equal(spar_session_feed(s, tokens + i, 1, &a), SPAR_OK);
    assert_int_equal(spar_session_cut(s, 5), SPAR_ERR_LIMIT); /* the band's ring has gone on */
    assert_int_equal(spar_session_position(s), 30);
    assert_int_equal(spar_session_cut(s, 31), SPAR_ERR_LIMIT);
    assert_int_equal(spar_session_cut(s, 26), SPAR_OK);
    assert_int_equal(spar_session_feed_each(s, tokens + 26, 3, &a), SPAR_OK);
    assert_int_equal(spar_session_feed(fresh, tokens, 24, NULL), SPAR_OK);
    for (int i = 24; i < 26; i++) assert_int_equal(spar_session_feed(fresh, tokens + i, 1, &b), SPAR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(spar_session_feed(fresh, tokens + 26 + i, 1, &b), SPAR_OK);
        assert_memory_equal(a + i * VOCABULARY, b, VOCABULARY * sizeof *b);
    }
    assert_int_equal(spar_session_feed_each(s, tokens, 9, &a), SPAR_ERR_LIMIT); /* a chunk is 8 */
    assert_int_equal(spar_session_cut(s, 0), SPAR_OK);
    spar_session_free(s);
    spar_session_free(fresh);
    spar_model_free(m);
}

static void check_drafts(const char *type, double temperature, uint64_t *accepted) {
    spar_model *m = make(type, "[\"causal\", {\"kind\": \"band\", \"width\": 5}]");
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generation made[2];
    int32_t prompt[24];
    for (int i = 0; i < 24; i++) prompt[i] = i % 6 + 1;
    for (int lookup = 0; lookup < 2; lookup++) {
        spar_session *s;
        spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
        o.sampler.temperature = temperature;
        o.sampler.seed = 5;
        o.max_tokens = 60;
        o.lookup = lookup;
        assert_int_equal(spar_session_create(m, &so, &s), SPAR_OK);
        if (spar_generate(s, prompt, 24, &o, &made[lookup])) fail_msg("%s", spar_error());
        assert_int_equal(spar_session_position(s), 24 + 59);
        spar_session_free(s);
    }
    assert_int_equal(made[0].n_tokens, made[1].n_tokens);
    if (memcmp(made[0].tokens, made[1].tokens, made[0].n_tokens * sizeof(int32_t)) != 0)
        fail_msg("%s at temperature %g: drafts change the tokens", type, temperature);
    assert_int_equal(made[0].drafted, 0);
    assert_true(made[1].accepted <= made[1].drafted);
    *accepted += made[1].accepted;
    spar_generation_free(&made[0]);
    spar_generation_free(&made[1]);
    spar_model_free(m);
}

static void drafts_change_nothing(void **state) {
    (void)state;
    uint64_t accepted = 0;
    for (int t = 0; t < N_TYPES; t++) {
        check_drafts(types[t], 0, &accepted);
        check_drafts(types[t], 0.7, &accepted);
    }
    assert_true(accepted > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(together), cmocka_unit_test(cut_back),
                                       cmocka_unit_test(drafts_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
