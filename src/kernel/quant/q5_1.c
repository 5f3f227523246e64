/* q5_1: 32 weights of 5 bits, w = d·q + m. A block is d and m in binary16 and the levels
 * (five_bits.h). */
#include "kernel/quant/five_bits.h"

static const format self = {.block = 32, .bytes = 24, .group = 32, .span = 4, .has_min = true};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    *s = load_half(block);
    *m = load_half(block + 2);
    load_five_bits(block + 4, q);
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 24) {
        float least, d = range_of(x, 32, &least) / 31, inverse = d > 0 ? 1 / d : 0;
        uint8_t q[32];
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)level(((float)x[i] - least) * inverse + 0.5f, 31);
        store_half(block, d);
        store_half(block + 2, least);
        store_five_bits(block + 4, q);
    }
}

SPAR__QUANT_DEFINE(Q5_1, q5_1)
