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
    PARTS = OUTPUTS / SPAR__LANES, /* vectors that hold one number of each row */
#if defined SPAR_ISA_avx512
    VECTORS = 8, /* x, at once */
    SIGN_BIT = 0x80
#else
    VECTORS = 4,
    SIGN_BIT = 0
#endif
};

typedef int32_t ivec __attribute__((vector_size(SPAR__LANES * 4)));

typedef struct panel {
    int8_t q[DEPTH / 4][OUTPUTS][4];
    float s[DEPTH / 16][OUTPUTS], m[DEPTH / 16][OUTPUTS];
} panel;

/* Elements at … at + n − 1 of the rows; rows beyond n_out are zeros. AVX-512 multiplies unsigned by
 * signed numbers, so signed q are moved by 128 there, and the offset with them. */
SPAR__INLINE void fill_panel(const format f, unpacker unpack, const spar__packed_tile *t, int64_t at,
                             int n, panel *out) {
    unpacked u;
    const uint32_t flip = f.span ? 0 : SIGN_BIT * 0x01010101u;
    for (int o = 0; o < OUTPUTS; o++) {
        const unsigned char *row = (const unsigned char *)t->w + (size_t)o * t->row_bytes;
        row += at / f.block * f.bytes;
        for (int i = 0; i < n; i += SUPER, row += SUPER / f.block * f.bytes) {
            int count = n - i < SUPER ? n - i : SUPER;
            if (o < t->n_out)
                unpack_some(f, unpack, row, count, &u);
            else if (i == 0)
                memset(&u, 0, sizeof u);
            for (int k = 0; k < count / 4; k++) {
                uint32_t word;
                memcpy(&word, u.q + 4 * k, sizeof word);
                word ^= flip;
                memcpy(out->q[i / 4 + k][o], &word, sizeof word);
            }
            for (int g = 0; g < count / f.group; g++) {
                out->s[i / f.group + g][o] = u.s[g];
                if (f.has_min) out->m[i / f.group + g][o] = u.m[g];
            }
        }
    }
}

/* sums[v][part] = Σ q·p over `steps` times four elements. */
#if defined SPAR_ISA_avx512

SPAR__INLINE void panel_sums(const format f, const int8_t (*q)[OUTPUTS][4],
                             const int8_t *const *p, int steps, ivec (*sums)[PARTS]) {
    (void)f;
    for (int v = 0; v < VECTORS; v++) sums[v][0] = (ivec){0};
    for (int k = 0; k < steps; k++) {
        __m512i w = _mm512_loadu_si512(q[k]);
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            sums[v][0] = (ivec)_mm512_dpbusd_epi32((__m512i)sums[v][0], w, _mm512_set1_epi32(four));
        }
    }
}

#elif defined SPAR_ISA_avx2

SPAR__INLINE void panel_sums(const format f, const int8_t (*q)[OUTPUTS][4],
                             const int8_t *const *p, int steps, ivec (*sums)[PARTS]) {
    const __m256i ones = _mm256_set1_epi16(1);
    int span = f.span ? (f.span < steps ? f.span : steps) : 1;
    __m256i total[VECTORS][PARTS] = {{{0}}}, pairs[VECTORS][PARTS] = {{{0}}};
    for (int k = 0; k < steps; k++) {
        __m256i w[PARTS], size[PARTS];
        for (int j = 0; j < PARTS; j++) {
            w[j] = _mm256_loadu_si256((const __m256i_u *)q[k][j * SPAR__LANES]);
            if (!f.span) size[j] = _mm256_abs_epi8(w[j]);
        }
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            __m256i x = _mm256_set1_epi32(four);
            for (int j = 0; j < PARTS; j++) {
                __m256i pair = f.span ? _mm256_maddubs_epi16(w[j], x)
                                      : _mm256_maddubs_epi16(size[j], _mm256_sign_epi8(x, w[j]));
                pairs[v][j] = k % span ? _mm256_add_epi16(pairs[v][j], pair) : pair;
                if ((k + 1) % span) continue;
                __m256i part = _mm256_madd_epi16(pairs[v][j], ones);
                total[v][j] = k + 1 == span ? part : _mm256_add_epi32(total[v][j], part);
            }
        }
    }
    for (int v = 0; v < VECTORS; v++)
        for (int j = 0; j < PARTS; j++) sums[v][j] = (ivec)total[v][j];
}

#elif defined SPAR_ISA_neon

SPAR__INLINE void panel_sums(const format f, const int8_t (*q)[OUTPUTS][4],
                             const int8_t *const *p, int steps, ivec (*sums)[PARTS]) {
    (void)f;
    int32x4_t total[VECTORS][PARTS];
    for (int v = 0; v < VECTORS; v++)
        for (int j = 0; j < PARTS; j++) total[v][j] = vdupq_n_s32(0);
    for (int k = 0; k < steps; k++)
        for (int v = 0; v < VECTORS; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
            for (int j = 0; j < PARTS; j++)
                total[v][j] = vdotq_s32(total[v][j], vld1q_s8(q[k][j * SPAR__LANES]), x);
        }
    for (int v = 0; v < VECTORS; v++)
        for (int j = 0; j < PARTS; j++) sums[v][j] = (ivec)total[v][j];
}

#else

SPAR__INLINE void panel_sums(const format f, const int8_t (*q)[OUTPUTS][4],
                             const int8_t *const *p, int steps, ivec (*sums)[PARTS]) {
    (void)f;
    for (int v = 0; v < VECTORS; v++)
        for (int o = 0; o < OUTPUTS; o++) {
            int32_t sum = 0;
            for (int k = 0; k < steps; k++)
                for (int i = 0; i < 4; i++) sum += q[k][o][i] * p[v][4 * k + i];
            sums[v][o / SPAR__LANES][o % SPAR__LANES] = sum;
        }
}

#endif

/* Adds the terms of elements at … at + n − 1 to y [VECTORS, OUTPUTS]. */
SPAR__INLINE void panel_terms(const format f, const panel *w, const spar__packed *x, int64_t at, int n,
                              float (*y)[OUTPUTS]) {
    vec total[VECTORS][PARTS];
    const int offset = f.span ? f.offset : SIGN_BIT;
    for (int v = 0; v < VECTORS; v++)
        for (int j = 0; j < PARTS; j++) total[v][j] = vec_load(&y[v][j * SPAR__LANES]);
    for (int g = 0; g < n / f.group; g++) {
        const int8_t *p[VECTORS];
        ivec sums[VECTORS][PARTS];
        int64_t i = at / f.group + g;
        for (int v = 0; v < VECTORS; v++) p[v] = x[v].p + at + g * f.group;
        panel_sums(f, w->q + g * f.group / 4, p, f.group / 4, sums);
        for (int v = 0; v < VECTORS; v++) {
            int32_t p_sum = f.group == 16 ? x[v].sums16[i] : x[v].sums32[i];
            vec d = vec_all(x[v].d[f.group == 16 ? i / 2 : i]);
            vec scaled = vec_all(f.group == 16 ? x[v].scaled16[i] : x[v].scaled32[i]);
            ivec shift = offset * p_sum - (ivec){0};
            for (int j = 0; j < PARTS; j++) {
                ivec whole = offset ? sums[v][j] - shift : sums[v][j];
                vec s = vec_load(&w->s[g][j * SPAR__LANES]);
                vec term = __builtin_convertvector(whole, vec) * (s * d);
                if (f.has_min) term += vec_load(&w->m[g][j * SPAR__LANES]) * scaled;
                total[v][j] += term;
            }
        }
    }
    for (int v = 0; v < VECTORS; v++)
        for (int j = 0; j < PARTS; j++) vec_store(&y[v][j * SPAR__LANES], total[v][j]);
}

SPAR__INLINE void panel_tile(const format f, unpacker unpack, const spar__packed_tile *t) {
    panel w;
    float y[SPAR__PACKED_ROWS][OUTPUTS];
    size_t x_bytes = spar__packed_bytes(t->n);
    memset(y, 0, (size_t)t->n_rows * sizeof *y);
    for (int64_t at = 0; at < t->n; at += DEPTH) {
        int n = t->n - at < DEPTH ? (int)(t->n - at) : DEPTH;
        fill_panel(f, unpack, t, at, n, &w);
        for (int64_t r = 0; r < t->n_rows; r += VECTORS) {
            spar__packed x[VECTORS];
            float some[VECTORS][OUTPUTS];
            int64_t count = t->n_rows - r < VECTORS ? t->n_rows - r : VECTORS;
            for (int v = 0; v < VECTORS; v++) {
                int64_t row = r + (v < count ? v : count - 1);
                x[v] = spar__packed_at(t->x + (size_t)row * x_bytes, t->n);
            }
            memcpy(some, y[r], (size_t)count * sizeof *y);
            for (int64_t v = count; v < VECTORS; v++) memset(some[v], 0, sizeof some[v]);
            panel_terms(f, &w, x, at, n, some);
            memcpy(y[r], some, (size_t)count * sizeof *y);
        }
    }
    for (int64_t r = 0; r < t->n_rows; r++)
        for (int64_t o = 0; o < t->n_out; o++) {
            float *out = t->y + r * t->y_stride + o;
            *out = t->alpha * y[r][o] + (t->beta != 0 ? t->beta * *out : 0);
        }
}

#endif
#endif
