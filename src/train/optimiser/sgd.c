/* Stochastic gradient descent with momentum (Polyak 1964), in the form without dampening:
 *
 *   m ← momentum·m + g          p ← p − lr·m */
#include "train/optimiser.h"

typedef struct sgd_options {
    spar__optimiser_base base;
    double momentum;
} sgd_options;

static const spar_option options[] = {
    SPAR__OPTIMISER_OPTIONS(0.1),
    {"momentum", SPAR_OPTION_REAL, offsetof(sgd_options, momentum), 0, 0, 0.9999999, NULL,
     "how much of the last step is kept"},
    {0},
};

static const char *const slots[] = {"m", NULL};

static int64_t slot_size(const void *opaque, const spar__param *param, int slot) {
    const sgd_options *o = opaque;
    (void)slot;
    return o->momentum > 0 ? param->value.rows * param->value.cols : 0;
}

static void update(const void *opaque, const spar__update *u, int64_t begin, int64_t end) {
    const sgd_options *o = opaque;
    const spar__kernels *k = spar__k();
    if (!u->slots[0]) {
        k->axpy(u->weight + begin, (real)(-u->lr * u->grad_scale), u->grad + begin, end - begin);
        return;
    }
    real *m = u->slots[0] + begin;
    k->scale(m, (real)o->momentum, end - begin);
    k->axpy(m, (real)u->grad_scale, u->grad + begin, end - begin);
    k->axpy(u->weight + begin, (real)-u->lr, m, end - begin);
}

const spar__optimiser_kind spar__sgd = {.name = "sgd",
                                        .options = options,
                                        .options_size = sizeof(sgd_options),
                                        .slots = slots,
                                        .slot_size = slot_size,
                                        .update = update};
