/* Steps of training on random tokens. */
#include "bench/bench.h"
#include "train/trainer.h"

typedef struct training {
    spar_model *model;
    spar_batches *batches;
    int32_t *rows;
    spar__trainer trainer;
    uint64_t steps;
} training;

static spar_status step(void *context) {
    training *t = context;
    spar__step_record record;
    return spar__trainer_step(&t->trainer, t->steps, &record);
}

static spar_status make_rows(training *t, const spar__train_settings *set) {
    size_t n_rows = 0, count = 0;
    if (!spar__mul((size_t)set->batch, (size_t)set->accumulation, &n_rows) ||
        !spar__mul(n_rows, (size_t)set->length + 1, &count))
        return spar__fail(SPAR_ERR_LIMIT, "train.batch · train.length: too large");
    t->rows = spar__array(count, sizeof *t->rows);
    if (!t->rows) return SPAR_ERR_MEMORY;
    spar__bench_tokens(t->rows, count, spar_model_vocab_size(t->model));
    spar_batches_options o = SPAR_BATCHES_OPTIONS;
    o.length = (size_t)set->length;
    o.batch = (size_t)set->batch;
    o.order = SPAR_ORDER_SEQUENTIAL;
    return spar_batches_from_rows(t->rows, n_rows, &o, &t->batches);
}

static spar_status create(training *t, const spar_config *config, int repeats,
                          spar__train_settings *set) {
    const json_t *section = json_object_get(config->root, "train");
    SPAR_TRY(spar__train_settings_read(section, set));
    SPAR_TRY(spar_model_create(config, 1, &t->model));
    int64_t context = spar_model_context(t->model);
    if (!set->length) set->length = context;
    if (set->length < 1 || (context && set->length > context))
        return spar__fail(SPAR_ERR_CONFIG, "train.length: found %lld, expected 1 to %lld",
                          (long long)set->length, (long long)context);
    SPAR_TRY(make_rows(t, set));
    t->steps = (uint64_t)set->schedule.warmup + 4 * (uint64_t)repeats;
    return spar__trainer_create(&t->trainer, set, section, t->model, t->batches, NULL);
}

spar_status spar_bench_train(const spar_config *config, const spar_bench_options *o,
                             spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    training t = {0};
    spar__train_settings set;
    spar__timing timing;
    double bytes, per_token, flops;
    spar_status status = create(&t, config, o->repeats, &set);
    if (!status) status = spar__bench_weights(t.model, &bytes, &per_token, &flops);
    if (!status) status = spar__bench_time(step, &t, o, "train", &timing);
    spar__trainer_free(&t.trainer);
    spar_batches_free(t.batches);
    spar__free(t.rows);
    spar_model_free(t.model);
    SPAR_TRY(status);
    double tokens = (double)(set.batch * set.length * set.accumulation);
    *out = spar__bench_speed(&timing, tokens);
    /* Weights are read by the forward and twice by the backward pass, and by the update, with
     * gradients and two moments. */
    out->bytes_per_token = (3 * (double)set.accumulation + 4) * bytes / tokens;
    out->flops_per_token = 3 * flops;
    return SPAR_OK;
}
