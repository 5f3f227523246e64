/* q3_k: 256 weights of 3 bits in 16 groups, w = d·s·(q − 4), s from −32 to 31. A block is 32 bytes
 * whose bit g is the third of the levels of the g-th 32, 64 bytes of their lower bits as q2_k's, 12
 * bytes of s + 32 and d in binary16. Of s + 32 the low 4 bits lie in the halves of bytes 0–7, the
 * high 2 bits in bytes 8–11. */
#include "kernel/quant/search.h"

static const format self = {.block = 256, .bytes = 110, .group = 16, .offset = 4, .span = 8};

enum { LEVELS = 32, SCALES = 96, D = 108 };

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    float d = load_half(block + D);
    for (int g = 0; g < 16; g++) {
        int low = block[SCALES + g % 8] >> g / 8 * 4 & 15, high = block[SCALES + 8 + g % 4] >> g / 4 * 2 & 3;
        s[g] = d * (float)((low | high << 4) - 32);
    }
    for (int g = 0; g < 8; g++, q += 32)
        for (int i = 0; i < 32; i++)
            q[i] = (int8_t)((block[LEVELS + g / 4 * 32 + i] >> g % 4 * 2 & 3) | (block[i] >> g & 1) << 2);
}

SPAR__INLINE v8 to_level(v8 x) { return v8_clamp(v8_round(v8_clamp(x, -6, 6)), -4, 3); }

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    static const symmetric search = {2, -4, -32, 31, to_level};
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 110) {
        two_level found;
        symmetric_search(search, x, importance, &found);
        memset(block, 0, D);
        for (int i = 0; i < 256; i++) {
            int q = found.q[i] + 4;
            block[i % 32] |= (unsigned char)(q >> 2 << i / 32);
            block[LEVELS + i / 128 * 32 + i % 32] |= (unsigned char)((q & 3) << i % 128 / 32 * 2);
        }
        for (int g = 0; g < 16; g++) {
            int s = found.s[g] + 32;
            block[SCALES + g % 8] |= (unsigned char)((s & 15) << g / 8 * 4);
            block[SCALES + 8 + g % 4] |= (unsigned char)(s >> 4 << g / 4 * 2);
        }
        store_half(block + D, found.d);
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(Q3_K, q3_k)
