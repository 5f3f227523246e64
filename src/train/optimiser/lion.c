/* Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"):
 *
 *   p ← p − lr·sign(β1·m + (1 − β1)·g)          m ← β2·m + (1 − β2)·g */
#include "train/optimiser.h"

typedef struct lion_options {
    spar__optimiser_base base;
    double beta1, beta2;
} lion_options;

static const spar_option options[] = {
    SPAR__OPTIMISER_OPTIONS(1e-4),
    {"beta1", SPAR_OPTION_REAL, offsetof(lion_options, beta1), 0.9, 0, 0.9999999, NULL,
     "share of the average in the direction of a step"},
    {"beta2", SPAR_OPTION_REAL, offsetof(lion_options, beta2), 0.99, 0, 0.9999999, NULL,
     "decay of the average"},
    {0},
};

static const char *const slots[] = {"m", NULL};

static void update(const void *opaque, const spar__update *u, int64_t begin, int64_t end) {
    const lion_options *o = opaque;
    real b1 = (real)o->beta1, b2 = (real)o->beta2, lr = (real)u->lr, scale = (real)u->grad_scale;
    real *restrict p = u->weight, *restrict m = u->slots[0];
    const real *restrict g = u->grad;
    for (int64_t i = begin; i < end; i++) {
        real gradient = scale * g[i], direction = b1 * m[i] + (1 - b1) * gradient;
        p[i] -= lr * (real)((direction > 0) - (direction < 0));
        m[i] = b2 * m[i] + (1 - b2) * gradient;
    }
}

const spar__optimiser_kind spar__lion = {.name = "lion",
                                         .options = options,
                                         .options_size = sizeof(lion_options),
                                         .slots = slots,
                                         .update = update};
