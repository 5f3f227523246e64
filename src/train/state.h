/* A run's state in checkpoints: weights, what the optimiser keeps, the step (which is also the
 * position in the data and in the random numbers, all functions of it), and the configuration. */
#ifndef SPAR_TRAIN_STATE_H
#define SPAR_TRAIN_STATE_H

#include "train/trainer.h"

/* The newest whole checkpoint of a run, open. */
typedef struct spar__state spar__state;

/* NOT_FOUND when `folder` holds no checkpoint. */
spar_status spar__state_open(const char *folder, spar__state **out);
void spar__state_free(spar__state *state);                  /* NULL is fine */
const json_t *spar__state_config(const spar__state *state); /* {"model", "train"} */
uint64_t spar__state_step(const spar__state *state);
double spar__state_seconds(const spar__state *state); /* trained so far */
/* Copies weights and the optimiser's arrays into a trainer of the same model and optimiser. */
spar_status spar__state_load(const spar__state *state, spar__trainer *trainer);

/* Writes a checkpoint of the trainer's step into `folder`; afterwards the newest set.keep stay. On
 * failure those that were there are as before. */
spar_status spar__state_save(const char *folder, const spar__trainer *trainer, const json_t *config,
                             double seconds);

#endif
