/* The tape, and the pass that every operation runs in.
 *
 * An operation computes its result at once. When a tape is attached it also pushes one record: the
 * function and the arguments of its backward pass. Backward walks the records in reverse and adds
 * into gradients. With a tape (training), with a cache (decoding) or with neither (evaluation),
 * the operations are the same.
 *
 * Errors: the first failure is kept in pass->status; operations after it return NULL and do
 * nothing, and they accept NULL tensors, so that code reads as mathematics and checks once. */
#ifndef SPAR_OP_TAPE_H
#define SPAR_OP_TAPE_H

#include "base/rng.h"
#include "kernel/kernel.h"

typedef struct spar__pass spar__pass;
typedef void (*spar__backward)(spar__pass *pass, void *arguments);

typedef struct spar__record {
    spar__backward back;
    struct spar__record *before;
    void *arguments;
    /* Where it was made: the stacks of a model have rows of their own. */
    const struct spar__rows *rows;
    struct spar__shared *shared;
} spar__record;

/* One sequence among the rows of a pass: rows begin … begin + count − 1, which stand at positions
 * past, past + 1, … of the sequence; its keys before `past` are in the cache at `slot`. */
typedef struct spar__sequence {
    int64_t begin, count, past, prefix;
    int64_t source; /* with a cache: keys of cross-attention that it holds at `slot` */
    int slot;
    int64_t padding; /* of the rows the last ones, which see but are not seen */
} spar__sequence;

typedef struct spar__rows {
    int64_t n_rows;
    int n_sequences;
    const spar__sequence *sequences;
    const int32_t *positions; /* [n_rows] for position embeddings */
    const int32_t *first;     /* [n_rows] first visible key position (packed documents), or NULL */
} spar__rows;

/* What the layers of a stack share within a pass. Gradients lie ready, so that layers which are run
 * again for their backward pass find them outside of what they drop. */
typedef struct spar__shared {
    /* Output of the encoder, for cross-attention, and its rows, sequence by sequence; NULL where there is
     * none or the cache holds what is made of it. */
    spar__tensor *memory;
    const spar__rows *memory_rows;
    spar__tensor *bias;     /* scores by distance, trained (position/relative.c), or NULL */
    int64_t bias_zero;
    spar__tensor *relative; /* rows of relative positions (position/disentangled.c), or NULL */
} spar__shared;

/* A weight whose bf16 copy was made in this pass. */
typedef struct spar__weight_copy {
    spar__tensor *weight;
    struct spar__weight_copy *before;
} spar__weight_copy;

/* A gradient that nobody reads any more: it serves a tensor of as many elements. */
typedef struct spar__spare {
    struct spar__spare *next;
    int64_t count;
} spar__spare;

struct spar__cache; /* op/cache.h */
struct spar__observer; /* op/observe.h */
struct spar__kept;

/* Random draws given instead of made, to compare with a reference: the next `gumbel` [rows, d_ff] and `hard`
 * of the sparse layers, in their order. */
typedef struct spar__draws {
    const real *const *gumbel;
    const int32_t *hard;
    int n, next;
    int32_t **choices; /* receives the choices [rows, blocks] of each; entries may be NULL */
} spar__draws;

/* One head's attention in one sequence of a pass, for whoever looks. */
typedef struct spar__look {
    int sequence, head, layer;
    bool cross;
    int64_t n_queries, n_keys;
    const real *weights; /* [n_queries, n_keys]; NULL while it is asked whether it is wanted */
    const real *v, *out; /* what they were applied to and what came of it: rows of head_dim, so far apart: */
    int64_t v_stride, out_stride, head_dim;
} spar__look;

/* Nothing of the size queries × keys is stored: weights are computed for the heads that are wanted, one at a
 * time, after the layer's output. Not in passes with a cache. */
typedef struct spar__looker {
    bool (*wants)(void *context, const spar__pass *pass, const spar__look *look);
    void (*see)(void *context, spar__pass *pass, const spar__look *look); /* valid during the call; may stop the pass */
    void *context;
} spar__looker;

struct spar__pass {
    spar_status status;
    spar__arena *arena;
    spar__record *tape; /* newest record */
    bool recording;     /* push records */
    bool training;      /* dropout and noise are on */
    bool bf16;          /* dense products in bf16 */
    spar__weight_copy *copies; /* newest */
    spar__spare *spares;       /* of this backward pass */
    uint64_t seed, step; /* key of random draws */
    uint64_t site;      /* counts random operations, so that a recomputed block draws the same */
    const spar__rows *rows;
    const int32_t *segments; /* [n_rows] token types; NULL = all are 0 */
    spar__shared *shared;    /* of the stack at work; NULL outside */
    struct spar__cache *cache;
    int layer; /* −1 outside of layers */
    /* Receives numbers and losses (op/observe.h), or NULL; NULL too while a block is run again. */
    struct spar__observer *observer;
    double loss_scale; /* of the gradients of auxiliary losses; 0 counts as 1 */
    /* What may not be decided twice outlives a block that is run again: spar__keep. NULL: it does not. */
    spar__arena *kept_arena;
    struct spar__kept *kept;
    spar__draws *draws; /* NULL = made */
    /* Receives the factors of each product x·wᵀ with a weight (calibration), or NULL. */
    void (*watch)(void *context, const spar__tensor *x, const spar__tensor *w);
    void *watch_context;
    const spar__looker *looker; /* sees weights of attention, or NULL */
    /* With a cache and one sequence of at most SPAR__TOGETHER rows (op/product.h): each row has the bits that it has
     * when it is fed alone, in attention too. */
    bool singly;
    int64_t n_layers; /* of a stack only the first ones are run; 0 = all */
    int track; /* the first of the cache's tracks that the operation at hand may use */
};

static inline bool spar__ok(const spar__pass *pass) { return pass->status == SPAR_OK; }
/* Keeps the first failure. Returns NULL, for `return spar__stop(…)`. */
void *spar__stop(spar__pass *pass, spar_status status);
/* Memory of this pass (not cleared), or NULL with the pass stopped. */
void *spar__take(spar__pass *pass, int64_t count, size_t size);
/* A new activation [rows, cols] of real. */
spar__tensor *spar__new(spar__pass *pass, int64_t rows, int64_t cols, bool needs_grad);
/* Memory for what a block must not decide twice when it is run again for its backward pass, as a sparse layer's
 * choices; `site` is a number of random draws in this pass. *found: it was filled in the first run. */
void *spar__keep(spar__pass *pass, uint64_t site, int64_t count, size_t size, bool *found);
/* Pushes a copy of the `size` bytes of arguments, when recording. */
void spar__push(spar__pass *pass, spar__backward back, const void *arguments, size_t size);
/* The gradient of t to write into: *add says whether to add to it or to overwrite it; afterwards it
 * counts as started. NULL when t needs none (or without memory: the pass is then stopped). */
real *spar__grad(spar__pass *pass, spar__tensor *t, bool *add);
/* Memory for it, before others are taken; spar__grad does so itself. */
void spar__grad_room(spar__pass *pass, spar__tensor *t);
/* An operation's backward function has read the gradient of its result y for the last time. */
void spar__grad_done(spar__pass *pass, spar__tensor *y);
/* A gradient of zeros for t, if it needs one, to be added to from now on. */
void spar__grad_ready(spar__pass *pass, spar__tensor *t);
/* bf16 copy of an activation for products, made once. */
const uint16_t *spar__half(spar__pass *pass, spar__tensor *t);
/* The same of a weight, which outlives the pass: who rewinds the arena drops the copies made since, with
 * pass->copies of then. */
const uint16_t *spar__half_weight(spar__pass *pass, spar__tensor *weight);
void spar__drop_copies(spar__pass *pass, spar__weight_copy *until);
/* Runs the records made since `until` (NULL: all) in reverse and drops them. */
void spar__run_backward(spar__pass *pass, spar__record *until);

/* Rows that one iteration of a parallel loop takes: fixed, so that sums over rows are made of the
 * same parts at any thread count. */
enum { SPAR__ROW_CHUNK = 64 };

#endif
