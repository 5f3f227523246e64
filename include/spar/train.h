/* Training a model: batches → loss → gradients → new weights, with checkpoints and metrics.
 *
 *     spar_config *config;
 *     spar_data *data;
 *     spar_train_result result;
 *     spar_train_options options = SPAR_TRAIN_OPTIONS_INIT;
 *     spar_config_open("configs/demo.json", NULL, 0, &config);
 *     spar_data_open("data", 0, &data);
 *     options.output = "run", options.data = data;
 *     spar_train(config, &options, &result);
 *
 * Afterwards run/ holds model.gguf, config.json, metrics.db (SQLite) and checkpoints.
 *
 * The same configuration, data and seed give the same weights to the bit, at any number of threads
 * and whether or not the run was interrupted and resumed (runs limited by `train.minutes` excepted:
 * their number of steps follows from the speed of the machine). */
#ifndef SPAR_TRAIN_H
#define SPAR_TRAIN_H

#include "spar/data.h"
#include "spar/log.h"
#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_train_options {
    const char *output; /* folder of the run, made if need be */
    /* What to train on, one of: packed data; rows [n_rows, n_columns] of train.length inputs and,
     * one token further on, as many targets; a file of such rows (.npy, int32). */
    const spar_data *data;
    const int32_t *tokens;
    uint64_t n_rows, n_columns;
    const char *tokens_file;
    spar_batches_order order; /* of the rows of either */
    const char *init;         /* start from the weights of this model; NULL = random ones */
    bool resume; /* go on from the newest whole checkpoint in `output`; from the start if none */
    const char *log; /* a file that gets one line a step: {"step", "loss", "grad_norm", "lr"} */
    const spar_progress *progress; /* NULL is fine; nonzero: save a checkpoint and stop */
    /* Called every train.sample_every steps with train.sample_prompt ("" where there is none), for
     * showing what the model writes by now; its failure ends the run. NULL = none. */
    spar_status (*sample)(void *context, const spar_model *model, uint64_t step,
                          const char *prompt);
    void *sample_context;
    /* Seconds to wait for the user to free space when a checkpoint cannot be written, trying again
     * every few seconds; 0 = the run fails at once. */
    double patience;
} spar_train_options;
#define SPAR_TRAIN_OPTIONS_INIT                                                                    \
    { .order = SPAR_ORDER_SHUFFLED, .patience = 600 }

typedef struct spar_train_result {
    uint64_t step;     /* steps done, those before a resumption included */
    double loss;       /* mean nats per token in the last step; NaN before the first */
    double valid_loss; /* mean nats per token of the validation split at the end; NaN without one */
    uint64_t activation_bytes; /* most memory that a step's activations took */
    double tokens_per_second; /* trained in this call, evaluation and checkpoints not counted */
} spar_train_result;

/* Trains the model of config's section "model" as its section "train" says. With `init` the
 * model's section is that of `init`, changed by what `config` has of it; where that makes a
 * difference, weights are taken over by their names and must have the same shapes. With `resume`
 * likewise `config` changes the configuration in the checkpoint; its model must stay the same.
 * Where model.vocab_size is not given it is that of the data.
 *
 * Errors: CONFIG for keys and values of the configuration; NUMERIC when a loss or a gradient is not
 * finite (before the weights are touched; the last checkpoint stays); INTERRUPTED when
 * progress->report wanted a stop (after a checkpoint was saved); IO when files cannot be written
 * (the last whole checkpoint stays); ARGUMENT when `output` holds a run already and `resume` is
 * not set, or a token is outside the vocabulary. `result` may be NULL and is written also after
 * NUMERIC and INTERRUPTED. Uses the library's threads; one call at a time. */
spar_status spar_train(const spar_config *config, const spar_train_options *options,
                       spar_train_result *result);

#ifdef __cplusplus
}
#endif
#endif
