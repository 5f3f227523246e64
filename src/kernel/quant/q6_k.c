/* q6_k: 256 weights of 6 bits in 16 groups, w = d·s·(q − 32). A block is the low 4 bits of all q, 64
 * to each 64 bytes' halves as `unpack` has it, the high 2 bits, 16 signed bytes s, and d in binary16. */
#include "kernel/quant/search.h"

static const format self = {.block = 256, .bytes = 210, .group = 16, .offset = 32, .span = 2};

enum { HIGH = 128, SCALES = 192, D = 208 };

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    float d = load_half(block + D);
    scale_signed(block + SCALES, d, s);
    scale_signed(block + SCALES + 8, d, s + 8);
    for (int half = 0; half < 2; half++) {
        const unsigned char *low = block + 64 * half, *high = block + HIGH + 32 * half;
        for (int i = 0; i < 32; i++) {
            q[128 * half + i] = (int8_t)((low[i] & 15) | (high[i] & 3) << 4);
            q[128 * half + 32 + i] = (int8_t)((low[32 + i] & 15) | (high[i] >> 2 & 3) << 4);
            q[128 * half + 64 + i] = (int8_t)(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
            q[128 * half + 96 + i] = (int8_t)(low[32 + i] >> 4 | high[i] >> 6 << 4);
        }
    }
}

static void store(unsigned char *block, const uint8_t *q) {
    for (int half = 0; half < 2; half++, q += 128) {
        unsigned char *low = block + 64 * half, *high = block + HIGH + 32 * half;
        for (int i = 0; i < 32; i++) {
            low[i] = (unsigned char)((q[i] & 15) | (q[64 + i] & 15) << 4);
            low[32 + i] = (unsigned char)((q[32 + i] & 15) | (q[96 + i] & 15) << 4);
            high[i] = (unsigned char)(q[i] >> 4 | q[32 + i] >> 4 << 2 | q[64 + i] >> 4 << 4 |
                                      q[96 + i] >> 4 << 6);
        }
    }
}

SPAR__INLINE v8 to_level(v8 x) { return v8_clamp(v8_round(v8_clamp(x, -40, 40)), -32, 31); }

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    static const symmetric search = {2, -32, -128, 127, to_level};
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 210) {
        two_level found;
        uint8_t q[256];
        symmetric_search(search, x, importance, &found);
        for (int i = 0; i < 256; i++) q[i] = (uint8_t)(found.q[i] + 32);
        for (int i = 0; i < 16; i++) block[SCALES + i] = (unsigned char)(int8_t)found.s[i];
        store_half(block + D, found.d);
        store(block, q);
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(Q6_K, q6_k)
