/* q4_1: 32 weights of 4 bits, w = d·q + m. A block is d and m in binary16 and 16 bytes, as q4_0's. */
#include "kernel/quant/search.h"

static const format self = {.block = 32, .bytes = 20, .group = 32, .span = 8, .nibbles = 4, .has_min = true};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    *s = load_half(block);
    *m = load_half(block + 2);
    load_halves(block + 4, q);
}

/* m is the smallest number, d a fifteenth of the range. */
static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 20) {
        float least, d = range_of(x, 32, &least) / 15, inverse = d > 0 ? 1 / d : 0;
        uint8_t q[32];
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)level(((float)x[i] - least) * inverse + 0.5f, 15);
        store_half(block, d);
        store_half(block + 2, least);
        for (int i = 0; i < 16; i++) block[4 + i] = (unsigned char)(q[i] | q[16 + i] << 4);
    }
}

SPAR__QUANT_DEFINE(Q4_1, q4_1)
