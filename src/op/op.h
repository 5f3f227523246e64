/* The differentiable operations. Shapes are [rows, cols]; see tape.h for passes and errors. */
#ifndef SPAR_OP_OP_H
#define SPAR_OP_OP_H

#include "op/tape.h"
#include "spar/pattern.h"

/* A parameter: its tensor's gradient persists over micro-batches until the optimiser clears it. */
typedef struct spar__param {
    char *name;
    int n_dims;
    int64_t shape[4]; /* slowest first; the tensor is [product of the others, last] */
    double init;      /* standard deviation of a normal; with `constant` the value itself */
    double init_half;  /* not 0: the deviation of the second half of each row */
    bool constant, decay;
    bool vector; /* one vector, or one of each of several experts: stays f32 */
    spar__tensor value;
} spar__param;

/* Rows of `table` [n, d] picked by ids [count]; ids are checked against n. */
spar__tensor *spar__embed(spar__pass *, spar__param *table, const int32_t *ids, int64_t count);
/* y = x·wᵀ + b; w [out, in] in any stored type (trained: f32); b [out] or NULL. */
spar__tensor *spar__linear(spar__pass *, spar__tensor *x, spar__param *w, spar__param *b);
/* The same in f32 where the pass is bf16: for routers, whose choices hang on small differences. */
spar__tensor *spar__linear_exact(spar__pass *, spar__tensor *x, spar__param *w, spar__param *b);
/* Layer norm (center) or RMS norm of each row; bias may be NULL. */
spar__tensor *spar__norm(spar__pass *, spar__tensor *x, spar__param *weight, spar__param *bias,
                         double eps, bool center);
spar__tensor *spar__sum(spar__pass *, spar__tensor *a, spar__tensor *b);
spar__tensor *spar__copied(spar__pass *, spar__tensor *x);
spar__tensor *spar__scaled(spar__pass *, spar__tensor *x, double factor);
extern const char *const spar__activation_names[]; /* for options, ends with NULL */
spar__tensor *spar__activate(spar__pass *, spar__tensor *x, spar__activation f);
spar__tensor *spar__gate(spar__pass *, spar__tensor *g, spar__tensor *u, spar__activation f);
/* While training, elements are dropped with probability p and the rest scaled by 1/(1 − p). */
spar__tensor *spar__dropout(spar__pass *, spar__tensor *x, double p);
/* Rotary positions on each head of width head_dim: cosine, sine [positions, n/2]. */
spar__tensor *spar__rotary(spar__pass *, spar__tensor *x, int64_t head_dim, const real *cosine,
                           const real *sine, int64_t n, bool halves, const int32_t *positions);

/* A simple recurrent unit along each sequence: x, y [rows, d], u [rows, 3·d] (recurrence.c). With a cache, the
 * cells are kept in `track`. */
spar__tensor *spar__recurrence(spar__pass *, spar__tensor *x, spar__tensor *u, spar__activation f, int track);

/* Each head of each row brought to unit mean square: x/√(mean(x²) + eps). */
spar__tensor *spar__unit(spar__pass *, spar__tensor *x, int64_t head_dim, double eps);

typedef struct spar__attend_options {
    int n_heads, n_kv_heads;
    int64_t head_dim;
    double scale;
    const spar_pattern_kind *kind;
    const void *pattern;      /* its options */
    const void *pattern_self; /* what it holds for this layer, when it chooses by content */
    const real *bias;    /* [n_heads, n_bias] by distance (kernel/attention.h), or NULL */
    real *dbias;         /* its gradient, added to when recording; NULL = none */
    int64_t bias_zero, n_bias;
    /* Scores by relative position (kernel/attention.h): [rows, n_heads·R] of the queries and of the
     * keys, both scaled, for the R rows that distance_rows names. With a cache, k_scores are kept in
     * the track scores_track. */
    spar__tensor *q_scores, *k_scores;
    const int32_t *distance_rows;
    int64_t distance_zero, n_distances;
    int scores_track;
    bool cross; /* keys and values are rows of pass->shared->memory; with a cache, what it holds (k, v NULL) */
} spar__attend_options;
/* q [rows, n_heads·head_dim], k, v [rows, n_kv_heads·head_dim] of the pass's rows → like q. With a
 * cache, k and v are stored first, in the tracks pass->track and the next, and the cached keys are
 * attended to. Options are copied. */
spar__tensor *spar__attend(spar__pass *, spar__tensor *q, spar__tensor *k, spar__tensor *v,
                           const spar__attend_options *);

/* y[h, i] = table[bucket[i], h] for table [buckets, heads]: a trained bias for each distance. */
spar__tensor *spar__bucket_bias(spar__pass *, spar__param *table, const int32_t *bucket, int64_t n);
/* y [x rows, n_heads·R]: scale times the products of each head of x with that of the R rows; where one of
 * them has fewer heads, it shares them among groups. */
spar__tensor *spar__head_products(spar__pass *, spar__tensor *x, spar__tensor *rows, int n_heads,
                                  int64_t head_dim, double scale);
/* y [first rows + x rows, cols]: for each sequence the rows that `sources` says of `first`, then those of x, which
 * are the pass's; narrower ones stand side by side as often as they fit. And the pass's rows out of such. */
spar__tensor *spar__append(spar__pass *, spar__tensor *first, const spar__rows *sources, spar__tensor *x, int64_t cols);
spar__tensor *spar__appended(spar__pass *, spar__tensor *joined, const spar__rows *sources);

/* One row for each sequence of the pass. */
typedef enum spar__pooling { SPAR__POOL_MEAN, SPAR__POOL_FIRST, SPAR__POOL_LAST } spar__pooling;
extern const char *const spar__pooling_names[]; /* "mean", "cls", "last" */
spar__tensor *spar__pool(spar__pass *, spar__tensor *x, spar__pooling pooling);
spar__tensor *spar__unit_rows(spar__tensor *x); /* in place, rows of length 1; not differentiable */
/* y [rows, d·(before + 1 + after)]: each number of a row with those of its neighbours in the sequence, zeros
 * beyond its ends. */
spar__tensor *spar__neighbours(spar__pass *, spar__tensor *x, int64_t before, int64_t after);

typedef struct spar__loss_options {
    double smoothing, z_loss, logit_scale;
    double scale; /* of the gradient: 1/accumulation for a mean over micro-batches */
} spar__loss_options;
/* Mean cross entropy of logits logit_scale·(x·wᵀ) + b against targets [rows] (−1 = not counted), in
 * chunks of rows, so that rows × vocabulary is never stored. When recording, the gradients of w and
 * b are added at once and that of x is kept for the backward pass. *sum = Σ nats, *count = targets
 * counted; either may be NULL. */
void spar__head_loss(spar__pass *, spar__tensor *x, spar__param *w, spar__param *b,
                     const int32_t *targets, const spar__loss_options *, double *sum, int64_t *count);
/* The same with a multiplicative layer (op/modules.h) as the head; b has as many as its columns. */
void spar__multiplicative_loss(spar__pass *, spar__tensor *x, spar__param *d, spar__param *e, spar__param *b,
                               int64_t vocabulary, const int32_t *targets, const spar__loss_options *,
                               double *sum, int64_t *count);

#endif
