/* Vectors of 8 bits, the second factor of products with weights in blocks: of each 32 numbers
 * d = max |x| / 127 and p = x/d, rounded. Numbers that are not finite become 0. */
#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

static void pack(void *packed, const real *x, int64_t n) {
    spar__packed out = spar__packed_at(packed, n);
    float *d = (float *)out.d, *scaled32 = (float *)out.scaled32, *scaled16 = (float *)out.scaled16;
    int32_t *sums32 = (int32_t *)out.sums32, *sums16 = (int32_t *)out.sums16;
    int8_t *p = (int8_t *)out.p;
    for (int64_t g = 0; g < n / 32; g++, x += 32, p += 32) {
        const float magic = 0x1.8p23f; /* adding it leaves the nearest whole number in the low bits */
        float top = 0;
        for (int i = 0; i < 32; i++) {
            float a = fabsf(x[i]);
            top = a > top ? a : top;
        }
        bool finite = top <= 3.4e38f;
        for (int i = 0; i < 32; i++) finite &= x[i] == x[i];
        float scale = finite && top > 0 ? top / 127 : 0, inverse = scale > 0 ? 1 / scale : 0;
        if (inverse > 3e38f) scale = inverse = 0;
        int32_t sum[2] = {0, 0};
        for (int i = 0; i < 32; i++) {
            float v = finite ? x[i] * inverse : 0;
            p[i] = (int8_t)(int32_t)(bits_of(v + magic) - bits_of(magic));
        }
        for (int i = 0; i < 16; i++) {
            sum[0] += p[i];
            sum[1] += p[16 + i];
        }
        d[g] = scale;
        sums16[2 * g] = sum[0];
        sums16[2 * g + 1] = sum[1];
        sums32[g] = sum[0] + sum[1];
        scaled16[2 * g] = scale * (float)sum[0];
        scaled16[2 * g + 1] = scale * (float)sum[1];
        scaled32[g] = scale * (float)sums32[g];
    }
}

#endif

void SPAR__FN(fill_pack)(spar__kernels *k) {
#ifndef SPAR_REAL_DOUBLE
    k->pack = pack;
#else
    (void)k;
#endif
}
