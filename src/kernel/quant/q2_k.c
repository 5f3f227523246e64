/* q2_k: 256 weights of 2 bits in 16 groups, w = d·s·q − dmin·t. A block is 16 bytes s + 16·t, 64
 * bytes of levels, and d and dmin in binary16. Each 32 bytes hold 128 levels, two bits of a byte for
 * each 32 of them. */
#include "kernel/quant/search.h"

static const format self = {.block = 256, .bytes = 84, .group = 16, .span = 8, .has_min = true};

enum { LEVELS = 16, D = 80 };

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    float d = load_half(block + D), dmin = load_half(block + D + 2);
    for (int g = 0; g < 16; g++) {
        s[g] = d * (float)(block[g] & 15);
        m[g] = -(dmin * (float)(block[g] >> 4));
    }
    for (int half = 0; half < 2; half++)
        for (int part = 0; part < 4; part++, q += 32)
            for (int i = 0; i < 32; i++)
                q[i] = (int8_t)(block[LEVELS + 32 * half + i] >> 2 * part & 3);
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 84) {
        two_ranges found;
        range_search((ranged){2, 3, 15}, x, importance, &found);
        for (int g = 0; g < 16; g++) block[g] = (unsigned char)(found.s[g] | found.t[g] << 4);
        memset(block + LEVELS, 0, 64);
        for (int i = 0; i < 256; i++)
            block[LEVELS + i / 128 * 32 + i % 32] |= (unsigned char)(found.q[i] << i % 128 / 32 * 2);
        store_half(block + D, found.d);
        store_half(block + D + 2, found.dmin);
        if (importance) importance += 256;
    }
}

SPAR__QUANT_DEFINE(Q2_K, q2_k)
