/* Optimisers: from gradients to new weights.
 *
 * A kind of optimiser is one file in train/optimiser/ and one line in train/optimiser.def. It says
 * which options it has, which arrays it keeps for each parameter (its slots: made zero, saved in
 * checkpoints under their names), and how it updates a run of elements. All else is here, once for
 * all kinds: weight decay, the norm of the gradient, clipping's factor, threads, checkpoints.
 *
 * One step, with g = grad_scale · gradient (grad_scale is what clipping asks for):
 *
 *   1. p ← p − lr · weight_decay · p for parameters that decay (matrices; decoupled: Loshchilov and
 *      Hutter 2019, "Decoupled weight decay regularization")
 *   2. kind.prepare over the whole parameter, where the kind has one (sums over rows …)
 *   3. kind.update over elements [begin, end), chunk after chunk, in any order and on any thread
 *
 * prepare comes before 1 and must not write weights. Chunks depend on shapes alone, so a step has
 * the same bits at any thread count: update must compute each element from its own index only. */
#ifndef SPAR_TRAIN_OPTIMISER_H
#define SPAR_TRAIN_OPTIMISER_H

#include <jansson.h>

#include "op/op.h"

enum { SPAR__OPTIMISER_SLOTS = 3, SPAR__OPTIMISER_CHUNK = 16384 };

/* The options that every kind has: its options struct begins with these, its table of options with
 * SPAR__OPTIMISER_OPTIONS. */
typedef struct spar__optimiser_base {
    double lr, weight_decay;
} spar__optimiser_base;

#define SPAR__OPTIMISER_OPTIONS(default_lr)                                                        \
    {"lr",                                                                                         \
     SPAR_OPTION_REAL,                                                                             \
     offsetof(spar__optimiser_base, lr),                                                           \
     default_lr,                                                                                   \
     0,                                                                                            \
     1e6,                                                                                          \
     NULL,                                                                                         \
     "learning rate, before the schedule"},                                                        \
    {                                                                                              \
        "weight_decay", SPAR_OPTION_REAL, offsetof(spar__optimiser_base, weight_decay), 0, 0, 1e6, \
            NULL, "decoupled weight decay of matrices"                                             \
    }

/* One parameter in one step. */
typedef struct spar__update {
    const spar__param *param;
    int64_t rows, cols; /* of weight and grad; vectors have one row */
    real *weight;
    const real *grad;
    real *slots[SPAR__OPTIMISER_SLOTS];
    uint64_t t;            /* 1 in the first step */
    double lr, grad_scale; /* of this step */
    double shared[4];      /* from prepare to update */
    double *scratch;       /* for prepare: as many as kind.scratch asked for */
} spar__update;

typedef struct spar__optimiser_kind {
    const char *name;
    const spar_option *options; /* ends with a zero entry */
    size_t options_size;
    const char *const *slots; /* names, ends with NULL; at most SPAR__OPTIMISER_SLOTS */
    /* Elements of a slot for a parameter (0: not kept). NULL: as many as the parameter has. */
    int64_t (*slot_size)(const void *options, const spar__param *param, int slot);
    int64_t (*scratch)(const void *options, const spar__param *param); /* NULL: none */
    /* Outside parallel regions; may open its own, over parts that depend on shapes alone. NULL:
     * none. */
    void (*prepare)(const void *options, spar__update *update);
    void (*update)(const void *options, const spar__update *update, int64_t begin, int64_t end);
} spar__optimiser_kind;

typedef struct spar__optimiser spar__optimiser;

/* Reads "train.optimizer" (NULL: the first kind with its defaults). The parameters [n_params] must
 * have gradients and outlive the optimiser; the array itself is copied. */
spar_status spar__optimiser_create(const json_t *section, spar__param *const *params, int n_params,
                                   spar__optimiser **out);
void spar__optimiser_free(spar__optimiser *optimiser);              /* NULL is fine */
double spar__optimiser_lr(const spar__optimiser *optimiser);        /* the option "lr" */
const char *spar__optimiser_name(const spar__optimiser *optimiser); /* of the kind */

/* The Euclidean norm of all gradients together: sums in double, in an order fixed by the shapes.
 * Not finite when any gradient is not. A gradient that nothing was added to counts as zero. */
double spar__optimiser_grad_norm(spar__optimiser *optimiser);
/* One step; t counts from 1. Afterwards gradients count as not started. Allocates nothing. */
void spar__optimiser_step(spar__optimiser *optimiser, uint64_t t, double lr, double grad_scale);
/* Gradients count as not started. */
void spar__optimiser_clear(spar__optimiser *optimiser);

/* The arrays kept, for checkpoints: index 0 … n − 1. `name` is "SLOT/PARAMETER". */
typedef struct spar__optimiser_array {
    char name[256];
    real *data;
    size_t count;
} spar__optimiser_array;
int spar__optimiser_n_arrays(const spar__optimiser *optimiser);
void spar__optimiser_array_at(const spar__optimiser *optimiser, int index,
                              spar__optimiser_array *out);

#define OPTIMISER(name, symbol) extern const spar__optimiser_kind symbol;
#include "train/optimiser.def"
#undef OPTIMISER

#endif
