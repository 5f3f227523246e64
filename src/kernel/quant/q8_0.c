/* q8_0: 32 weights of 8 bits, w = d·q. A block is d in binary16 and 32 signed bytes. */
#include "kernel/quant/quant.h"

static const format self = {.block = 32, .bytes = 34, .group = 32};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    *s = load_half(block);
    bytes32 all;
    memcpy(&all, block + 2, sizeof all);
    memcpy(q, &all, sizeof all);
}

/* d = max |x| / 127, q = round(x/d). Numbers that are not finite become 0. */
static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 34) {
        float top = 0;
        for (int i = 0; i < 32; i++) top = fabsf((float)x[i]) > top ? fabsf((float)x[i]) : top;
        float d = top / 127, inverse = d > 0 ? 1 / d : 0;
        store_half(block, d);
        for (int i = 0; i < 32; i++) {
            float q = roundf((float)x[i] * inverse);
            block[2 + i] = (unsigned char)(int8_t)(fabsf(q) <= 127 ? q : 0);
        }
    }
}

SPAR__QUANT_DEFINE(Q8_0, q8_0)
