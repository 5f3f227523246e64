/* Optimisers against PyTorch 2 in f64 (AdamW, SGD, Adafactor with a relative step) and against the
 * formulas in NumPy (Lion, Adafactor with a fixed rate): five steps from
 *   w[i] = sin(o + i), g[i] = (1 + 0.1·t)·cos(o + 1.7·i + 0.9·t)
 * for a matrix of 3 × 4 and a vector of 5; and schedules against their definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "train/optimiser.h"
#include "train/schedule.h"

enum { MATRIX = 12, VECTOR = 5, ALL = MATRIX + VECTOR };

typedef struct fixture {
    real weights[ALL], grads[ALL];
    spar__param matrix, vector;
    spar__param *params[2];
} fixture;

static void make(fixture *f) {
    memset(f, 0, sizeof *f);
    for (int i = 0; i < MATRIX; i++) f->weights[i] = (real)sin(1.0 + i);
    for (int i = 0; i < VECTOR; i++) f->weights[MATRIX + i] = (real)sin(2.0 + i);
    f->matrix = (spar__param){.name = "matrix", .n_dims = 2, .shape = {3, 4}, .decay = true};
    f->matrix.value = (spar__tensor){
        .data = f->weights, .rows = 3, .cols = 4, .grad = f->grads, .needs_grad = true};
    f->vector = (spar__param){.name = "vector", .n_dims = 1, .shape = {5}};
    f->vector.value = (spar__tensor){.data = f->weights + MATRIX,
                                     .rows = 1,
                                     .cols = 5,
                                     .grad = f->grads + MATRIX,
                                     .needs_grad = true};
    f->params[0] = &f->matrix;
    f->params[1] = &f->vector;
}

static void set_grads(fixture *f, int t) {
    double scale = 1 + 0.1 * t;
    for (int i = 0; i < MATRIX; i++) f->grads[i] = (real)(cos(0.3 + i * 1.7 + t * 0.9) * scale);
    for (int i = 0; i < VECTOR; i++)
        f->grads[MATRIX + i] = (real)(cos(0.7 + i * 1.7 + t * 0.9) * scale);
    f->matrix.value.grad_started = f->vector.value.grad_started = true;
}

static void check(const char *json, const double expected[ALL]) {
    fixture f;
    make(&f);
    json_t *section = json_loads(json, 0, NULL);
    spar__optimiser *o;
    assert_int_equal(spar__optimiser_create(section, f.params, 2, &o), SPAR_OK);
    for (int t = 1; t <= 5; t++) {
        set_grads(&f, t);
        /* Clipping's factor multiplies gradients: doubled ones and a half are the same. */
        for (int i = 0; i < ALL; i++) f.grads[i] *= 2;
        spar__optimiser_step(o, (uint64_t)t, spar__optimiser_lr(o), 0.5);
        assert_false(f.matrix.value.grad_started);
    }
    for (int i = 0; i < ALL; i++)
        if (fabs((double)f.weights[i] - expected[i]) > 2e-6)
            fail_msg("%s: weight %d is %.9f, expected %.9f", json, i, (double)f.weights[i],
                     expected[i]);
    spar__optimiser_free(o);
    json_decref(section);
}

static void test_adamw(void **state) {
    (void)state;
    check("{\"kind\":\"adamw\",\"lr\":0.01,\"beta1\":0.9,\"beta2\":0.95,\"weight_decay\":0.1}",
          (double[]){0.849890615, 0.931648263, 0.122502348, -0.774560891, -0.914436061,
                     -0.262628992, 0.614508362, 0.975913438, 0.447131168, -0.540579241,
                     -1.028779858, -0.525908934, 0.948598768, 0.159459855, -0.796560428,
                     -0.970701633, -0.241119999});
}

static void test_sgd(void **state) {
    (void)state;
    check("{\"kind\":\"sgd\",\"lr\":0.01,\"momentum\":0.9}",
          (double[]){0.898856920, 0.950834547, 0.073030414, -0.780793677, -0.884652417,
                     -0.274563357, 0.581464398, 1.003967345, 0.483876082, -0.577121351,
                     -1.063218236, -0.487179510, 0.981368154, 0.154741642, -0.832383368,
                     -0.953069550, -0.205343324});
    check("{\"kind\":\"sgd\",\"lr\":0.01}",
          (double[]){0.865263673, 0.904123895, 0.118660482, -0.745841391, -0.939289305,
                     -0.295436318, 0.641480018, 1.009374942, 0.422466984, -0.566704500,
                     -1.004493446, -0.512729094, 0.930384160, 0.127273444, -0.774321121,
                     -0.940563354, -0.266628279});
}

static void test_lion(void **state) {
    (void)state;
    check("{\"kind\":\"lion\",\"lr\":0.01,\"beta1\":0.9,\"beta2\":0.99,\"weight_decay\":0.1}",
          (double[]){0.867252016, 0.914680124, 0.130435838, -0.742986123, -0.924239133,
                     -0.288061132, 0.623808129, 0.994461259, 0.419982110, -0.571286420,
                     -1.004920345, -0.503915434, 0.939297427, 0.131120008, -0.786802495,
                     -0.948924275, -0.249415498});
}

static void test_adafactor(void **state) {
    (void)state;
    check("{\"kind\":\"adafactor\",\"lr\":0.05,\"relative_step\":true,\"scale_parameter\":true}",
          (double[]){0.921987310, 0.902126681, 0.054693592, -0.730433716, -0.872655068,
                     -0.334743512, 0.584423256, 1.060009547, 0.483115930, -0.634040857,
                     -1.040230487, -0.439076952, 1.030265374, 0.083834795, -0.846989257,
                     -0.885437290, -0.220567549});
    check("{\"kind\":\"adafactor\",\"lr\":0.02,\"threshold\":0.8,\"beta1\":0.5,"
          "\"weight_decay\":0.1}",
          (double[]){0.861569150, 0.910914902, 0.104935757, -0.752651975, -0.910159538,
                     -0.286009616, 0.613387715, 0.996588705, 0.448389246, -0.566134234,
                     -1.019885958, -0.497566008, 0.962776638, 0.131258195, -0.800871522,
                     -0.941515408, -0.245627188});
}

static void test_norm(void **state) {
    (void)state;
    fixture f;
    make(&f);
    spar__optimiser *o;
    assert_int_equal(spar__optimiser_create(NULL, f.params, 2, &o), SPAR_OK);
    set_grads(&f, 1);
    double sum = 0;
    for (int i = 0; i < ALL; i++) sum += (double)f.grads[i] * (double)f.grads[i];
    assert_true(fabs(spar__optimiser_grad_norm(o) - sqrt(sum)) < 1e-6);
    /* A gradient that nothing was added to is zero, whatever its memory holds. */
    f.vector.value.grad_started = false;
    f.grads[MATRIX] = NAN;
    double norm = spar__optimiser_grad_norm(o);
    assert_true(isfinite(norm) && norm < sqrt(sum));
    f.grads[3] = INFINITY;
    assert_false(isfinite(spar__optimiser_grad_norm(o)));
    spar__optimiser_free(o);
}

/* More elements than a chunk: the same bits with one thread and with three. */
static void test_threads(void **state) {
    (void)state;
    enum { ROWS = 150, COLS = 333, N = ROWS * COLS };
    static real first[N], weights[N], grads[N];
    static const char *const kinds[] = {"adamw", "adafactor", "sgd", "lion"};
    for (int k = 0; k < 4; k++) {
        double norms[2];
        for (int run = 0; run < 2; run++) {
            spar__threads_set(run ? 3 : 1);
            spar__param p = {.name = "w", .n_dims = 2, .shape = {ROWS, COLS}};
            p.value = (spar__tensor){.data = weights, .rows = ROWS, .cols = COLS, .grad = grads};
            for (int i = 0; i < N; i++) weights[i] = (real)sin(i);
            json_t *section = json_pack("{s:s}", "kind", kinds[k]);
            spar__optimiser *o;
            assert_int_equal(spar__optimiser_create(section, (spar__param *[]){&p}, 1, &o),
                             SPAR_OK);
            for (uint64_t t = 1; t < 4; t++) {
                for (int i = 0; i < N; i++) grads[i] = (real)cos(i * 0.37 + (double)t);
                p.value.grad_started = true;
                norms[run] = spar__optimiser_grad_norm(o);
                spar__optimiser_step(o, t, 0.01, 1);
            }
            spar__optimiser_free(o);
            json_decref(section);
            if (!run) memcpy(first, weights, sizeof first);
        }
        assert_memory_equal(first, weights, sizeof first);
        assert_true(norms[0] == norms[1]);
    }
    spar__threads_set(0);
}

static void test_arrays(void **state) {
    (void)state;
    fixture f;
    make(&f);
    json_t *section = json_pack("{s:s}", "kind", "adafactor");
    spar__optimiser *o;
    spar__optimiser_array a;
    assert_int_equal(spar__optimiser_create(section, f.params, 2, &o), SPAR_OK);
    assert_int_equal(spar__optimiser_n_arrays(o), 2);
    spar__optimiser_array_at(o, 0, &a);
    assert_string_equal(a.name, "v/matrix");
    assert_int_equal(a.count, 3 + 4);
    spar__optimiser_array_at(o, 1, &a);
    assert_string_equal(a.name, "v/vector");
    assert_int_equal(a.count, 5);
    spar__optimiser_free(o);
    json_decref(section);
}

static void refuses(const char *json, const char *text) {
    fixture f;
    make(&f);
    json_t *section = json_loads(json, 0, NULL);
    spar__optimiser *o = NULL;
    assert_int_equal(spar__optimiser_create(section, f.params, 2, &o), SPAR_ERR_CONFIG);
    assert_null(o);
    if (!strstr(spar_error(), text)) fail_msg("'%s' does not name '%s'", spar_error(), text);
    json_decref(section);
}

static void test_refusals(void **state) {
    (void)state;
    refuses("{\"kind\":\"adanw\"}", "'adamw'");
    refuses("{\"kind\":7}", "train.optimizer.kind");
    refuses("[]", "train.optimizer");
    refuses("{\"kind\":\"sgd\",\"momentun\":0.9}", "momentum");
    refuses("{\"kind\":\"adamw\",\"beta1\":1.5}", "train.optimizer.beta1");
    refuses("{\"kind\":\"adamw\",\"lr\":\"fast\"}", "train.optimizer.lr");
}

/* ---- Schedules ------------------------------------------------------------------------------ */

static double rate(const char *json, uint64_t step, uint64_t steps) {
    json_t *section = json_loads(json, 0, NULL);
    spar__schedule s;
    assert_int_equal(spar__schedule_read(section, &s), SPAR_OK);
    json_decref(section);
    return spar__schedule_rate(&s, 2.0, step, steps);
}

static void near(double found, double expected) {
    if (fabs(found - expected) > 1e-12) fail_msg("found %.15g, expected %.15g", found, expected);
}

static void test_schedules(void **state) {
    (void)state;
    near(rate("{\"kind\":\"constant\",\"warmup\":4}", 0, 20), 0.5);
    near(rate("{\"kind\":\"constant\",\"warmup\":4}", 3, 20), 2);
    near(rate("{\"kind\":\"constant\"}", 19, 20), 2);
    const char *linear = "{\"kind\":\"linear\",\"warmup\":4,\"min_ratio\":0.2}";
    near(rate(linear, 1, 20), 1);
    near(rate(linear, 4, 20), 2);
    near(rate(linear, 8, 20), 1.6);
    near(rate(linear, 20, 20), 0.4);
    const char *cosine = "{\"kind\":\"cosine\",\"warmup\":4,\"min_ratio\":0.1}";
    near(rate(cosine, 2, 24), 1.5);
    near(rate(cosine, 4, 24), 2);
    near(rate(cosine, 14, 24), 1.1);
    near(rate(cosine, 9, 24), 2 * (0.1 + 0.9 * 0.8535533905932737));
    near(rate("{\"kind\":\"inverse-sqrt\",\"warmup\":4}", 15, 20), 1);
    near(rate("{\"kind\":\"inverse-sqrt\",\"warmup\":4}", 1, 20), 1);
    const char *wsd = "{\"kind\":\"wsd\",\"warmup\":2,\"decay\":10,\"min_ratio\":0.1}";
    near(rate(wsd, 0, 30), 1);
    near(rate(wsd, 20, 30), 2);
    near(rate(wsd, 25, 30), 2 * (0.1 + 0.9 * 0.5));
    near(rate(wsd, 29, 30), 2 * (0.1 + 0.9 * 0.1));
    near(rate("{\"kind\":\"wsd\"}", 29, 30), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw),     cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_lion),      cmocka_unit_test(test_adafactor),
        cmocka_unit_test(test_norm),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_arrays),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
