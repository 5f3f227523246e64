/* AdamW (Kingma and Ba 2015, "Adam"; Loshchilov and Hutter 2019, decoupled decay):
 *
 *   m ← β1·m + (1 − β1)·g          v ← β2·v + (1 − β2)·g²
 *   p ← p − lr · m/(1 − β1ᵗ) / (√(v/(1 − β2ᵗ)) + ε) */
#include <math.h>

#include "train/optimiser.h"

typedef struct adamw_options {
    spar__optimiser_base base;
    double beta1, beta2, eps;
} adamw_options;

static const spar_option options[] = {
    SPAR__OPTIMISER_OPTIONS(1e-3),
    {"beta1", SPAR_OPTION_REAL, offsetof(adamw_options, beta1), 0.9, 0, 0.9999999, NULL,
     "decay of the first moment"},
    {"beta2", SPAR_OPTION_REAL, offsetof(adamw_options, beta2), 0.999, 0, 0.9999999, NULL,
     "decay of the second moment"},
    {"eps", SPAR_OPTION_REAL, offsetof(adamw_options, eps), 1e-8, 1e-30, 1, NULL,
     "added to the root of the second moment"},
    {0},
};

static const char *const slots[] = {"m", "v", NULL};

static void prepare(const void *opaque, spar__update *u) {
    const adamw_options *o = opaque;
    u->shared[0] = 1 - pow(o->beta1, (double)u->t);
    u->shared[1] = 1 - pow(o->beta2, (double)u->t);
}

static void update(const void *opaque, const spar__update *u, int64_t begin, int64_t end) {
    const adamw_options *o = opaque;
    spar__k()->adamw(u->weight + begin, u->slots[0] + begin, u->slots[1] + begin, u->grad + begin,
                     end - begin, (real)u->lr, (real)o->beta1, (real)o->beta2, (real)o->eps,
                     (real)u->shared[0], (real)u->shared[1], (real)u->grad_scale);
}

const spar__optimiser_kind spar__adamw = {.name = "adamw",
                                          .options = options,
                                          .options_size = sizeof(adamw_options),
                                          .slots = slots,
                                          .prepare = prepare,
                                          .update = update};
