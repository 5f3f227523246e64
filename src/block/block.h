/* Blocks: attention and feed-forward wired into the residual stream (residual.def). */
#ifndef SPAR_BLOCK_BLOCK_H
#define SPAR_BLOCK_BLOCK_H

#include "feedforward/feedforward.h"
#include "position/position.h"
#include "projection/projection.h"

typedef struct spar__norm_layer {
    spar__param *weight, *bias;
    double eps;
    bool center;
} spar__norm_layer;

enum { SPAR__MAX_RECURRENT = 8 };

/* A recurrent branch beside the feed-forward (recurrent.c). */
typedef struct spar__recurrent {
    int n_layers; /* 0 = none */
    int64_t width;
    spar__activation activation;
    spar__norm_layer norm;
    spar__param *in, *in_bias, *out, *out_bias;
    spar__param *units[SPAR__MAX_RECURRENT], *unit_biases[SPAR__MAX_RECURRENT];
} spar__recurrent;

typedef struct spar__block {
    int index;
    const spar__shape *shape;
    const struct spar__residual_kind *residual;
    spar__choice pattern, projection, feedforward; /* pattern.kind is a spar_pattern_kind */
    void *pattern_self; /* of patterns that choose by content, else NULL */
    void *projection_self, *feedforward_self;
    spar__norm_layer norm[2];
    spar__recurrent recurrent;
    /* Cross-attention, in decoders that have an encoder: cross.kind NULL = none. */
    spar__choice cross; /* its projection */
    void *cross_self;
    spar__norm_layer cross_norm;
    double cross_scale;
    int64_t memory_context; /* most rows of the encoder */
    /* Projections of relative positions (spar__relative) that are not the layer's own. */
    spar__param *relative_query, *relative_query_bias, *relative_key, *relative_key_bias;
    double attention_scale, dropout;
    const spar__position_kind *position; /* the model's, shared by its blocks */
    const void *position_self;
} spar__block;

/* A way of wiring; `norms` is how many norms a block has. */
typedef struct spar__residual_kind {
    const char *name;
    int norms;
    bool final_norm; /* the stack ends with a norm */
    spar__tensor *(*run)(spar__pass *pass, const spar__block *block, spar__tensor *x);
    bool reversible, joined; /* two streams through the whole stack, joined in the end (reversible.c) */
    bool once; /* the streams are not swapped after the feed-forward */
} spar__residual_kind;
const spar__residual_kind *spar__residual_at(int index); /* NULL beyond the last */

spar__tensor *spar__block_norm(spar__pass *pass, const spar__norm_layer *norm, spar__tensor *x);
/* Attention with projections, cross-attention, and the feed-forward, each with dropout after it. Beside the
 * feed-forward's input h, the stream x itself enters its recurrent branch. */
spar__tensor *spar__block_attention(spar__pass *pass, const spar__block *block, spar__tensor *x);
spar__tensor *spar__block_cross(spar__pass *pass, const spar__block *block, spar__tensor *x);
/* Keys and values that cross-attention makes of the encoder's output. */
void spar__block_memory(spar__pass *pass, const spar__block *block, spar__tensor *memory,
                        spar__tensor *qkv[3]);
spar__tensor *spar__block_feedforward(spar__pass *pass, const spar__block *block, spar__tensor *h, spar__tensor *x);
bool spar__block_has_feedforward(const spar__block *block);

typedef struct spar__recurrent_options {
    int64_t layers, width;
    int activation;
} spar__recurrent_options;
extern const spar_option spar__recurrent_table[];
/* The norm stands in `out` already. */
spar_status spar__recurrent_declare(spar__builder *builder, const spar__shape *shape,
                                    const spar__recurrent_options *options, spar__recurrent *out);
int spar__recurrent_tracks(const spar__recurrent *recurrent, spar__cache_track *out);
spar__tensor *spar__recurrent_run(spar__pass *pass, const spar__recurrent *recurrent, spar__tensor *x);
int64_t spar__recurrent_read(const spar__recurrent *recurrent, const spar__shape *shape); /* weights, for one token */

/* The tracks that a block keeps in the cache: keys and values, those of cross-attention, scores of keys by
 * relative position, then its projection's, its feed-forward's and its recurrent branch's. Returns how many. */
enum { SPAR__CROSS_TRACKS = SPAR__KEY_VALUE_TRACKS };
enum { SPAR__BLOCK_TRACKS = 2 * SPAR__KEY_VALUE_TRACKS + 1 + 2 * SPAR__KIND_TRACKS + SPAR__MAX_RECURRENT };
int spar__block_tracks(const spar__block *block, spar__cache_track out[SPAR__BLOCK_TRACKS]);

/* Numbers that a block keeps in the cache by a scheme of its own, for a sequence of up to `context`. */
int64_t spar__block_state(const spar__block *block, int64_t context);

/* Runs n reversible blocks on streams that both start as x, or on the two that stand in it side by side: gives their mean [rows, d] or, `joined`, both side by
 * side [rows, 2·d]. Training keeps nothing of the blocks but discrete choices. */
spar__tensor *spar__reversible_run(spar__pass *pass, const spar__block *blocks, int64_t n, bool joined,
                                   spar__tensor *x);

/* Runs a block; with `recompute`, nothing of its inside is kept: the backward pass runs it again
 * (Chen et al. 2016, arXiv 1604.06174). */
spar__tensor *spar__block_run(spar__pass *pass, const spar__block *block, spar__tensor *x, bool recompute);

#endif
