/* One run of a report: trained, or found as it was left. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "model/model.h"
#include "report/report.h"
#include "spar/bench.h"
#include "spar/memory.h"
#include "spar/metrics.h"
#include "spar/train.h"

enum { MOST_POINTS = 400 };

/* ---- Where a run is kept: FOLDER/NAME-HASH/seed-N, the hash of its configuration and data ---- */

static uint64_t identity(const spar_report_options *o, const char *config) {
    const spar_data_info *info = spar_data_get_info(o->data);
    char data[128];
    snprintf(data, sizeof data, "%llx %llu %llu", (unsigned long long)info->tokenizer_hash,
             (unsigned long long)info->split[SPAR_DATA_TRAIN].tokens,
             (unsigned long long)info->split[SPAR_DATA_VALID].tokens);
    return spar__hash_name(config) ^ spar__hash_name(data);
}

static char *folder_of(const spar_report_variant *v, const spar_report_options *o, const char *config,
                       int64_t seed) {
    char name[160];
    snprintf(name, sizeof name, "%.63s-%08x", v->name, (unsigned)(identity(o, config) >> 32));
    for (char *p = name; *p; p++)
        if (*p == '/') *p = '_';
    size_t used = strlen(name);
    snprintf(name + used, sizeof name - used, "/seed-%lld", (long long)seed);
    return spar__path_join(o->folder, name);
}

/* The configuration with its seed. */
static spar_status seeded(const spar_config *config, int64_t seed, spar_config **out, char **text) {
    char setting[64];
    snprintf(setting, sizeof setting, "train.seed=%lld", (long long)seed);
    SPAR_TRY(spar_config_text(config, text));
    spar_status status = spar_config_parse(*text, strlen(*text), out);
    if (!status && (status = spar_config_set(*out, setting))) spar_config_free(*out);
    if (status) spar_free(*text), *text = NULL;
    return status;
}

/* ---- What it left ---- */

/* {"tokens": […], NAME: […]} of a series, thinned by means over equal stretches. */
static spar_status add_curve(const spar_metrics *metrics, const char *series, const char *key, json_t *run) {
    double *x = NULL, *y = NULL;
    size_t n = 0;
    SPAR_TRY(spar_metrics_series(metrics, series, "tokens", &x, &y, &n));
    json_t *tokens = json_array(), *loss = json_array();
    size_t stretch = (n + MOST_POINTS - 1) / MOST_POINTS;
    for (size_t i = 0; i < n; i += stretch) {
        double sum_x = 0, sum_y = 0;
        size_t end = i + stretch < n ? i + stretch : n;
        for (size_t j = i; j < end; j++) sum_x += x[j], sum_y += y[j];
        json_array_append_new(tokens, json_real(sum_x / (double)(end - i)));
        json_array_append_new(loss, json_real(sum_y / (double)(end - i)));
    }
    spar_free(x);
    spar_free(y);
    json_t *curve = json_pack("{s:o, s:o}", "tokens", tokens, "loss", loss);
    return json_object_set_new(run, key, curve) ? SPAR_ERR_MEMORY : SPAR_OK;
}

static spar_status add_curves(const char *folder, json_t *run) {
    spar_metrics *metrics;
    double *x = NULL, *y = NULL;
    size_t n = 0;
    SPAR_TRY(spar_metrics_open(folder, &metrics));
    spar_status status = add_curve(metrics, "loss", "curve", run);
    if (!status) status = add_curve(metrics, "valid_loss", "validation", run);
    if (!status) status = spar_metrics_series(metrics, "tokens", "step", &x, &y, &n);
    if (!status) json_object_set_new(run, "tokens", json_real(n ? y[n - 1] : 0));
    spar_free(x);
    spar_free(y);
    spar_metrics_free(metrics);
    return status;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static spar_status keep_result(const char *folder, json_t *run) {
    char *path = spar__path_join(folder, "report.json"), *text = NULL;
    spar_status status = path ? spar__json_text(run, 1, &text) : SPAR_ERR_MEMORY;
    if (!status) status = spar__write_file(path, text, strlen(text));
    spar__free(path);
    spar__free(text);
    return status;
}

static spar_status find_result(const char *folder, json_t **run) {
    char *path = spar__path_join(folder, "report.json");
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = spar__file_exists(path) ? spar__json_read(path, run) : SPAR_OK;
    spar__free(path);
    return status;
}

/* ---- Training ---- */

typedef struct named_progress {
    const spar_progress *progress;
    char name[96];
} named_progress;

static int report_named(void *context, const char *what, uint64_t done, uint64_t total, const char *text) {
    const named_progress *n = context;
    (void)what;
    return n->progress->report(n->progress->context, n->name, done, total, text);
}

/* Of a run that was interrupted. */
static bool has_checkpoints(const char *folder) {
    char *path = spar__path_join(folder, "checkpoints");
    bool has = path && spar__folder_exists(path);
    spar__free(path);
    return has;
}

static spar_status train(const spar_report_options *o, const spar_config *config, const char *folder,
                         const named_progress *progress, spar_train_result *result) {
    spar_train_options t = SPAR_TRAIN_OPTIONS_INIT;
    spar_progress named = {report_named, (void *)progress};
    t.output = folder;
    t.data = o->data;
    t.resume = has_checkpoints(folder);
    t.progress = o->progress ? &named : NULL;
    return spar_train(config, &t, result);
}

spar_status spar__report_run(const spar_report_variant *v, const spar_report_options *o, int64_t seed,
                             json_t *runs) {
    spar_config *config = NULL;
    char *text = NULL, *folder = NULL;
    json_t *run = NULL;
    spar_train_result r;
    named_progress progress = {.progress = o->progress};
    snprintf(progress.name, sizeof progress.name, "%.63s, seed %lld", v->name, (long long)seed);
    spar_status status = seeded(v->config, seed, &config, &text);
    if (!status && !(folder = folder_of(v, o, text, seed))) status = SPAR_ERR_MEMORY;
    if (!status) status = find_result(folder, &run);
    if (!status && !run) {
        status = train(o, config, folder, &progress, &r);
        if (!status) {
            run = json_pack("{s:I, s:s, s:I, s:o, s:o, s:o, s:I}", "seed", (json_int_t)seed, "folder", folder,
                            "step", (json_int_t)r.step, "loss", number(r.loss), "valid_loss",
                            number(r.valid_loss), "train_tokens_per_second", number(r.tokens_per_second),
                            "activation_bytes", (json_int_t)r.activation_bytes);
            status = run ? add_curves(folder, run) : SPAR_ERR_MEMORY;
        }
        if (!status) status = keep_result(folder, run);
    }
    if (!status && json_array_append(runs, run)) status = SPAR_ERR_MEMORY;
    json_decref(run);
    spar__free(folder);
    spar_free(text);
    spar_config_free(config);
    return status ? spar__fail_within(status, "%s, seed %lld", v->name, (long long)seed) : SPAR_OK;
}

/* ---- What a variant is ---- */

/* Tokens per second of writing, kept with the run; null for models that do not write. */
static spar_status add_speed(const spar_report_options *o, const char *path, json_t *run) {
    if (json_object_get(run, "decode_tokens_per_second")) return SPAR_OK;
    spar_model *model;
    SPAR_TRY(spar_model_open(path, &model));
    spar_bench_options b = SPAR_BENCH_OPTIONS_INIT;
    spar_bench_result r = {0};
    int64_t context = spar_model_context(model);
    b.repeats = 3;
    b.progress = o->progress;
    b.prompt = context && context < 64 ? (context + 1) / 2 : 32;
    b.tokens = context && context < 64 ? context - b.prompt : 32;
    spar_status status = b.tokens > 0 ? spar_bench_decode(model, &b, &r) : SPAR_ERR_LIMIT;
    spar_model_free(model);
    if (status == SPAR_ERR_INTERRUPTED || status == SPAR_ERR_MEMORY) return status;
    json_object_set_new(run, "decode_tokens_per_second", status ? json_null() : number(r.tokens_per_second));
    spar_free(r.parts);
    return keep_result(json_string_value(json_object_get(run, "folder")), run);
}

static spar_status add_plan(const char *folder, json_t *variant) {
    char *path = spar__path_join(folder, "config.json");
    spar_config *config = NULL;
    spar_plan plan;
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = spar_config_open(path, NULL, 0, &config);
    spar__free(path);
    if (!status) status = spar_config_plan(config, "f32", &plan);
    if (!status) {
        json_object_set(variant, "config", config->root);
        json_object_set_new(variant, "parameters", json_integer((json_int_t)plan.parameters));
        json_object_set_new(variant, "weight_bytes", json_integer((json_int_t)plan.weight_bytes));
        json_object_set_new(variant, "bytes_per_token", json_integer((json_int_t)plan.bytes_per_token));
        json_object_set_new(variant, "cache_bytes_per_1k", json_integer((json_int_t)plan.cache_bytes_per_1k));
    }
    spar_config_free(config);
    return status;
}

/* Mean, least and most of a number over the runs; of validation, or where there is none of training. */
static json_t *spread(const json_t *runs, const char *key, const char *otherwise) {
    size_t i, n = 0;
    json_t *run;
    double sum = 0, least = INFINITY, most = -INFINITY;
    json_array_foreach(runs, i, run) {
        const json_t *value = json_object_get(run, key);
        if (!json_is_number(value) && otherwise) value = json_object_get(run, otherwise);
        if (!json_is_number(value)) continue;
        double x = json_number_value(value);
        sum += x;
        least = fmin(least, x);
        most = fmax(most, x);
        n++;
    }
    return n ? json_pack("{s:f, s:f, s:f}", "mean", sum / (double)n, "least", least, "most", most) : json_null();
}

static void add_mean(json_t *variant, const json_t *runs, const char *key) {
    json_t *all = spread(runs, key, NULL);
    json_t *mean = json_object_get(all, "mean");
    json_object_set_new(variant, key, mean ? json_incref(mean) : json_null());
    json_decref(all);
}

spar_status spar__report_describe(const spar_report_options *o, json_t *variant) {
    json_t *runs = json_object_get(variant, "runs"), *first = json_array_get(runs, 0);
    const char *folder = json_string_value(json_object_get(first, "folder"));
    if (!folder) return spar__fail(SPAR_ERR_FORMAT, "a run's report.json names no folder");
    char *path = spar__path_join(folder, "model.gguf");
    spar_status status = path ? add_speed(o, path, first) : SPAR_ERR_MEMORY;
    spar__free(path);
    if (!status) status = add_plan(folder, variant);
    if (status) return status;
    json_t *speed = json_object_get(first, "decode_tokens_per_second");
    json_object_set(variant, "decode_tokens_per_second", speed);
    add_mean(variant, runs, "train_tokens_per_second");
    add_mean(variant, runs, "activation_bytes");
    return json_object_set_new(variant, "loss", spread(runs, "valid_loss", "loss")) ? SPAR_ERR_MEMORY : SPAR_OK;
}
