/* Weights of a format as whole numbers of 12 bits with one scale (kernel/isa/short.c): of w = s·q, with S and Q the
 * largest |s| and |q|, these are q·(TOP/Q)·(s/S) to the nearest, by 15-bit factors, times S·Q/TOP. */
#ifndef SPAR_KERNEL_QUANT_SHORT_H
#define SPAR_KERNEL_QUANT_SHORT_H

#include <stdlib.h>

#include "kernel/packed.h"
#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

/* out = q − offset; the largest magnitude. */
SPAR__INLINE int widen(const format f, const int8_t *q, int n, int16_t *out) {
    int top = 0;
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 16) {
        __m256i v = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(q + i)));
        v = _mm256_sub_epi16(v, _mm256_set1_epi16((short)f.offset));
        _mm256_storeu_si256((__m256i_u *)(out + i), v);
        most = _mm256_max_epi16(most, _mm256_abs_epi16(v));
    }
    int16_t all[16];
    memcpy(all, &most, sizeof all);
    for (int i = 0; i < 16; i++) top = all[i] > top ? all[i] : top;
#else
    for (int i = 0; i < n; i++) {
        out[i] = (int16_t)(q[i] - f.offset);
        top = abs(out[i]) > top ? abs(out[i]) : top;
    }
#endif
    return top;
}

/* q·2^shift·factor / 2^15, to the nearest. */
SPAR__INLINE void times_factor(int16_t *q, int n, int shift, int factor) {
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    for (int i = 0; i < n; i += 16) {
        __m256i v = _mm256_slli_epi16(_mm256_loadu_si256((const __m256i_u *)(q + i)), shift);
        _mm256_storeu_si256((__m256i_u *)(q + i), _mm256_mulhrs_epi16(v, _mm256_set1_epi16((short)factor)));
    }
#else
    for (int i = 0; i < n; i++) q[i] = (int16_t)((q[i] * (1 << shift) * factor + (1 << 14)) >> 15);
#endif
}

SPAR__INLINE real shorten_blocks(const format f, unpacker unpack, int16_t *out, const void *row, int n) {
    unpacked u;
    float top = 0, rest = 0;
    unpack_some(f, unpack, row, n, &u);
    for (int g = 0; g < n / f.group; g++) {
        top = fabsf(u.s[g]) > top ? fabsf(u.s[g]) : top;
        rest += u.s[g] * 0;
    }
    int most = widen(f, u.q, n, out), shift = 0;
    if (!most || !(top > 1e-30f && top < 1e30f) || rest != 0) {
        memset(out, 0, (size_t)n * sizeof *out);
        return top < 1e30f && !(rest != 0) ? 0 : (real)NAN;
    }
    while (most << shift < SPAR__SHORT_TOP) shift++;
    float factor = (float)SPAR__SHORT_TOP / (float)(most << shift) * 32767 / top; /* at most 15 bits, with s */
    for (int g = 0; g < n / f.group; g++)
        times_factor(out + g * f.group, f.group, shift, (int)(u.s[g] * factor));
    return top * (float)most / SPAR__SHORT_TOP;
}

#endif
#endif
