/* Sixteen rows of a format times several packed vectors: the rows are unpacked and interleaved, four
 * bytes of each beside one another, so that a lane of a vector belongs to a row, as the terms of
 * dot.h are added to it. Rows are unpacked once for all vectors; then some strips of rows meet some
 * vectors at once, so that what is read from the cache is used several times.
 *
 * With AVX2, 32 elements of a vector and of 8 rows are 8 steps: of signed q each takes psign, pmaddubs,
 * pmadd and padd, of unsigned q pmaddubs and padd, as long as 16 bits hold the sums. With some five more for the term
 * a processor of four vector units does at most 28 products per cycle of signed q, and 45 of those of 4 bits. */
#ifndef SPAR_KERNEL_QUANT_PANEL_H
#define SPAR_KERNEL_QUANT_PANEL_H

#include "kernel/quant/quant.h"

#ifndef SPAR_REAL_DOUBLE

enum {
    OUTPUTS = SPAR__PACKED_OUTPUTS,
    FEW = 16,   /* vectors */
    BLOCK = 16, /* rows that are unpacked at once: whole strips on every instruction set */
    DEPTH = SPAR__PACKED_DEPTH,
#if defined SPAR_ISA_avx512
    STRIPS = 1, /* of rows, and vectors, at once */
    VECTORS = 8,
    SIGN_BIT = 0x80
#else
    STRIPS = 2,
    VECTORS = 4,
    SIGN_BIT = 0
#endif
};

typedef int32_t ivec __attribute__((vector_size(SPAR__LANES * 4)));
typedef int8_t four_bytes[SPAR__LANES][4]; /* of each row of a strip */

/* The rows of one vector. */
typedef struct strip {
    four_bytes q[DEPTH / 4] __attribute__((aligned(64)));
    float s[DEPTH / 16][SPAR__LANES], m[DEPTH / 16][SPAR__LANES];
} strip;

/* What is unpacked of the rows of a strip before it is turned. */
typedef struct upright {
    int8_t q[SPAR__LANES][SUPER] __attribute__((aligned(64)));
    float s[SPAR__LANES][SUPER / 16], m[SPAR__LANES][SUPER / 16];
} upright;

/* Words of four bytes: `count` (a multiple of 8) of each row of the strip, from_stride apart, to out[word][row]. */
SPAR__INLINE void turn(void *out, const void *from, int from_stride, int count) {
    float *to = out;
    const float *rows = from;
#if SPAR__LANES >= 8
    for (int r = 0; r < SPAR__LANES; r += 8)
        for (int k = 0; k < count; k += 8)
            transpose8(to + k * SPAR__LANES + r, SPAR__LANES, rows + r * from_stride + k, from_stride);
#else
    for (int r = 0; r < SPAR__LANES; r++)
        for (int k = 0; k < count; k++) memcpy(to + k * SPAR__LANES + r, rows + r * from_stride + k, 4);
#endif
}

/* What is unpacked next comes from memory meanwhile, in order, some cache lines for each group of products. */
typedef struct ahead {
    const char *at, *end;
    int lines;
} ahead;

SPAR__INLINE void fetch(ahead *a) {
    for (int i = 0; i < a->lines && a->at < a->end; i++, a->at += 64) __builtin_prefetch(a->at);
}

/* 256 elements, or `count`, of the rows of a strip that are there, `apart` bytes from each other. */
SPAR__INLINE void unpack_upright(const format f, unpacker unpack, const unsigned char *row, size_t apart, int rows,
                                int count, upright *u) {
    float of_block[2]; /* of 32: strip_halves reads them */
#pragma GCC unroll 1
    for (int r = 0; r < rows; r++, row += apart)
        for (int i = 0; i < count; i += f.block)
            unpack(row + i / f.block * f.bytes, u->q[r] + i, f.block == 32 ? of_block : u->s[r] + i / f.group,
                   f.block == 32 ? of_block + 1 : u->m[r] + i / f.group);
}

/* Scales of blocks of 32 begin these. */
SPAR__INLINE void strip_halves(const unsigned char *row, size_t apart, int rows, float *out) {
#if SPAR__LANES >= 8
    if (rows == SPAR__LANES) {
        for (int r = 0; r < SPAR__LANES; r += 8)
            *(float8_unaligned *)(void *)(out + r) = load_halves_apart(row + (size_t)r * apart, apart);
        return;
    }
#endif
    for (int r = 0; r < SPAR__LANES; r++) out[r] = r < rows ? load_half(row + (size_t)r * apart) : 0;
}

/* Elements at … at + n − 1 of the rows from `first`; rows beyond n_out are zeros. AVX-512 multiplies
 * unsigned by signed numbers, so signed q are moved by 128 there, and the offset with them. */
SPAR__INLINE void fill_strip(const format f, unpacker unpack, const spar__packed_tile *t, int first,
                            int64_t at, int n, strip *out) {
    int64_t left = t->n_out - first;
    int rows = left <= 0 ? 0 : left < SPAR__LANES ? (int)left : SPAR__LANES;
    upright u;
    if (rows < SPAR__LANES) memset(&u, 0, sizeof u);
    for (int i = 0; i < n; i += SUPER) {
        int count = n - i < SUPER ? n - i : SUPER, group = i / f.group;
        size_t skip = (size_t)((at + i) / f.block * f.bytes), apart = t->row_bytes;
        const unsigned char *row = (const unsigned char *)t->w + (size_t)first * apart;
        if (count == SUPER)
            unpack_upright(f, unpack, row + skip, apart, rows, SUPER, &u);
        else
            unpack_upright(f, unpack, row + skip, apart, rows, count, &u);
        turn(out->q + i / 4, u.q, SUPER / 4, SUPER / 4);
        if (f.block == 32) {
#pragma GCC unroll 1
            for (int b = 0; b < count / 32; b++) {
                const unsigned char *block = row + skip + b * f.bytes;
                strip_halves(block, apart, rows, out->s[group + b]);
                if (f.has_min) strip_halves(block + 2, apart, rows, out->m[group + b]);
            }
        } else {
            turn(out->s + group, u.s, SUPER / 16, SUPER / f.group);
            if (f.has_min) turn(out->m + group, u.m, SUPER / 16, SUPER / f.group);
        }
        if (SIGN_BIT && !f.span)
            for (int k = 0; k < SUPER / 4; k++)
                for (int r = 0; r < SPAR__LANES; r++)
                    for (int b = 0; b < 4; b++) out->q[i / 4 + k][r][b] ^= (int8_t)SIGN_BIT;
    }
}

/* sums[v] = Σ q·p over `steps` times four elements, of each strip and vector. */
#if defined SPAR_ISA_avx512

SPAR__INLINE void strip_sums(const format f, const four_bytes *const *q, const int8_t *const *p, int vectors,
                            int steps, ivec (*sums)[VECTORS]) {
    (void)f;
    for (int v = 0; v < vectors; v++) sums[0][v] = (ivec){0};
    for (int k = 0; k < steps; k++) {
        __m512i w = _mm512_load_si512(q[0][k]);
        for (int v = 0; v < vectors; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            sums[0][v] = (ivec)_mm512_dpbusd_epi32((__m512i)sums[0][v], w, _mm512_set1_epi32(four));
        }
    }
}

#elif defined SPAR_ISA_avx2

/* A sum that stays in its register: compilers would add in trees, and store what these wait for. */
SPAR__INLINE __m256i in_order(__m256i sum) {
    __asm__("" : "+x"(sum));
    return sum;
}

SPAR__INLINE void strip_sums(const format f, const four_bytes *const *q, const int8_t *const *p, int vectors,
                            int steps, ivec (*sums)[VECTORS]) {
    const __m256i ones = _mm256_set1_epi16(1);
    const int span = f.span ? (f.span < steps ? f.span : steps) : 1;
    __m256i total[STRIPS][VECTORS], pairs[STRIPS][VECTORS];
#pragma GCC unroll 8
    for (int k = 0; k < steps; k++) {
        __m256i w[STRIPS], size[STRIPS];
        for (int s = 0; s < STRIPS; s++) {
            w[s] = _mm256_load_si256((const __m256i *)q[s][k]);
            size[s] = f.span ? w[s] : _mm256_abs_epi8(w[s]);
        }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            __m256i x = _mm256_set1_epi32(four);
#pragma GCC unroll 2
            for (int s = 0; s < STRIPS; s++) {
                __m256i pair = _mm256_maddubs_epi16(size[s], f.span ? x : _mm256_sign_epi8(x, w[s]));
                pairs[s][v] = k % span ? in_order(_mm256_add_epi16(pairs[s][v], pair)) : pair;
                if ((k + 1) % span) continue;
                __m256i sum = _mm256_madd_epi16(pairs[s][v], ones);
                total[s][v] = k + 1 == span ? sum : in_order(_mm256_add_epi32(total[s][v], sum));
            }
        }
    }
    for (int s = 0; s < STRIPS; s++)
        for (int v = 0; v < vectors; v++) sums[s][v] = (ivec)total[s][v];
}

#elif defined SPAR_ISA_neon

SPAR__INLINE void strip_sums(const format f, const four_bytes *const *q, const int8_t *const *p, int vectors,
                            int steps, ivec (*sums)[VECTORS]) {
    (void)f;
    int32x4_t total[STRIPS][VECTORS];
    for (int s = 0; s < STRIPS; s++)
        for (int v = 0; v < vectors; v++) total[s][v] = vdupq_n_s32(0);
    for (int k = 0; k < steps; k++)
        for (int v = 0; v < vectors; v++) {
            int32_t four;
            memcpy(&four, p[v] + 4 * k, sizeof four);
            int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
            for (int s = 0; s < STRIPS; s++) total[s][v] = vdotq_s32(total[s][v], vld1q_s8(q[s][k][0]), x);
        }
    for (int s = 0; s < STRIPS; s++)
        for (int v = 0; v < vectors; v++) sums[s][v] = (ivec)total[s][v];
}

#else

SPAR__INLINE void strip_sums(const format f, const four_bytes *const *q, const int8_t *const *p, int vectors,
                            int steps, ivec (*sums)[VECTORS]) {
    (void)f;
    for (int s = 0; s < STRIPS; s++)
        for (int v = 0; v < vectors; v++)
            for (int o = 0; o < SPAR__LANES; o++) {
                int32_t sum = 0;
                for (int k = 0; k < steps; k++)
                    for (int i = 0; i < 4; i++) sum += q[s][k][o][i] * p[v][4 * k + i];
                sums[s][v][o] = sum;
            }
}

#endif

/* The terms of group g of the strips, the i-th of x. */
SPAR__INLINE void group_terms(const format f, const strip *w, const spar__packed *x, int vectors, int g,
                              int64_t i, vec (*terms)[VECTORS]) {
    const int offset = f.span ? f.offset : SIGN_BIT;
    const four_bytes *q[STRIPS];
    const int8_t *p[VECTORS];
    ivec sums[STRIPS][VECTORS];
    for (int s = 0; s < STRIPS; s++) q[s] = w[s].q + g * f.group / 4;
    for (int v = 0; v < vectors; v++) p[v] = x[v].p + i * f.group;
    strip_sums(f, q, p, vectors, f.group / 4, sums);
    for (int v = 0; v < vectors; v++) {
        int32_t p_sum = f.group == 16 ? x[v].sums16[i] : x[v].sums32[i];
        vec d = vec_all(x[v].d[f.group == 16 ? i / 2 : i]);
        ivec shift = offset * (p_sum - (ivec){0});
        for (int s = 0; s < STRIPS; s++) {
            ivec whole = offset ? sums[s][v] - shift : sums[s][v];
            terms[s][v] = __builtin_convertvector(whole, vec) * (vec_load(w[s].s[g]) * d);
            if (f.has_min)
                terms[s][v] += vec_load(w[s].m[g]) * vec_all(f.group == 16 ? x[v].scaled16[i] : x[v].scaled32[i]);
        }
    }
}

/* Adds the terms of 256 elements, or of the `n` that are left, to y: in a tree, whose leaves come in
 * such an order that sums of 1, 2, 4 and 8 of them wait for their like. The strips begin at `at`. */
SPAR__INLINE void strip_terms(const format f, const strip *w, const spar__packed *x, int vectors, int64_t at,
                             int from, int n, ahead *next, float (*y)[OUTPUTS]) {
    static const uint8_t order8[] = {0, 4, 2, 6, 1, 5, 3, 7};
    static const uint8_t order16[] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    const int groups = SUPER / f.group;
    vec waiting[5][STRIPS][VECTORS];
#pragma GCC unroll 1
    for (int i = 0; i < groups; i++) {
        int g = f.group == 16 ? order16[i] : order8[i], level = 0;
        vec sum[STRIPS][VECTORS];
        fetch(next);
        if (g * f.group < n)
            group_terms(f, w, x, vectors, from / f.group + g, (at + from) / f.group + g, sum);
        else
            for (int s = 0; s < STRIPS; s++)
                for (int v = 0; v < vectors; v++) sum[s][v] = vec_all(0);
        for (; i >> level & 1; level++)
            for (int s = 0; s < STRIPS; s++)
                for (int v = 0; v < vectors; v++) sum[s][v] += waiting[level][s][v];
        for (int s = 0; s < STRIPS; s++)
            for (int v = 0; v < vectors; v++) waiting[level][s][v] = sum[s][v];
    }
    const int last = groups == 16 ? 4 : 3;
    for (int s = 0; s < STRIPS; s++)
        for (int v = 0; v < vectors; v++) {
            float *out = y[v] + s * SPAR__LANES;
            vec_store(out, vec_load(out) + waiting[last][s][v]);
        }
}

/* Adds the strips' products with vectors r … r + vectors − 1 to their rows of y. */
SPAR__INLINE void strip_rows(const format f, const strip *w, const spar__packed_tile *t, int64_t r,
                            int vectors, int64_t at, int n, ahead *next, float (*y)[OUTPUTS]) {
    size_t x_bytes = spar__packed_bytes(t->n);
    spar__packed x[VECTORS];
    for (int v = 0; v < vectors; v++) x[v] = spar__packed_at(t->x + (size_t)(r + v) * x_bytes, t->n);
    for (int i = 0; i < n; i += SUPER)
        strip_terms(f, w, x, vectors, at, i, n - i < SUPER ? n - i : SUPER, next, y + r);
}

SPAR__INLINE void all_rows(const format f, const strip *w, const spar__packed_tile *t, int64_t at, int n,
                          ahead *next, float (*y)[OUTPUTS]) {
    int64_t r = 0, rows = t->n_rows;
    for (; r + VECTORS <= rows; r += VECTORS) strip_rows(f, w, t, r, VECTORS, at, n, next, y);
    if (VECTORS > 4 && r + 4 <= rows) strip_rows(f, w, t, r, 4, at, n, next, y), r += 4;
    if (r + 2 <= rows) strip_rows(f, w, t, r, 2, at, n, next, y), r += 2;
    if (r < rows) strip_rows(f, w, t, r, 1, at, n, next, y);
}

/* The rows after the BLOCK from `first`, which meet the vectors in `depths` pieces. */
SPAR__INLINE ahead after(const format f, const spar__packed_tile *t, int64_t first, int64_t depths) {
    int64_t rows = t->n_out + t->n_next - first - BLOCK;
    rows = t->n_rows > FEW || rows < 0 ? 0 : rows < BLOCK ? rows : BLOCK;
    const char *at = (const char *)t->w + (size_t)(first + BLOCK) * t->row_bytes;
    size_t bytes = (size_t)rows * t->row_bytes;
    int64_t times = depths * (DEPTH / f.group) * ((t->n_rows + VECTORS - 1) / VECTORS);
    return (ahead){at, at + bytes, (int)(bytes / 64 / times) + 1};
}

/* Few vectors meet row after row, as they lie in memory; of many a piece stays in the cache for all rows. */
SPAR__INLINE void panel_tile(const format f, unpacker unpack, const spar__packed_tile *t) {
    strip w[BLOCK / SPAR__LANES];
    float y[SPAR__PACKED_ROWS][OUTPUTS];
    ahead next = {0};
    int64_t depths = (t->n + DEPTH - 1) / DEPTH, blocks = (t->n_out + BLOCK - 1) / BLOCK;
    memset(y, 0, (size_t)t->n_rows * sizeof *y);
    for (int64_t i = 0; i < depths * blocks; i++) {
        int64_t at = (t->n_rows > FEW ? i / blocks : i % depths) * DEPTH;
        int64_t first = (t->n_rows > FEW ? i % blocks : i / depths) * BLOCK;
        int n = t->n - at < DEPTH ? (int)(t->n - at) : DEPTH;
        if (at == 0) next = after(f, t, first, depths);
        for (int s = 0; s < BLOCK / SPAR__LANES; s++)
            fill_strip(f, unpack, t, (int)first + s * SPAR__LANES, at, n, &w[s]);
        for (int s = 0; s < BLOCK / SPAR__LANES; s += STRIPS)
            all_rows(f, w + s, t, at, n, &next, (float(*)[OUTPUTS])(void *)&y[0][first + s * SPAR__LANES]);
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
