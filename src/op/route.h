/* Rows sent to some of n experts, and what comes back joined: the operations of a mixture of experts.
 *
 *     p = softmax(logits),  C = the top k of p,  y = Σ_{e ∈ C} w_e · expert_e(x)
 *
 * with w_e = p_e, or p_e / Σ_{C} p when normalised. Rows are grouped by expert, so that each expert
 * runs once, on its rows alone. Everything is in the order of the rows: the same at any number of
 * threads. */
#ifndef SPAR_OP_ROUTE_H
#define SPAR_OP_ROUTE_H

#include "op/op.h"

typedef struct spar__route_options {
    int64_t top_k;
    bool normalise;
    /* An expert takes at most so many rows of a sequence, from the left; the others of them are dropped:
     * `capacity` where it is positive, else ⌈factor · top_k · rows of the sequence / n⌉; both 0: all. */
    int64_t capacity;
    double capacity_factor;
} spar__route_options;

typedef struct spar__routing {
    int64_t rows, n, top_k;
    spar__tensor *p;       /* [rows, n] */
    spar__tensor *weights; /* [rows, top_k], by falling p; of equal ones the first */
    int32_t *expert;       /* [rows, top_k] */
    int32_t *slot;         /* [rows, top_k] place among the assignments; −1 = dropped */
    int32_t *row;          /* [begin[n]] the row of an assignment */
    int64_t *begin;        /* [n + 1] of the assignments of an expert, which are in order of rows */
    int64_t *chosen;       /* [n] rows that chose it, dropped ones included */
} spar__routing;

/* Routes the rows of `logits` [rows, n]; NULL when the pass stopped. */
spar__routing *spar__route(spar__pass *pass, spar__tensor *logits, const spar__route_options *options);
/* The rows of x that each expert gets: n tensors, NULL for an expert without rows. */
spar__tensor **spar__dispatch(spar__pass *pass, const spar__routing *routing, spar__tensor *x);
/* y [rows, d] from what the experts made of their rows; zero for rows dropped everywhere. */
spar__tensor *spar__combine(spar__pass *pass, const spar__routing *routing, spar__tensor *const *outputs,
                            int64_t d);
/* While training, each element times a number from [1 − width, 1 + width]. */
spar__tensor *spar__jitter(spar__pass *pass, spar__tensor *x, double width);

#endif
