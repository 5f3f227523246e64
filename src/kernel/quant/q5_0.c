/* q5_0: 32 weights of 5 bits, w = d·(q − 16). A block is d in binary16 and the levels (five_bits.h). */
#include "kernel/quant/five_bits.h"

static const format self = {.block = 32, .bytes = 22, .group = 32, .offset = 16, .span = 4};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    *s = load_half(block);
    load_five_bits(block + 2, q);
}

/* As q4_0: the number that reaches farthest becomes 0. */
static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 22) {
        float d = farthest(x, 32) / -16, inverse = d != 0 ? 1 / d : 0;
        uint8_t q[32];
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)level((float)((double)(float)x[i] * (double)inverse + 16.5), 31);
        store_half(block, d);
        store_five_bits(block + 2, q);
    }
}

SPAR__QUANT_DEFINE(Q5_0, q5_0)
