/* tq1_0: 256 weights of three levels, w = d·(q − 1), five in a byte. A block is 32 bytes with 160
 * levels, 16 with 80, 4 with 16 (four in each), and d in binary16. Level k of a byte is digit k of
 * b/256 written with three digits: the product with 3^k, modulo 256, times 3, /256. */
#include "kernel/quant/ternary.h"

static const format self = {.block = 256, .bytes = 54, .group = 32, .offset = 1, .span = 8};

static const struct {
    int begin, bytes, digits;
} parts[] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
static const uint8_t powers[5] = {1, 3, 9, 27, 81};

UNPACKER void unpack(const unsigned char *block, int8_t *q, float *s, float *m) {
    (void)m;
    float d = load_half(block + 52);
    for (int g = 0; g < 8; g++) s[g] = d;
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < parts[p].digits; k++, q += parts[p].bytes)
            for (int i = 0; i < parts[p].bytes; i++) {
                uint8_t rest = (uint8_t)(block[parts[p].begin + i] * powers[k]);
                q[i] = (int8_t)(rest * 3 >> 8);
            }
}

static void quantise(void *out, const real *x, const float *importance, int64_t n) {
    (void)importance;
    for (unsigned char *block = out; n >= 256; n -= 256, x += 256, block += 54) {
        uint8_t levels[256];
        const uint8_t *q = levels;
        store_half(block + 52, ternary_levels(x, levels));
        for (int p = 0; p < 3; q += parts[p].bytes * parts[p].digits, p++)
            for (int i = 0; i < parts[p].bytes; i++) {
                int sum = 0;
                for (int k = 0; k < parts[p].digits; k++) sum += q[k * parts[p].bytes + i] * powers[4 - k];
                block[parts[p].begin + i] = (unsigned char)((sum * 256 + 242) / 243);
            }
    }
}

SPAR__QUANT_DEFINE(TQ1_0, tq1_0)
