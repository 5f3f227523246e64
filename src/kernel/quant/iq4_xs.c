/* iq4_xs: 256 weights of 4 bits in 8 groups, w = d·s·level[q] (iq4.h), s from −32 to 31. A block is d
 * in binary16, 16 bits that are the high 2 of each s + 32, 4 bytes of their low 4, and 128 bytes, 16
 * for a group. */
#include "kernel/quant/iq4.h"

static const format self = {.block = 256, .bytes = 136, .group = 32};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    float d = load_half(block);
    int high = block[2] | block[3] << 8;
    for (int g = 0; g < 8; g++) {
        int low = block[4 + g / 2] >> g % 2 * 4 & 15;
        s[g] = d * (float)((low | (high >> 2 * g & 3) << 4) - 32);
        load_iq4(block + 8 + 16 * g, q + 32 * g);
    }
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    static const symmetric search = {4, -127, -32, 31, to_level};
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 136) {
        two_level found;
        symmetric_search(search, x, importance, &found);
        memset(block, 0, 8);
        store_half(block, found.d);
        for (int g = 0; g < 8; g++) {
            int s = found.s[g] + 32;
            block[2 + g / 4] |= (unsigned char)(s >> 4 << g % 4 * 2);
            block[4 + g / 2] |= (unsigned char)((s & 15) << g % 2 * 4);
            store_iq4(block + 8 + 16 * g, found.q + 32 * g);
        }
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(IQ4_XS, iq4_xs)
