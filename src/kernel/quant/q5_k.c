/* q5_k: 256 weights of 5 bits in 8 groups, w = d·s·q − dmin·t. A block is d and dmin in binary16, s
 * and t (six_bits.h), 32 bytes whose bit g is the fifth of the levels of group g, and 128 bytes as
 * q4_k's. */
#include "kernel/quant/six_bits.h"

static const format self = {.block = 256, .bytes = 176, .group = 32, .span = 4, .has_min = true};

enum { SCALES = 4, FIFTH = 16, LEVELS = 48 };

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    load_six_bits(block + SCALES, load_half(block), load_half(block + 2), s, m);
    const unsigned char *fifth = block + FIFTH, *low = block + LEVELS;
    for (int g = 0; g < 8; g += 2, q += 64, low += 32)
        for (int i = 0; i < 32; i++) {
            q[i] = (int8_t)((low[i] & 15) | (fifth[i] >> g & 1) << 4);
            q[32 + i] = (int8_t)(low[i] >> 4 | (fifth[i] >> (g + 1) & 1) << 4);
        }
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 176) {
        two_ranges found;
        range_search((ranged){4, 31, 63}, x, importance, &found);
        store_half(block, found.d);
        store_half(block + 2, found.dmin);
        store_six_bits(block + SCALES, found.s, found.t);
        memset(block + FIFTH, 0, 32);
        for (int g = 0; g < 8; g++)
            for (int i = 0; i < 32; i++)
                block[FIFTH + i] |= (unsigned char)(found.q[32 * g + i] >> 4 << g);
        for (int g = 0; g < 4; g++)
            for (int i = 0; i < 32; i++)
                block[LEVELS + 32 * g + i] = (unsigned char)((found.q[64 * g + i] & 15) |
                                                             (found.q[64 * g + 32 + i] & 15) << 4);
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(Q5_K, q5_k)
