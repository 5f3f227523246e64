/* Rows of a format times a few packed vectors: sequences decoded together, drafts. Eight rows are unpacked once and
 * turned, 32 elements at a time, so that a lane belongs to a row, as in panel.h; with few vectors the turning counts
 * as much as the products do, so it is done in registers. The terms are added as those of dot.h are. */
#ifndef SPAR_KERNEL_QUANT_FEW_H
#define SPAR_KERNEL_QUANT_FEW_H

#include "kernel/quant/panel.h"

#if defined SPAR_ISA_avx2 && !defined SPAR_REAL_DOUBLE

enum { FEW = 16, FEW_OUTPUTS = 8 };

typedef struct few_rows {
    unpacked u[FEW_OUTPUTS];
    __m256i w[SUPER / 4], size[SUPER / 4]; /* four elements of each row; their magnitudes */
    vec s[SUPER / 16], m[SUPER / 16];
} few_rows;

/* Four bytes of each of eight rows beside one another: an 8 × 8 transposition of words. */
SPAR__INLINE void turn_words(const few_rows *t, int at, __m256i *w) {
    vec x[FEW_OUTPUTS];
    for (int o = 0; o < FEW_OUTPUTS; o++) x[o] = (vec)_mm256_load_si256((const __m256i *)(t->u[o].q + at));
    vec_transpose(x);
    for (int o = 0; o < FEW_OUTPUTS; o++) w[o] = (__m256i)x[o];
}

SPAR__INLINE void turn_scales(const few_rows *t, int groups, bool minima, vec *out) {
    for (int g = 0; g < groups; g += FEW_OUTPUTS) {
        vec x[FEW_OUTPUTS];
        for (int o = 0; o < FEW_OUTPUTS; o++) x[o] = vec_load((minima ? t->u[o].m : t->u[o].s) + g);
        vec_transpose(x);
        for (int o = 0; o < FEW_OUTPUTS; o++) out[g + o] = x[o];
    }
}

/* n elements of rows that are row_bytes apart; what lies beyond them and rows beyond n_out are zeros. */
SPAR__INLINE void fill_few(const format f, unpacker unpack, const unsigned char *row, size_t row_bytes, int64_t n_out,
                           int n, few_rows *t) {
    for (int o = 0; o < FEW_OUTPUTS; o++, row += row_bytes) {
        unpacked *u = &t->u[o];
        if (n < SUPER || o >= n_out) memset(u, 0, sizeof *u);
        if (o >= n_out) continue;
        for (int b = 0; b < n / f.block * f.bytes; b += 64) __builtin_prefetch(row + FEW_OUTPUTS * row_bytes + b);
        unpack_some(f, unpack, row, n, u);
    }
    for (int i = 0; i < n; i += 32) turn_words(t, i, t->w + i / 4);
    for (int k = 0; !f.span && k < n / 4; k++) t->size[k] = _mm256_abs_epi8(t->w[k]);
    turn_scales(t, SUPER / f.group, false, t->s);
    if (f.has_min) turn_scales(t, SUPER / f.group, true, t->m);
}

/* Σ q·p of a group for `count` vectors (constant in each use). */
SPAR__INLINE void few_sums(const format f, const __m256i *w, const __m256i *size, const int8_t *const *p, int count,
                           __m256i *sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    if (!f.span) {
        for (int v = 0; v < count; v++) sums[v] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int k = 0; k < f.group / 4; k++)
            for (int v = 0; v < count; v++) {
                int32_t four;
                memcpy(&four, p[v] + 4 * k, sizeof four);
                __m256i x = _mm256_sign_epi8(_mm256_set1_epi32(four), w[k]);
                sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(_mm256_maddubs_epi16(size[k], x), ones));
            }
        return;
    }
    const int steps = f.group / 4, span = f.span < steps ? f.span : steps;
    __m256i pairs[VECTORS];
    for (int v = 0; v < count; v++) sums[v] = pairs[v] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int k = 0; k < steps; k++)
        for (int v = 0; v < count; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            __m256i pair = _mm256_maddubs_epi16(w[k], _mm256_set1_epi32(four));
            pairs[v] = k % span ? _mm256_add_epi16(pairs[v], pair) : pair;
            if ((k + 1) % span == 0) sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(pairs[v], ones));
        }
}

/* Adds the terms of elements at … at + n − 1 to y [count]. */
SPAR__INLINE void few_terms(const format f, const few_rows *t, const spar__packed *x, int count, int64_t at, int n,
                            vec *y) {
    vec total[VECTORS];
    for (int v = 0; v < count; v++) total[v] = y[v];
    for (int g = 0; g < n / f.group; g++) {
        const int8_t *p[VECTORS];
        __m256i sums[VECTORS];
        int64_t i = at / f.group + g;
        for (int v = 0; v < count; v++) p[v] = x[v].p + at + g * f.group;
        few_sums(f, t->w + g * f.group / 4, t->size + g * f.group / 4, p, count, sums);
        for (int v = 0; v < count; v++) {
            int32_t p_sum = f.group == 16 ? x[v].sums16[i] : x[v].sums32[i];
            vec d = vec_all(x[v].d[f.group == 16 ? i / 2 : i]);
            if (f.offset) sums[v] = _mm256_sub_epi32(sums[v], _mm256_set1_epi32(f.offset * p_sum));
            vec term = (vec)_mm256_cvtepi32_ps(sums[v]) * (t->s[g] * d);
            if (f.has_min) term += t->m[g] * vec_all(f.group == 16 ? x[v].scaled16[i] : x[v].scaled32[i]);
            total[v] += term;
        }
    }
    for (int v = 0; v < count; v++) y[v] = total[v];
}

SPAR__INLINE void few_tile(const format f, unpacker unpack, const spar__packed_tile *t) {
    spar__packed x[FEW];
    few_rows rows;
    size_t x_bytes = spar__packed_bytes(t->n);
    for (int64_t r = 0; r < t->n_rows; r++) x[r] = spar__packed_at(t->x + (size_t)r * x_bytes, t->n);
    for (int64_t o = 0; o < t->n_out; o += FEW_OUTPUTS) {
        const unsigned char *at = (const unsigned char *)t->w + (size_t)o * t->row_bytes;
        int64_t n_out = t->n_out - o < FEW_OUTPUTS ? t->n_out - o : FEW_OUTPUTS;
        vec y[FEW] = {{0}};
        for (int64_t i = 0; i < t->n; i += SUPER, at += SUPER / f.block * f.bytes) {
            int n = t->n - i < SUPER ? (int)(t->n - i) : SUPER;
            int64_t r = 0;
            fill_few(f, unpack, at, t->row_bytes, n_out, n, &rows);
            for (; r + VECTORS <= t->n_rows; r += VECTORS) few_terms(f, &rows, x + r, VECTORS, i, n, y + r);
            for (; r < t->n_rows; r++) few_terms(f, &rows, x + r, 1, i, n, y + r);
        }
        for (int64_t r = 0; r < t->n_rows; r++)
            for (int64_t k = 0; k < n_out; k++) {
                float *out = t->y + r * t->y_stride + o + k;
                *out = t->alpha * y[r][k] + (t->beta != 0 ? t->beta * *out : 0);
            }
    }
}

#else

enum { FEW = 0 };
SPAR__INLINE void few_tile(const format f, unpacker unpack, const spar__packed_tile *t) {
    (void)f, (void)unpack, (void)t;
}

#endif
#endif
