/* A model in training: one step at a time, each a pure function of weights, optimiser, data and the
 * number of the step. What stands around the steps (checkpoints, metrics, time) is in train.c. */
#ifndef SPAR_TRAIN_TRAINER_H
#define SPAR_TRAIN_TRAINER_H

#include "model/model.h"
#include "op/observe.h"
#include "spar/data.h"
#include "train/optimiser.h"
#include "train/settings.h"

typedef struct spar__trainer {
    spar__train_settings set; /* length is filled in */
    spar_model *model;        /* not owned */
    spar__optimiser *optimiser;
    spar_batches *train, *valid; /* valid: NULL where there is none; both not owned */
    spar__arena *arena, *kept; /* of a pass; what outlives blocks that are run again */
    spar__sequence *sequences; /* [batch] */
    int32_t *positions;        /* [batch · length] */
    spar__sequence *source_sequences; /* those of what the encoder reads, where the objective has that */
    int32_t *source_positions;
    spar__rows rows, sources;
    spar_batch batch;
    spar__observer *observer;
    uint64_t step; /* steps done */
} spar__trainer;

typedef struct spar__step_record {
    double loss, grad_norm, lr;
    double auxiliary; /* what auxiliary losses add to `loss`, which is the cross entropy alone */
} spar__step_record;

/* Makes the model trainable. `section` is "train" (for the optimiser); `set` has its length. The
 * trainer is empty ({0}) before, and is to be freed in either case. */
spar_status spar__trainer_create(spar__trainer *trainer, const spar__train_settings *set,
                                 const json_t *section, spar_model *model, spar_batches *train,
                                 spar_batches *valid);
void spar__trainer_free(spar__trainer *trainer);

/* One step of a run of `steps`. SPAR_ERR_NUMERIC, with weights, optimiser and trainer->step as they
 * were and `record` written, when the loss or the norm is not finite. Allocates nothing after the
 * first call. */
spar_status spar__trainer_step(spar__trainer *trainer, uint64_t steps, spar__step_record *record);

/* Mean nats per token over the validation split's first set.eval_batches batches (at most one pass
 * over it); NaN without a split. */
spar_status spar__trainer_evaluate(spar__trainer *trainer, double *loss);

/* Whether every weight is finite. */
bool spar__trainer_finite(const spar__trainer *trainer);

#endif
