#include "train/trainer.h"

#include <math.h>

#include "base/cpu.h"

enum { ARENA_BLOCK = 32 << 20 };

static spar_status make_params(spar__trainer *t, const json_t *section) {
    int n = spar__model_n_params(t->model);
    spar__param **params = spar__array((size_t)n, sizeof *params);
    if (!params) return SPAR_ERR_MEMORY;
    for (int i = 0; i < n; i++) params[i] = spar__model_param(t->model, i);
    spar_status status =
        spar__optimiser_create(json_object_get(section, "optimizer"), params, n, &t->optimiser);
    if (!status) spar__optimiser_clear(t->optimiser);
    spar__free(params);
    return status;
}

static void lay_out_rows(spar__sequence *sequences, int32_t *positions, int64_t n, int64_t length) {
    for (int64_t b = 0; b < n; b++) {
        sequences[b] = (spar__sequence){.begin = b * length, .count = length};
        for (int64_t i = 0; i < length; i++) positions[b * length + i] = (int32_t)i;
    }
}

spar_status spar__trainer_create(spar__trainer *t, const spar__train_settings *set,
                                 const json_t *section, spar_model *model, spar_batches *train,
                                 spar_batches *valid) {
    *t = (spar__trainer){.set = *set, .model = model, .train = train, .valid = valid};
    SPAR_TRY(spar__model_make_trainable(model));
    spar__model_set_recompute(model, set->recompute);
    spar__model_set_dropout(model, set->dropout);
    SPAR_TRY(make_params(t, section));
    size_t rows, sources, length, source;
    spar_batches_shape(train, &length, &source);
    if (!spar__mul((size_t)set->batch, length, &rows) || !spar__mul((size_t)set->batch, source, &sources))
        return spar__fail(SPAR_ERR_LIMIT, "train.batch · train.length: too large");
    t->arena = spar__arena_create(ARENA_BLOCK);
    t->kept = spar__arena_create(0);
    t->observer = spar__observer_create();
    t->sequences = spar__array((size_t)set->batch, sizeof *t->sequences);
    t->positions = spar__array(rows, sizeof *t->positions);
    t->batch.inputs = spar__array(rows, sizeof(int32_t));
    t->batch.targets = spar__array(rows, sizeof(int32_t));
    t->batch.first = spar__array(rows, sizeof(int32_t));
    t->batch.source = spar__array(sources + 1, sizeof(int32_t));
    t->batch.prefix = spar__array((size_t)set->batch, sizeof(int32_t));
    t->source_sequences = spar__array((size_t)set->batch, sizeof *t->source_sequences);
    t->source_positions = spar__array(sources + 1, sizeof(int32_t));
    if (!t->arena || !t->kept || !t->observer || !t->sequences || !t->positions || !t->batch.inputs ||
        !t->batch.targets || !t->batch.first || !t->batch.source || !t->batch.prefix || !t->source_sequences || !t->source_positions)
        return SPAR_ERR_MEMORY;
    lay_out_rows(t->sequences, t->positions, set->batch, (int64_t)length);
    lay_out_rows(t->source_sequences, t->source_positions, set->batch, (int64_t)source);
    t->rows = (spar__rows){.n_rows = (int64_t)rows,
                           .n_sequences = (int)set->batch,
                           .sequences = t->sequences,
                           .positions = t->positions,
                           .first = set->isolate_documents ? t->batch.first : NULL};
    t->sources = (spar__rows){.n_rows = (int64_t)sources,
                              .n_sequences = (int)set->batch,
                              .sequences = t->source_sequences,
                              .positions = t->source_positions};
    return SPAR_OK;
}

void spar__trainer_free(spar__trainer *t) {
    spar__optimiser_free(t->optimiser);
    spar__arena_free(t->arena);
    spar__arena_free(t->kept);
    spar__observer_free(t->observer);
    spar__free(t->sequences);
    spar__free(t->positions);
    spar__free(t->batch.inputs);
    spar__free(t->batch.targets);
    spar__free(t->batch.first);
    spar__free(t->batch.source);
    spar__free(t->batch.prefix);
    spar__free(t->source_sequences);
    spar__free(t->source_positions);
    *t = (spar__trainer){0};
}

/* Starts a pass in the arena of the one before. */
static spar__pass begin_pass(spar__trainer *t, const spar__rows *rows, bool training,
                             uint64_t step) {
    spar__arena_rewind(t->arena, (spar__arena_mark){0});
    spar__arena_rewind(t->kept, (spar__arena_mark){0});
    /* The bf16 copies of weights lay in the arenas. */
    for (int i = 0; i < spar__model_n_params(t->model); i++)
        spar__model_param(t->model, i)->value.half = NULL;
    return (spar__pass){.arena = t->arena,
                        .kept_arena = t->kept,
                        .recording = training,
                        .training = training,
                        .bf16 = t->set.precision == 1,
                        .seed = (uint64_t)t->set.seed,
                        .step = step,
                        .rows = rows};
}

static spar__tensor *hidden_of(spar__trainer *t, spar__pass *pass) {
    for (int i = 0; i < t->rows.n_sequences; i++) t->sequences[i].prefix = t->batch.prefix[i];
    if (t->sources.n_rows) spar__model_encode(pass, t->model, &t->sources, t->batch.source);
    return spar__model_hidden(pass, t->model, t->batch.inputs);
}

/* Forward and backward of micro-batch `index` of the run: its mean loss in nats. */
static spar_status micro_batch(spar__trainer *t, uint64_t index, double *loss) {
    SPAR_TRY(spar_batches_fill(t->train, index, &t->batch));
    spar__pass pass = begin_pass(t, &t->rows, true, index);
    pass.observer = t->observer;
    pass.loss_scale = 1.0 / (double)t->set.accumulation;
    spar__loss_options options = {.smoothing = t->set.label_smoothing,
                                  .z_loss = t->set.z_loss,
                                  .logit_scale = 1,
                                  .scale = pass.loss_scale};
    double sum = 0;
    int64_t count = 0;
    spar__tensor *hidden = hidden_of(t, &pass);
    spar__model_loss(&pass, t->model, hidden, t->batch.targets, &options, &sum, &count);
    spar__run_backward(&pass, NULL);
    SPAR_TRY(pass.status);
    *loss = count ? sum / (double)count : 0;
    return SPAR_OK;
}

spar_status spar__trainer_step(spar__trainer *t, uint64_t steps, spar__step_record *record) {
    uint64_t n = (uint64_t)t->set.accumulation;
    spar__step_record r = {0};
    spar__observer_begin(t->observer);
    for (uint64_t i = 0; i < n; i++) {
        double loss;
        spar_status status = micro_batch(t, t->step * n + i, &loss);
        if (status) {
            spar__optimiser_clear(t->optimiser);
            return status;
        }
        r.loss += loss / (double)n;
    }
    SPAR_TRY(spar__observer_end(t->observer, t->step + 1));
    r.auxiliary = spar__observer_loss(t->observer);
    r.grad_norm = spar__optimiser_grad_norm(t->optimiser);
    r.lr = spar__schedule_rate(&t->set.schedule, spar__optimiser_lr(t->optimiser), t->step, steps);
    *record = r;
    /* A finite loss may come with a gradient that is not: both are asked, before the update. */
    if (!isfinite(r.loss) || !isfinite(r.grad_norm)) {
        spar__optimiser_clear(t->optimiser);
        return spar__fail(SPAR_ERR_NUMERIC,
                          "step %llu: loss %g, norm of the gradient %g, expected finite numbers; a "
                          "lower train.optimizer.lr or train.clip may help",
                          (unsigned long long)t->step + 1, r.loss, r.grad_norm);
    }
    double scale = t->set.clip > 0 && r.grad_norm > t->set.clip ? t->set.clip / r.grad_norm : 1;
    spar__optimiser_step(t->optimiser, t->step + 1, r.lr, scale);
    t->step++;
    return SPAR_OK;
}

spar_status spar__trainer_evaluate(spar__trainer *t, double *loss) {
    *loss = NAN;
    if (!t->valid || !t->set.eval_batches) return SPAR_OK;
    uint64_t batches = spar_batches_rows(t->valid) / (uint64_t)t->set.batch;
    if (batches > (uint64_t)t->set.eval_batches) batches = (uint64_t)t->set.eval_batches;
    spar__loss_options options = {.logit_scale = 1};
    double total = 0;
    int64_t tokens = 0;
    for (uint64_t i = 0; i < (batches ? batches : 1); i++) {
        double sum = 0;
        int64_t count = 0;
        SPAR_TRY(spar_batches_fill(t->valid, i, &t->batch));
        spar__pass pass = begin_pass(t, &t->rows, false, i);
        spar__tensor *hidden = hidden_of(t, &pass);
        spar__model_loss(&pass, t->model, hidden, t->batch.targets, &options, &sum, &count);
        SPAR_TRY(pass.status);
        total += sum;
        tokens += count;
    }
    *loss = tokens ? total / (double)tokens : NAN;
    return SPAR_OK;
}

bool spar__trainer_finite(const spar__trainer *t) {
    const spar__kernels *k = spar__k();
    int finite = 1;
    for (int i = 0; i < spar__model_n_params(t->model); i++) {
        const spar__tensor *w = &spar__model_param(t->model, i)->value;
        int64_t n = w->rows * w->cols;
#pragma omp parallel for schedule(static) num_threads(spar__threads()) reduction(&& : finite)
        for (int64_t at = 0; at < n; at += SPAR__OPTIMISER_CHUNK) {
            int64_t size = n - at < SPAR__OPTIMISER_CHUNK ? n - at : SPAR__OPTIMISER_CHUNK;
            finite = finite && k->finite(spar__data(w) + at, size);
        }
    }
    return finite;
}
