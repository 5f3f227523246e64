/* The sixteen levels of iq4_nl and iq4_xs: closer to one another near 0, as weights are. */
#ifndef SPAR_KERNEL_QUANT_IQ4_H
#define SPAR_KERNEL_QUANT_IQ4_H

#include "kernel/quant/search.h"

#define IQ4_LEVELS -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

/* 16 bytes: low halves are the first 16 levels, high ones the others. */
SPAR__INLINE void load_iq4(const unsigned char *at, int8_t *q) {
    const bytes16 levels = (bytes16)(signed char __attribute__((vector_size(16)))){IQ4_LEVELS};
    bytes16 both;
    memcpy(&both, at, sizeof both);
    bytes32 all = join_bytes(__builtin_shuffle(levels, both & 15), __builtin_shuffle(levels, both >> 4 & 15));
    memcpy(q, &all, sizeof all);
}

SPAR__INLINE v8 to_level(v8 x) {
    static const float levels[16] = {IQ4_LEVELS};
    v8 q = v8_all(levels[0]);
    for (int i = 1; i < 16; i++)
        q = v8_select(x > v8_all((levels[i - 1] + levels[i]) / 2), v8_all(levels[i]), q);
    return q;
}

static inline void store_iq4(unsigned char *at, const int16_t *q) {
    static const int8_t levels[16] = {IQ4_LEVELS};
    memset(at, 0, 16);
    for (int i = 0; i < 32; i++) {
        int index = 0;
        while (index < 15 && levels[index] < q[i]) index++;
        at[i % 16] |= (unsigned char)(index << i / 16 * 4);
    }
}

#endif
