/* Patterns whose choice depends on content (LSH attention). Before a pass attends, they are given the
 * queries, which such layers share with the keys, and arrange each head's positions into an order in
 * which what is seen are runs again; tiles then speak of places in that order (kernel/attention.h). A query
 * never sees its own key there; one that sees nothing at all has its own value as the result. */
#ifndef SPAR_OP_CONTENT_H
#define SPAR_OP_CONTENT_H

#include "op/param.h"

/* What the kernel needs of an arrangement; a pattern's own begins with it, and finds it again as the
 * view's `arranged`. */
typedef struct spar__arrangement {
    const int32_t *q_order, *k_order; /* positions */
    bool causal;
} spar__arrangement;

typedef struct spar__content_request {
    const void *options, *self;
    spar_pattern_view view; /* of the sequence; the head is left open */
    int64_t head_dim;
    const real *q; /* [queries, stride], the heads side by side */
    int64_t q_stride;
    int32_t *state; /* what the cache keeps of this sequence, or NULL */
    int64_t context;
} spar__content_request;

typedef struct spar__content {
    size_t self_size;
    /* As those of other kinds (op/param.h); declare and prepare may be NULL. */
    spar_status (*declare)(spar__builder *builder, const spar__shape *shape, const void *options, void *self);
    spar_status (*prepare)(const spar__shape *shape, int layer, const void *options, void *self);
    void (*release)(void *self);
    /* Numbers (int32) that a cache keeps for a sequence of up to `context` positions. They start as 0. */
    int64_t (*state_size)(const void *options, const void *self, int n_heads, int64_t context);
    /* Whether numbers from a file can be such (4-byte aligned). */
    bool (*state_valid)(const void *options, const void *self, int n_heads, int64_t context, const int32_t *state);
    /* Fills out[n_heads] with memory of the pass. */
    void (*arrange)(spar__pass *pass, const spar__content_request *request, const spar__arrangement **out);
} spar__content;

#endif
