/* Mixtures of experts against their definition, written down naively; gradients against differences
 * (spar__real is double in the f64 variant); unchosen experts untouched; settings that do not fit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "feedforward/feedforward.h"
#include "model/inside.h"
#include "op/observe.h"
#include "op/route.h"

enum { D = 6, FF = 10, FIRST = 13, ROWS = 30, MOST_K = 4 };

typedef struct mixture {
    const char *settings; /* of the kind */
    int n, k;
    bool normalise, bias, gated;
    int capacity[2]; /* of the two sequences, 13 and 17 rows */
} mixture;

static const mixture mixtures[] = {
    {"\"n_experts\": 4", 4, 1, false, false, false, {99, 99}},
    {"\"n_experts\": 5, \"top_k\": 2, \"normalise\": true, \"expert\": {\"kind\": \"gated\", \"d_ff\": 10}", 5, 2, true, false, true, {99, 99}},
    {"\"n_experts\": 3, \"capacity\": 4, \"router_bias\": true", 3, 1, false, true, false, {4, 4}},
    /* ⌈1·2·13/4⌉ and ⌈1·2·17/4⌉ */
    {"\"n_experts\": 4, \"top_k\": 2, \"capacity_factor\": 1, \"z_loss\": 0.1, \"balance\": 0.5", 4, 2, false, false, false, {7, 9}},
    /* ⌈1.5·13/8⌉ and ⌈1.5·17/8⌉ */
    {"\"n_experts\": 8, \"capacity_factor\": 1.5", 8, 1, false, false, false, {3, 4}},
    {"\"n_experts\": 4, \"top_k\": 4, \"normalise\": true, \"jitter\": 0.3, \"router_bias\": true", 4, 4, true, true, false, {99, 99}},
    {"\"n_experts\": 1", 1, 1, false, false, false, {99, 99}},
    /* Kinds that are not written down here once more: k is 0. */
    {"\"n_experts\": 3, \"top_k\": 2, \"expert\": {\"kind\": \"sparse\", \"d_ff\": 12, \"block\": 3, \"rank\": 2}", 3, 0, false, false, false, {99, 99}},
};
enum { N_MIXTURES = sizeof mixtures / sizeof *mixtures };

/* A layer by itself, with weights of its own. */
typedef struct layer {
    spar__choice choice;
    const spar__feedforward_kind *kind;
    spar__builder params;
    void *self;
    spar__arena *arena;
} layer;

static real draw(uint64_t stream, uint64_t index) {
    spar__rng rng = spar__rng_for(3, SPAR__RNG_TEST, stream, 0);
    return (real)spar__rng_normal(&rng, index);
}

static void open_layer(layer *l, const mixture *m) {
    char json[512];
    *l = (layer){.arena = spar__arena_create(0)};
    const char *expert = strstr(m->settings, "\"expert\"") ? "" : ", \"expert\": {\"kind\": \"dense\", \"d_ff\": 10}";
    snprintf(json, sizeof json, "{\"kind\": \"experts\", %s%s}", m->settings, expert);
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    if (spar__choose(value, "model", "feedforward", spar__feedforward_at, NULL, &l->choice)) fail_msg("%s", spar_error());
    json_decref(value);
    l->kind = (const spar__feedforward_kind *)l->choice.kind;
    l->self = calloc(1, l->kind->self_size);
    spar__shape shape = {.d_model = D, .n_layers = 1, .std = 0.5, .residual_std = 0.5};
    assert_int_equal(l->kind->declare(&l->params, &shape, l->choice.options, l->self), SPAR_OK);
    for (int i = 0; i < l->params.n_params; i++) {
        spar__tensor *v = &l->params.params[i]->value;
        int64_t n = v->rows * v->cols;
        v->data = malloc((size_t)n * sizeof(real));
        v->grad = malloc((size_t)n * sizeof(real));
        v->needs_grad = true;
        for (int64_t j = 0; j < n; j++) spar__data(v)[j] = (real)0.6 * draw((uint64_t)i, (uint64_t)j);
    }
    l->kind->prepare(l->self);
}

static void close_layer(layer *l) {
    l->kind->release(l->self);
    for (int i = 0; i < l->params.n_params; i++) {
        free(l->params.params[i]->value.data);
        free(l->params.params[i]->value.grad);
        spar__param_free(l->params.params[i]);
    }
    spar__free(l->params.params);
    spar__options_free(l->choice.kind->options, l->choice.options);
    free(l->self);
    spar__arena_free(l->arena);
}

static const real *weights(const layer *l, const char *name) {
    for (int i = 0; i < l->params.n_params; i++)
        if (strcmp(l->params.params[i]->name, name) == 0) return spar__data(&l->params.params[i]->value);
    fail_msg("no %s", name);
    return NULL;
}

static const spar__sequence sequences[] = {{.begin = 0, .count = FIRST}, {.begin = FIRST, .count = ROWS - FIRST}};
static const spar__rows rows = {ROWS, 2, sequences, NULL, NULL};

/* Σ target·y + auxiliary losses; with `record`, gradients too. y [ROWS, D] may be NULL. */
static double run(layer *l, spar__tensor *x, bool training, bool record, real *y) {
    spar__arena_rewind(l->arena, (spar__arena_mark){0});
    spar__observer *o = spar__observer_create();
    spar__pass pass = {.arena = l->arena, .rows = &rows, .recording = record, .training = training, .observer = o};
    x->grad = NULL;
    x->grad_started = false;
    x->needs_grad = record;
    for (int i = 0; i < l->params.n_params; i++) l->params.params[i]->value.grad_started = false;
    spar__tensor *out = l->kind->run(&pass, l->choice.options, l->self, x);
    if (!out) fail_msg("%s", spar_error());
    double loss = spar__observer_loss(o);
    for (int i = 0; i < ROWS * D; i++) {
        loss += (double)draw(77, (uint64_t)i) * (double)spar__data(out)[i];
        if (y) y[i] = spar__data(out)[i];
    }
    if (record) {
        bool add;
        real *d = spar__grad(&pass, out, &add);
        for (int i = 0; i < ROWS * D; i++) d[i] = draw(77, (uint64_t)i);
        spar__run_backward(&pass, NULL);
        if (pass.status) fail_msg("%s", spar_error());
    }
    spar__observer_free(o);
    return loss;
}

static real gelu(real x) { return (real)(0.5 * (double)x * (1 + tanh(0.7978845608028654 * ((double)x + 0.044715 * pow((double)x, 3))))); }
static real silu(real x) { return (real)((double)x / (1 + exp(-(double)x))); }

static void naive_expert(const layer *l, const mixture *m, int e, const real *x, double *y) {
    const real *up = weights(l, "ffn_up_exps.weight") + e * FF * D, *down = weights(l, "ffn_down_exps.weight") + e * D * FF;
    for (int i = 0; i < D; i++) y[i] = m->gated ? 0 : (double)weights(l, "ffn_down_exps.bias")[e * D + i];
    for (int f = 0; f < FF; f++) {
        double u = m->gated ? 0 : (double)weights(l, "ffn_up_exps.bias")[e * FF + f], g = 0;
        for (int j = 0; j < D; j++) u += (double)(up[f * D + j] * x[j]);
        if (m->gated) {
            for (int j = 0; j < D; j++) g += (double)(weights(l, "ffn_gate_exps.weight")[(e * FF + f) * D + j] * x[j]);
            u *= (double)silu((real)g);
        } else u = (double)gelu((real)u);
        for (int i = 0; i < D; i++) y[i] += u * (double)down[i * FF + f];
    }
}

static void naive_row(const layer *l, const mixture *m, const real *x, int capacity, int *taken, double *y) {
    double p[8], sum = 0, kept = 0;
    int best[MOST_K];
    for (int e = 0; e < m->n; e++) {
        double z = m->bias ? (double)weights(l, "ffn_gate_inp.bias")[e] : 0;
        for (int j = 0; j < D; j++) z += (double)(weights(l, "ffn_gate_inp.weight")[e * D + j] * x[j]);
        sum += p[e] = exp(z);
    }
    for (int k = 0; k < m->k; k++) {
        best[k] = -1;
        for (int e = 0; e < m->n; e++) {
            bool used = false;
            for (int j = 0; j < k; j++) used |= best[j] == e;
            if (!used && (best[k] < 0 || p[e] > p[best[k]])) best[k] = e;
        }
        kept += p[best[k]];
    }
    for (int i = 0; i < D; i++) y[i] = 0;
    for (int k = 0; k < m->k; k++) {
        double part[D];
        if (taken[best[k]]++ >= capacity) continue;
        naive_expert(l, m, best[k], x, part);
        for (int i = 0; i < D; i++) y[i] += p[best[k]] / (m->normalise ? kept : sum) * part[i];
    }
}

static void fill(real *x) {
    for (int i = 0; i < ROWS * D; i++) x[i] = draw(99, (uint64_t)i);
}

static void test_definition(void **state) {
    (void)state;
    for (int i = 0; i < N_MIXTURES; i++) {
        const mixture *m = &mixtures[i];
        real data[ROWS * D], y[ROWS * D];
        layer l;
        if (!m->k) continue;
        open_layer(&l, m);
        fill(data);
        spar__tensor x = {.data = data, .rows = ROWS, .cols = D};
        run(&l, &x, false, false, y);
        int taken[8] = {0};
        for (int r = 0; r < ROWS; r++) {
            double want[D];
            if (r == FIRST) memset(taken, 0, sizeof taken);
            naive_row(&l, m, data + r * D, m->capacity[r >= FIRST], taken, want);
            for (int j = 0; j < D; j++)
                if (!(fabs((double)y[r * D + j] - want[j]) < 1e-5 * (1 + fabs(want[j]))))
                    fail_msg("%s: row %d: %g, expected %g", m->settings, r, (double)y[r * D + j], want[j]);
        }
        close_layer(&l);
    }
}

#ifdef SPAR_REAL_DOUBLE
/* Along a random direction of x and of each parameter, jitter on. */
static void test_gradients(void **state) {
    (void)state;
    const double step = 1e-6;
    for (int i = 0; i < N_MIXTURES; i++) {
        real data[ROWS * D];
        layer l;
        open_layer(&l, &mixtures[i]);
        fill(data);
        spar__tensor x = {.data = data, .rows = ROWS, .cols = D};
        run(&l, &x, true, true, NULL);
        real *grad[32];
        for (int p = 0; p <= l.params.n_params; p++) {
            spar__tensor *v = p ? &l.params.params[p - 1]->value : &x;
            size_t bytes = (size_t)(v->rows * v->cols) * sizeof(real);
            grad[p] = memcpy(malloc(bytes), v->grad, bytes);
        }
        for (int p = 0; p <= l.params.n_params; p++) {
            spar__tensor *v = p ? &l.params.params[p - 1]->value : &x;
            int64_t n = v->rows * v->cols;
            double analytic = 0, loss[2];
            for (int64_t j = 0; j < n; j++) analytic += (double)grad[p][j] * (double)draw(200, (uint64_t)j);
            for (int side = 0; side < 2; side++) {
                for (int64_t j = 0; j < n; j++) spar__data(v)[j] += (real)(side ? -2 * step : step) * draw(200, (uint64_t)j);
                loss[side] = run(&l, &x, true, false, NULL);
            }
            for (int64_t j = 0; j < n; j++) spar__data(v)[j] += (real)step * draw(200, (uint64_t)j);
            double numeric = (loss[0] - loss[1]) / (2 * step);
            if (fabs(numeric - analytic) > 1e-7 * (1 + fabs(numeric)))
                fail_msg("%s: %s: gradient %.9g, by differences %.9g", mixtures[i].settings,
                         p ? l.params.params[p - 1]->name : "x", analytic, numeric);
            free(grad[p]);
        }
        close_layer(&l);
    }
}

#endif

/* Whatever stands in the experts that no token chose makes no difference, and their gradient is 0. */
static void test_untouched(void **state) {
    (void)state;
    const mixture *m = &mixtures[0];
    real data[ROWS * D], y[ROWS * D], again[ROWS * D];
    layer l;
    open_layer(&l, m);
    fill(data);
    for (int r = 0; r < ROWS; r++) memcpy(data + r * D, data, D * sizeof *data);
    spar__tensor x = {.data = data, .rows = ROWS, .cols = D};
    run(&l, &x, true, true, y);
    int used = -1;
    for (int i = 0; i < l.params.n_params; i++) {
        spar__param *p = l.params.params[i];
        if (!strstr(p->name, "exps")) continue;
        int64_t n = p->value.rows * p->value.cols / m->n;
        for (int e = 0; e < m->n; e++) {
            bool zero = true;
            for (int64_t j = 0; j < n; j++) zero = zero && p->value.grad[e * n + j] == 0;
            if (!zero) {
                assert_true(used < 0 || used == e);
                used = e;
            }
        }
    }
    assert_true(used >= 0);
    for (int i = 0; i < l.params.n_params; i++) {
        spar__param *p = l.params.params[i];
        if (!strstr(p->name, "exps")) continue;
        int64_t n = p->value.rows * p->value.cols / m->n;
        for (int64_t j = 0; j < n * m->n; j++)
            if (j / n != used) spar__data(&p->value)[j] = NAN;
    }
    run(&l, &x, true, true, again);
    assert_memory_equal(y, again, sizeof y);
    close_layer(&l);
}

/* Jitter is noise in training alone, the same for the same seed, step and site. */
static void test_jitter(void **state) {
    (void)state;
    real data[ROWS * D], y[3][ROWS * D];
    layer l;
    open_layer(&l, &mixtures[5]);
    fill(data);
    spar__tensor x = {.data = data, .rows = ROWS, .cols = D};
    run(&l, &x, false, false, y[0]);
    run(&l, &x, true, false, y[1]);
    spar__threads_set(3);
    run(&l, &x, true, true, y[2]);
    spar__threads_set(0);
    assert_memory_not_equal(y[0], y[1], sizeof y[0]);
    assert_memory_equal(y[1], y[2], sizeof y[1]);
    close_layer(&l);
}

static void refuse(const char *feedforward, const char *expected) {
    char json[512];
    spar_config *config;
    spar_plan plan;
    snprintf(json, sizeof json, "{\"model\": {\"vocab_size\": 8, \"d_model\": 8, \"n_layers\": 1, "
                                "\"attention\": {\"n_heads\": 2}, \"feedforward\": {\"kind\": \"experts\", %s}}}",
             feedforward);
    assert_int_equal(spar_config_parse(json, strlen(json), &config), SPAR_OK);
    assert_int_equal(spar_config_plan(config, NULL, &plan), SPAR_ERR_CONFIG);
    if (!strstr(spar_error(), expected)) fail_msg("%s: \"%s\" lacks \"%s\"", feedforward, spar_error(), expected);
    spar_config_free(config);
}

static void test_settings(void **state) {
    (void)state;
    refuse("\"n_experts\": 4, \"top_k\": 5", "top_k: found 5, expected 1 to 4");
    refuse("\"capacity_factor\": 0.5", "capacity_factor: found 0.5, expected 1 or more");
    refuse("\"capacity_factor\": 1.5, \"capacity\": 3", "one of them");
    refuse("\"capacity\": -1", "capacity: found -1, expected a whole number 0 to");
    refuse("\"n_experts\": 0", "n_experts: found 0");
    refuse("\"expert\": \"experts\"", "expected another kind");
    refuse("\"expert\": \"gatd\"", "did you mean 'gated'");
    refuse("\"expert\": {\"kind\": \"gated\", \"d_f\": 3}", "model.feedforward.expert: unknown key 'd_f'; did you mean 'd_ff'");
}

/* A token alone is never dropped, whatever the capacity. */
static void test_decoding(void **state) {
    (void)state;
    layer l;
    real data[D], zero[D] = {0};
    open_layer(&l, &mixtures[4]);
    for (int i = 0; i < D; i++) data[i] = draw(99, (uint64_t)i);
    spar__sequence one = {.count = 1, .past = 7};
    spar__rows alone = {1, 1, &one, NULL, NULL};
    spar__tensor x = {.data = data, .rows = 1, .cols = D};
    spar__pass pass = {.arena = l.arena, .rows = &alone};
    spar__tensor *y = l.kind->run(&pass, l.choice.options, l.self, &x);
    assert_non_null(y);
    assert_memory_not_equal(y->data, zero, sizeof zero);
    close_layer(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef SPAR_REAL_DOUBLE
        cmocka_unit_test(test_gradients),
#endif
        cmocka_unit_test(test_definition), cmocka_unit_test(test_untouched), cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_decoding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
