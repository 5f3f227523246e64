/* Keys and values of sequences under way. A layer whose pattern looks back only so far keeps a ring:
 * its memory does not grow with the context. */
#ifndef SPAR_OP_CACHE_H
#define SPAR_OP_CACHE_H

#include "op/tape.h"

typedef struct spar__cache_layer {
    int n_kv_heads;
    int64_t head_dim;
    int64_t keep; /* newest keys that queries still to come need; 0 = all */
} spar__cache_layer;

typedef struct spar__cache spar__cache;

/* n_slots sequences of up to `context` positions, fed at most max_chunk at once: a ring has keep − 1 +
 * max_chunk rows, so that the first query of a chunk still finds its oldest key. `type`: SPAR__F32,
 * SPAR__F16 or SPAR__BF16. */
spar_status spar__cache_create(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                               int64_t max_chunk, spar__type type, spar__cache **out);
void spar__cache_free(spar__cache *cache); /* NULL is fine */
/* Bytes of the keys and values of such a cache, exactly. */
uint64_t spar__cache_plan_bytes(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                                int64_t max_chunk, spar__type type);

/* The rows of a slot of a layer, as the attention kernel takes them. */
typedef struct spar__cache_view {
    void *k, *v;    /* [ring or context, n_kv_heads·head_dim] */
    int64_t stride; /* elements */
    int64_t ring;   /* 0 = rows are positions */
    spar__type type;
} spar__cache_view;
spar__cache_view spar__cache_at(const spar__cache *cache, int layer, int slot);

/* Stores keys and values (rows `stride` apart) of positions past … past + count − 1. */
void spar__cache_store(spar__cache *cache, int layer, int slot, int64_t past, int64_t count, const real *k,
                       const real *v);
/* Refuses positions beyond the context, slots that are not there, and chunks that are too long. */
spar_status spar__cache_check(const spar__cache *cache, const spar__sequence *sequence);

#endif
