/* Products of whole numbers of 12 bits (16 as they lie), exact in 32 bits: twice as fast as those of floats with AVX2
 * and as exact as a token needs whose weights are in blocks. A row has one scale for the depth of a tile:
 *     c[i,j] (+)= s[i]·t[j]·Σ_l a[i,l]·b[j,l],   row = s·a,   |a| ≤ SPAR__SHORT_TOP */
#include <math.h>

#include "kernel/isa/vec.h"
#include "kernel/packed.h"

#ifndef SPAR_REAL_DOUBLE

enum { COLS = 2 * SPAR__LANES }; /* as product.cols: pairs of numbers take the room of one float */

/* Whole numbers nearest to x·factor, ties to even; the largest |x| so far. */
#if defined SPAR_ISA_avx2
enum { AT_ONCE = 16 };
SPAR__INLINE void round_some(int16_t *out, const real *x, vec factor) {
    __m256i a = _mm256_cvtps_epi32((__m256)(vec_load(x) * factor));
    __m256i b = _mm256_cvtps_epi32((__m256)(vec_load(x + 8) * factor));
    __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    _mm256_storeu_si256((__m256i_u *)(void *)out, both);
}
#else
enum { AT_ONCE = SPAR__LANES };
typedef int16_t shorts __attribute__((vector_size(SPAR__LANES * 2)));
SPAR__INLINE void round_some(int16_t *out, const real *x, vec factor) {
    /* 1.5·2^23 added to a number leaves the nearest whole one in its low bits. */
    vec_mask whole = (vec_mask)(vec_load(x) * factor + vec_all(0x1.8p23f)) - 0x4b400000;
    shorts all = __builtin_convertvector(whole, shorts);
    memcpy(out, &all, sizeof all);
}
#endif

SPAR__INLINE vec larger(vec top, vec x) { return vec_max((vec)((vec_mask)x & 0x7fffffff), top); }

/* The largest |x|, or what is not a number if one of them is not finite. */
static real largest_of(const real *x, int64_t n) {
    vec a = {0}, b = {0}, zeros = {0};
    real rest = 0;
    int64_t i = 0;
    for (; i + 2 * SPAR__LANES <= n; i += 2 * SPAR__LANES) {
        vec u = vec_load(x + i), v = vec_load(x + i + SPAR__LANES);
        a = larger(a, u);
        b = larger(b, v);
        zeros += (u + v) * 0;
    }
    real top = vec_top(vec_max(a, b));
    for (; i < n; i++) {
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
        rest += x[i] * 0;
    }
    return top + vec_sum(zeros) + rest;
}

static real shorten(int16_t *out, const real *x, int64_t n) {
    real top = largest_of(x, n), inverse = SPAR__SHORT_TOP / top;
    if (!(top > 1e-30f && top < 1e30f)) { /* zeros, or what products cannot be made of */
        memset(out, 0, (size_t)n * sizeof *out);
        return top <= 1 ? 0 : (real)NAN;
    }
    vec factor = vec_all(inverse);
    int64_t i = 0;
    for (; i + AT_ONCE <= n; i += AT_ONCE) round_some(out + i, x + i, factor);
    for (; i < n; i++) out[i] = (int16_t)lrintf(x[i] * inverse);
    return top / SPAR__SHORT_TOP;
}

/* Pairs of columns of b, k apart and k even, side by side: [k/2, COLS, 2] for each COLS rows. */
static void pack(int16_t *to, const int16_t *b, int64_t k, int64_t n) {
    for (int64_t j = 0; j < n; j += COLS, b += COLS * k) {
        int64_t width = n - j < COLS ? n - j : COLS, l = 0;
#if SPAR__LANES >= 8
        for (; width == COLS && l + 16 <= k; l += 16)
            for (int i = 0; i < COLS; i += 8)
                transpose8((real *)(void *)(to + l * COLS + 2 * i), COLS, (const real *)(const void *)(b + i * k + l), k / 2);
#endif
        for (; l < k; l += 2)
            for (int64_t i = 0; i < COLS; i++) {
                if (i < width) memcpy(to + l * COLS + 2 * i, b + i * k + l, 2 * sizeof *to);
                else memset(to + l * COLS + 2 * i, 0, 2 * sizeof *to);
            }
        to += COLS * k;
    }
}

typedef struct sums {
    vec_mask v[VEC_ROWS][2];
} sums;

/* s + the sums of pairs of x·b. */
SPAR__INLINE vec_mask add_pairs(vec_mask s, int32_t pair, vec_mask b) {
#if defined SPAR_ISA_avx512
    return (vec_mask)_mm512_dpwssd_epi32((__m512i)s, _mm512_set1_epi32(pair), (__m512i)b);
#elif defined SPAR_ISA_avx2
    return s + (vec_mask)_mm256_madd_epi16(_mm256_set1_epi32(pair), (__m256i)b);
#else
    typedef uint32_t bits __attribute__((vector_size(sizeof(vec_mask))));
    vec_mask low = (vec_mask)((bits)b << 16) >> 16, high = b >> 16;
    return s + (int16_t)pair * low + (pair >> 16) * high;
#endif
}

SPAR__INLINE int32_t pair_at(const int16_t *a) {
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return pair;
}

SPAR__INLINE vec_mask load_pairs(const int16_t *b) {
    vec_mask v;
    memcpy(&v, b, sizeof v);
    return v;
}

SPAR__INLINE void multiply(sums *s, const int16_t *const a[VEC_ROWS], const int16_t *b, int64_t k) {
#pragma GCC unroll 16
    for (int i = 0; i < VEC_ROWS; i++) s->v[i][0] = s->v[i][1] = (vec_mask){0};
#pragma GCC unroll 1 /* all registers are taken: more would be spilled */
    for (int64_t l = 0; l < k; l += 2, b += 2 * COLS) {
        vec_mask b0 = load_pairs(b), b1 = load_pairs(b + COLS);
        for (int i = 0; i < VEC_ROWS; i++) {
            int32_t pair = pair_at(a[i] + l);
            s->v[i][0] = add_pairs(s->v[i][0], pair, b0);
            s->v[i][1] = add_pairs(s->v[i][1], pair, b1);
        }
    }
}

SPAR__INLINE void store(const spar__short_tile *t, const sums *s, int64_t i, int64_t j) {
    for (int64_t r = 0; r < VEC_ROWS && i + r < t->m; r++)
        for (int h = 0; h < 2; h++) {
            int64_t at = j + h * SPAR__LANES;
            real *c = t->c + (i + r) * t->ldc + at;
            vec sum = __builtin_convertvector(s->v[r][h], vec) * vec_all(t->a_scale[i + r]);
            if (at + SPAR__LANES <= t->n) {
                sum *= vec_load(t->b_scale + at);
                vec_store(c, t->add ? sum + vec_load(c) : sum);
            } else {
                for (int64_t q = 0; at + q < t->n; q++) c[q] = sum[q] * t->b_scale[at + q] + (t->add ? c[q] : 0);
            }
        }
}

static void tile(const spar__short_tile *t) {
    for (int64_t j = 0; j < t->n; j += COLS)
        for (int64_t i = 0; i < t->m; i += VEC_ROWS) {
            const int16_t *rows[VEC_ROWS];
            for (int r = 0; r < VEC_ROWS; r++) rows[r] = t->a + (i + r < t->m ? i + r : t->m - 1) * t->k;
            sums s;
            multiply(&s, rows, t->b + j * t->k, t->k);
            store(t, &s, i, j);
        }
}

#endif

void SPAR__FN(fill_short)(spar__kernels *k) {
#ifndef SPAR_REAL_DOUBLE
    k->shorts.shorten = shorten;
    k->shorts.pack = pack;
    k->shorts.tile = tile;
#else
    (void)k;
#endif
}
