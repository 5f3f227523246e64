/* One row of a format times one packed vector. */
#ifndef SPAR_KERNEL_QUANT_DOT_H
#define SPAR_KERNEL_QUANT_DOT_H

#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

/* sums[g] = Σ q·p over the 16 groups of 16 or the 8 of 32 elements; q as stored, offset included. */
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512

SPAR__INLINE __m256i products(const format f, const int8_t *q, const int8_t *p) {
    __m256i w = _mm256_load_si256((const __m256i *)q), x = _mm256_loadu_si256((const __m256i_u *)p);
    if (!f.span) {
        x = _mm256_sign_epi8(x, w);
        w = _mm256_abs_epi8(w);
    }
#if defined SPAR_ISA_avx512
    return _mm256_dpbusd_epi32(_mm256_setzero_si256(), w, x);
#else
    return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
#endif
}

/* Four vectors of eight to [a b c d] of their lower halves and of their upper ones. */
SPAR__INLINE __m256i halves(__m256i a, __m256i b, __m256i c, __m256i d) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
}

SPAR__INLINE void group_sums(const format f, const int8_t *q, const int8_t *p, int32_t *sums) {
    __m256i v[GROUPS];
    for (int g = 0; g < GROUPS; g++) v[g] = products(f, q + 32 * g, p + 32 * g);
    __m256i a = halves(v[0], v[1], v[2], v[3]), b = halves(v[4], v[5], v[6], v[7]);
    if (f.group == 32) {
        __m256i low = _mm256_permute2x128_si256(a, b, 0x20);
        __m256i high = _mm256_permute2x128_si256(a, b, 0x31);
        _mm256_store_si256((__m256i *)sums, _mm256_add_epi32(low, high));
        return;
    }
    /* a = [0 2 4 6 | 1 3 5 7] */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_store_si256((__m256i *)sums, _mm256_permutevar8x32_epi32(a, order));
    _mm256_store_si256((__m256i *)(sums + 8), _mm256_permutevar8x32_epi32(b, order));
}

#elif defined SPAR_ISA_neon

SPAR__INLINE void group_sums(const format f, const int8_t *q, const int8_t *p, int32_t *sums) {
    int32x4_t v[2 * GROUPS];
    for (int g = 0; g < 2 * GROUPS; g++)
        v[g] = vdotq_s32(vdupq_n_s32(0), vld1q_s8(q + 16 * g), vld1q_s8(p + 16 * g));
    for (int g = 0; g < 2 * GROUPS; g += 4)
        vst1q_s32(sums + g, vpaddq_s32(vpaddq_s32(v[g], v[g + 1]), vpaddq_s32(v[g + 2], v[g + 3])));
    if (f.group == 32)
        for (int g = 0; g < GROUPS; g++) sums[g] = sums[2 * g] + sums[2 * g + 1];
}

#else

SPAR__INLINE void group_sums(const format f, const int8_t *q, const int8_t *p, int32_t *sums) {
    for (int g = 0; g < SUPER / f.group; g++) {
        int32_t sum = 0;
        for (int i = g * f.group; i < (g + 1) * f.group; i++) sum += q[i] * p[i];
        sums[g] = sum;
    }
}

#endif

/* The terms of 256 elements, or of the `n` that are left, added to `y` one after the other. */
SPAR__INLINE float add_terms(const format f, const unpacked *u, const spar__packed *x, int64_t at,
                             int n, float y) {
    int32_t sums[SUPER / 16] __attribute__((aligned(64))) = {0};
    float terms[SUPER / 16];
    bool narrow = f.group == 16;
    const int32_t *p_sums = narrow ? x->sums16 + at / 16 : x->sums32 + at / 32;
    const float *scaled = narrow ? x->scaled16 + at / 16 : x->scaled32 + at / 32;
    const float *d = x->d + at / 32;
    int8_t rest[SUPER];
    const int8_t *p = x->p + at;
    if (n < SUPER) { /* not beyond the vector's end */
        memset(rest, 0, sizeof rest);
        p = memcpy(rest, p, (size_t)n);
    }
    group_sums(f, u->q, p, sums);
    int groups = n / f.group;
    for (int g = 0; g < groups; g++) {
        terms[g] = (float)(sums[g] - f.offset * p_sums[g]) * (u->s[g] * d[narrow ? g / 2 : g]);
        if (f.has_min) terms[g] += u->m[g] * scaled[g];
    }
    for (int g = 0; g < groups; g++) y += terms[g];
    return y;
}

enum { AHEAD = 2048 }; /* bytes */

SPAR__INLINE float dot_packed(const format f, unpacker unpack, const unsigned char *row,
                              const void *packed, int64_t n) {
    spar__packed x = spar__packed_at(packed, n);
    size_t step = (size_t)(SUPER / f.block * f.bytes);
    unpacked u;
    float y = 0;
    int64_t i = 0;
    for (; i + SUPER <= n; i += SUPER, row += step) {
        for (size_t b = 0; b < step; b += 64) __builtin_prefetch(row + AHEAD + b);
        unpack_some(f, unpack, row, SUPER, &u);
        y = add_terms(f, &u, &x, i, SUPER, y);
    }
    if (i < n) {
        memset(u.q, 0, sizeof u.q);
        unpack_some(f, unpack, row, (int)(n - i), &u);
        y = add_terms(f, &u, &x, i, (int)(n - i), y);
    }
    return y;
}

#endif
#endif
