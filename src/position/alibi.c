/* ALiBi (Press et al. 2021, arXiv 2108.12409): score −= slope_h·|i − j|. With n heads and p the largest
 * power of two not above n, the first p slopes are 2^(−8i/p), i = 1…p, the others 2^(−4j/p), j = 1, 3, … */
#include <math.h>

#include "position/position.h"

typedef struct layer {
    spar__distance_bias bias;
} layer;

static double slope(int h, int n_heads) {
    int p = 1;
    while (2 * p <= n_heads) p *= 2;
    return h < p ? exp2(-8.0 * (h + 1) / p) : exp2(-4.0 * (2 * (h - p) + 1) / p);
}

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    (void)opts;
    spar__distance_bias b = {.n = 2 * s->context - 1, .zero = s->context - 1};
    b.table = spar__array((size_t)(s->n_heads * b.n), sizeof(real));
    if (!b.table) return SPAR_ERR_MEMORY;
    for (int h = 0; h < s->n_heads; h++)
        for (int64_t i = 0; i < b.n; i++)
            b.table[h * b.n + i] = (real)(-slope(h, s->n_heads) * fabs((double)(i - b.zero)));
    ((layer *)self)->bias = b;
    return SPAR_OK;
}

static void release(void *self) { spar__free(((layer *)self)->bias.table); }

static const spar__distance_bias *bias(const void *self) { return &((const layer *)self)->bias; }

const spar__position_kind spar__position_alibi = {
    {"alibi", NULL, 0}, sizeof(layer), NULL, prepare, release, NULL, NULL, bias};
