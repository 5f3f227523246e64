#include "train/schedule.h"

#include <math.h>

#include "model/model.h"
#include "train/kind.h"

/* How far a step after the warm-up is on the way to the last one: 0 … 1. */
static double way(const spar__schedule *schedule, double step, double steps) {
    double all = steps - (double)schedule->warmup;
    return all > 0 ? fmin(1, (step - (double)schedule->warmup) / all) : 1;
}

static double constant(const spar__schedule *schedule, double step, double steps) {
    (void)schedule, (void)step, (void)steps;
    return 1;
}

static double linear(const spar__schedule *schedule, double step, double steps) {
    return 1 - (1 - schedule->min_ratio) * way(schedule, step, steps);
}

static double cosine(const spar__schedule *schedule, double step, double steps) {
    double x = way(schedule, step, steps);
    return schedule->min_ratio +
           (1 - schedule->min_ratio) * 0.5 * (1 + cos(3.14159265358979323846 * x));
}

static double inverse_sqrt(const spar__schedule *schedule, double step, double steps) {
    (void)steps;
    return sqrt(fmax(1, (double)schedule->warmup) / (step + 1));
}

static double wsd(const spar__schedule *schedule, double step, double steps) {
    double left = steps - step, decay = (double)schedule->decay;
    if (left >= decay) return 1;
    return schedule->min_ratio + (1 - schedule->min_ratio) * left / decay;
}

static const struct {
    const char *name;
    double (*factor)(const spar__schedule *, double, double);
} kinds[] = {
#define SCHEDULE(name, function) {name, function},
#include "train/schedule.def"
#undef SCHEDULE
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const spar_option options[] = {
    {"warmup", SPAR_OPTION_INT, offsetof(spar__schedule, warmup), 0, 0, 1e15, NULL,
     "steps over which the rate rises from 0"},
    {"min_ratio", SPAR_OPTION_REAL, offsetof(spar__schedule, min_ratio), 0, 0, 1, NULL,
     "the last rate as a fraction of the first"},
    {"decay", SPAR_OPTION_INT, offsetof(spar__schedule, decay), 0, 0, 1e15, NULL,
     "wsd: steps at the end over which the rate falls"},
    {0},
};

spar_status spar__schedule_read(const json_t *section, spar__schedule *out) {
    const char *names[N_KINDS], *const also[] = {"kind", NULL};
    for (int i = 0; i < N_KINDS; i++) names[i] = kinds[i].name;
    int index;
    spar__schedule schedule = {0};
    SPAR_TRY(spar__kind_read(section, "train.schedule", names, N_KINDS, 0, &index));
    SPAR_TRY(spar__options_read(section, "train.schedule", options, also, &schedule));
    schedule.factor = kinds[index].factor;
    *out = schedule;
    return SPAR_OK;
}

double spar__schedule_rate(const spar__schedule *schedule, double base, uint64_t step,
                           uint64_t steps) {
    if (step < (uint64_t)schedule->warmup)
        return base * (double)(step + 1) / (double)schedule->warmup;
    return base * schedule->factor(schedule, (double)step, (double)steps);
}
