/* q4_0: 32 weights of 4 bits, w = d·(q − 8). A block is d in binary16 and 16 bytes: the low halves
 * are the first 16 weights, the high ones the others. */
#include "kernel/quant/search.h"

static const format self = {.block = 32, .bytes = 18, .group = 32, .offset = 8, .span = 8, .nibbles = 2};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    *s = load_half(block);
    load_halves(block + 2, q);
}

/* d = that number x whose |x| is the largest, / −8: it becomes 0, the end that reaches farthest. The
 * sum is rounded once, as a fused one is. */
static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 18) {
        float d = farthest(x, 32) / -8, inverse = d != 0 ? 1 / d : 0;
        uint8_t q[32];
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)level((float)((double)(float)x[i] * (double)inverse + 8.5), 15);
        store_half(block, d);
        for (int i = 0; i < 16; i++) block[2 + i] = (unsigned char)(q[i] | q[16 + i] << 4);
    }
}

SPAR__QUANT_DEFINE(Q4_0, q4_0)
