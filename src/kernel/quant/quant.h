/* Weights in blocks, times vectors of 8 bits.
 *
 * A format stores groups of 16 or 32 weights as w = s·(q − offset) + m with small whole q. The other
 * factor is packed once: x = d·p with whole |p| ≤ 127, d for each 32. Then
 *     y = Σ_g s_g·d_g·Σ_i (q_i − offset)·p_i + m_g·d_g·Σ_i p_i
 * The inner sums are exact; those over groups are made in a tree for each 256 elements and then one
 * after the other, in floats that are neither fused nor reordered. So a product has the same bits on
 * every instruction set, whether a row meets one vector or a tile of weights meets many.
 *
 * A file of a format says how a block is unpacked and quantised, and ends with
 * SPAR__QUANT_DEFINE, which makes the kernels of it. */
#ifndef SPAR_KERNEL_QUANT_QUANT_H
#define SPAR_KERNEL_QUANT_QUANT_H

#include <math.h>

#include "kernel/isa/vec.h"
#include "kernel/quant.h"

enum { SUPER = 256, GROUPS = SUPER / 32 }; /* what is unpacked at once */

/* Eight lanes on every instruction set: the groups of 256 elements. */
typedef float float8 __attribute__((vector_size(32)));
typedef int32_t whole8 __attribute__((vector_size(32)));
typedef float float8_unaligned __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t whole8_unaligned __attribute__((vector_size(32), aligned(4), may_alias));

typedef struct format {
    int block, bytes; /* elements and bytes of a block: 256, or 32 that begin with s and then m in binary16 */
    int group;        /* elements that share s and m: 16 or 32 */
    int offset;       /* of unsigned q; 0 when q is signed */
    int span;         /* pairs of products of unsigned q that 16 bits hold the sum of; 0: q is signed */
    int nibbles;      /* where in a block of 32 levels of 4 bits these begin, for kernels that read them there */
    bool has_min;     /* there is an m */
} format;

/* One block: q [block], s and m [block / group] (m not written unless has_min). */
typedef void (*unpacker)(const unsigned char *block, int8_t *q, float *s, float *m);

typedef struct unpacked {
    int8_t q[SUPER] __attribute__((aligned(64)));
    float s[SUPER / 16], m[SUPER / 16];
} unpacked;

/* What unpacks a block is handed on as a pointer and inlined all the same; builds with sanitizers do
 * not follow it. */
#ifdef __SANITIZE_ADDRESS__
#define UNPACKER static inline
#else
#define UNPACKER SPAR__INLINE
#endif

SPAR__INLINE float load_half(const void *at) {
    uint16_t h;
    memcpy(&h, at, sizeof h);
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    return _cvtsh_ss(h);
#else
    return (float)from_f16(h);
#endif
}
SPAR__INLINE void store_half(void *at, float x) {
    uint16_t h = to_f16((real)x);
    memcpy(at, &h, sizeof h);
}

SPAR__INLINE float8 load8(const float *p) { return *(const float8_unaligned *)(const void *)p; }

SPAR__INLINE whole8 load_bytes(const void *bytes) {
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    return (whole8)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i_u *)bytes));
#else
    whole8 w;
    for (int i = 0; i < 8; i++) w[i] = ((const int8_t *)bytes)[i];
    return w;
#endif
}

/* out[i] = d·(whole number of 8 bits). */
SPAR__INLINE void scale_signed(const void *bytes, float d, float *out) {
    *(float8_unaligned *)(void *)out = d * __builtin_convertvector(load_bytes(bytes), float8);
}

/* 32 levels are stored at once: what is read at once soon after must have been. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint8_t bytes32 __attribute__((vector_size(32)));

SPAR__INLINE bytes32 join_bytes(bytes16 low, bytes16 high) {
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                   17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}

/* 16 bytes: low halves are the first 16 levels, high ones the others. */
SPAR__INLINE bytes32 halves_of(const unsigned char *at) {
    bytes16 both;
    memcpy(&both, at, sizeof both);
    return join_bytes(both, both >> 4) & 15;
}
SPAR__INLINE void load_halves(const unsigned char *at, int8_t *q) {
    bytes32 all = halves_of(at);
    memcpy(q, &all, sizeof all);
}

/* n ≤ 256 elements, whole blocks. */
SPAR__INLINE void unpack_some(const format f, unpacker unpack, const unsigned char *row, int n,
                              unpacked *u) {
    for (int i = 0; i < n; i += f.block, row += f.bytes)
        unpack(row, u->q + i, u->s + i / f.group, u->m + i / f.group);
}

SPAR__INLINE void decode_some(const format f, unpacker unpack, real *out, const unsigned char *row, int n) {
    unpacked u;
    unpack_some(f, unpack, row, n, &u);
    for (int g = 0; g < n / f.group; g++)
#pragma GCC unroll 4
        for (int k = 0; k < f.group / 8; k++) {
            int i = g * f.group + 8 * k;
            float8 w = u.s[g] * __builtin_convertvector(load_bytes(u.q + i) - f.offset, float8);
            if (f.has_min) w += u.m[g];
#ifdef SPAR_REAL_DOUBLE
            for (int j = 0; j < 8; j++) out[i + j] = w[j];
#else
            *(float8_unaligned *)(void *)(out + i) = w;
#endif
        }
}

SPAR__INLINE void quant_decode(const format f, unpacker unpack, real *out, const void *in,
                               int64_t n) {
    const unsigned char *row = in;
    for (; n >= SUPER; n -= SUPER, out += SUPER, row += SUPER / f.block * f.bytes)
        decode_some(f, unpack, out, row, SUPER);
    if (n > 0) decode_some(f, unpack, out, row, (int)n);
}

/* y += a·row, and row·x, of numbers as they are. */
SPAR__INLINE void quant_axpy(const format f, unpacker unpack, real *y, real a, const void *in,
                             int64_t n) {
    real w[SUPER];
    for (int64_t i = 0; i < n; i += SUPER) {
        int64_t count = n - i < SUPER ? n - i : SUPER;
        quant_decode(f, unpack, w, (const unsigned char *)in + i / f.block * f.bytes, count);
        for (int64_t j = 0; j < count; j += SPAR__LANES)
            vec_store(y + i + j, vec_load(y + i + j) + vec_all(a) * vec_load(w + j));
    }
}

SPAR__INLINE real quant_dot(const format f, unpacker unpack, const void *in, const real *x,
                            int64_t n) {
    real w[SUPER];
    vec a = {0}, b = {0};
    for (int64_t i = 0; i < n; i += SUPER) {
        int64_t count = n - i < SUPER ? n - i : SUPER; /* a multiple of 32 */
        quant_decode(f, unpack, w, (const unsigned char *)in + i / f.block * f.bytes, count);
        for (int64_t j = 0; j < count; j += 2 * SPAR__LANES) {
            a += vec_load(w + j) * vec_load(x + i + j);
            b += vec_load(w + j + SPAR__LANES) * vec_load(x + i + j + SPAR__LANES);
        }
    }
    return vec_sum(a + b);
}

#include "kernel/quant/dot.h"
#include "kernel/quant/panel.h"
#include "kernel/quant/short.h"

#define SPAR__QUANT_DEFINE(NAME, name)                                                             \
    static void decode(real *out, const void *in, int64_t n) {                                     \
        quant_decode(self, unpack, out, in, n);                                                    \
    }                                                                                              \
    static void encode(void *out, const real *x, int64_t n) {                                      \
        quantise(out, x, NULL, n);                                                                 \
    }                                                                                              \
    static void axpy(real *y, real a, const void *row, int64_t n) {                                \
        quant_axpy(self, unpack, y, a, row, n);                                                    \
    }                                                                                              \
    static void rows_dot(real *y, const void *w, size_t row_bytes, const real *x, int64_t n_rows,  \
                         int64_t n) {                                                              \
        for (int64_t r = 0; r < n_rows; r++)                                                       \
            y[r] = quant_dot(self, unpack, (const char *)w + (size_t)r * row_bytes, x, n);         \
    }                                                                                              \
    SPAR__QUANT_PACKED(name)                                                                       \
    void SPAR__FN(fill_##name)(spar__kernels * k) {                                                \
        k->encode[SPAR__##NAME] = encode;                                                          \
        k->quantise[SPAR__##NAME] = quantise;                                                      \
        k->decode[SPAR__##NAME] = decode;                                                          \
        k->row_axpy[SPAR__##NAME] = axpy;                                                          \
        k->rows_dot[SPAR__##NAME] = rows_dot;                                                      \
        SPAR__QUANT_FILL(NAME)                                                                     \
    }

#ifdef SPAR_REAL_DOUBLE
#define SPAR__QUANT_PACKED(name)
#define SPAR__QUANT_FILL(NAME)
#else
#define SPAR__QUANT_PACKED(name)                                                                   \
    static void packed_dot(float *y, const void *w, size_t row_bytes, const void *x,               \
                           int64_t n_rows, int64_t n) {                                            \
        dot_rows(self, unpack, w, row_bytes, x, n_rows, n, y);                                     \
    }                                                                                              \
    static void packed_tile(const spar__packed_tile *t) {                                          \
        panel_tile(self, unpack, t);                                                               \
    }                                                                                              \
    static real shorten_row(int16_t *out, const void *row, int64_t n) {                            \
        return shorten_blocks(self, unpack, out, row, (int)n);                                     \
    }
#define SPAR__QUANT_FILL(NAME)                                                                     \
    k->packed_dot[SPAR__##NAME] = packed_dot;                                                      \
    k->packed_tile[SPAR__##NAME] = packed_tile;                                                    \
    if (!self.has_min) k->shorts.shorten_row[SPAR__##NAME] = shorten_row;
#endif

#endif
