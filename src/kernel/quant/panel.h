/* Sixteen rows of a format times many packed vectors: the rows are unpacked and interleaved, four
 * bytes of each beside one another, so that a lane of a vector belongs to a row, as the terms of
 * dot.h are added to it. */
#ifndef SPAR_KERNEL_QUANT_PANEL_H
#define SPAR_KERNEL_QUANT_PANEL_H

#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

enum {
    OUTPUTS = SPAR__PACKED_OUTPUTS,
    DEPTH = SPAR__PACKED_DEPTH,
#if defined SPAR_ISA_avx512
    VECTORS = 8, /* x, at once */
    SIGN_BIT = 0x80
#else
    VECTORS = 4,
    SIGN_BIT = 0
#endif
};

typedef int32_t ivec __attribute__((vector_size(SPAR__LANES * 4)));
typedef int8_t four_bytes[SPAR__LANES][4]; /* of each row of a strip */

/* The rows of one vector. */
typedef struct strip {
    four_bytes q[DEPTH / 4];
    float s[DEPTH / 16][SPAR__LANES], m[DEPTH / 16][SPAR__LANES];
} strip;

/* Four bytes of a row at a time to out[step][row]. AVX-512 multiplies unsigned by signed numbers, so
 * signed q are moved by 128 there, and the offset with them. */
SPAR__INLINE void interleave(const format f, const int8_t (*q)[SUPER], four_bytes *out) {
#if SPAR__LANES == 8
    (void)f;
    for (int k = 0; k < SUPER / 4; k += 8)
        transpose8((real *)(void *)out[k], 8, (const real *)(const void *)(q[0] + 4 * k), SUPER / 4);
#else
    const uint32_t flip = f.span ? 0 : SIGN_BIT * 0x01010101u;
    for (int r = 0; r < SPAR__LANES; r++)
        for (int k = 0; k < SUPER / 4; k++) {
            uint32_t word;
            memcpy(&word, q[r] + 4 * k, sizeof word);
            word ^= flip;
            memcpy(out[k][r], &word, sizeof word);
        }
#endif
}

/* Elements at … at + n − 1 of the rows from `first`; rows beyond n_out are zeros. */
SPAR__INLINE void fill_strip(const format f, unpacker unpack, const spar__packed_tile *t, int first,
                            int64_t at, int n, strip *out) {
    int8_t q[SPAR__LANES][SUPER] __attribute__((aligned(64)));
    unpacked u;
    for (int i = 0; i < n; i += SUPER) {
        int count = n - i < SUPER ? n - i : SUPER, group = i / f.group;
        for (int r = 0; r < SPAR__LANES; r++) {
            const unsigned char *row = (const unsigned char *)t->w + (size_t)(first + r) * t->row_bytes;
            memset(&u, 0, first + r < t->n_out ? 0 : sizeof u);
            if (first + r < t->n_out)
                unpack_some(f, unpack, row + (at + i) / f.block * f.bytes, count, &u);
            memcpy(q[r], u.q, (size_t)count);
            for (int g = 0; g < count / f.group; g++) {
                out->s[group + g][r] = u.s[g];
                if (f.has_min) out->m[group + g][r] = u.m[g];
            }
        }
        interleave(f, q, out->q + i / 4);
    }
}

/* sums[v] = Σ q·p over `steps` times four elements. */
#if defined SPAR_ISA_avx512

SPAR__INLINE void strip_sums(const format f, const four_bytes *q, const int8_t *const *p, int steps,
                            ivec *sums) {
    (void)f;
    for (int v = 0; v < VECTORS; v++) sums[v] = (ivec){0};
    for (int k = 0; k < steps; k++) {
        __m512i w = _mm512_loadu_si512(q[k]);
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            sums[v] = (ivec)_mm512_dpbusd_epi32((__m512i)sums[v], w, _mm512_set1_epi32(four));
        }
    }
}

#elif defined SPAR_ISA_avx2

SPAR__INLINE void strip_sums(const format f, const four_bytes *q, const int8_t *const *p, int steps,
                            ivec *sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    const int span = f.span ? (f.span < steps ? f.span : steps) : 1;
    __m256i total[VECTORS], pairs[VECTORS];
#pragma GCC unroll 8
    for (int k = 0; k < steps; k++) {
        __m256i w = _mm256_loadu_si256((const __m256i_u *)q[k]), size = _mm256_abs_epi8(w);
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            __m256i x = _mm256_set1_epi32(four);
            __m256i pair = f.span ? _mm256_maddubs_epi16(w, x)
                                  : _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
            pairs[v] = k % span ? _mm256_add_epi16(pairs[v], pair) : pair;
            if ((k + 1) % span) continue;
            __m256i sum = _mm256_madd_epi16(pairs[v], ones);
            total[v] = k + 1 == span ? sum : _mm256_add_epi32(total[v], sum);
        }
    }
    for (int v = 0; v < VECTORS; v++) sums[v] = (ivec)total[v];
}

#elif defined SPAR_ISA_neon

SPAR__INLINE void strip_sums(const format f, const four_bytes *q, const int8_t *const *p, int steps,
                            ivec *sums) {
    (void)f;
    int32x4_t total[VECTORS];
    for (int v = 0; v < VECTORS; v++) total[v] = vdupq_n_s32(0);
    for (int k = 0; k < steps; k++) {
        int8x16_t w = vld1q_s8(q[k][0]);
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            total[v] = vdotq_s32(total[v], w, vreinterpretq_s8_s32(vdupq_n_s32(four)));
        }
    }
    for (int v = 0; v < VECTORS; v++) sums[v] = (ivec)total[v];
}

#else

SPAR__INLINE void strip_sums(const format f, const four_bytes *q, const int8_t *const *p, int steps,
                            ivec *sums) {
    (void)f;
    for (int v = 0; v < VECTORS; v++)
        for (int o = 0; o < SPAR__LANES; o++) {
            int32_t sum = 0;
            for (int k = 0; k < steps; k++)
                for (int i = 0; i < 4; i++) sum += q[k][o][i] * p[v][4 * k + i];
            sums[v][o] = sum;
        }
}

#endif

/* The terms of group g of the strip, the i-th of x. */
SPAR__INLINE void group_terms(const format f, const strip *w, const spar__packed *x, int g, int64_t i,
                              vec *terms) {
    const int offset = f.span ? f.offset : SIGN_BIT;
    const int8_t *p[VECTORS];
    ivec sums[VECTORS];
    for (int v = 0; v < VECTORS; v++) p[v] = x[v].p + i * f.group;
    strip_sums(f, w->q + g * f.group / 4, p, f.group / 4, sums);
    vec s = vec_load(w->s[g]), m = vec_load(w->m[g]);
    for (int v = 0; v < VECTORS; v++) {
        int32_t p_sum = f.group == 16 ? x[v].sums16[i] : x[v].sums32[i];
        vec d = vec_all(x[v].d[f.group == 16 ? i / 2 : i]);
        ivec shift = offset * p_sum - (ivec){0}, whole = offset ? sums[v] - shift : sums[v];
        terms[v] = __builtin_convertvector(whole, vec) * (s * d);
        if (f.has_min) terms[v] += m * vec_all(f.group == 16 ? x[v].scaled16[i] : x[v].scaled32[i]);
    }
}

/* Adds the terms of 256 elements, or of the `n` that are left, to y: in a tree, whose leaves come in
 * such an order that sums of 1, 2, 4 and 8 of them wait for their like. The strip begins at `at`. */
SPAR__INLINE void strip_terms(const format f, const strip *w, const spar__packed *x, int64_t at, int from,
                             int n, float (*y)[OUTPUTS]) {
    static const uint8_t order8[] = {0, 4, 2, 6, 1, 5, 3, 7};
    static const uint8_t order16[] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    const int groups = SUPER / f.group;
    vec waiting[5][VECTORS];
    for (int i = 0; i < groups; i++) {
        int g = f.group == 16 ? order16[i] : order8[i], level = 0;
        vec sum[VECTORS];
        if (g * f.group < n)
            group_terms(f, w, x, from / f.group + g, (at + from) / f.group + g, sum);
        else
            for (int v = 0; v < VECTORS; v++) sum[v] = vec_all(0);
        for (; i >> level & 1; level++)
            for (int v = 0; v < VECTORS; v++) sum[v] += waiting[level][v];
        for (int v = 0; v < VECTORS; v++) waiting[level][v] = sum[v];
    }
    const vec *all = waiting[groups == 16 ? 4 : 3];
    for (int v = 0; v < VECTORS; v++) vec_store(y[v], vec_load(y[v]) + all[v]);
}

/* Adds the strip's products with all vectors to the columns of y from `first`. */
SPAR__INLINE void strip_rows(const format f, const strip *w, const spar__packed_tile *t, int64_t at, int n,
                            int first, float (*y)[OUTPUTS]) {
    size_t x_bytes = spar__packed_bytes(t->n);
    for (int64_t r = 0; r < t->n_rows; r += VECTORS) {
        spar__packed x[VECTORS];
        for (int v = 0; v < VECTORS; v++) {
            int64_t row = r + v < t->n_rows ? r + v : t->n_rows - 1;
            x[v] = spar__packed_at(t->x + (size_t)row * x_bytes, t->n);
        }
        for (int i = 0; i < n; i += SUPER)
            strip_terms(f, w, x, at, i, n - i < SUPER ? n - i : SUPER,
                       (float(*)[OUTPUTS])(void *)&y[r][first]);
    }
}

SPAR__INLINE void panel_tile(const format f, unpacker unpack, const spar__packed_tile *t) {
    strip w;
    float y[SPAR__PACKED_ROWS][OUTPUTS];
    memset(y, 0, (size_t)(t->n_rows + VECTORS - 1) / VECTORS * VECTORS * sizeof *y);
    for (int64_t at = 0; at < t->n; at += DEPTH) {
        int n = t->n - at < DEPTH ? (int)(t->n - at) : DEPTH;
        for (int first = 0; first < t->n_out; first += SPAR__LANES) {
            fill_strip(f, unpack, t, first, at, n, &w);
            strip_rows(f, &w, t, at, n, first, y);
        }
    }
    for (int64_t r = 0; r < t->n_rows; r++) {
        float *out = t->y + r * t->y_stride;
        if (t->beta == 0)
            for (int64_t o = 0; o < t->n_out; o++) out[o] = t->alpha * y[r][o];
        else
            for (int64_t o = 0; o < t->n_out; o++) out[o] = t->alpha * y[r][o] + t->beta * out[o];
    }
}

#endif
#endif
