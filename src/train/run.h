/* A run of training while it lasts: made of configuration, options and what is on the disk. */
#ifndef SPAR_TRAIN_RUN_H
#define SPAR_TRAIN_RUN_H

#include "spar/train.h"
#include "train/record.h"
#include "train/trainer.h"

typedef struct spar__run {
    const spar_train_options *options;
    const int32_t *tokens; /* [n_rows, n_columns], or NULL with packed data */
    uint64_t n_rows, n_columns;
    int32_t *file_tokens; /* where they came from a file */
    json_t *config;       /* {"model", "train"} as they are in force */
    spar_model *model;
    spar_batches *train, *valid;
    spar__trainer trainer;
    spar__records *records;
    char *checkpoints;                 /* their folder */
    uint64_t saved;                    /* step of the newest checkpoint */
    uint64_t steps;                    /* planned */
    uint64_t first_step;               /* done before this call */
    double seconds_before;             /* trained before this call */
    double begun, first_seconds, idle; /* clock at the start; first step; evaluation and the like */
    double trained_tokens, shown_loss;
    spar_metrics_row row; /* of the newest step */
} spar__run;

/* Sets up all of `run`, which has only its options, resuming where they ask for it. Weights are
 * random, of options->init, or of the newest checkpoint. */
spar_status spar__run_open(spar__run *run, const spar_config *config);
void spar__run_close(spar__run *run);

#endif
