/* One number to and from bfloat16 and IEEE binary16, by their bits: to nearest, ties to even; NaNs
 * stay NaNs and become quiet, as the instructions of x86 and Arm have it. */
#ifndef SPAR_KERNEL_ISA_HALF_H
#define SPAR_KERNEL_ISA_HALF_H

#include <string.h>

#include "kernel/isa/isa.h"

static inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint16_t to_bf16(real x) {
    uint32_t bits = bits_of((float)x), rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (uint16_t)(((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded) >> 16);
}
static inline real from_bf16(uint16_t h) {
    return of_bits((uint32_t)h << 16);
}

/* Below 2^-14 a binary16 is a multiple of 2^-24, which is the distance of floats just above 1/2:
 * adding 1/2 rounds. Above, 13 bits of the fraction go, and a carry into the exponent is right. */
static inline uint16_t to_f16(real x) {
    uint32_t bits = bits_of((float)x), a = bits & 0x7fffffff;
    uint32_t small = bits_of(of_bits(a) + 0.5f) - bits_of(0.5f);
    uint32_t normal = (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    uint32_t nan = 0x7e00 | (a >> 13 & 0x3ff);
    uint32_t h = a < 0x38800000 ? small : a < 0x47800000 ? normal : 0x7c00;
    return (uint16_t)((a > 0x7f800000 ? nan : h) | (bits >> 16 & 0x8000));
}

/* The bits of a binary16 moved to those of a float make a number that is 2^112 times too small;
 * infinities and NaNs come out as 2^16 and above, and get the exponent that they should have. */
static inline real from_f16(uint16_t h) {
    uint32_t bits = bits_of(of_bits((h & 0x7fffu) << 13) * 0x1p112f);
    uint32_t special = bits | 0x7f800000 | (bits & 0x7fffff ? 0x400000 : 0);
    return of_bits((bits >= 0x47800000 ? special : bits) | (h & 0x8000u) << 16);
}

#endif
