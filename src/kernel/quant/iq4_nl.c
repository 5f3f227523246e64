/* iq4_nl: 32 weights of 4 bits, w = d·level[q] (iq4.h). A block is d in binary16 and 16 bytes. */
#include "kernel/quant/iq4.h"

static const format self = {.block = 32, .bytes = 18, .group = 32};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    *s = load_half(block);
    load_iq4(block + 2, q);
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    static const symmetric search = {4, -127, 0, 0, to_level};
    for (unsigned char *block = out; n >= 32; n -= 32, x += 32, block += 18) {
        super b;
        int16_t q[32];
        load_super(x, importance, 32, &b);
        float d = half_of(symmetric_scale(search, b.x, b.w));
        for (int i = 0; i < 4; i++) {
            v8 levels = to_level(b.x[i] * v8_all(d != 0 ? 1 / d : 0));
            for (int j = 0; j < 8; j++) q[8 * i + j] = (int16_t)levels[j];
        }
        store_half(block, d);
        store_iq4(block + 2, q);
        if (importance) importance += 32;
    }
}

SPAR__QUANT_DEFINE(IQ4_NL, iq4_nl)
