/* A run of training: the loop and what stands around it. */
#include "spar/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "train/merge.h"
#include "train/record.h"
#include "train/run.h"
#include "train/state.h"

static double seconds_so_far(const spar__run *run) {
    return run->seconds_before + spar__seconds() - run->begun;
}

/* Steps of the run as a whole. With a limit of minutes it is estimated anew before each step from
 * the speed so far, so that the schedule ends when the time does. */
static uint64_t planned(const spar__run *run) {
    const spar__train_settings *set = &run->trainer.set;
    uint64_t most = set->steps ? (uint64_t)set->steps : (uint64_t)1 << 40, step = run->trainer.step;
    if (!(set->minutes > 0)) return most;
    double left = set->minutes * 60 - seconds_so_far(run), done = (double)(step - run->first_step);
    if (done < 1) return most;
    /* The first step is slower than the others (memory is obtained, caches are cold). */
    double pace = done < 2 ? run->first_seconds
                           : (spar__seconds() - run->begun - run->first_seconds) / (done - 1);
    double more = floor(fmax(0, left) / fmax(pace, 1e-9));
    return more < (double)(most - step) ? step + (uint64_t)more : most;
}

static spar_status wait_a_moment(spar__run *run, double seconds) {
    double until = spar__seconds() + seconds;
    while (spar__seconds() < until) {
        nanosleep(&(struct timespec){0, 100000000}, NULL);
        SPAR_TRY(spar__progress(run->options->progress, "train", run->trainer.step, run->steps,
                                "waiting for space on the disk"));
    }
    return SPAR_OK;
}

/* A checkpoint that cannot be written is tried again for a while: the user may free space, and the
 * steps since the one before are not lost. */
static spar_status save(spar__run *run) {
    if (!spar__trainer_finite(&run->trainer))
        return spar__fail(SPAR_ERR_NUMERIC, "step %llu: a weight is not finite",
                          (unsigned long long)run->trainer.step);
    spar__records_flush(run->records, run->trainer.step);
    double start = spar__seconds();
    for (;;) {
        spar_status status =
            spar__state_save(run->checkpoints, &run->trainer, run->config, seconds_so_far(run));
        if (!status) run->saved = run->trainer.step;
        if (status != SPAR_ERR_IO) return status;
        if (spar__seconds() - start >= run->options->patience)
            return spar__fail_within(status,
                                     "checkpoint of step %llu not saved (that of step %llu "
                                     "stays; free space and resume)",
                                     (unsigned long long)run->trainer.step,
                                     (unsigned long long)run->saved);
        spar__log(SPAR_LOG_WARNING, "%s; the run waits: free space, it will try again",
                  spar_error());
        SPAR_TRY(wait_a_moment(run, 5));
    }
}

static spar_status evaluate(spar__run *run, spar_train_result *result) {
    double start = spar__seconds();
    spar_status status = spar__trainer_evaluate(&run->trainer, &result->valid_loss);
    run->idle += spar__seconds() - start;
    run->row.valid_loss = result->valid_loss;
    return status;
}

static bool due(int64_t every, uint64_t step) {
    return every && step % (uint64_t)every == 0;
}

/* What comes after a step: records, evaluation, samples, a checkpoint. */
static spar_status after_step(spar__run *run, spar_train_result *result) {
    const spar__train_settings *set = &run->trainer.set;
    uint64_t step = run->trainer.step;
    bool last = step >= run->steps;
    if (due(set->eval_every, step) && !last) SPAR_TRY(evaluate(run, result));
    spar__records_add(run->records, &run->row);
    spar__records_observe(run->records, step, run->trainer.observer);
    double start = spar__seconds();
    if (due(set->sample_every, step) && run->options->sample)
        SPAR_TRY(run->options->sample(run->options->sample_context, run->model, step,
                                      set->sample_prompt ? set->sample_prompt : ""));
    if (due(set->checkpoint_every, step) && !last) SPAR_TRY(save(run));
    run->idle += spar__seconds() - start;
    return SPAR_OK;
}

static spar_status report(spar__run *run, const spar_train_result *result) {
    char text[96];
    int n = snprintf(text, sizeof text, "loss %.4f", run->shown_loss);
    if (isfinite(result->valid_loss) && n < (int)sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, "  valid %.4f", result->valid_loss);
    if (n < (int)sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "  %.0f tok/s", result->tokens_per_second);
    return spar__progress(run->options->progress, "train", run->trainer.step, run->steps, text);
}

static spar_status one_step(spar__run *run, spar_train_result *result) {
    spar__trainer *t = &run->trainer;
    spar__step_record record;
    double start = spar__seconds();
    spar_status status = spar__trainer_step(t, run->steps, &record);
    double took = spar__seconds() - start;
    if (status) {
        if (status == SPAR_ERR_NUMERIC) result->loss = record.loss;
        return status;
    }
    double tokens = (double)(t->set.batch * t->set.length * t->set.accumulation);
    run->trained_tokens += tokens;
    if (t->step == run->first_step + 1) run->first_seconds = spar__seconds() - run->begun;
    result->step = t->step;
    result->loss = record.loss;
    result->activation_bytes = spar__arena_peak(t->arena) + spar__arena_peak(t->kept);
    result->tokens_per_second =
        run->trained_tokens / fmax(1e-9, spar__seconds() - run->begun - run->idle);
    bool first = t->step == run->first_step + 1;
    run->shown_loss = first ? record.loss : 0.9 * run->shown_loss + 0.1 * record.loss;
    spar__records_log(run->records, t->step, &record);
    run->row = (spar_metrics_row){.step = t->step,
                                  .tokens = tokens * (double)t->step,
                                  .seconds = seconds_so_far(run),
                                  .loss = record.loss,
                                  .valid_loss = NAN,
                                  .lr = record.lr,
                                  .grad_norm = record.grad_norm,
                                  .tokens_per_second = tokens / fmax(1e-9, took)};
    return SPAR_OK;
}

/* A stop that was asked for: the run can go on where it is. */
static spar_status interrupted(spar__run *run) {
    if (run->saved != run->trainer.step) SPAR_TRY(save(run));
    return spar__fail(SPAR_ERR_INTERRUPTED, "interrupted at step %llu; a checkpoint is in %s",
                      (unsigned long long)run->trainer.step, run->options->output);
}

static spar_status loop(spar__run *run, spar_train_result *result) {
    run->begun = spar__seconds();
    for (;;) {
        run->steps = planned(run);
        if (run->trainer.step >= run->steps) return SPAR_OK;
        SPAR_TRY(one_step(run, result));
        run->steps = planned(run);
        SPAR_TRY(after_step(run, result));
        spar_status status = report(run, result);
        if (status == SPAR_ERR_INTERRUPTED) return interrupted(run);
        SPAR_TRY(status);
    }
}

static spar_status write_config(const spar__run *run) {
    char *path = spar__path_join(run->options->output, "config.json");
    char *text = json_dumps(run->config, JSON_INDENT(2));
    spar_status status = path && text ? SPAR_OK : spar__fail(SPAR_ERR_MEMORY, "out of memory");
    if (!status) status = spar__write_file(path, text, strlen(text));
    spar__free(path);
    free(text);
    return status;
}

static spar_status finish(spar__run *run, spar_train_result *result) {
    if (run->trainer.set.checkpoint_every && run->saved != run->trainer.step) SPAR_TRY(save(run));
    SPAR_TRY(evaluate(run, result));
    if (run->row.step) spar__records_add(run->records, &run->row);
    char *path = spar__path_join(run->options->output, "model.gguf");
    spar_status status = path ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar_model_save(run->model, NULL, NULL, path);
    spar__free(path);
    return status;
}

spar_status spar_train(const spar_config *config, const spar_train_options *options,
                       spar_train_result *result) {
    spar__run run = {.options = options};
    spar_train_result r = {.loss = NAN, .valid_loss = NAN};
    spar_status status = spar__run_open(&run, config);
    r.step = run.trainer.step;
    if (!status) status = write_config(&run);
    if (!status) status = loop(&run, &r);
    if (!status) status = finish(&run, &r);
    if (run.records) {
        spar_status closed = spar__records_close(run.records);
        if (!status) status = closed;
        run.records = NULL;
    }
    if (result && (!status || status == SPAR_ERR_NUMERIC || status == SPAR_ERR_INTERRUPTED))
        *result = r;
    spar__run_close(&run);
    return status;
}
