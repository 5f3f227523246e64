/* The scales of q4_k and q5_k: eight s and eight t of 6 bits in 12 bytes. The first four of each lie
 * in the low 6 bits of bytes 0–3 and 4–7; of the others the low 4 bits are in bytes 8–11, s below t,
 * and the high 2 bits are those of bytes 0–3 and 4–7. */
#ifndef SPAR_KERNEL_QUANT_SIX_BITS_H
#define SPAR_KERNEL_QUANT_SIX_BITS_H

#include "kernel/quant/search.h"

SPAR__INLINE void load_six_bits(const unsigned char *at, float d, float dmin, float *s, float *m) {
    uint32_t a, b, c;
    memcpy(&a, at, 4);
    memcpy(&b, at + 4, 4);
    memcpy(&c, at + 8, 4);
    uint32_t words[4] = {a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030), b & 0x3f3f3f3f,
                         (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)};
    scale_signed(words, d, s);
    scale_signed(words + 2, -dmin, m);
}

static inline void store_six_bits(unsigned char *at, const int *s, const int *t) {
    for (int g = 0; g < 4; g++) {
        at[g] = (unsigned char)(s[g] | s[g + 4] >> 4 << 6);
        at[4 + g] = (unsigned char)(t[g] | t[g + 4] >> 4 << 6);
        at[8 + g] = (unsigned char)((s[g + 4] & 15) | (t[g + 4] & 15) << 4);
    }
}

#endif
