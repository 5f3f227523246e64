/* Encoders and encoder–decoders as published, against transformers: every folder of tests/golden/data/hf with a
 * source or an encoder's task; and beam search against its beams (beams.json). */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "spar/memory.h"
#include "spar/session.h"

#define FOLDER "tests/golden/data/hf"

static json_t *read(const char *path) {
    json_t *out;
    if (spar__json_read(path, &out)) fail_msg("%s", spar_error());
    return out;
}

static int32_t *ids(const json_t *object, const char *key, size_t *n) {
    const json_t *list = json_object_get(object, key);
    *n = json_array_size(list);
    if (!list) return NULL;
    int32_t *out = calloc(*n + 1, sizeof *out);
    for (size_t i = 0; i < *n; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return out;
}

static spar_model *open_case(const char *name) {
    char path[512];
    spar_model *m;
    snprintf(path, sizeof path, FOLDER "/%s/model", name);
    if (spar_model_open(path, &m)) fail_msg("%s", spar_error());
    return m;
}

static void compare(const char *name, const char *what, const float *got, size_t n, const spar__st_tensor *t,
                    double tolerance) {
    if (n != t->elements) fail_msg("%s: %s: %zu numbers, expected %zu", name, what, n, (size_t)t->elements);
    for (size_t i = 0; i < n; i++) {
        float want;
        memcpy(&want, (const char *)t->data + 4 * i, 4);
        if (!(fabs((double)got[i] - (double)want) <= tolerance))
            fail_msg("%s: %s: number %zu is %g, expected %g", name, what, i, (double)got[i], (double)want);
    }
}

static void check_case(const char *name) {
    static const struct {
        const char *tensor;
        spar_output output;
    } results[] = {{"logits", SPAR_OUTPUT_LOGITS}, {"hidden", SPAR_OUTPUT_STATES}, {"embedding", SPAR_OUTPUT_EMBEDDING}};
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s/case.json", name);
    json_t *about = read(path);
    const char *task = json_string_value(json_object_get(about, "task"));
    if (task && strcmp(task, "causal-lm") == 0) {
        json_decref(about);
        return;
    }
    spar__st *expected;
    snprintf(path, sizeof path, FOLDER "/%s/expected.safetensors", name);
    if (spar__st_open(path, &expected)) fail_msg("%s", spar_error());
    spar_model *m = open_case(name);
    size_t n_types;
    spar_input input = {0};
    int32_t *tokens = ids(about, "tokens", &input.n_tokens), *source = ids(about, "source", &input.n_source);
    int32_t *types = ids(about, "token_types", &n_types);
    input.tokens = tokens;
    input.source = source;
    input.segments = types;
    int compared = 0;
    for (int i = 0; i < 3; i++) {
        const spar__st_tensor *t = spar__st_find(expected, results[i].tensor);
        float *out;
        size_t rows, columns;
        if (!t) continue;
        if (spar_model_run(m, &input, 1, results[i].output, SPAR_POOLING_OWN, &out, &rows, &columns))
            fail_msg("%s: %s", name, spar_error());
        compare(name, results[i].tensor, out, rows * columns, t, json_number_value(json_object_get(about, "tolerance")));
        spar_free(out);
        compared++;
    }
    assert_true(compared > 0);
    free(tokens);
    free(source);
    free(types);
    spar_model_free(m);
    spar__st_free(expected);
    json_decref(about);
}

static void test_cases(void **state) {
    (void)state;
    int n = 0;
    DIR *folder = opendir(FOLDER);
    assert_non_null(folder);
    for (struct dirent *d; (d = readdir(folder));)
        if (d->d_name[0] != '.' && !strstr(d->d_name, ".json")) check_case(d->d_name), n++;
    closedir(folder);
    assert_true(n >= 9);
}

/* Greedy decoding with a cache: the encoder's output and the keys made of it are kept. */
static void check_greedy(const char *name) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s/case.json", name);
    json_t *about = read(path);
    size_t n_tokens, n_source, n_greedy;
    int32_t *tokens = ids(about, "tokens", &n_tokens), *source = ids(about, "source", &n_source);
    int32_t *greedy = ids(about, "greedy", &n_greedy);
    spar_model *m = open_case(name);
    spar_session *s;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation made;
    o.sampler.temperature = 0;
    o.ignore_eos = 1;
    o.max_tokens = (int64_t)n_greedy;
    so.chunk = 5;
    if (spar_session_create(m, &so, &s) || spar_session_source(s, source, n_source) ||
        spar_generate(s, tokens, n_tokens, &o, &made))
        fail_msg("%s: %s", name, spar_error());
    assert_int_equal(made.n_tokens, n_greedy);
    assert_memory_equal(made.tokens, greedy, n_greedy * sizeof *greedy);
    spar_generation_free(&made);
    spar_session_free(s);
    spar_model_free(m);
    free(tokens);
    free(source);
    free(greedy);
    json_decref(about);
}

static void test_greedy(void **state) {
    (void)state;
    check_greedy("t5-v1.0");
    check_greedy("t5-v1.1-flan");
    check_greedy("marian-relu");
    check_greedy("marian-swish");
}

static void check_beams(const json_t *about) {
    const char *name = json_string_value(json_object_get(about, "case"));
    const json_t *wanted = json_object_get(about, "sequences");
    int32_t start = (int32_t)json_integer_value(json_object_get(about, "start"));
    spar_beam_options o = SPAR_BEAM_OPTIONS_INIT;
    int32_t *source = ids(about, "source", &o.n_source);
    o.source = source;
    o.beams = json_integer_value(json_object_get(about, "beams"));
    o.max_tokens = json_integer_value(json_object_get(about, "max_tokens"));
    o.length_penalty = json_number_value(json_object_get(about, "length_penalty"));
    o.early_stopping = (spar_early_stopping)json_integer_value(json_object_get(about, "early_stopping"));
    spar_model *m = open_case(name);
    spar_beam *beams;
    if (spar_beam_search(m, &start, 1, &o, &beams)) fail_msg("%s: %s", name, spar_error());
    for (int64_t i = 0; i < o.beams; i++) {
        const json_t *want = json_array_get(wanted, (size_t)i);
        size_t n;
        int32_t *tokens = ids(want, "tokens", &n);
        assert_int_equal(beams[i].n_tokens, n);
        assert_memory_equal(beams[i].tokens, tokens, n * sizeof *tokens);
        double score = json_number_value(json_object_get(want, "score"));
        if (fabs(beams[i].score - score) > 1e-4) fail_msg("%s: beam %d: %g, expected %g", name, (int)i, beams[i].score, score);
        free(tokens);
    }
    spar_beams_free(beams, o.beams);
    spar_model_free(m);
    free(source);
}

static void test_beams(void **state) {
    (void)state;
    json_t *all = read(FOLDER "/beams.json"), *one;
    size_t i;
    json_array_foreach(all, i, one) check_beams(one);
    assert_true(json_array_size(all) >= 12);
    json_decref(all);
}

/* ---- What generation_config.json forbids and forces (constraints.json) ---- */

static int same_tokens(void *context, size_t prompt, const spar_generation *made) {
    const json_t *about = context;
    size_t n;
    int32_t *want = ids(about, "tokens", &n);
    (void)prompt;
    if (n && strcmp(made->finish, "eos") == 0) n--; /* the end is not among them */
    if (made->n_tokens != n || memcmp(made->tokens, want, n * sizeof *want) != 0) {
        char *text = json_dumps(about, JSON_COMPACT);
        fail_msg("other tokens than %s", text);
    }
    free(want);
    return 0;
}

static void check_alone(const spar_model *m, json_t *about, const int32_t *prompt, size_t count, const int32_t *source,
                        size_t n_source) {
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_together_options t = SPAR_TOGETHER_OPTIONS_INIT;
    spar_prompt prompts[2] = {{prompt, count}, {prompt, count}};
    spar_session *s;
    spar_generation made;
    o.sampler.temperature = t.sampler.temperature = 0;
    o.max_tokens = t.max_tokens = json_integer_value(json_object_get(about, "max_tokens"));
    t.on_done = same_tokens;
    t.context = about;
    if (spar_session_create(m, &so, &s) || (source && spar_session_source(s, source, n_source)) ||
        spar_generate(s, prompt, count, &o, &made))
        fail_msg("%s", spar_error());
    same_tokens(about, 0, &made);
    spar_generation_free(&made);
    spar_session_free(s);
    if (!source && spar_generate_together(m, &so, 2, prompts, 2, &t, NULL)) fail_msg("%s", spar_error());
}

static void check_searched(const spar_model *m, const json_t *about, const int32_t *prompt, size_t count,
                           const spar_beam_options *o) {
    spar_beam *beams;
    size_t n;
    int32_t *want = ids(about, "tokens", &n);
    if (spar_beam_search(m, prompt, count, o, &beams)) fail_msg("%s", spar_error());
    assert_int_equal(beams[0].n_tokens, n);
    assert_memory_equal(beams[0].tokens, want, n * sizeof *want);
    assert_true(fabs(beams[0].score - json_number_value(json_object_get(about, "score"))) < 1e-4);
    spar_beams_free(beams, o->beams);
    free(want);
}

static void check_constraints(json_t *about) {
    const json_t *config = json_object_get(about, "generation_config");
    spar_model *m = open_case(json_string_value(json_object_get(about, "case")));
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s/case.json", json_string_value(json_object_get(about, "case")));
    json_t *example = read(path);
    json_object_set((json_t *)spar__model_source(m), "generation_config", (json_t *)config);
    spar_beam_options o = SPAR_BEAM_OPTIONS_INIT;
    spar_beam_options_read(m, &o);
    size_t count;
    int32_t *prompt = ids(about, "prompt", &count), *source = ids(example, "source", &o.n_source);
    o.source = source;
    o.beams = json_integer_value(json_object_get(about, "beams"));
    o.max_tokens = json_integer_value(json_object_get(about, "max_tokens"));
    if (o.beams == 1) check_alone(m, about, prompt, count, source, o.n_source);
    else check_searched(m, about, prompt, count, &o);
    spar_model_free(m);
    json_decref(example);
    free(source);
    free(prompt);
}

static void test_constraints(void **state) {
    (void)state;
    json_t *all = read(FOLDER "/constraints.json"), *one;
    size_t i;
    json_array_foreach(all, i, one) check_constraints(one);
    assert_true(json_array_size(all) >= 18);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_greedy),
                                       cmocka_unit_test(test_beams), cmocka_unit_test(test_constraints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
