#include "train/settings.h"

#include "model/model.h"

static const char *const precisions[] = {"f32", "bf16", NULL};

#define MEMBER(name, type) #name, SPAR_OPTION_##type, offsetof(spar__train_settings, name)
static const spar_option options[] = {
    {MEMBER(steps, INT), 0, 0, 1e12, NULL,
     "updates of the weights; 0: as many as the minutes allow"},
    {MEMBER(minutes, REAL), 0, 0, 1e7, NULL,
     "time to train; the schedule then ends with it; 0: no limit"},
    {MEMBER(batch, INT), 16, 1, 1e6, NULL, "rows of a micro-batch"},
    {MEMBER(length, INT), 0, 0, 1e8, NULL, "tokens of a row; 0: the model's context"},
    {MEMBER(accumulation, INT), 1, 1, 1e6, NULL, "micro-batches of a step"},
    {MEMBER(clip, REAL), 1, 0, 1e9, NULL, "most norm of the gradient; 0: no clipping"},
    {MEMBER(label_smoothing, REAL), 0, 0, 0.999, NULL,
     "share of the target spread over the vocabulary"},
    {MEMBER(z_loss, REAL), 0, 0, 1e3, NULL, "weight of the squared log of the softmax's sum"},
    {MEMBER(dropout, REAL), 0, 0, 0.99, NULL, "probability that an activation is dropped"},
    {MEMBER(precision, NAME), 0, 0, 1, precisions, "of dense products; weights stay f32"},
    {MEMBER(recompute, BOOL), 0, 0, 1, NULL,
     "compute blocks again in the backward pass instead of keeping them"},
    {MEMBER(isolate_documents, BOOL), 0, 0, 1, NULL,
     "tokens do not see the document before theirs"},
    {MEMBER(seed, INT), 0, 0, 9e15, NULL, "of weights, order and dropout"},
    {MEMBER(checkpoint_every, INT), 1000, 0, 1e12, NULL,
     "steps between checkpoints; 0: only when interrupted"},
    {MEMBER(keep, INT), 2, 1, 1000, NULL, "checkpoints that are kept"},
    {MEMBER(eval_every, INT), 0, 0, 1e12, NULL, "steps between evaluations; 0: only at the end"},
    {MEMBER(eval_batches, INT), 20, 0, 1e9, NULL, "batches of an evaluation; 0: none"},
    {MEMBER(noise, REAL), 0.15, 0.001, 0.9, NULL, "masked, denoise: share of the tokens that are hidden"},
    {MEMBER(span, REAL), 3, 1, 1000, NULL, "denoise: mean length of what is hidden"},
    {MEMBER(prefix, REAL), 0, 0, 1, NULL, "prefix: share of a row that is given; 0: drawn for each row"},
    {MEMBER(mask_id, INT), -1, -1, 2e9, NULL, "masked: id of the mask; -1: the last of the vocabulary"},
    {MEMBER(sample_every, INT), 0, 0, 1e12, NULL, "steps between samples; 0: none"},
    {0},
};
#undef MEMBER

static spar_status read_text(const json_t *section, const char *key, const char **out) {
    const json_t *value = json_object_get(section, key);
    if (value && !json_is_string(value))
        return spar__fail(SPAR_ERR_CONFIG, "train.%s: expected a string", key);
    *out = json_string_value(value);
    return SPAR_OK;
}

spar_status spar__train_settings_read(const json_t *section, spar__train_settings *out) {
    static const char *const also[] = {"optimizer", "schedule", "sample_prompt", "objective", NULL};
    spar__train_settings s = {0};
    SPAR_TRY(spar__options_read(section, "train", options, also, &s));
    SPAR_TRY(read_text(section, "sample_prompt", &s.sample_prompt));
    SPAR_TRY(read_text(section, "objective", &s.objective));
    SPAR_TRY(spar__schedule_read(json_object_get(section, "schedule"), &s.schedule));
    if (!s.steps && !(s.minutes > 0))
        return spar__fail(SPAR_ERR_CONFIG, "train.steps: missing; give steps or minutes");
    *out = s;
    return SPAR_OK;
}
