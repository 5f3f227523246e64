/* Feed-forward kinds: what stands between the residual sums beside attention (feedforward.def). */
#ifndef SPAR_FEEDFORWARD_FEEDFORWARD_H
#define SPAR_FEEDFORWARD_FEEDFORWARD_H

#include "op/cache.h"
#include "op/param.h"

typedef struct spar__feedforward_kind {
    spar__kind kind;
    size_t self_size; /* of a layer's own state: pointers to its parameters */
    /* Lists the layer's parameters and fills `self`; checks the options against the shape. */
    spar_status (*declare)(spar__builder *builder, const spar__shape *shape, const void *options,
                           void *self);
    spar__tensor *(*run)(spar__pass *pass, const void *options, const void *self, spar__tensor *x);
    /* Weights that so many tokens read when they are fed together, where what they choose is independent. */
    int64_t (*read)(const spar__shape *shape, const void *options, int64_t tokens);
    /* The tracks that a layer keeps in the cache (at most SPAR__KIND_TRACKS; pass->track is the first when
     * it runs), and how many. NULL: none. */
    int (*tracks)(const spar__shape *shape, const void *options, spar__cache_track *out);
    /* The weights lie where they will stay, or have moved: called before the layer first runs and when it
     * is made trainable. NULL: nothing to do. */
    void (*prepare)(void *self);
    void (*release)(void *self); /* what `self` owns; NULL: nothing */
    bool absent; /* the layer has none, nor the norm before it */
    /* Weights that lie together where a token chooses what it reads; NULL: it reads in order. */
    int64_t (*piece)(const spar__shape *shape, const void *options);
} spar__feedforward_kind;

/* How many of n items `tokens` tokens choose that take k different ones each: n·(1 − (1 − k/n)^tokens). */
double spar__distinct(int64_t n, int64_t k, int64_t tokens);

#define FEEDFORWARD(symbol) extern const spar__feedforward_kind spar__feedforward_##symbol;
#include "feedforward/feedforward.def"
#undef FEEDFORWARD
const spar__kind *spar__feedforward_at(int index); /* NULL beyond the last */

#endif
