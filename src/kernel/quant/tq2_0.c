/* tq2_0: 256 weights of three levels, w = d·(q − 1), in 2 bits. A block is 64 bytes, each 32 of them
 * with 128 levels, as q2_k's, and d in binary16. */
#include "kernel/quant/ternary.h"

static const format self = {.block = 256, .bytes = 66, .group = 32, .offset = 1, .span = 8};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    float d = load_half(block + 64);
    for (int g = 0; g < 8; g++, q += 32) {
        s[g] = d;
        for (int i = 0; i < 32; i++) q[i] = (int8_t)(block[g / 4 * 32 + i] >> g % 4 * 2 & 3);
    }
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 66) {
        uint8_t q[256];
        store_half(block + 64, ternary_levels(x, q));
        memset(block, 0, 64);
        for (int i = 0; i < 256; i++)
            block[i / 128 * 32 + i % 32] |= (unsigned char)(q[i] << i % 128 / 32 * 2);
    }
}

SPAR__QUANT_DEFINE(TQ2_0, tq2_0)
