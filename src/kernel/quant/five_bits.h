/* Levels of 5 bits in 20 bytes: 32 bits that are the fifth of each, then 16 bytes as q4_0's. */
#ifndef SPAR_KERNEL_QUANT_FIVE_BITS_H
#define SPAR_KERNEL_QUANT_FIVE_BITS_H

#include "kernel/quant/search.h"

SPAR__INLINE void load_five_bits(const unsigned char *at, int8_t *q) {
    typedef uint8_t bytes16 __attribute__((vector_size(16)));
    const bytes16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    for (int half = 0; half < 2; half++) {
        const unsigned char a = at[2 * half], b = at[2 * half + 1];
        bytes16 fifth = {a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b}, low;
        memcpy(&low, at + 4, sizeof low);
        low = half ? low >> 4 : low & 15;
        low |= (bytes16)((fifth & bit) != 0) & 16;
        memcpy(q + 16 * half, &low, sizeof low);
    }
}

static inline void store_five_bits(unsigned char *at, const uint8_t *q) {
    memset(at, 0, 4);
    for (int i = 0; i < 32; i++) at[i / 8] |= (unsigned char)(q[i] >> 4 << i % 8);
    for (int i = 0; i < 16; i++) at[4 + i] = (unsigned char)((q[i] & 15) | (q[16 + i] & 15) << 4);
}

#endif
