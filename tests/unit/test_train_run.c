/* Runs of training: the loss falls, a resumed run equals an undisturbed one to the bit, so do
 * runs with other numbers of threads; steps allocate nothing; what is not finite stops the run; a
 * full disk loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "spar/metrics.h"
#include "spar/train.h"
#include "../support/scratch.h"
#include "train/trainer.h"

enum { VOCABULARY = 32, LENGTH = 12, ROWS = 64, COLUMNS = LENGTH + 1 };

static const char model_json[] = "\"model\": {\"architecture\": \"decoder\", \"vocab_size\": 32, "
                                 "\"context\": 16, \"d_model\": 16,"
                                 " \"n_layers\": 2, \"position\": {\"kind\": \"learned\"},"
                                 " \"attention\": {\"n_heads\": 2, \"pattern\": [\"causal\", "
                                 "{\"kind\": \"band\", \"width\": 4}]},"
                                 " \"feedforward\": {\"kind\": \"dense\", \"d_ff\": 32}}";

static int32_t tokens[ROWS * COLUMNS];
static char folder[64];

/* Sequences with a rule to learn: each token is the one before plus a step that the row keeps. */
static int setup(void **state) {
    (void)state;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLUMNS; i++)
            tokens[r * COLUMNS + i] = (r * 7 + i * (1 + r % 3)) % VOCABULARY;
    return 0;
}

/* A folder that no run has used. */
static const char *fresh(void) {
    static int n;
    snprintf(folder, sizeof folder, "run%d", n++);
    return scratch(folder);
}

static spar_config *configure(const char *train) {
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "{%s, \"train\": {\"batch\": 4, \"dropout\": 0.1, \"seed\": 5, "
                     "\"optimizer\": {\"lr\": 0.01, \"weight_decay\": 0.1}, "
                     "\"schedule\": {\"kind\": \"cosine\", \"warmup\": 2}}}",
                     model_json);
    spar_config *config;
    assert_int_equal(spar_config_parse(text, (size_t)n, &config), SPAR_OK);
    char settings[512], *rest = settings;
    snprintf(settings, sizeof settings, "%s", train);
    for (char *one; (one = strsep(&rest, " "));)
        if (*one) assert_int_equal(spar_config_set(config, one), SPAR_OK);
    return config;
}

static spar_status train(const char *settings, spar_train_options options,
                         spar_train_result *result) {
    spar_config *config = configure(settings);
    if (!options.tokens)
        options.tokens = tokens, options.n_rows = ROWS, options.n_columns = COLUMNS;
    options.patience = 0;
    spar_status status = spar_train(config, &options, result);
    spar_config_free(config);
    return status;
}

static spar_train_options into(const char *output) {
    spar_train_options options = SPAR_TRAIN_OPTIONS_INIT;
    options.output = output;
    return options;
}

static void read_all(const char *run, const char *name, char **bytes, size_t *length) {
    char *path = spar__path_join(run, name);
    if (spar__read_file(path, 1 << 26, bytes, length)) fail_msg("%s", spar_error());
    spar__free(path);
}

/* The trained models are the same files. */
static void same_models(const char *a, const char *b) {
    char *x, *y;
    size_t n, m;
    read_all(a, "model.gguf", &x, &n);
    read_all(b, "model.gguf", &y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    spar__free(x);
    spar__free(y);
}

static bool has(const char *run, const char *name) {
    char *path = spar__path_join(run, name);
    bool found = spar__file_exists(path);
    spar__free(path);
    return found;
}

/* Stops the run after the step that context points to. */
static int stop_at(void *context, const char *what, uint64_t done, uint64_t total,
                   const char *text) {
    (void)what, (void)total, (void)text;
    return done >= *(uint64_t *)context;
}

static void test_learns(void **state) {
    (void)state;
    const char *run = fresh(), *log = scratch("learns.jsonl");
    spar_train_options options = into(run);
    options.log = log;
    spar_train_result r;
    assert_int_equal(train("train.steps=60 train.dropout=0", options, &r), SPAR_OK);
    assert_int_equal(r.step, 60);
    assert_true(r.loss < 2.0);
    assert_true(isnan(r.valid_loss));
    assert_true(r.tokens_per_second > 0);
    assert_true(has(run, "model.gguf") && has(run, "config.json"));

    FILE *file = fopen(log, "r");
    char line[256];
    int lines = 0;
    double first = 0, loss = 0, norm, lr;
    for (; fgets(line, sizeof line, file); lines++) {
        int step;
        assert_int_equal(sscanf(line,
                                "{\"step\": %d, \"loss\": %lf, \"grad_norm\": %lf, \"lr\": %lf}",
                                &step, &loss, &norm, &lr),
                         4);
        assert_int_equal(step, lines + 1);
        if (!lines) first = loss;
    }
    fclose(file);
    assert_int_equal(lines, 60);
    /* A new model knows nothing: ln 32 = 3.47. */
    assert_true(fabs(first - log1p(31)) < 0.3);
    assert_true(fabs(loss - r.loss) < 1e-6);

    spar_metrics *metrics;
    double *x, *y;
    size_t n;
    assert_int_equal(spar_metrics_open(run, &metrics), SPAR_OK);
    assert_int_equal(spar_metrics_series(metrics, "loss", "step", &x, &y, &n), SPAR_OK);
    assert_int_equal(n, 60);
    assert_true(x[59] == 60 && fabs(y[59] - r.loss) < 1e-9);
    spar_free(x);
    spar_free(y);
    spar_metrics_free(metrics);
}

static void resume_as(const char *settings) {
    const char *whole = fresh(), *parts = fresh();
    char all[256];
    spar_train_result r;
    snprintf(all, sizeof all, "train.steps=14 train.checkpoint_every=4 %s", settings);
    assert_int_equal(train(all, into(whole), &r), SPAR_OK);
    double loss = r.loss;
    /* Interrupted between checkpoints, on one, and twice in a row. */
    for (uint64_t stop = 3; stop < 14; stop += 5) {
        spar_train_options options = into(parts);
        spar_progress progress = {stop_at, &stop};
        options.resume = stop != 3;
        options.progress = &progress;
        assert_int_equal(train(all, options, &r), SPAR_ERR_INTERRUPTED);
        assert_int_equal(r.step, stop);
        assert_false(has(parts, "model.gguf"));
    }
    spar_train_options options = into(parts);
    options.resume = true;
    assert_int_equal(train(all, options, &r), SPAR_OK);
    assert_int_equal(r.step, 14);
    assert_true(r.loss == loss);
    same_models(whole, parts);
}

static void test_resume(void **state) {
    (void)state;
    resume_as("");
    resume_as("train.optimizer.kind=adafactor train.optimizer.beta1=0.5 train.accumulation=2");
    resume_as("train.optimizer.kind=sgd train.optimizer.momentum=0.9 train.recompute=true");
    resume_as("train.optimizer.kind=lion train.precision=bf16 train.schedule.kind=wsd");
}

/* Blocks that are run again give the same to the bit, in bf16 too, and with kinds that hold others. */
static void test_recompute(void **state) {
    (void)state;
    static const char *const also[] = {
        "", "model.feedforward={\"kind\":\"experts\",\"n_experts\":3,\"top_k\":2,\"expert\":\"gated\",\"jitter\":0.2}"};
    static const char *const precision[] = {"f32", "bf16"};
    for (int i = 0; i < 4; i++) {
        char settings[512];
        spar_train_result kept, again;
        snprintf(settings, sizeof settings, "train.steps=4 train.precision=%s %s", precision[i % 2], also[i / 2]);
        assert_int_equal(train(settings, into(fresh()), &kept), SPAR_OK);
        snprintf(settings, sizeof settings, "train.steps=4 train.precision=%s train.recompute=true %s",
                 precision[i % 2], also[i / 2]);
        assert_int_equal(train(settings, into(fresh()), &again), SPAR_OK);
        assert_true(kept.loss == again.loss);
    }
}

/* A run that is killed goes on from its checkpoint: metrics up to it are in the file by then. */
static int see_metrics(void *context, const char *what, uint64_t done, uint64_t total, const char *text) {
    (void)what, (void)total, (void)text;
    size_t *seen = context;
    spar_metrics *metrics;
    double *x, *y;
    if (done != 3) return 0;
    assert_int_equal(spar_metrics_open(folder, &metrics), SPAR_OK);
    assert_int_equal(spar_metrics_series(metrics, "loss", "step", &x, &y, seen), SPAR_OK);
    spar_free(x);
    spar_free(y);
    spar_metrics_free(metrics);
    return 0;
}

static void test_metrics_before_checkpoints(void **state) {
    (void)state;
    size_t seen = 0;
    spar_train_result r;
    spar_progress progress = {see_metrics, &seen};
    snprintf(folder, sizeof folder, "%s", fresh());
    spar_train_options options = into(folder);
    options.progress = &progress;
    assert_int_equal(train("train.steps=4 train.checkpoint_every=3", options, &r), SPAR_OK);
    assert_int_equal(seen, 3);
}

static void test_threads(void **state) {
    (void)state;
    const char *settings = "train.steps=6 train.accumulation=2 train.clip=0.5";
    const char *one = fresh(), *two = fresh();
    spar__threads_set(1);
    assert_int_equal(train(settings, into(one), NULL), SPAR_OK);
    spar__threads_set(2);
    assert_int_equal(train(settings, into(two), NULL), SPAR_OK);
    spar__threads_set(0);
    same_models(one, two);
}

/* The mean of two micro-batches of 2 rows is the mean of one of 4. */
static void test_accumulation(void **state) {
    (void)state;
    spar_train_result whole, parts;
    spar_train_options a = into(fresh()), b = into(fresh());
    a.order = b.order = SPAR_ORDER_SEQUENTIAL;
    assert_int_equal(train("train.steps=3 train.dropout=0", a, &whole), SPAR_OK);
    assert_int_equal(
        train("train.steps=3 train.dropout=0 train.batch=2 train.accumulation=2", b, &parts),
        SPAR_OK);
    assert_true(fabs(whole.loss - parts.loss) < 1e-5);
}

static void test_allocation(void **state) {
    (void)state;
    spar_config *config = configure("train.steps=9 train.accumulation=2 train.length=12");
    const json_t *section = json_object_get(config->root, "train");
    spar__train_settings set;
    spar_model *model;
    spar_batches *batches;
    spar__trainer trainer;
    spar__step_record record;
    spar_batches_options options = SPAR_BATCHES_OPTIONS;
    options.length = LENGTH;
    options.batch = 4;
    assert_int_equal(spar__train_settings_read(section, &set), SPAR_OK);
    assert_int_equal(spar_model_create(config, 0, &model), SPAR_OK);
    assert_int_equal(spar_batches_from_rows(tokens, ROWS, &options, &batches), SPAR_OK);
    assert_int_equal(spar__trainer_create(&trainer, &set, section, model, batches, NULL), SPAR_OK);
    assert_int_equal(spar__trainer_step(&trainer, 9, &record), SPAR_OK);
    spar__alloc_fail_at(0, false);
    for (int i = 0; i < 5; i++) assert_int_equal(spar__trainer_step(&trainer, 9, &record), SPAR_OK);
    assert_int_equal(spar__alloc_fail_at(0, false), 0);
    spar__trainer_free(&trainer);
    spar_batches_free(batches);
    spar_model_free(model);
    spar_config_free(config);
}

/* Every allocation of a short run fails in turn: a status, no crash, nothing leaked. */
static void test_torture(void **state) {
    (void)state;
    size_t n = 1;
    for (;; n += 1 + n / 8) {
        const char *run = fresh();
        spar_config *config = configure("train.steps=1");
        spar_train_options options = into(run);
        options.tokens = tokens, options.n_rows = ROWS, options.n_columns = COLUMNS;
        spar__alloc_fail_at(n, false);
        spar_status status = spar_train(config, &options, NULL);
        size_t made = spar__alloc_fail_at(0, false);
        spar_config_free(config);
        if (made < n) {
            assert_int_equal(status, SPAR_OK);
            break;
        }
        if (status && status != SPAR_ERR_MEMORY)
            fail_msg("allocation %zu: %s: %s", n, spar_status_text(status), spar_error());
    }
}

static void test_numeric(void **state) {
    (void)state;
    const char *run = fresh();
    const char *blow = "train.optimizer.kind=sgd train.optimizer.lr=1e6 train.clip=0 "
                       "train.schedule.kind=constant train.schedule.warmup=";
    char settings[256];
    spar_train_result r = {0};
    /* Safe for a step of the warm-up, which a checkpoint keeps; then far too fast. */
    assert_int_equal(train("train.steps=2 train.checkpoint_every=1 train.optimizer.kind=sgd "
                           "train.optimizer.lr=0.01",
                           into(run), NULL),
                     SPAR_OK);
    spar_train_options options = into(run);
    options.resume = true;
    snprintf(settings, sizeof settings, "%s1 train.steps=90 train.checkpoint_every=50", blow);
    assert_int_equal(train(settings, options, &r), SPAR_ERR_NUMERIC);
    assert_non_null(strstr(spar_error(), "step "));
    assert_true(r.step >= 2 && r.step < 90);
    char *path = spar__path_join(run, "checkpoints/checkpoint-2");
    assert_true(spar__file_exists(path));
    spar__free(path);
}

static void test_full_disk(void **state) {
    (void)state;
    const char *settings = "train.steps=8 train.checkpoint_every=2";
    const char *whole = fresh();
    assert_int_equal(train(settings, into(whole), NULL), SPAR_OK);
    spar__write_fail_at(0, false);
    for (size_t n = 2; n < 60; n += 5) {
        const char *run = fresh();
        spar__write_fail_at(n, true);
        spar_status status = train(settings, into(run), NULL);
        spar__write_fail_at(0, false);
        if (!status) break;
        assert_int_equal(status, SPAR_ERR_IO);
        spar_train_options options = into(run);
        options.resume = true;
        assert_int_equal(train(settings, options, NULL), SPAR_OK);
        same_models(whole, run);
    }
}

static void refuses(const char *settings, spar_train_options options, spar_status expected,
                    const char *text) {
    assert_int_equal(train(settings, options, NULL), expected);
    if (!strstr(spar_error(), text)) fail_msg("'%s' does not name '%s'", spar_error(), text);
}

static void test_refusals(void **state) {
    (void)state;
    spar_train_options options = into(fresh());
    refuses("", options, SPAR_ERR_CONFIG, "train.steps");
    refuses("train.step=9", options, SPAR_ERR_CONFIG, "steps");
    refuses("train.steps=9 model.layers=9", options, SPAR_ERR_CONFIG, "layers");
    refuses("train.steps=9 trian.steps=9", options, SPAR_ERR_CONFIG, "trian");
    refuses("train.steps=9 train.precision=f64", options, SPAR_ERR_CONFIG, "train.precision");
    refuses("train.steps=9 train.length=17", options, SPAR_ERR_CONFIG, "train.length");
    refuses("train.steps=9 train.length=11", options, SPAR_ERR_ARGUMENT, "13");
    refuses("train.steps=9 train.schedule.kind=cosin", options, SPAR_ERR_CONFIG, "cosine");
    refuses("train.steps=9 model.vocab_size=20", options, SPAR_ERR_ARGUMENT, "expected 0 to 19");
    assert_int_equal(train("train.steps=1", options, NULL), SPAR_OK);
    refuses("train.steps=1", options, SPAR_ERR_ARGUMENT, "holds a run");
    options.resume = true;
    refuses("train.steps=2 model.d_model=32", options, SPAR_ERR_CONFIG, "differs");
    refuses("train.steps=2 train.optimizer.kind=lion", options, SPAR_ERR_CONFIG, "adamw");
}

/* From another model's weights, with and without a configuration of its own. */
static void test_init(void **state) {
    (void)state;
    const char *first = fresh(), *second = fresh(), *third = fresh();
    assert_int_equal(train("train.steps=30", into(first), NULL), SPAR_OK);
    char *path = spar__path_join(first, "model.gguf");
    spar_train_options options = into(second);
    options.init = path;
    options.tokens = tokens, options.n_rows = ROWS, options.n_columns = COLUMNS;
    spar_config *config;
    spar_train_result r;
    static const char *const steps[] = {"train.steps=1", "train.batch=4"};
    assert_int_equal(spar_config_open(NULL, steps, 2, &config), SPAR_OK);
    assert_int_equal(spar_train(config, &options, &r), SPAR_OK);
    assert_true(r.loss < 3.0);
    /* Another pattern, the same weights. */
    assert_int_equal(spar_config_set(config, "model.attention.pattern=causal"), SPAR_OK);
    options.output = third;
    assert_int_equal(spar_train(config, &options, &r), SPAR_OK);
    assert_true(r.loss < 3.2);
    assert_int_equal(spar_config_set(config, "model.d_model=32"), SPAR_OK);
    options.output = fresh();
    assert_int_equal(spar_train(config, &options, &r), SPAR_ERR_CONFIG);
    assert_non_null(strstr(spar_error(), "parameter"));
    spar_config_free(config);
    spar__free(path);
}

static void test_minutes(void **state) {
    (void)state;
    spar_train_result r;
    assert_int_equal(train("train.minutes=0.02", into(fresh()), &r), SPAR_OK);
    assert_true(r.step >= 1);
    assert_int_equal(train("train.minutes=0.02 train.steps=3", into(fresh()), &r), SPAR_OK);
    assert_int_equal(r.step, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),     cmocka_unit_test(test_resume),
        cmocka_unit_test(test_recompute),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_metrics_before_checkpoints),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_allocation), cmocka_unit_test(test_torture),
        cmocka_unit_test(test_numeric),    cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_init),
        cmocka_unit_test(test_minutes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
