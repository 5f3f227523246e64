/* Products with a weight matrix, whatever type it is stored in. Used by linear layers and heads. */
#ifndef SPAR_OP_PRODUCT_H
#define SPAR_OP_PRODUCT_H

#include "op/op.h"

/* With a cache, up to so many rows go through products together with the bits that each has alone. */
enum { SPAR__TOGETHER = 16, SPAR__FEW = 4 };
static inline int64_t spar__few_rows(const spar__pass *pass) {
    return pass->training ? 0 : pass->cache ? SPAR__TOGETHER : SPAR__FEW;
}

/* Forward and backward of y = x·wᵀ with w [out, in]; alpha and beta as in spar__gemm. */
/* y [x->rows, out] */
void spar__times_weight(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha, real beta, real *y);
/* dx [rows, in] (+)= alpha·dy·w and dw [out, in] += alpha·dyᵀ·x, where wanted. dy_half: dy in bf16
 * when pass->bf16, else NULL. */
void spar__times_weight_back(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha,
                             const real *dy, const uint16_t *dy_half);
/* y [m, n] (+)= a·wᵀ for few rows a [m, k], w [n, k] in any stored type (its own rows may be pieces of these). */
void spar__thin_product(spar__pass *pass, const real *a, int64_t m, const spar__tensor *w, int64_t n, int64_t k,
                        bool add, real *y);
/* db [cols] (+)= sums of the columns of dy [rows, cols]. */
void spar__add_column_sums(real *db, const real *dy, int64_t rows, int64_t cols, bool add);

#endif
