/* Products with a weight matrix, whatever type it is stored in. Used by linear layers and heads. */
#ifndef SPAR_OP_PRODUCT_H
#define SPAR_OP_PRODUCT_H

#include "op/op.h"

/* With a cache, up to so many rows go through products together with the bits that each has alone. */
enum { SPAR__TOGETHER = 16, SPAR__FEW = 4 };
static inline int64_t spar__few_rows(const spar__pass *pass) {
    return pass->training ? 0 : pass->cache ? SPAR__TOGETHER : SPAR__FEW;
}

/* In sessions, beside weights in blocks, what meets weights is rounded: a row alike, alone or among any number. */
bool spar__rounds(const spar__pass *pass);

/* Forward and backward of y = x·wᵀ with w [out, in]; alpha and beta as in spar__gemm. */
/* y [x->rows, out] */
void spar__times_weight(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha, real beta, real *y);
/* dx [rows, in] (+)= alpha·dy·w and dw [out, in] += alpha·dyᵀ·x, where wanted. dy_half: dy in bf16
 * when pass->bf16, else NULL. */
void spar__times_weight_back(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha,
                             const real *dy, const uint16_t *dy_half);
/* y [groups·rows, n] (+)= A·wᵀ, w [n, segments·width] in any stored type (its own rows may be pieces of these): a
 * token's modules, or a few tokens' (op/thin.c). Each element has the same bits whatever the number of groups. */
typedef struct spar__thin {
    int64_t groups, rows, segments, width, n;
    const real *const *a;      /* [groups, segments]: where rows [rows, width] begin, lda apart */
    int64_t lda;
    const spar__tensor *scale; /* NULL; or [rows, width], and row s of a group is a∘scale[s] */
    const spar__tensor *w;
    bool add;
    real *y;
} spar__thin;
void spar__thin_product(spar__pass *pass, const spar__thin *thin);
/* db [cols] (+)= sums of the columns of dy [rows, cols]. */
void spar__add_column_sums(real *db, const real *dy, int64_t rows, int64_t cols, bool add);

#endif
