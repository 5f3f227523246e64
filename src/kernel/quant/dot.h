/* One row of a format times one packed vector. */
#ifndef SPAR_KERNEL_QUANT_DOT_H
#define SPAR_KERNEL_QUANT_DOT_H

#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

/* The tree of sums that panel.h makes too. */
SPAR__INLINE float float8_sum(float8 x) {
    typedef float float4 __attribute__((vector_size(16)));
    float4 s = __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3);
    return s[0] + s[1];
}

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

/* Of eight vectors, the sums of each in its lane. */
SPAR__INLINE __m256i eight_sums(const __m256i v[8]) {
    __m256i a = halves(v[0], v[1], v[2], v[3]), b = halves(v[4], v[5], v[6], v[7]);
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/* Sums of four pairs of groups of 32, [a a a a b b b b] each, in order. */
SPAR__INLINE void store_pairs(__m256i v0, __m256i v1, __m256i v2, __m256i v3, int32_t *sums) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i all = halves(v0, v1, v2, v3); /* [0 2 4 6 | 1 3 5 7] */
    _mm256_store_si256((__m256i *)sums, _mm256_permutevar8x32_epi32(all, order));
}

#if defined SPAR_ISA_avx2
#define NIBBLE_SUMS

SPAR__INLINE __m256i load_two(const void *low, const void *high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)low)),
                                   _mm_loadu_si128((const __m128i_u *)high), 1);
}

/* group_sums of blocks of 32 levels of 4 bits, straight from their bytes: two blocks at a time. */
SPAR__INLINE void nibble_sums(const format f, const unsigned char *row, const int8_t *p, int32_t *sums) {
    const __m256i ones = _mm256_set1_epi16(1), low = _mm256_set1_epi8(15);
    __m256i v[GROUPS / 2];
    row += f.nibbles;
    for (int i = 0; i < GROUPS / 2; i++, row += 2 * f.bytes, p += 64) {
        __m256i both = load_two(row, row + f.bytes);
        __m256i a = _mm256_maddubs_epi16(_mm256_and_si256(both, low), load_two(p, p + 32));
        __m256i b = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(both, 4), low),
                                         load_two(p + 16, p + 48));
        v[i] = _mm256_madd_epi16(_mm256_add_epi16(a, b), ones);
    }
    store_pairs(v[0], v[1], v[2], v[3], sums);
}

/* Two groups of 32 whose pairs can be added in 16 bits. */
SPAR__INLINE __m256i two_groups(const int8_t *q, const int8_t *p) {
    __m256i a = _mm256_maddubs_epi16(_mm256_load_si256((const __m256i *)q),
                                     _mm256_loadu_si256((const __m256i_u *)p));
    __m256i b = _mm256_maddubs_epi16(_mm256_load_si256((const __m256i *)(q + 32)),
                                     _mm256_loadu_si256((const __m256i_u *)(p + 32)));
    __m256i sum = _mm256_add_epi16(_mm256_permute2x128_si256(a, b, 0x20),
                                   _mm256_permute2x128_si256(a, b, 0x31));
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}
#endif

SPAR__INLINE void group_sums(const format f, const int8_t *q, const int8_t *p, int32_t *sums) {
#if defined SPAR_ISA_avx2
    if (f.group == 32 && f.span >= 2) {
        store_pairs(two_groups(q, p), two_groups(q + 64, p + 64), two_groups(q + 128, p + 128),
                    two_groups(q + 192, p + 192), sums);
        return;
    }
#endif
    __m256i v[GROUPS];
    for (int g = 0; g < GROUPS; g++) v[g] = products(f, q + 32 * g, p + 32 * g);
    if (f.group == 32) {
        _mm256_store_si256((__m256i *)sums, eight_sums(v));
        return;
    }
    /* [0 2 4 6 | 1 3 5 7] */
    __m256i a = halves(v[0], v[1], v[2], v[3]), b = halves(v[4], v[5], v[6], v[7]);
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

/* The terms of 8 groups: sums less their offset, scaled; lane g is group g. */
SPAR__INLINE float8 terms_of(const format f, const int32_t *sums, const int32_t *p_sums, float8 s,
                             float8 m, float8 d, const float *scaled) {
    whole8 whole = *(const whole8_unaligned *)(const void *)sums;
    if (f.offset) whole -= f.offset * *(const whole8_unaligned *)(const void *)p_sums;
    float8 terms = __builtin_convertvector(whole, float8) * (s * d);
    if (f.has_min) terms += m * *(const float8_unaligned *)(const void *)scaled;
    return terms;
}

/* Scales of 8 blocks of 32 elements. */
SPAR__INLINE float8 load_halves_apart(const unsigned char *at, size_t apart) {
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    short h[8];
    for (int i = 0; i < 8; i++) memcpy(&h[i], at + (size_t)i * apart, sizeof *h);
    __m128i all = _mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]);
    return (float8)_mm256_cvtph_ps(all);
#else
    float8 out;
    for (int i = 0; i < 8; i++) out[i] = load_half(at + (size_t)i * apart);
    return out;
#endif
}

/* The sum of the terms of a row's 256 elements and x's from `at`. */
SPAR__INLINE float dot_super(const format f, unpacker unpack, const unsigned char *row,
                             const spar__packed *x, int64_t at) {
    unpacked u;
    int32_t sums[SUPER / 16] __attribute__((aligned(64)));
#ifdef NIBBLE_SUMS
    if (f.nibbles)
        nibble_sums(f, row, x->p + at, sums);
    else
#endif
    {
        unpack_some(f, unpack, row, SUPER, &u);
        group_sums(f, u.q, x->p + at, sums);
    }
    float8 d = load8(x->d + at / 32), m = {0};
    if (f.group == 16) {
        float8 m2 = {0};
        if (f.has_min) m = load8(u.m), m2 = load8(u.m + 8);
        float8 d1 = __builtin_shufflevector(d, d, 0, 0, 1, 1, 2, 2, 3, 3);
        float8 d2 = __builtin_shufflevector(d, d, 4, 4, 5, 5, 6, 6, 7, 7);
        int64_t g = at / 16;
        float8 a = terms_of(f, sums, x->sums16 + g, load8(u.s), m, d1, x->scaled16 + g);
        float8 b = terms_of(f, sums + 8, x->sums16 + g + 8, load8(u.s + 8), m2, d2, x->scaled16 + g + 8);
        return float8_sum(a + b);
    }
    int64_t g = at / 32;
    size_t apart = (size_t)f.bytes; /* of blocks of 32: they begin with s, then m */
    float8 s = f.block == 32 ? load_halves_apart(row, apart) : load8(u.s);
    if (f.has_min) m = f.block == 32 ? load_halves_apart(row + 2, apart) : load8(u.m);
    return float8_sum(terms_of(f, sums, x->sums32 + g, s, m, d, x->scaled32 + g));
}

/* The same of one block of 32: rows of that length are many, those of controllers (feedforward/sparse). */
SPAR__INLINE float dot_block(const format f, unpacker unpack, const unsigned char *row, const spar__packed *x,
                             int64_t at) {
    int8_t q[32] __attribute__((aligned(32)));
    float s, m = 0;
    unpack(row, q, &s, &m);
    int32_t whole = 0;
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    whole8 sums = (whole8)products(f, q, x->p + at);
    for (int i = 0; i < 8; i++) whole += sums[i];
#else
    for (int i = 0; i < 32; i++) whole += q[i] * x->p[at + i];
#endif
    whole -= f.offset * x->sums32[at / 32];
    float term = (float)whole * (s * x->d[at / 32]);
    if (f.has_min) term += m * x->scaled32[at / 32];
    return term;
}

#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
/* The same of eight such rows: y[r] for rows of one block, row_bytes apart. */
SPAR__INLINE void dot_eight_blocks(const format f, unpacker unpack, const unsigned char *row, size_t row_bytes,
                                   const spar__packed *x, float *y) {
    int8_t q[8][32] __attribute__((aligned(32)));
    float s[8], m[8] = {0};
    __m256i v[8];
    for (int r = 0; r < 8; r++) unpack(row + (size_t)r * row_bytes, q[r], s + r, m + r);
    for (int r = 0; r < 8; r++) v[r] = products(f, q[r], x->p);
    whole8 whole = (whole8)eight_sums(v);
    whole -= f.offset * x->sums32[0];
    float8 terms = __builtin_convertvector(whole, float8) * (load8(s) * x->d[0]);
    if (f.has_min) terms += load8(m) * x->scaled32[0];
    *(float8_unaligned *)(void *)y = 0.0f + terms; /* as a sum begins: no −0 */
}
#endif

/* The same of the n < 256 elements that are left; terms that are not there are 0. */
static float dot_rest(const format f, unpacker unpack, const unsigned char *row, const spar__packed *x,
                      int64_t at, int n) {
    unpacked u;
    int8_t p[SUPER] = {0};
    int32_t sums[SUPER / 16] __attribute__((aligned(64)));
    float8 terms[2] = {{0}};
    memset(u.q, 0, sizeof u.q);
    unpack_some(f, unpack, row, n, &u);
    memcpy(p, x->p + at, (size_t)n); /* not beyond the vector's end */
    group_sums(f, u.q, p, sums);
    for (int g = 0; g < n / f.group; g++) {
        int64_t i = at / f.group + g;
        int32_t p_sum = f.group == 16 ? x->sums16[i] : x->sums32[i], whole = sums[g] - f.offset * p_sum;
        float term = (float)whole * (u.s[g] * x->d[f.group == 16 ? i / 2 : i]);
        if (f.has_min) term += u.m[g] * (f.group == 16 ? x->scaled16[i] : x->scaled32[i]);
        terms[g / 8][g % 8] = term;
    }
    return float8_sum(f.group == 16 ? terms[0] + terms[1] : terms[0]);
}

enum { AHEAD = 2048 }; /* bytes */

SPAR__INLINE float dot_packed(const format f, unpacker unpack, const unsigned char *row,
                              const void *packed, int64_t n) {
    spar__packed x = spar__packed_at(packed, n);
    size_t step = (size_t)(SUPER / f.block * f.bytes);
    float y = 0;
    int64_t i = 0;
    for (; i + SUPER <= n; i += SUPER, row += step) {
        for (size_t b = 0; b < step; b += 64) __builtin_prefetch(row + AHEAD + b);
        y += dot_super(f, unpack, row, &x, i);
    }
    if (f.block == 32 && n - i == 32) y += dot_block(f, unpack, row, &x, i);
    else if (i < n) y += dot_rest(f, unpack, row, &x, i, (int)(n - i));
    return y;
}

SPAR__INLINE void dot_rows(const format f, unpacker unpack, const unsigned char *row, size_t row_bytes,
                           const void *packed, int64_t n_rows, int64_t n, float *y) {
    int64_t r = 0;
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    spar__packed x = spar__packed_at(packed, n);
    for (; f.block == 32 && n == 32 && r + 8 <= n_rows; r += 8)
        dot_eight_blocks(f, unpack, row + (size_t)r * row_bytes, row_bytes, &x, y + r);
#endif
    for (; r < n_rows; r++) y[r] = dot_packed(f, unpack, row + (size_t)r * row_bytes, packed, n);
}

#endif
#endif
