/* q4_k: 256 weights of 4 bits in 8 groups, w = d·s·q − dmin·t. A block is d and dmin in binary16, s
 * and t (six_bits.h), and 128 bytes: of each 32 the low halves are one group, the high ones the next. */
#include "kernel/quant/six_bits.h"

static const format self = {.block = 256, .bytes = 144, .group = 32, .span = 8, .has_min = true};

enum { SCALES = 4, LEVELS = 16 };

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    load_six_bits(block + SCALES, load_half(block), load_half(block + 2), s, m);
    block += LEVELS;
    for (int g = 0; g < 4; g++, q += 64, block += 32)
        for (int i = 0; i < 32; i++) {
            q[i] = block[i] & 15;
            q[32 + i] = block[i] >> 4;
        }
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 144) {
        two_ranges found;
        range_search((ranged){4, 15, 63}, x, importance, &found);
        store_half(block, found.d);
        store_half(block + 2, found.dmin);
        store_six_bits(block + SCALES, found.s, found.t);
        for (int g = 0; g < 4; g++)
            for (int i = 0; i < 32; i++)
                block[LEVELS + 32 * g + i] =
                    (unsigned char)(found.q[64 * g + i] | found.q[64 * g + 32 + i] << 4);
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(Q4_K, q4_k)
