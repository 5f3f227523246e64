/* Layers that see a row as S modules (Jaszczur et al. 2021, arXiv 2111.12763, section 3.2).
 *
 *     multiplicative   y[s·M + m] = Σ_d x[d]·D[s,d]·E[m,d] (+ bias)                   D [S, d_in], E [M, d_in]
 *     modular          y[s·O + o] = Σ_m x[s·M + m]·K[s,o,m] (+ bias)                  K [S, O, M]
 *     convolution      y[t,s,o] = bias[o] + Σ_{i,j,m} x[t−(L−1)+i, s+j−(W−1)/2, m]·K[o,i,j,m]
 *                      K [O, L, W, M]: over the last L rows of the sequence and W neighbouring modules, zeros
 *                      outside; the same weights at every module */
#ifndef SPAR_OP_MODULES_H
#define SPAR_OP_MODULES_H

#include "op/op.h"

spar__tensor *spar__multiplicative(spar__pass *pass, spar__tensor *x, spar__param *d, spar__param *e,
                                   spar__param *bias);
spar__tensor *spar__modular(spar__pass *pass, spar__tensor *x, spar__param *k, spar__param *bias);
/* With a cache and L > 1, x [rows, S·M] is stored first in `track`, where earlier rows are found; `stored`
 * says that another convolution of the same x has done so. bias [O]. Rows before a document's first are zeros. */
spar__tensor *spar__convolution(spar__pass *pass, spar__tensor *x, int64_t modules, spar__param *k,
                                spar__param *bias, int track, bool stored);
/* Pieces of `width` of a and b in turn: [rows, a's width + b's]. */
spar__tensor *spar__join(spar__pass *pass, spar__tensor *a, spar__tensor *b, int64_t width);

/* The first n columns. */
spar__tensor *spar__columns(spar__pass *pass, spar__tensor *x, int64_t n);

/* Parts of the multiplicative layer, shared with the head that is one (op/loss.c): rows (r, s) of
 * out [rows·S, d] are x[r]∘D[s]; and back. */
void spar__spread(const real *x, const real *d, int64_t rows, int64_t modules, int64_t width, real *out);
/* dx[r] += Σ_s da[r,s]∘D[s]; dd[s] += Σ_r da[r,s]∘x[r]; either may be NULL. */
void spar__spread_back(const real *x, const real *d, const real *da, int64_t rows, int64_t modules,
                       int64_t width, real *dx, real *dd);
/* The weights as numbers: in place, or decoded into the pass's memory. */
const real *spar__decoded(spar__pass *pass, const spar__param *p);

#endif
