/* Reversible stacks against the same stack with its activations stored: results, gradients and memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "model/inside.h"

enum { ROWS = 24, WIDTH = 32 };

static spar_model *make(int layers, bool joined, const char *pattern) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"model\": {\"vocab_size\": 8, \"context\": %d, \"d_model\": %d, \"n_layers\": %d, \"init_std\": 0.2, "
             "\"residual\": \"%s\", \"attention\": {\"n_heads\": 2, \"pattern\": %s}, \"head\": \"separate\"}}",
             ROWS, WIDTH, layers, joined ? "reversible-joined" : "reversible", pattern);
    spar_config *config;
    spar_model *m;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create(config, 3, &m)) fail_msg("%s", spar_error());
    spar_config_free(config);
    assert_int_equal(spar__model_make_trainable(m), SPAR_OK);
    return m;
}

/* The definition, on the tape: a ← a + f(norm(b)), swap; the mean in the end. */
static spar__tensor *stored(spar__pass *pass, const spar__block *blocks, int64_t n, spar__tensor *x) {
    spar__tensor *a = x, *b = x;
    for (int64_t i = 0; i < n; i++) {
        pass->layer = blocks[i].index;
        spar__tensor *y = spar__sum(pass, a, spar__block_attention(pass, &blocks[i], spar__block_norm(pass, &blocks[i].norm[0], b)));
        a = b, b = y;
        if (!spar__block_has_feedforward(&blocks[i])) continue;
        y = spar__sum(pass, a, spar__block_feedforward(pass, &blocks[i], spar__block_norm(pass, &blocks[i].norm[1], b), b));
        a = b, b = y;
    }
    return spar__scaled(pass, spar__sum(pass, a, b), 0.5);
}

typedef struct outcome {
    real y[ROWS * WIDTH], dx[ROWS * WIDTH], *dw;
    size_t n_weights, bytes;
    double undone; /* how far the streams that came back lie from x */
} outcome;

static double apart(const real *a, const real *b, size_t n);

static void run(spar_model *m, bool reversible, outcome *out) {
    real x[ROWS * WIDTH];
    int32_t positions[ROWS];
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    for (int i = 0; i < ROWS; i++) positions[i] = i;
    for (int i = 0; i < spar__model_n_params(m); i++) spar__model_param(m, i)->value.grad_started = false;
    const spar__stack *s = spar__model_last(m);
    spar__arena *arena = spar__arena_create(1 << 16), *kept = spar__arena_create(1 << 12);
    spar__sequence sequence = {.count = ROWS};
    spar__rows rows = {.n_rows = ROWS, .n_sequences = 1, .sequences = &sequence, .positions = positions};
    spar__pass pass = {.arena = arena, .kept_arena = kept, .rows = &rows, .recording = true, .training = true};
    spar__tensor in = {.data = x, .rows = ROWS, .cols = WIDTH, .needs_grad = true};
    int64_t n = s->shape.n_layers;
    spar__tensor *y = reversible ? spar__reversible_run(&pass, s->blocks, n, false, &in) : stored(&pass, s->blocks, n, &in);
    if (!y) fail_msg("%s", spar_error());
    bool add;
    real *dy = spar__grad(&pass, y, &add);
    for (int i = 0; i < ROWS * WIDTH; i++) dy[i] = (real)spar__rng_normal(&rng, (uint64_t)(ROWS * WIDTH + i));
    memcpy(out->y, y->data, sizeof out->y);
    /* The streams lie behind their mean: their ends before the backward pass, their beginnings, x, after it. */
    const real *a = (const real *)y->data + ROWS * WIDTH, *b = a + ROWS * WIDTH;
    for (int i = 0; reversible && i < ROWS * WIDTH; i++) assert_true(out->y[i] == (a[i] + b[i]) / 2);
    spar__run_backward(&pass, NULL);
    assert_int_equal(pass.status, SPAR_OK);
    out->undone = reversible ? fmax(apart(a, x, ROWS * WIDTH), apart(b, x, ROWS * WIDTH)) : 0;
    memcpy(out->dx, in.grad, sizeof out->dx);
    out->dw = NULL;
    out->n_weights = 0;
    for (int i = 0; i < spar__model_n_params(m); i++) {
        const spar__tensor *v = &spar__model_param(m, i)->value;
        if (!v->grad_started) continue;
        size_t count = (size_t)(v->rows * v->cols);
        out->dw = realloc(out->dw, (out->n_weights + count) * sizeof(real));
        memcpy(out->dw + out->n_weights, v->grad, count * sizeof(real));
        out->n_weights += count;
    }
    out->bytes = spar__arena_peak(arena) + spar__arena_peak(kept);
    spar__arena_free(arena);
    spar__arena_free(kept);
}

/* The largest difference, as a part of the largest value. */
static double apart(const real *a, const real *b, size_t n) {
    double most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)(a[i] - b[i])));
        scale = fmax(scale, fabs((double)b[i]));
    }
    return most / scale;
}

static void compare(const char *pattern) {
    static outcome a, b;
    spar_model *m = make(64, false, pattern);
    run(m, true, &a);
    run(m, false, &b);
    assert_int_equal(a.n_weights, b.n_weights);
    double y = apart(a.y, b.y, ROWS * WIDTH), dx = apart(a.dx, b.dx, ROWS * WIDTH), dw = apart(a.dw, b.dw, b.n_weights);
    if (y > 1e-5 || dx > 1e-4 || dw > 1e-4 || !(a.undone > 0 && a.undone <= 1e-4))
        fail_msg("%s: after 64 layers results differ by %.2g, gradients by %.2g and %.2g, activations by %.2g", pattern,
                 y, dx, dw, a.undone);
    free(a.dw);
    free(b.dw);
    spar_model_free(m);
}

static void test_stored(void **state) {
    (void)state;
    compare("\"causal\"");
    compare("[\"band:3\", {\"kind\": \"lsh\", \"chunk\": 4, \"buckets\": 4}]");
    compare("{\"kind\": \"lsh\", \"chunk\": 4, \"buckets\": 4, \"lookup\": \"sorted\"}");
}

/* ---- Training in bf16, with and without stored activations ---- */

enum { SEQUENCES = 4, TOKENS = SEQUENCES * ROWS, STEPS = 100, LAST = 20, VOCABULARY = 8 };

/* Mostly one more than the last. */
static void draw_tokens(uint64_t step, int32_t *inputs, int32_t *targets) {
    spar__rng rng = spar__rng_for(2, SPAR__RNG_TEST, step, 0);
    for (int s = 0; s < SEQUENCES; s++) {
        int32_t row[ROWS + 1];
        for (int i = 0; i <= ROWS; i++) {
            uint64_t at = (uint64_t)(2 * (s * (ROWS + 1) + i));
            bool noise = i < 1 || spar__rng_below(&rng, at, 10) == 0;
            row[i] = noise ? (int32_t)spar__rng_below(&rng, at + 1, VOCABULARY) : (row[i - 1] + 1) % VOCABULARY;
        }
        memcpy(inputs + s * ROWS, row, ROWS * sizeof *row);
        memcpy(targets + s * ROWS, row + 1, ROWS * sizeof *row);
    }
}

/* AdamW's update without decay. */
static void update(spar_model *m, real *moments, int step) {
    for (int i = 0; i < spar__model_n_params(m); i++) {
        spar__tensor *v = &spar__model_param(m, i)->value;
        int64_t n = v->rows * v->cols;
        real *w = spar__data(v), *first = moments, *second = moments + n;
        moments += 2 * n;
        for (int64_t k = 0; k < n && v->grad_started; k++) {
            first[k] = (real)0.9 * first[k] + (real)0.1 * v->grad[k];
            second[k] = (real)0.98 * second[k] + (real)0.02 * v->grad[k] * v->grad[k];
            double mean = (double)first[k] / (1 - pow(0.9, step)), square = (double)second[k] / (1 - pow(0.98, step));
            w[k] -= (real)(2e-3 * mean / (sqrt(square) + 1e-8));
        }
        v->grad_started = false;
    }
}

/* Loss of the last steps of a training in bf16. */
static double train(bool reversible) {
    spar_model *m = make(8, false, "\"causal\"");
    const spar__stack *s = spar__model_last(m);
    spar__arena *arena = spar__arena_create(1 << 20), *kept = spar__arena_create(1 << 12);
    spar__sequence sequences[SEQUENCES];
    int32_t positions[TOKENS], inputs[TOKENS], targets[TOKENS];
    size_t weights = 0;
    for (int i = 0; i < spar__model_n_params(m); i++)
        weights += (size_t)(spar__model_param(m, i)->value.rows * spar__model_param(m, i)->value.cols);
    real *moments = calloc(2 * weights, sizeof *moments);
    for (int i = 0; i < SEQUENCES; i++) sequences[i] = (spar__sequence){.begin = i * ROWS, .count = ROWS};
    for (int i = 0; i < TOKENS; i++) positions[i] = i % ROWS;
    spar__rows rows = {.n_rows = TOKENS, .n_sequences = SEQUENCES, .sequences = sequences, .positions = positions};
    double mean = 0;
    for (int step = 1; step <= STEPS; step++) {
        spar__arena_rewind(arena, (spar__arena_mark){0});
        spar__arena_rewind(kept, (spar__arena_mark){0});
        for (int i = 0; i < spar__model_n_params(m); i++) spar__model_param(m, i)->value.half = NULL;
        draw_tokens((uint64_t)step, inputs, targets);
        spar__pass pass = {.arena = arena, .kept_arena = kept, .rows = &rows, .recording = true, .training = true,
                           .bf16 = true, .loss_scale = 1};
        spar__tensor *x = spar__embed(&pass, s->embedding, inputs, TOKENS);
        x = reversible ? spar__reversible_run(&pass, s->blocks, s->shape.n_layers, false, x)
                       : stored(&pass, s->blocks, s->shape.n_layers, x);
        spar__loss_options options = {.logit_scale = 1, .scale = 1};
        double sum = 0;
        int64_t count = 0;
        spar__model_loss(&pass, m, spar__block_norm(&pass, &s->final_norm, x), targets, &options, &sum, &count);
        spar__run_backward(&pass, NULL);
        if (pass.status) fail_msg("%s", spar_error());
        update(m, moments, step);
        if (step > STEPS - LAST) mean += sum / (double)count / LAST;
    }
    free(moments);
    spar__arena_free(arena);
    spar__arena_free(kept);
    spar_model_free(m);
    return mean;
}

static void test_training(void **state) {
    (void)state;
    double kept = train(false), undone = train(true);
    if (!(kept < 1) || !(fabs(undone / kept - 1) < 0.005))
        fail_msg("loss %.4f with stored activations, %.4f with reversed ones; log(8) is 2.08", kept, undone);
}

static void test_memory(void **state) {
    (void)state;
    static outcome few, many;
    spar_model *a = make(4, false, "\"causal\""), *b = make(64, false, "\"causal\"");
    run(a, true, &few);
    run(b, true, &many);
    if ((double)many.bytes > 1.1 * (double)few.bytes)
        fail_msg("%zu bytes of activations with 4 layers, %zu with 64", few.bytes, many.bytes);
    free(few.dw);
    free(many.dw);
    spar_model_free(a);
    spar_model_free(b);
}

static void test_misfits(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\"residual\": [\"reversible\", \"pre-norm\"]",
         "model.residual: 'pre-norm' beside 'reversible', expected a reversible one in all layers or in none"},
        {"\"residual\": \"reversible-joined\"",
         "model.head: 'tied' after joined streams, expected 'separate' or 'sparse'"},
        {"\"position\": {\"kind\": \"axial\", \"shape\": [2, 3]}",
         "model.position.shape: 6 positions, expected at least the context's 24"},
        {"\"position\": {\"kind\": \"axial\", \"shape\": [4, 6], \"widths\": [7, 8]}",
         "model.position.widths: 15 in all, expected d_model, 16"},
        {"\"position\": {\"kind\": \"axial\", \"shape\": [4, 6], \"widths\": [4, 4, 8]}",
         "model.position.widths: 3 numbers, expected 2, one for each side of shape"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"model\": {\"vocab_size\": 8, \"context\": 24, \"d_model\": 16, \"n_layers\": 2, \"attention\": "
                 "{\"n_heads\": 2}, %s}}", cases[i].text);
        spar_config *config;
        spar_model *m;
        assert_int_equal(spar_config_parse(text, strlen(text), &config), SPAR_OK);
        assert_int_equal(spar_model_create(config, 1, &m), SPAR_ERR_CONFIG);
        assert_string_equal(spar_error(), cases[i].message);
        spar_config_free(config);
    }
}

int main(void) {
    spar__threads_set(1); /* what is computed is small */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
