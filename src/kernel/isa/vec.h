/* Vectors of the instruction set at hand, by GCC's vector extensions, for what loops alone do not
 * give: reductions with a fixed order and several accumulators, and loads of stored types. */
#ifndef SPAR_KERNEL_ISA_VEC_H
#define SPAR_KERNEL_ISA_VEC_H

#include "kernel/isa/half.h"

#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
#include <immintrin.h>
#elif defined SPAR_ISA_neon
#include <arm_neon.h>
#endif

#if defined SPAR_ISA_avx512
#define SPAR__LANES 16
#elif defined SPAR_ISA_avx2
#define SPAR__LANES 8
#elif defined SPAR_REAL_DOUBLE
#define SPAR__LANES 2
#else
#define SPAR__LANES 4
#endif

/* Rows of a product's tile, two vectors wide, that the registers hold beside one row of the other factor. */
#if defined SPAR_ISA_avx512
enum { VEC_ROWS = 12 };
#elif defined SPAR_ISA_avx2
enum { VEC_ROWS = 6 };
#else
enum { VEC_ROWS = 4 };
#endif

typedef real vec __attribute__((vector_size(SPAR__LANES * sizeof(real))));
typedef real vec_unaligned
    __attribute__((vector_size(SPAR__LANES * sizeof(real)), aligned(sizeof(real)), may_alias));
#ifdef SPAR_REAL_DOUBLE
typedef int64_t vec_mask __attribute__((vector_size(SPAR__LANES * sizeof(real))));
#else
typedef int32_t vec_mask __attribute__((vector_size(SPAR__LANES * sizeof(real))));
#endif
typedef double vec_double __attribute__((vector_size(SPAR__LANES * sizeof(double))));

#define SPAR__INLINE static inline __attribute__((always_inline, unused))

SPAR__INLINE vec vec_load(const real *p) {
    return *(const vec_unaligned *)p;
}
SPAR__INLINE void vec_store(real *p, vec v) {
    *(vec_unaligned *)p = v;
}
SPAR__INLINE vec vec_all(real a) {
    return a - (vec){0};
}
SPAR__INLINE vec vec_select(vec_mask mask, vec yes, vec no) {
    return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}
/* a > b ? a : b */
SPAR__INLINE vec vec_max(vec a, vec b) {
#if defined SPAR_REAL_DOUBLE
    return vec_select(a > b, a, b);
#elif defined SPAR_ISA_avx512
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined SPAR_ISA_avx2
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vec_select(a > b, a, b);
#endif
}

/* Halves are added until one number is left: the same tree for all inputs. */
SPAR__INLINE real vec_sum(vec v) {
    for (int half = SPAR__LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}
SPAR__INLINE real vec_top(vec v) {
    real top = v[0];
    for (int i = 1; i < SPAR__LANES; i++) top = v[i] > top ? v[i] : top;
    return top;
}

#if SPAR__LANES >= 8
/* Rows of 8 × 8 become columns. */
typedef real vec8 __attribute__((vector_size(8 * sizeof(real))));
typedef real vec8_unaligned __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)), may_alias));

SPAR__INLINE void vec_transpose(vec8 x[8]) {
    vec8 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            x[i + 2 * j + 1] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[i + 4] = __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++) x[i] = t[i];
}
SPAR__INLINE void transpose8(real *to, int64_t to_stride, const real *from, int64_t from_stride) {
    vec8 x[8];
    for (int i = 0; i < 8; i++) x[i] = *(const vec8_unaligned *)(from + i * from_stride);
    vec_transpose(x);
    for (int i = 0; i < 8; i++) *(vec8_unaligned *)(to + i * to_stride) = x[i];
}
#endif

/* LANES numbers of a stored type. */
SPAR__INLINE vec vec_load_bf16(const uint16_t *p) {
#ifdef SPAR_REAL_DOUBLE
    return (vec){from_bf16(p[0]), from_bf16(p[1])};
#elif defined SPAR_ISA_avx2
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)(const void *)p));
    return (vec)_mm256_slli_epi32(wide, 16);
#else
    typedef uint16_t narrow __attribute__((vector_size(SPAR__LANES * 2), aligned(2), may_alias));
    typedef uint32_t wide __attribute__((vector_size(SPAR__LANES * 4)));
    return (vec)(__builtin_convertvector(*(const narrow *)p, wide) << 16);
#endif
}

SPAR__INLINE vec vec_load_f16(const uint16_t *p) {
#if defined SPAR_ISA_avx512
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p));
#elif defined SPAR_ISA_avx2
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p));
#elif defined SPAR_ISA_neon
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vec v;
    for (int i = 0; i < SPAR__LANES; i++) v[i] = from_f16(p[i]);
    return v;
#endif
}

SPAR__INLINE vec vec_load_i8(const int8_t *p) {
#if defined SPAR_ISA_avx512
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i_u *)p)));
#elif defined SPAR_ISA_avx2
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i_u *)p)));
#else
    vec v;
    for (int i = 0; i < SPAR__LANES; i++) v[i] = p[i];
    return v;
#endif
}

#endif
