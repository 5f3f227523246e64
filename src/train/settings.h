/* The section "train" of a configuration. */
#ifndef SPAR_TRAIN_SETTINGS_H
#define SPAR_TRAIN_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "spar/status.h"
#include "train/schedule.h"

typedef struct spar__train_settings {
    int64_t steps;                       /* 0: as many as `minutes` allow */
    double minutes;                      /* 0: no limit */
    int64_t batch, length, accumulation; /* length 0: the model's context */
    double clip, label_smoothing, z_loss, dropout;
    int precision; /* an index of "f32", "bf16" */
    bool recompute, isolate_documents;
    int64_t seed, checkpoint_every, keep, eval_every, eval_batches, sample_every;
    const char *sample_prompt; /* owned by the section */
    double noise, span, prefix;
    int64_t mask_id;
    const char *objective;     /* likewise; NULL = what the architecture is made for */
    spar__schedule schedule;
} spar__train_settings;

/* Reads the section; NULL is one without keys. SPAR_ERR_CONFIG names the key, what was found and
 * what was expected. The optimiser's section is read by spar__optimiser_create. */
spar_status spar__train_settings_read(const json_t *section, spar__train_settings *out);

#endif
