/* What a pass tells about itself, and losses beside the cross entropy.
 *
 * Training attaches an observer to its passes. Layers then leave named numbers, which become series of
 * the run's metrics: "layer.3.ff.entropy" for a layer, and their mean over the layers as "ff.entropy".
 * Passes without an observer (evaluation, decoding, a block that is run again for its backward pass)
 * cost nothing more.
 *
 * An auxiliary loss is a tensor that is added, times a weight, to what is minimised. Its gradient goes
 * through the tape like any other, times pass->loss_scale; its value is reported by itself. */
#ifndef SPAR_OP_OBSERVE_H
#define SPAR_OP_OBSERVE_H

#include "op/tape.h"

typedef struct spar__observer spar__observer;

spar__observer *spar__observer_create(void);         /* NULL without memory */
void spar__observer_free(spar__observer *observer); /* NULL is fine */
/* A step begins: what the last one left is forgotten (but for windows of choices). */
void spar__observer_begin(spar__observer *observer);
/* It has ended: numbers are made of what was counted, and choices that starve are warned of in the
 * log. `step` counts from 1. Allocates nothing after the first step. */
spar_status spar__observer_end(spar__observer *observer, uint64_t step);
/* Calls back with every number of the step, in an order that does not change; the last is "auxiliary",
 * spar__observer_loss, where there are such losses. */
void spar__observer_each(const spar__observer *observer,
                         void (*tell)(void *context, const char *name, double value), void *context);
/* Σ weight·loss of the auxiliary losses of the step so far, each a mean over its passes. */
double spar__observer_loss(const spar__observer *observer);

/* ---- For layers. `name` (up to 39 bytes) is copied. The same numbers should come in every pass. ---- */

static inline bool spar__observing(const spar__pass *pass) { return pass->observer && spar__ok(pass); }
/* A number of this layer; a step's is the mean over its passes. */
void spar__observe(spar__pass *pass, const char *name, double value);
/* How often the rows of this pass chose each of n choices, in each of `groups` that are chosen within:
 * counts [groups, n]. Gives, as means over the groups,
 *   NAME.entropy    entropy of the choices in the step, 1 = all alike
 *   NAME.load.max   the most chosen one's share in the step, as a multiple of the fair share 1/n
 *   NAME.dead       share of the choices that nothing chose in the last 100 to 200 steps
 *   NAME.load.I     with one group of at most 64: each share, as a multiple of the fair one.
 * With `warn_after` the log is told of choices that in so many steps got less than a tenth of their
 * fair share. */
void spar__observe_choices(spar__pass *pass, const char *name, const int64_t *counts, int64_t groups,
                           int64_t n, int64_t warn_after);

/* The value of a loss whose gradient a layer adds by itself; spar__add_loss does both. */
void spar__observe_loss(spar__pass *pass, const char *name, double value, double weight);

/* Adds weight·loss, loss [1, 1], to what is minimised; NAME is its value without the weight. Nothing
 * for NULL or weight 0. */
void spar__add_loss(spar__pass *pass, const char *name, spar__tensor *loss, double weight);
/* Whether a loss is worth computing in this pass. */
static inline bool spar__wants_loss(const spar__pass *pass) {
    return spar__ok(pass) && (pass->recording || pass->observer);
}

/* Load balance (Fedus et al. 2021, arXiv 2101.03961, equation 4), a mean over the groups of
 *     n · Σ_i f_i · P_i,   f_i = counts[g, i] / rows,   P_i = mean over rows of p[row, g, i],
 * for p [rows, groups·n]; 1 when one of n is chosen and all are alike. f has no gradient. */
spar__tensor *spar__balance_loss(spar__pass *pass, spar__tensor *p, const int64_t *counts,
                                 int64_t groups);
/* Mean over the rows of (log Σ exp)² of the logits [rows, n] (Zoph et al. 2022, arXiv 2202.08906). */
spar__tensor *spar__z_loss(spar__pass *pass, spar__tensor *logits);

#endif
