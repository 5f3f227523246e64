/* Timing and what the benches share. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"

static const double shortest = 5e-3; /* seconds, for which the clock and the threads' start matter
                                        no more */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static spar_status time_one(spar_status (*prepare)(void *), spar_status (*run)(void *),
                            void *context, int64_t times, double *seconds) {
    if (prepare) SPAR_TRY(prepare(context));
    double begin = spar__seconds();
    for (int64_t i = 0; i < times; i++) SPAR_TRY(run(context));
    *seconds = (spar__seconds() - begin) / (double)times;
    return SPAR_OK;
}

static spar_status measure(spar_status (*prepare)(void *), spar_status (*run)(void *),
                           void *context, const spar_bench_options *o, const char *what,
                           double *seconds, spar__timing *out) {
    double first;
    SPAR_TRY(time_one(prepare, run, context, 1, &first));
    if (!prepare && first < shortest) SPAR_TRY(time_one(NULL, run, context, 1, &first));
    int64_t times = prepare || first >= shortest ? 1 : (int64_t)(shortest / (first + 1e-8)) + 1;
    for (int i = 0; i < o->repeats; i++) {
        SPAR_TRY(spar__progress(o->progress, what, (uint64_t)i, (uint64_t)o->repeats, ""));
        SPAR_TRY(time_one(prepare, run, context, times, &seconds[i]));
    }
    SPAR_TRY(spar__progress(o->progress, what, (uint64_t)o->repeats, (uint64_t)o->repeats, ""));
    qsort(seconds, (size_t)o->repeats, sizeof *seconds, compare);
    int n = o->repeats;
    *out = (spar__timing){(seconds[(n - 1) / 2] + seconds[n / 2]) / 2, seconds[0], seconds[n - 1]};
    return SPAR_OK;
}

spar_status spar__bench_time_prepared(spar_status (*prepare)(void *), spar_status (*run)(void *),
                                      void *context, const spar_bench_options *options,
                                      const char *what, spar__timing *out) {
    double *seconds = spar__array((size_t)options->repeats, sizeof *seconds);
    if (!seconds) return SPAR_ERR_MEMORY;
    spar_status status = measure(prepare, run, context, options, what, seconds, out);
    spar__free(seconds);
    return status;
}

spar_status spar__bench_time(spar_status (*run)(void *), void *context,
                             const spar_bench_options *options, const char *what,
                             spar__timing *out) {
    return spar__bench_time_prepared(NULL, run, context, options, what, out);
}

spar_status spar__bench_check(const spar_bench_options *o) {
    const struct {
        const char *name;
        int64_t value, most;
    } ranges[] = {{"prompt", o->prompt, INT32_MAX},
                  {"tokens", o->tokens, INT32_MAX},
                  {"repeats", o->repeats, 1 << 20}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < 1 || ranges[i].value > ranges[i].most)
            return spar__fail(SPAR_ERR_ARGUMENT, "%s: found %lld, expected 1 to %lld",
                              ranges[i].name, (long long)ranges[i].value,
                              (long long)ranges[i].most);
    return SPAR_OK;
}

spar_bench_result spar__bench_speed(const spar__timing *t, double tokens) {
    return (spar_bench_result){.tokens_per_second = tokens / t->median,
                               .slowest = tokens / t->most,
                               .fastest = tokens / t->least};
}

static spar_status describe(const spar_model *model, json_t **about) {
    char *text;
    SPAR_TRY(spar_model_describe(model, &text));
    spar_status status =
        spar__json_parse("description", text, strlen(text), SPAR__JSON_VALUES, about);
    spar__free(text);
    return status;
}

double spar__bench_piece(const spar_model *model) {
    json_t *about;
    if (describe(model, &about)) return 0;
    double bytes = json_number_value(json_object_get(about, "piece_bytes"));
    json_decref(about);
    return bytes;
}

spar_status spar__bench_weights(const spar_model *model, double *bytes, double *bytes_per_token,
                                double *flops_per_token) {
    json_t *about;
    SPAR_TRY(describe(model, &about));
    *bytes = json_number_value(json_object_get(about, "bytes"));
    *bytes_per_token = json_number_value(json_object_get(about, "bytes_per_token"));
    double parameters = json_number_value(json_object_get(about, "parameters"));
    *flops_per_token = *bytes > 0 ? 2 * parameters * *bytes_per_token / *bytes : 0;
    json_decref(about);
    return SPAR_OK;
}

void spar__bench_fill(spar__real *values, size_t count, uint64_t stream) {
    spar__rng rng = spar__rng_for(stream, SPAR__RNG_TEST, 0, 0);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) values[i] = 2 * spar__rng_uniform(&rng, i) - 1;
}

void spar__bench_tokens(int32_t *tokens, size_t count, int32_t vocab_size) {
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 1, 0);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (int32_t)spar__rng_below(&rng, i, (uint64_t)vocab_size);
}
