/* What passes tell: numbers, choices, starving, auxiliary losses with their gradients. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "op/observe.h"
#include "op/op.h"
#include "spar/log.h"

enum { ROWS = 130, GROUPS = 2, N = 4, COLS = GROUPS * N };

typedef struct wanted {
    const char *name;
    double value;
    int found;
} wanted;

static void compare(void *context, const char *name, double value) {
    wanted *w = context;
    if (strcmp(name, w->name)) return;
    w->found++;
    w->value = value;
}

static double number(const spar__observer *o, const char *name) {
    wanted w = {.name = name, .value = NAN};
    spar__observer_each(o, compare, &w);
    if (w.found != 1) fail_msg("%s: told %d times", name, w.found);
    return w.value;
}

/* A step is the mean over its passes; the series without a layer is the mean over the layers. */
static void test_numbers(void **state) {
    (void)state;
    spar__observer *o = spar__observer_create();
    spar__pass pass = {.observer = o};
    for (int step = 1; step < 3; step++) {
        spar__observer_begin(o);
        for (int micro = 0; micro < 2; micro++)
            for (pass.layer = 0; pass.layer < 3; pass.layer++) {
                spar__observe(&pass, "share.hard", pass.layer + micro * step);
                int64_t counts[COLS] = {4, 0, 0, 4, 2, 2, 2, 2};
                spar__observe_choices(&pass, "ff", counts, GROUPS, N, 0);
            }
        pass.layer = -1;
        spar__observe(&pass, "head.x", 7);
        assert_int_equal(spar__observer_end(o, (uint64_t)step), SPAR_OK);
        assert_true(number(o, "layer.2.share.hard") == 2 + step / 2.0);
        assert_true(number(o, "share.hard") == 1 + step / 2.0);
        assert_true(number(o, "head.x") == 7);
        assert_true(fabs(number(o, "layer.1.ff.entropy") - 0.75) < 1e-12);
        assert_true(number(o, "ff.load.max") == 1.5);
        assert_true(number(o, "ff.dead") == 0.25);
        assert_true(spar__observer_loss(o) == 0);
    }
    /* Without an observer nothing happens. */
    pass.observer = NULL;
    spar__observe(&pass, "share.hard", 1);
    spar__observer_free(o);
}

static int warnings;
static char warning[512];
static void hear(void *context, spar_log_level level, const char *line) {
    (void)context;
    if (level != SPAR_LOG_WARNING) return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", line);
}

static void test_starving(void **state) {
    (void)state;
    spar__observer *o = spar__observer_create();
    spar__pass pass = {.observer = o, .layer = 5};
    spar_log_set(hear, NULL);
    for (int fed = 0; fed < 2; fed++)
        for (uint64_t step = 1; step <= 20; step++) {
            int64_t counts[N] = {100, 100, fed ? 12 : step == 3 ? 100 : 0, 100};
            spar__observer_begin(o);
            spar__observe_choices(&pass, "experts", counts, 1, N, 10);
            assert_int_equal(spar__observer_end(o, step), SPAR_OK);
            /* 100 of 3100 are more than a tenth of a quarter; nothing is not, and 3.8 % are. */
            assert_int_equal(warnings, !fed && step < 20 ? 0 : 1);
            assert_true(fabs(number(o, "layer.5.experts.load.2") - 4.0 * (double)counts[2] / (300.0 + (double)counts[2])) < 1e-12);
        }
    spar_log_set(NULL, NULL);
    assert_non_null(strstr(warning, "layer 5"));
    assert_non_null(strstr(warning, "number 2"));
    spar__observer_free(o);
}

/* Nothing within the window of 100 to 200 steps is dead; one use and it lives. */
static void test_dead(void **state) {
    (void)state;
    spar__observer *o = spar__observer_create();
    spar__pass pass = {.observer = o};
    for (uint64_t step = 1; step <= 500; step++) {
        int64_t counts[N] = {1, 1, 1, step == 150};
        spar__observer_begin(o);
        spar__observe_choices(&pass, "ff", counts, 1, N, 0);
        assert_int_equal(spar__observer_end(o, step), SPAR_OK);
        assert_true(number(o, "ff.dead") == (step >= 150 && step < 300 ? 0 : 0.25));
    }
    spar__observer_free(o);
}

/* The losses of random rows, times weight and scale, against finite differences. */
static double losses(spar__tensor *x, const int64_t *counts, spar__arena *arena, bool record) {
    spar__arena_rewind(arena, (spar__arena_mark){0});
    spar__observer *o = spar__observer_create();
    spar__pass pass = {.arena = arena, .recording = record, .observer = o, .loss_scale = 0.5};
    x->grad = NULL;
    x->grad_started = false;
    spar__add_loss(&pass, "balance", spar__balance_loss(&pass, x, counts, GROUPS), 3);
    spar__add_loss(&pass, "z", spar__z_loss(&pass, x), 0.25);
    spar__add_loss(&pass, "nothing", NULL, 1);
    if (record) spar__run_backward(&pass, NULL);
    assert_int_equal(pass.status, SPAR_OK);
    double sum = spar__observer_loss(o);
    assert_int_equal(spar__observer_end(o, 1), SPAR_OK);
    assert_true(fabs(number(o, "auxiliary") - sum) < 1e-12);
    spar__observer_free(o);
    return sum;
}

static void test_losses(void **state) {
    (void)state;
    spar__arena *arena = spar__arena_create(0);
    spar__real data[ROWS * COLS], direction[ROWS * COLS];
    int64_t counts[COLS] = {100, 20, 10, 0, 30, 30, 30, 40};
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * COLS; i++) {
        data[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
        direction[i] = (real)spar__rng_normal(&rng, (uint64_t)i + 100000);
    }
    spar__tensor x = {.data = data, .rows = ROWS, .cols = COLS, .needs_grad = true};
    double balance = 0, z = 0, analytic = 0, step = sizeof(real) == 8 ? 1e-5 : 1e-2, side[2];
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int i = 0; i < COLS; i++) {
            sum += exp((double)data[r * COLS + i]);
            balance += (double)data[r * COLS + i] * (double)counts[i] * N / GROUPS / ROWS / ROWS;
        }
        z += log(sum) * log(sum) / ROWS;
    }
    double tolerance = sizeof(real) == 8 ? 1e-12 : 1e-6;
    assert_true(fabs(losses(&x, counts, arena, true) - 3 * balance - 0.25 * z) < tolerance);
    for (int i = 0; i < ROWS * COLS; i++) analytic += (double)x.grad[i] * (double)direction[i];
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < ROWS * COLS; i++) data[i] += (real)(s ? -2 * step : step) * direction[i];
        side[s] = losses(&x, counts, arena, false);
    }
    double numeric = 0.5 * (side[0] - side[1]) / (2 * step);
    assert_true(fabs(numeric - analytic) < (sizeof(real) == 8 ? 1e-8 : 1e-3));
    spar__arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_starving),
                                       cmocka_unit_test(test_dead), cmocka_unit_test(test_losses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
