/* Looking inside: limits of attention, neighbours and maps of embeddings that are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"
#include "spar/look.h"

enum { VOCABULARY = 40, WIDTH = 8 };

static spar_model *make_of(const char *json) {
    spar_config *config;
    spar_model *model;
    assert_int_equal(spar_config_parse(json, strlen(json), &config), SPAR_OK);
    assert_int_equal(spar_model_create(config, 3, &model), SPAR_OK);
    spar_config_free(config);
    return model;
}

static spar_model *make(void) {
    return make_of("{\"model\": {\"vocab_size\": 40, \"context\": 4096, \"d_model\": 8, \"n_layers\": 2, "
                   "\"position\": \"alibi\", \"attention\": {\"n_heads\": 2}}}");
}

static real *row(spar_model *m, int token) { return spar__data(&spar__model_embedding(m)->value) + token * WIDTH; }

static double cosine(const double *a, const real *b) {
    double ab = 0, aa = 0, bb = 0;
    for (int c = 0; c < WIDTH; c++) ab += a[c] * (double)b[c], aa += a[c] * a[c], bb += (double)b[c] * (double)b[c];
    return ab / sqrt(aa * bb);
}

static void add_unit(double *goal, const real *x, double weight) {
    double size = 0;
    for (int c = 0; c < WIDTH; c++) size += (double)x[c] * (double)x[c];
    for (int c = 0; c < WIDTH; c++) goal[c] += weight * (double)x[c] / sqrt(size);
}

/* 1 − (2 and 3 as one word) + half of 4, against all cosines by hand. */
static void test_near(void **state) {
    (void)state;
    spar_model *m = make();
    static const int32_t ids[] = {1, 2, 3, 4};
    const spar_embedding_word words[] = {{ids, 1, 1}, {ids + 1, 2, -1}, {ids + 3, 1, 0.5}};
    spar_embedding_neighbour near[VOCABULARY];
    size_t found;
    assert_int_equal(spar_embedding_near(m, words, 3, VOCABULARY, near, &found), SPAR_OK);
    assert_int_equal(found, VOCABULARY - 4);
    double goal[WIDTH] = {0};
    add_unit(goal, row(m, 1), 1);
    add_unit(goal, row(m, 2), -0.5);
    add_unit(goal, row(m, 3), -0.5);
    add_unit(goal, row(m, 4), 0.5);
    bool seen[VOCABULARY] = {0};
    for (size_t i = 0; i < found; i++) {
        assert_false(seen[near[i].token] || (near[i].token >= 1 && near[i].token <= 4));
        seen[near[i].token] = true;
        assert_true(fabs(near[i].cosine - cosine(goal, row(m, near[i].token))) < 1e-6);
        if (i) assert_true(near[i].cosine <= near[i - 1].cosine);
    }
    spar_embedding_neighbour few[3];
    assert_int_equal(spar_embedding_near(m, words, 3, 3, few, &found), SPAR_OK);
    assert_int_equal(found, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(few[i].token, near[i].token);
    spar_model_free(m);
}

static void test_near_refusals(void **state) {
    (void)state;
    spar_model *m = make();
    int32_t id = 1;
    spar_embedding_word words[] = {{&id, 1, 1}, {&id, 1, -1}};
    spar_embedding_neighbour near[2];
    size_t found;
    assert_int_equal(spar_embedding_near(m, words, 0, 2, near, &found), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_embedding_near(m, words, 2, 2, near, &found), SPAR_ERR_ARGUMENT);
    assert_non_null(strstr(spar_error(), "cancel"));
    id = VOCABULARY;
    assert_int_equal(spar_embedding_near(m, words, 1, 2, near, &found), SPAR_ERR_ARGUMENT);
    row(m, 7)[2] = (real)NAN;
    id = 1;
    assert_int_equal(spar_embedding_near(m, words, 1, 2, near, &found), SPAR_ERR_NUMERIC);
    spar_model_free(m);
}

/* Unit vectors that lie in a plane: its two axes hold all of the variance, and distances stay. */
static void test_map(void **state) {
    (void)state;
    spar_model *m = make();
    static const double angles[] = {0, 0.3, 0.9, 2, 4};
    enum { N = 5 };
    int32_t ids[N];
    spar_embedding_word words[N];
    for (int i = 0; i < N; i++) {
        memset(row(m, i), 0, WIDTH * sizeof(real));
        row(m, i)[1] = (real)(3 * cos(angles[i]));
        row(m, i)[4] = (real)(3 * sin(angles[i]));
        ids[i] = i;
        words[i] = (spar_embedding_word){&ids[i], 1, 0};
    }
    double places[N][2], share[2];
    assert_int_equal(spar_embedding_map(m, words, N, places, share), SPAR_OK);
    assert_true(fabs(share[0] + share[1] - 1) < 1e-6 && share[0] >= share[1] && share[1] > 0.05);
    double inner = 0;
    for (int i = 0; i < N; i++) {
        inner += places[i][0] * places[i][1];
        for (int j = 0; j < i; j++) {
            double want = 2 * fabs(sin((angles[i] - angles[j]) / 2));
            double got = hypot(places[i][0] - places[j][0], places[i][1] - places[j][1]);
            assert_true(fabs(got - want) < 1e-5);
        }
    }
    assert_true(fabs(inner) < 1e-6);
    /* One place for all: no directions, and no failure. */
    for (int i = 0; i < N; i++) ids[i] = 0;
    assert_int_equal(spar_embedding_map(m, words, N, places, share), SPAR_OK);
    for (int i = 0; i < N; i++) assert_true(places[i][0] == 0 && places[i][1] == 0);
    assert_true(share[0] == 0 && share[1] == 0);
    assert_int_equal(spar_embedding_map(m, words, 0, places, share), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_embedding_map(m, words, 10001, places, share), SPAR_ERR_LIMIT);
    spar_model_free(m);
}

static void test_attention_limits(void **state) {
    (void)state;
    spar_model *m = make();
    int32_t *ids = calloc(SPAR_LOOK_TOKENS + 1, sizeof *ids);
    spar_input input = {.tokens = ids, .n_tokens = SPAR_LOOK_TOKENS + 1};
    spar_attention_options o = SPAR_ATTENTION_OPTIONS_INIT;
    spar_attention a;
    assert_int_equal(spar_attention_find(m, &input, &o, &a), SPAR_ERR_LIMIT);
    input.n_tokens = 0;
    assert_int_equal(spar_attention_find(m, &input, &o, &a), SPAR_ERR_ARGUMENT);
    input.n_tokens = 9;
    o.head = 2;
    assert_int_equal(spar_attention_find(m, &input, &o, &a), SPAR_ERR_ARGUMENT);
    o.head = 1;
    assert_int_equal(spar_attention_find(m, &input, &o, &a), SPAR_OK);
    assert_int_equal(a.n_heads, 2);
    assert_int_equal(a.heads[1].layer, 1);
    assert_int_equal(a.heads[1].head, 1);
    assert_int_equal(a.heads[1].n_keys, 9);
    assert_int_not_equal(spar_attention_write(&a, NULL, "/nowhere/x.html"), SPAR_OK);
    spar_attention_free(&a);
    free(ids);
    spar_model_free(m);
}

/* A hundred layers at 2,048 tokens are refused before they are run. */
static void test_attention_total(void **state) {
    (void)state;
    spar_model *m = make_of("{\"model\": {\"vocab_size\": 40, \"context\": 4096, \"d_model\": 8, \"n_layers\": 100, "
                            "\"position\": \"alibi\", \"attention\": {\"n_heads\": 1}}}");
    int32_t *ids = calloc(SPAR_LOOK_TOKENS, sizeof *ids);
    spar_input input = {.tokens = ids, .n_tokens = SPAR_LOOK_TOKENS};
    spar_attention a;
    assert_int_equal(spar_attention_find(m, &input, NULL, &a), SPAR_ERR_LIMIT);
    assert_non_null(strstr(spar_error(), "ask for one layer or head"));
    free(ids);
    spar_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_near), cmocka_unit_test(test_near_refusals),
                                       cmocka_unit_test(test_map), cmocka_unit_test(test_attention_limits),
                                       cmocka_unit_test(test_attention_total)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
