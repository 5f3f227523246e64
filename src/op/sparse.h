/* The sparse feed-forward layer: of each block of N neurons one is active for a token, chosen by a controller
 * (Jaszczur et al. 2021, arXiv 2111.12763, section 3.1). With controller logits g, m = softmax of each block:
 *
 *     c[b] = argmax_n (log m[b,n] + τ·G)      G: Gumbel noise, while training
 *     y    = Σ_b f[b]·relu(x·W1[b,c])·W2[b,c] + bias
 *
 * gated (ours; always so):  f = m[b,c]·√N, whose gradient says how good the choice was
 * otherwise (the authors'):  f = 1, or with `times_controller` m[b,c] (a constant while training). While
 *     training this branch is taken with probability quant_prob, its gradient going straight through to m
 *     (of chosen neurons above 0); else the soft one: Σ over all neurons of relu(m·(x·W1))·W2.
 *
 * Where one neuron of a block is active, only its weights are touched: tokens are grouped by (block, choice),
 * forward and backward. A neuron's column of W1 and row of W2 are one row of `w`. */
#ifndef SPAR_OP_SPARSE_H
#define SPAR_OP_SPARSE_H

#include "op/op.h"

typedef struct spar__sparse_options {
    int64_t block; /* N, at most 65536 */
    bool gated, times_controller;
    double temperature, quant_prob;
    double balance; /* weight of a balance loss of the choices (op/observe.h) */
} spar__sparse_options;

/* x [rows, d], g [rows, d_ff], w [d_ff, 2·d] in any stored type, bias [d] or NULL → [rows, d]. */
spar__tensor *spar__sparse(spar__pass *pass, spar__tensor *x, spar__tensor *g, spar__param *w,
                           spar__param *bias, const spar__sparse_options *options);

#endif
