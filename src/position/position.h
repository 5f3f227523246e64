/* Position kinds (position.def): what tells a model where its tokens stand. A kind adds to the
 * embedding, turns queries and keys, or biases the scores by distance; what it leaves out is NULL. */
#ifndef SPAR_POSITION_POSITION_H
#define SPAR_POSITION_POSITION_H

#include "op/param.h"

/* score += table[h·n + clamp(i − j + zero, 0, n − 1)] */
typedef struct spar__distance_bias {
    real *table; /* [n_heads, n] */
    int64_t n, zero;
} spar__distance_bias;

/* A layer's scores by relative position: queries with keys made of these rows, and keys with queries made
 * of them, by the layer's own projections of queries and keys or by others. */
typedef struct spar__relative {
    int64_t n_rows;
    bool to_query, to_key;  /* content to position, position to content */
    bool shared;            /* the layer's own projections */
    bool key_bias;          /* of the others */
    int32_t *distance_rows; /* [n_distances] kernel/attention.h */
    int64_t distance_zero, n_distances;
} spar__relative;

typedef struct spar__position_kind {
    spar__kind kind;
    size_t self_size;
    spar_status (*declare)(spar__builder *builder, const spar__shape *shape, const void *options,
                           void *self);
    /* Makes tables, before the first pass; `release` frees them. */
    spar_status (*prepare)(const spar__shape *shape, const void *options, void *self);
    void (*release)(void *self);
    spar__tensor *(*embed)(spar__pass *pass, const void *self, spar__tensor *x);
    spar__tensor *(*turn)(spar__pass *pass, const void *self, spar__tensor *x);
    const spar__distance_bias *(*bias)(const void *self);
    /* Makes what all layers of a stack share, once a pass. */
    void (*share)(spar__pass *pass, const void *self, spar__shared *shared);
    /* Rows of relative positions (shared->relative) that meet the queries and keys of each layer. */
    const spar__relative *(*relative)(const void *self);
} spar__position_kind;

const spar__kind *spar__position_at(int index); /* NULL beyond the last */

#endif
