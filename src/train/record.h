/* What a run leaves about its steps: metrics.db, and a log of one JSON object a line. */
#ifndef SPAR_TRAIN_RECORD_H
#define SPAR_TRAIN_RECORD_H

#include "train/trainer.h"

typedef struct spar__records spar__records;

/* Metrics into `folder`; `log` may be NULL. What they hold of steps after `step` is taken out.
 * `config` is kept with the metrics. */
spar_status spar__records_open(const char *folder, const char *log, uint64_t step,
                               const char *config, spar__records **out);
void spar__records_free(spar__records *records); /* NULL is fine */
/* Step `step` counts from 1. Metrics that cannot be written are a warning, once: they are no reason
 * to lose a run. A log that cannot be written is an error of spar__records_close. */
void spar__records_step(spar__records *records, uint64_t step, const spar__step_record *record,
                        double tokens_per_second);
void spar__records_valid(spar__records *records, uint64_t step, double loss);
spar_status spar__records_close(spar__records *records); /* frees it in either case */

#endif
