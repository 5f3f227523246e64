/* Schedules: the learning rate as a function of the step. With s = 0, 1, … of `steps`, and
 * x = (s − warmup) / (steps − warmup):
 *
 *   s < warmup     base · (s + 1) / warmup
 *   constant       base
 *   linear         base · (1 − (1 − min_ratio) · x)
 *   cosine         base · (min_ratio + (1 − min_ratio) · (1 + cos πx) / 2)    (Loshchilov 2017)
 *   inverse-sqrt   base · √(warmup / (s + 1))                                 (Vaswani 2017)
 *   wsd            base; over the last `decay` steps
 *                  base · (min_ratio + (1 − min_ratio) · (steps − s) / decay) (Hu 2024, MiniCPM)
 *
 * Adding one: a function of the same form in schedule.c and a line in schedule.def. */
#ifndef SPAR_TRAIN_SCHEDULE_H
#define SPAR_TRAIN_SCHEDULE_H

#include <jansson.h>
#include <stdint.h>

#include "spar/status.h"

typedef struct spar__schedule spar__schedule;
struct spar__schedule {
    double (*factor)(const spar__schedule *schedule, double step, double steps);
    int64_t warmup, decay;
    double min_ratio;
};

/* Reads "train.schedule"; NULL is a constant rate. SPAR_ERR_CONFIG for what is not known. */
spar_status spar__schedule_read(const json_t *section, spar__schedule *out);
/* The learning rate of step s (from 0) of `steps`. */
double spar__schedule_rate(const spar__schedule *schedule, double base, uint64_t step,
                           uint64_t steps);

#endif
