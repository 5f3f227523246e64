/* Levels of 5 bits in 20 bytes: 32 bits that are the fifth of each, then 16 bytes as q4_0's. */
#ifndef SPAR_KERNEL_QUANT_FIVE_BITS_H
#define SPAR_KERNEL_QUANT_FIVE_BITS_H

#include "kernel/quant/search.h"

SPAR__INLINE void load_five_bits(const unsigned char *at, int8_t *q) {
    const bytes32 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                         1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t word;
    memcpy(&word, at, sizeof word);
    typedef uint32_t words8 __attribute__((vector_size(32)));
    bytes32 fifth = (bytes32)(word - (words8){0}); /* the four bytes, over and over */
    fifth = __builtin_shufflevector(fifth, fifth, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 18, 18,
                                    18, 18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19);
    bytes32 all = halves_of(at + 4) | ((bytes32)((fifth & bit) != 0) & 16);
    memcpy(q, &all, sizeof all);
}

static inline void store_five_bits(unsigned char *at, const uint8_t *q) {
    memset(at, 0, 4);
    for (int i = 0; i < 32; i++) at[i / 8] |= (unsigned char)(q[i] >> 4 << i % 8);
    for (int i = 0; i < 16; i++) at[4 + i] = (unsigned char)((q[i] & 15) | (q[16 + i] & 15) << 4);
}

#endif
