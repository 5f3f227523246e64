/* Projection kinds: how queries, keys, values and the attention's output are made (projection.def). */
#ifndef SPAR_PROJECTION_PROJECTION_H
#define SPAR_PROJECTION_PROJECTION_H

#include "op/cache.h"
#include "op/param.h"

typedef struct spar__projection_kind {
    spar__kind kind;
    size_t self_size;
    spar_status (*declare)(spar__builder *builder, const spar__shape *shape, const void *options,
                           void *self);
    /* x [rows, d_model] → qkv[0] [rows, n_heads·head_dim], qkv[1], qkv[2] [rows, n_kv_heads·head_dim] */
    void (*inputs)(spar__pass *pass, const void *options, const void *self, spar__tensor *x,
                   spar__tensor *qkv[3]);
    /* [rows, n_heads·head_dim] → [rows, d_model] */
    spar__tensor *(*output)(spar__pass *pass, const void *options, const void *self, spar__tensor *y);
    int64_t (*read_per_token)(const spar__shape *shape, const void *options);
    /* The tracks that a layer keeps in the cache (at most SPAR__KIND_TRACKS; pass->track is the first when
     * it runs), and how many. NULL: none. */
    int (*tracks)(const spar__shape *shape, const void *options, spar__cache_track *out);
    /* Where keys are the queries, brought to unit length (what LSH attention needs): makes them of the queries
     * after positions have turned those; `inputs` leaves qkv[1] alone. NULL: `inputs` makes all three. */
    spar__tensor *(*keys)(spar__pass *pass, const void *options, const void *self, spar__tensor *q);
    /* Queries alone, or keys and values alone, of other rows than the layer's: cross-attention, relative
     * positions. NULL: the kind cannot. */
    void (*part)(spar__pass *pass, const void *options, const void *self, spar__tensor *x, bool queries,
                 bool values, spar__tensor *qkv[3]);
} spar__projection_kind;

const spar__kind *spar__projection_at(int index); /* NULL beyond the last */

#endif
