/* Drafts change when tokens come, not which: greedy, the same tokens and the same bits; sampled, the same
 * distribution. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/decoders.h"
#include "generate/speculate.h"
#include "spar/machine.h"
#include "spar/session.h"

enum { PROMPT = 24, NEW = 24 };

static spar_session *open(const spar_model *m) {
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    spar_session *s;
    o.chunk = 20;
    if (spar_session_create(m, &o, &s)) fail_msg("%s", spar_error());
    return s;
}

static spar_generation run(const spar_model *m, spar_drafter *drafter, int lookup, double temperature, float *last) {
    spar_session *s = open(m);
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation made;
    int32_t prompt[PROMPT];
    const float *logits;
    for (int i = 0; i < PROMPT; i++) prompt[i] = i % 7 + 1;
    o.sampler.temperature = temperature;
    o.sampler.seed = 5;
    o.max_tokens = NEW;
    o.lookup = lookup;
    o.drafter = drafter;
    if (spar_generate(s, prompt, PROMPT, &o, &made)) fail_msg("%s", spar_error());
    /* What the session holds then is what it would hold without drafts. */
    assert_int_equal(spar_session_position(s), PROMPT + NEW - 1);
    assert_int_equal(spar_session_feed(s, made.tokens + made.n_tokens - 1, 1, &logits), SPAR_OK);
    memcpy(last, logits, DECODER_VOCABULARY * sizeof *last);
    spar_session_free(s);
    return made;
}

static void check_greedy(int kind, const char *type, uint64_t *accepted) {
    spar_model *m = decoder_make(kind, type, 3), *small = decoder_make(0, "q8_0", 3);
    spar_session_options self = SPAR_SESSION_OPTIONS_INIT, other = self;
    spar_drafter *drafters[3] = {NULL, NULL, NULL};
    float want[DECODER_VOCABULARY], got[DECODER_VOCABULARY];
    self.layers = 1;
    if (spar_drafter_create(m, m, &self, &drafters[1]) || spar_drafter_create(m, small, &other, &drafters[2]))
        fail_msg("%s", spar_error());
    spar_generation plain = run(m, NULL, 0, 0, want);
    for (int d = 0; d < 4; d++) {
        spar_generation made = run(m, drafters[d % 3], d == 0 || d == 3, d == 3 ? 0.8 : 0, got);
        if (d == 3) { /* look-up takes over what is drawn anyway */
            spar_generation_free(&plain);
            plain = run(m, NULL, 0, 0.8, want);
        }
        if (made.n_tokens != plain.n_tokens || memcmp(made.tokens, plain.tokens, plain.n_tokens * sizeof(int32_t)) != 0)
            fail_msg("%s in %s: drafts of kind %d change the tokens", decoder_text(kind), type, d);
        if (memcmp(want, got, sizeof want) != 0)
            fail_msg("%s in %s: drafts of kind %d change the logits after the text", decoder_text(kind), type, d);
        assert_true(made.accepted <= made.drafted);
        accepted[d] += made.accepted;
        spar_generation_free(&made);
    }
    spar_generation_free(&plain);
    for (int d = 0; d < 3; d++) spar_drafter_free(drafters[d]);
    spar_model_free(m);
    spar_model_free(small);
}

static void greedy(void **state) {
    (void)state;
    static const char *const types[] = {"f32", "q8_0", "bf16", "q4_0"};
    uint64_t accepted[4] = {0};
    for (int k = 0; k < decoders_count(); k++) check_greedy(k, types[k % 4], accepted);
    for (int d = 0; d < 4; d++) assert_true(accepted[d] > 0);
}

/* ---- Sampling: a vocabulary of 5, tokens 2 and 3 after a prompt are drafts ---- */

enum { WORDS = 5, RUNS = 4000 };

static spar_model *tiny(unsigned seed) {
    char text[512];
    snprintf(text, sizeof text, "{\"model\": {\"vocab_size\": %d, \"context\": 16, \"d_model\": 16, \"n_layers\": 1, "
                                "\"init_std\": 0.35, \"attention\": {\"n_heads\": 2}}}", WORDS);
    spar_config *config;
    spar_model *m;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create(config, seed, &m)) fail_msg("%s", spar_error());
    spar_config_free(config);
    return m;
}

static const int32_t prompt[] = {1, 2, 0};

static void probabilities(const spar_model *m, const spar_sampler_options *o, int32_t *tokens, size_t n, float *out) {
    spar_session *s = open(m);
    spar_sampler *sampler;
    const float *logits;
    assert_int_equal(spar_sampler_create(o, WORDS, &sampler), SPAR_OK);
    assert_int_equal(spar_session_feed(s, tokens, n, &logits), SPAR_OK);
    assert_int_equal(spar_sampler_probabilities(sampler, logits, tokens, n, out), SPAR_OK);
    spar_sampler_free(sampler);
    spar_session_free(s);
}

/* p of each three tokens after the prompt. */
static void expected(const spar_model *m, const spar_sampler_options *o, double *p) {
    int32_t tokens[6] = {prompt[0], prompt[1], prompt[2]};
    float first[WORDS], second[WORDS], third[WORDS];
    probabilities(m, o, tokens, 3, first);
    for (int a = 0; a < WORDS; a++) {
        tokens[3] = a;
        probabilities(m, o, tokens, 4, second);
        for (int b = 0; b < WORDS; b++) {
            tokens[4] = b;
            probabilities(m, o, tokens, 5, third);
            for (int c = 0; c < WORDS; c++)
                p[(a * WORDS + b) * WORDS + c] = (double)first[a] * (double)second[b] * (double)third[c];
        }
    }
}

/* χ² of the counts of RUNS against p, and its degrees of freedom; cells of few expected ones are joined. */
static double chi_squared(const int64_t *count, const double *p, int n, int *freedom) {
    double sum = 0, rest_p = 0, rest = 0;
    *freedom = -1;
    for (int i = 0; i < n; i++) {
        double want = p[i] * RUNS, off = (double)count[i] - want;
        if (want < 8) {
            rest_p += p[i];
            rest += (double)count[i];
            continue;
        }
        sum += off * off / want;
        ++*freedom;
    }
    if (rest_p * RUNS > 8) {
        sum += (rest - rest_p * RUNS) * (rest - rest_p * RUNS) / (rest_p * RUNS);
        ++*freedom;
    }
    return sum;
}

/* A bound that chance exceeds once in some ten thousand times (Wilson and Hilferty). */
static double bound(int freedom) {
    double k = freedom, t = 1 - 2 / (9 * k) + 3.8 * sqrt(2 / (9 * k));
    return k * t * t * t;
}

static void check_distribution(const spar_model *m, const spar_model *draft, const spar_sampler_options *sampler) {
    enum { CELLS = WORDS * WORDS * WORDS };
    double p[CELLS], q[CELLS];
    int64_t count[CELLS] = {0};
    uint64_t drafted = 0, accepted = 0;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_drafter *drafter;
    spar_session *s = open(m);
    assert_int_equal(spar_drafter_create(m, draft, &so, &drafter), SPAR_OK);
    expected(m, sampler, p);
    expected(draft, sampler, q);
    for (int i = 0; i < RUNS; i++) {
        spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
        spar_generation made;
        o.sampler = *sampler;
        o.sampler.seed = (uint64_t)i;
        o.max_tokens = 3;
        o.drafter = drafter;
        spar_session_reset(s);
        if (spar_generate(s, prompt, 3, &o, &made)) fail_msg("%s", spar_error());
        count[(made.tokens[0] * WORDS + made.tokens[1]) * WORDS + made.tokens[2]]++;
        drafted += made.drafted;
        accepted += made.accepted;
        spar_generation_free(&made);
    }
    int freedom;
    double x = chi_squared(count, p, CELLS, &freedom), wrong = chi_squared(count, q, CELLS, &freedom);
    x = chi_squared(count, p, CELLS, &freedom);
    if (!(x < bound(freedom))) fail_msg("chi-squared %g of %d degrees of freedom, at most %g", x, freedom, bound(freedom));
    assert_true(wrong > 4 * bound(freedom)); /* drafts taken as they come would show */
    assert_true(accepted > 0 && accepted < drafted);
    spar_drafter_free(drafter);
    spar_session_free(s);
}

static void sampled(void **state) {
    (void)state;
    spar_model *m = tiny(1), *draft = tiny(2);
    spar_sampler_options o = SPAR_SAMPLER_OPTIONS_INIT;
    check_distribution(m, draft, &o);
    o.temperature = 0.7;
    o.top_k = 4;
    check_distribution(m, draft, &o);
    spar_model_free(m);
    spar_model_free(draft);
}

/* The rule by itself, over a grid of draws that stands for uniform ones. */
static void rule(void **state) {
    (void)state;
    static const float p[] = {0.5f, 0.1f, 0.25f, 0.15f, 0}, q[] = {0.2f, 0.4f, 0.25f, 0, 0.15f};
    enum { N = 400 };
    double got[5] = {0};
    for (int draft = 0; draft < 5; draft++)
        for (int i = 0; i < N && q[draft] > 0; i++)
            for (int k = 0; k < N; k++) {
                int32_t token = spar__speculation_rule(p, q, 5, draft, (i + 0.5) / N, (k + 0.5) / N);
                got[token] += (double)q[draft] / N / N;
            }
    for (int t = 0; t < 5; t++) assert_true(fabs(got[t] - (double)p[t]) < 0.004);
}

static void refused(void **state) {
    (void)state;
    spar_model *m = decoder_make(0, "f32", 3), *other = tiny(1);
    spar_session_options o = SPAR_SESSION_OPTIONS_INIT;
    spar_drafter *d;
    assert_int_equal(spar_drafter_create(m, other, &o, &d), SPAR_ERR_ARGUMENT);
    assert_non_null(strstr(spar_error(), "found 5 tokens, expected the model's 61"));
    assert_int_equal(spar_drafter_create(m, m, &o, &d), SPAR_ERR_ARGUMENT);
    o.layers = 99;
    assert_int_equal(spar_drafter_create(m, m, &o, &d), SPAR_ERR_ARGUMENT);
    assert_non_null(strstr(spar_error(), "layers 99: expected 1 to 2"));
    o.layers = 1;
    assert_int_equal(spar_drafter_create(m, m, &o, &d), SPAR_OK);
    spar_session *s = open(other);
    spar_generate_options g = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation made;
    g.drafter = d;
    assert_int_equal(spar_generate(s, prompt, 3, &g, &made), SPAR_ERR_ARGUMENT);
    spar_session_free(s);
    spar_drafter_free(d);
    spar_model_free(m);
    spar_model_free(other);
}

int main(void) {
    spar_threads_set(1); /* the models are too small for more */
    const struct CMUnitTest tests[] = {cmocka_unit_test(greedy), cmocka_unit_test(sampled), cmocka_unit_test(rule),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
