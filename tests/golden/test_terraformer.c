/* Terraformers with the authors' names: logits, and decoding with a cache, greedily and by beams. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "spar/memory.h"
#include "spar/session.h"

#define FOLDER "tests/golden/data/terraformer"
enum { MOST = 64, BEAMS = 3, MADE = 8 };

typedef struct terraformer {
    const char *name;
    json_t *about;
    spar_model *model;
    int32_t source[MOST], inputs[MOST], tokens[MOST + 1], greedy[MOST];
    size_t n_source, n_inputs, n_tokens, n_greedy;
    double tolerance;
} terraformer;

static size_t ids(const json_t *about, const char *key, int32_t out[MOST]) {
    const json_t *list = json_object_get(about, key);
    size_t n = json_array_size(list);
    assert_true(n > 0 && n < MOST);
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static void open_case(terraformer *t, const char *name) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s/case.json", name);
    *t = (terraformer){.name = name};
    if (spar__json_read(path, &t->about)) fail_msg("%s", spar_error());
    snprintf(path, sizeof path, FOLDER "/%s/model", name);
    if (spar_model_open(path, &t->model)) fail_msg("%s", spar_error());
    t->n_source = ids(t->about, "source", t->source);
    t->n_inputs = ids(t->about, "input_ids", t->inputs);
    t->n_greedy = ids(t->about, "greedy", t->greedy);
    t->tokens[0] = t->inputs[0];
    t->n_tokens = 1 + ids(t->about, "tokens", t->tokens + 1);
    t->tolerance = json_number_value(json_object_get(t->about, "tolerance"));
}

static void close_case(terraformer *t) {
    spar_model_free(t->model);
    json_decref(t->about);
}

static float *logits_of(const terraformer *t, const int32_t *tokens, size_t n, size_t *columns) {
    spar_input input = {.tokens = tokens, .n_tokens = n, .source = t->source, .n_source = t->n_source};
    float *out;
    size_t rows;
    if (spar_model_run(t->model, &input, 1, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &out, &rows, columns))
        fail_msg("%s: %s", t->name, spar_error());
    assert_int_equal(rows, n);
    return out;
}

static void check_logits(const terraformer *t) {
    char path[512];
    spar__st *expected;
    snprintf(path, sizeof path, FOLDER "/%s/expected.safetensors", t->name);
    if (spar__st_open(path, &expected)) fail_msg("%s", spar_error());
    const spar__st_tensor *want = spar__st_find(expected, "logits");
    size_t columns;
    float *got = logits_of(t, t->inputs, t->n_inputs, &columns);
    assert_non_null(want);
    assert_int_equal(want->elements, t->n_inputs * columns);
    for (size_t i = 0; i < want->elements; i++) {
        float w;
        memcpy(&w, (const char *)want->data + 4 * i, 4);
        if (!(fabsf(got[i] - w) <= t->tolerance)) fail_msg("%s: logit %zu is %g, expected %g", t->name, i, (double)got[i], (double)w);
    }
    spar_free(got);
    spar__st_free(expected);
}

/* Chunks shorter than the source, which goes through the decoder in several; then the same session again, and
 * cut back into what it made. */
static void check_greedy(const terraformer *t) {
    spar_session *s;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    o.sampler.temperature = 0;
    o.ignore_eos = 1;
    o.max_tokens = (int64_t)t->n_greedy;
    so.chunk = 5;
    if (spar_session_create(t->model, &so, &s) || spar_session_source(s, t->source, t->n_source))
        fail_msg("%s: %s", t->name, spar_error());
    for (int round = 0; round < 3; round++) {
        spar_generation made;
        size_t kept = round == 2 ? 4 : 0;
        if (spar_session_cut(s, (int64_t)kept) ||
            spar_generate(s, t->tokens + kept, t->n_tokens - kept, &o, &made))
            fail_msg("%s: %s", t->name, spar_error());
        assert_int_equal(made.n_tokens, t->n_greedy);
        assert_memory_equal(made.tokens, t->greedy, t->n_greedy * sizeof *t->greedy);
        spar_generation_free(&made);
    }
    spar_session_free(s);
}

/* A beam's score is the mean of its tokens' log probabilities in full passes. */
static void check_beams(const terraformer *t) {
    spar_beam_options o = SPAR_BEAM_OPTIONS_INIT;
    spar_beam *beams;
    o.source = t->source;
    o.n_source = t->n_source;
    o.beams = BEAMS;
    o.max_tokens = MADE;
    o.length_penalty = 1;
    if (spar_beam_search(t->model, t->tokens, t->n_tokens, &o, &beams)) fail_msg("%s: %s", t->name, spar_error());
    for (int b = 0; b < BEAMS; b++) {
        int32_t row[2 * MOST];
        size_t columns, n = beams[b].n_tokens;
        double score = 0;
        memcpy(row, t->tokens, t->n_tokens * sizeof *row);
        memcpy(row + t->n_tokens, beams[b].tokens, n * sizeof *row);
        float *logits = logits_of(t, row, t->n_tokens + n, &columns);
        for (size_t i = 0; i < n; i++) {
            const float *at = logits + (t->n_tokens + i - 1) * columns;
            double sum = 0;
            for (size_t c = 0; c < columns; c++) sum += exp((double)at[c]);
            score += (double)at[row[t->n_tokens + i]] - log(sum);
        }
        score /= (double)n;
        if (!(fabs(score - beams[b].score) <= 1e-4))
            fail_msg("%s: beam %d: score %g, expected %g", t->name, b, beams[b].score, score);
        spar_free(logits);
    }
    spar_beams_free(beams, BEAMS);
}

static void test_cases(void **state) {
    (void)state;
    for (const char *const *name = (const char *const[]){"published", "three-attentions", NULL}; *name; name++) {
        terraformer t;
        open_case(&t, *name);
        check_logits(&t);
        check_greedy(&t);
        check_beams(&t);
        close_case(&t);
    }
}

/* What cannot be joined is refused by a line that says so. */
static void test_misfits(void **state) {
    (void)state;
    static const char *const misfits[][2] = {
        {"\"position\": \"rotary\"", "model.decoder.position: 'rotary' with model.memory 'joined'"},
        {"\"encoder\": {\"residual\": \"reversible-joined\"}", "model.decoder.d_model: 8, expected the width"},
        {"\"decoder\": {\"n_layers\": 0}", "model.decoder.n_layers: 0"},
        {"\"decoder\": {\"memory\": \"joined\"}", "model.decoder: sections"},
        {"\"recurrent\": {\"layers\": 9}", "layers"},
        {"\"feedforward\": {\"kind\": \"experts\", \"expert\": \"none\"}", "expert: found 'none'"},
    };
    for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
        char text[512];
        spar_config *config;
        spar_model *model = NULL;
        snprintf(text, sizeof text, "{\"model\": {\"architecture\": \"encoder-decoder\", \"vocab_size\": 9, \"d_model\": 8, "
                 "\"n_layers\": 1, \"attention\": {\"n_heads\": 2}, \"memory\": \"joined\", %s}}", misfits[i][0]);
        if (spar_config_parse(text, strlen(text), &config)) fail_msg("%s: %s", misfits[i][0], spar_error());
        if (!spar_model_create(config, 1, &model)) fail_msg("%s: taken", misfits[i][0]);
        if (!strstr(spar_error(), misfits[i][1])) fail_msg("%s: %s", misfits[i][0], spar_error());
        spar_config_free(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
