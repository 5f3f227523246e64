/* Every configuration of configs/ is read, planned, and, scaled down, trained for a step. */
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "spar/memory.h"
#include "spar/train.h"
#include "../support/scratch.h"

enum { LENGTH = 24, ROWS = 2, VOCABULARY = 64 };

/* Values of these keys, wherever they stand, in the small sister of a model. Keys whose values must fit
 * those of others are all here. */
static const struct {
    const char *key;
    int most;
} small[] = {
    {"vocab_size", VOCABULARY}, {"context", 32},   {"d_model", 16},       {"n_layers", 2},  {"n_heads", 4},
    {"n_kv_heads", 2},          {"head_dim", 4},   {"d_ff", 32},          {"n_experts", 4}, {"block", 8},
    {"chunk", 8},                {"rank", 4},                {"modules", 4},    {"summary", 4},        {"steps", 1},     {"batch", ROWS},
    {"accumulation", 1},        {"length", LENGTH}, {"eval_every", 0},    {"checkpoint_every", 0}, {"warmup", 0},
};

/* And lists: the sides of a box of 32 positions, widths of 16 in all. */
static const struct {
    const char *key;
    int values[2];
} lists[] = {{"shape", {4, 8}}, {"widths", {8, 8}}, {"buckets", {2, 4}}};

static void shrink(json_t *value) {
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value)) json_array_foreach(value, i, member) shrink(member);
    json_object_foreach(value, key, member) {
        shrink(member);
        for (i = 0; i < sizeof small / sizeof *small; i++)
            if (!strcmp(key, small[i].key) && json_is_number(member) && json_number_value(member) > small[i].most)
                json_object_set_new(value, key, json_integer(small[i].most));
        for (i = 0; i < sizeof lists / sizeof *lists; i++)
            if (!strcmp(key, lists[i].key))
                json_object_set_new(value, key, json_pack("[i, i]", lists[i].values[0], lists[i].values[1]));
    }
}

static spar_config *open_small(const char *path) {
    spar_config *config;
    char *text;
    if (spar_config_open(path, NULL, 0, &config) || spar_config_text(config, &text)) fail_msg("%s: %s", path, spar_error());
    spar_config_free(config);
    json_t *root = json_loads(text, 0, NULL);
    spar_free(text);
    shrink(root);
    text = json_dumps(root, 0);
    json_decref(root);
    if (spar_config_parse(text, strlen(text), &config)) fail_msg("%s: %s", path, spar_error());
    free(text);
    return config;
}

static void each(void (*check)(const char *path)) {
    glob_t found;
    assert_int_equal(glob("configs/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 8);
    for (size_t i = 0; i < found.gl_pathc; i++) check(found.gl_pathv[i]);
    globfree(&found);
}

static void check_plan(const char *path) {
    spar_config *config;
    spar_plan plan = {0};
    if (spar_config_open(path, NULL, 0, &config) || spar_config_plan(config, "bf16", &plan))
        fail_msg("%s: %s", path, spar_error());
    assert_true(plan.parameters > 0 && plan.bytes_per_token > 0 && plan.flops_per_token > 0);
    assert_true(plan.bytes_per_token <= plan.weight_bytes + 4 * plan.parameters);
    spar_config_free(config);
}

static void test_plans(void **state) {
    (void)state;
    each(check_plan);
}

static void check_step(const char *path) {
    spar_config *config = open_small(path);
    int32_t tokens[ROWS * (LENGTH + 1)];
    for (int i = 0; i < ROWS * (LENGTH + 1); i++) tokens[i] = (i * 11 + i / 7) % VOCABULARY;
    spar_train_options options = SPAR_TRAIN_OPTIONS_INIT;
    /* A folder for each: a run does not overwrite another. */
    const char *name = strrchr(path, '/') + 1;
    options.output = scratch(name);
    options.tokens = tokens;
    options.n_rows = ROWS;
    options.n_columns = LENGTH + 1;
    options.order = SPAR_ORDER_SEQUENTIAL;
    spar_train_result result;
    if (spar_train(config, &options, &result)) fail_msg("%s: %s", path, spar_error());
    assert_int_equal(result.step, 1);
    /* Untrained, every token is about as likely as any other. */
    if (!(fabs(result.loss - log(VOCABULARY)) < 0.5)) fail_msg("%s: loss %g", path, result.loss);
    spar_config_free(config);
}

static void test_steps(void **state) {
    (void)state;
    each(check_step);
}

/* The published sizes: parameters as the papers and model cards count them. */
static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *path;
        double parameters;
    } known[] = {{"configs/gpt2.json", 124.4e6},
                 {"configs/gpt3-175b.json", 175e9},
                 {"configs/gpt-neo-125m.json", 125.2e6},
                 {"configs/llama-7b.json", 6.74e9},
                 {"configs/mistral-7b.json", 7.24e9},
                 {"configs/mixtral-8x7b.json", 46.7e9},
                 {"configs/sparse-transformer-text.json", 101e6},
                 {"configs/scaling-17b.json", 17.3e9},
                 {"configs/terraformer-17b.json", 17e9},
                 {"configs/scaling-800m.json", 795e6}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        spar_config *config;
        spar_plan plan;
        if (spar_config_open(known[i].path, NULL, 0, &config) || spar_config_plan(config, NULL, &plan))
            fail_msg("%s: %s", known[i].path, spar_error());
        double ratio = (double)plan.parameters / known[i].parameters;
        if (fabs(ratio - 1) > 0.01)
            fail_msg("%s: %llu parameters", known[i].path, (unsigned long long)plan.parameters);
        spar_config_free(config);
    }
}

/* Bytes of activations, of the plan: all but weights, gradients and moments. */
static double planned_activations(const char *residual, int layers, bool recompute) {
    char json[512];
    spar_config *config;
    spar_plan plan;
    int n = snprintf(json, sizeof json, "{\"model\": {\"vocab_size\": 8, \"d_model\": 24, \"n_layers\": %d, \"residual\": "
                                        "\"%s\", \"attention\": {\"n_heads\": 2}}, \"train\": {\"batch\": 4, \"length\": 32, "
                                        "\"recompute\": %s}}", layers, residual, recompute ? "true" : "false");
    if (spar_config_parse(json, (size_t)n, &config) || spar_config_plan(config, NULL, &plan)) fail_msg("%s", spar_error());
    spar_config_free(config);
    return (double)plan.train_bytes - 16 * (double)plan.parameters;
}

static void test_activations(void **state) {
    (void)state;
    double stored = planned_activations("pre-norm", 64, false), again = planned_activations("pre-norm", 64, true);
    double reversible = planned_activations("reversible", 64, false);
    assert_true(stored == 16 * planned_activations("pre-norm", 4, false));
    assert_true(reversible > 0 && reversible == planned_activations("reversible", 4, false));
    assert_true(reversible < again && again < stored / 8);
}

/* Settings that do not fit name those that do. */
static void test_misfits(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"\"feedforward\": {\"kind\": \"sparse\", \"d_ff\": 96, \"block\": 7}",
         "model.feedforward.block: found 7, expected a divisor of d_ff, 96: 6 or 8"},
        {"\"feedforward\": {\"kind\": \"sparse\", \"d_ff\": 96, \"block\": 100}",
         "model.feedforward.block: found 100, expected a divisor of d_ff, 96: 96"},
        {"\"projection\": {\"kind\": \"multiplicative\", \"modules\": 5}",
         "model.projection.modules: found 5, expected a divisor of the queries' width, 24: 4 or 6"},
        {"\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 7}",
         "model.projection.modules: found 7, expected a divisor of d_model, 24: 6 or 8"},
        {"\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4, \"width\": 2}",
         "model.projection.width: found 2, expected an odd number: 1 or 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[512];
        spar_config *config;
        spar_plan plan;
        int n = snprintf(json, sizeof json, "{\"model\": {\"vocab_size\": 8, \"d_model\": 24, \"n_layers\": 1, "
                                            "\"attention\": {\"n_heads\": 2}, %s}}", cases[i][0]);
        assert_int_equal(spar_config_parse(json, (size_t)n, &config), SPAR_OK);
        assert_int_equal(spar_config_plan(config, NULL, &plan), SPAR_ERR_CONFIG);
        assert_string_equal(spar_error(), cases[i][1]);
        spar_config_free(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_activations),
                                       cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_sizes), cmocka_unit_test(test_misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
