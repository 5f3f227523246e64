/* What a run leaves about its steps: metrics.db, and a log of one JSON object a line. */
#ifndef SPAR_TRAIN_RECORD_H
#define SPAR_TRAIN_RECORD_H

#include "spar/metrics.h"
#include "train/trainer.h"

typedef struct spar__records spar__records;

/* Metrics into `folder`; `log` may be NULL. What they hold of steps after `step` is taken out.
 * `config` is kept with the metrics. */
spar_status spar__records_open(const char *folder, const char *log, uint64_t step,
                               const char *config, spar__records **out);
void spar__records_free(spar__records *records); /* NULL is fine */
/* The line of a step in the log. A log that cannot be written is an error of spar__records_close.
 */
void spar__records_log(spar__records *records, uint64_t step, const spar__step_record *record);
/* The numbers of a step among the metrics; again for the same step replaces them. Metrics that
 * cannot be written are a warning, once: they are no reason to lose a run. */
void spar__records_add(spar__records *records, const spar_metrics_row *row);
/* The same for what the layers told in a step. */
void spar__records_observe(spar__records *records, uint64_t step, const spar__observer *observer);
/* Writes what has been added, before a checkpoint: a run that goes on from there lacks nothing. */
void spar__records_flush(spar__records *records, uint64_t step);
spar_status spar__records_close(spar__records *records); /* frees it in either case */

#endif
