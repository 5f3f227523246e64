/* Reversible stacks against the same stack with its activations stored: results, gradients and memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
} outcome;

static void run(spar_model *m, bool reversible, outcome *out) {
    real x[ROWS * WIDTH];
    int32_t positions[ROWS];
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    for (int i = 0; i < ROWS; i++) positions[i] = i;
    for (int i = 0; i < spar__model_n_params(m); i++) spar__model_param(m, i)->value.grad_started = false;
    const spar__stack *s = spar__model_last(m);
    spar__arena *arena = spar__arena_create(1 << 12), *kept = spar__arena_create(1 << 12);
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
    spar__run_backward(&pass, NULL);
    assert_int_equal(pass.status, SPAR_OK);
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
    if (y > 1e-5 || dx > 1e-4 || dw > 1e-4)
        fail_msg("%s: after 64 layers results differ by %.2g, gradients by %.2g and %.2g", pattern, y, dx, dw);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
