/* Attention over the keys that a pattern shows: tiled online softmax (Milakov and Gimelshein 2018;
 * Dao et al. 2022, arXiv 2205.14135). Nothing of size length × length exists. */
#ifndef SPAR_KERNEL_ATTENTION_H
#define SPAR_KERNEL_ATTENTION_H

#include "kernel/kernel.h"
#include "spar/pattern.h"

/* One head of one sequence. Queries and keys are found by position: the query at position p is row
 * p − q_first of q; key j is row (ring ? j mod ring : j) of k and v. With a ring, keys below ring_low are no
 * longer in it but in the columns that are kept for good, whose rows come after the ring's. */
typedef struct spar__attention_args {
    int64_t head_dim, value_dim;
    real scale;
    const real *q;      /* rows q_stride apart */
    const void *k, *v;  /* rows k_stride, v_stride elements apart */
    spar__type kv_type; /* SPAR__F32; in caches also bf16, f16, or one in blocks, a head being whole blocks: */
    void (*decode)(real *out, const void *in, int64_t n);
    int64_t block;
    size_t block_bytes;
    int64_t q_stride, k_stride, v_stride, q_first, ring, ring_low;
    spar_key_run columns;
    /* Patterns that choose by content (attention/content.h): a tile's queries and keys are places in
     * these, where their positions stand. A query then never sees the key at its own position nor, when
     * `order_causal`, those after it. NULL: places are positions. */
    const int32_t *q_order, *k_order;
    bool order_causal;
    const int32_t *first; /* [queries] first visible key (packed documents); NULL = 0 */
    /* score += bias[clamp(i − j + bias_zero, 0, n_bias − 1)] for query i and key j; NULL = none.
     * ALiBi and relative bias are both tables of this kind. */
    const real *bias;
    int64_t bias_zero, n_bias;
    /* score += q_scores[i, r] + k_scores[j, r] with r = distance_rows[clamp(i − j + distance_zero, 0,
     * n_distances − 1)]: scores of each query and of each key for a relative position (disentangled
     * attention, He et al. 2021, arXiv 2006.03654). Rows as those of q and k; either may be NULL. */
    const real *q_scores, *k_scores;
    int64_t q_scores_stride, k_scores_stride, distance_zero, n_distances;
    const int32_t *distance_rows;
    /* Output rows; m and l are the running maximum and sum [queries] between the parts of a pattern.
     * `start`: the query's first part; `finish`: divide by l and put the logsumexp into lse
     * ([queries] or NULL). A query that sees nothing gives zeros. */
    real *out, *m, *l, *lse;
    int64_t out_stride;
    bool start, finish;
    /* Backward, every part: adds to dq, dk, dv (strides as q, k, v) and dbias (NULL = none).
     * delta [queries] = Σ dout·out. */
    const real *dout, *delta;
    real *dq, *dk, *dv, *dbias;
    real *dq_scores, *dk_scores; /* likewise; NULL = none */
} spar__attention_args;

/* Bytes of workspace that attend (or attend_back) needs for these widths. */
size_t spar__attention_workspace(int64_t head_dim, int64_t value_dim, bool backward);

#endif
