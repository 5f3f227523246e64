/* Rows of stored weights: their products with a vector, at the speed of memory, and their
 * conversion. A row is f32, f16 or bf16; those in blocks are in kernel/quant. */
#include "kernel/isa/functions.h"
#include "kernel/isa/vec.h"

enum { UNROLL = 4, FAR = 1024, TOGETHER = 3 /* vectors that meet a row at once */ };

/* `type` is constant in each use. */
SPAR__INLINE vec load(spar__type type, const char *row, int64_t i) {
    switch (type) {
    case SPAR__F16:
        return vec_load_f16((const uint16_t *)(const void *)row + i);
    case SPAR__BF16:
        return vec_load_bf16((const uint16_t *)(const void *)row + i);
    default:
        return vec_load((const real *)(const void *)row + i);
    }
}
SPAR__INLINE real load_one(spar__type type, const char *row, int64_t i) {
    switch (type) {
    case SPAR__F16:
        return from_f16(((const uint16_t *)(const void *)row)[i]);
    case SPAR__BF16:
        return from_bf16(((const uint16_t *)(const void *)row)[i]);
    default:
        return ((const real *)(const void *)row)[i];
    }
}

/* A row times `count` vectors, apart numbers apart: each sum has the same order whatever their number. `count` is
 * constant in each use. */
SPAR__INLINE void row_dots(spar__type type, int count, const char *row, const real *x, int64_t apart, int64_t n,
                           real *y, int64_t y_apart) {
    vec s[TOGETHER][UNROLL] = {{{0}}};
    int64_t i = 0;
    for (; i + UNROLL * SPAR__LANES <= n; i += UNROLL * SPAR__LANES) {
        int64_t size = type == SPAR__F32 ? (int64_t)sizeof(real) : 2;
        __builtin_prefetch(row + i * size + FAR);
        for (int j = 0; j < UNROLL; j++) {
            vec w = load(type, row, i + j * SPAR__LANES);
            for (int v = 0; v < count; v++) s[v][j] += w * vec_load(x + v * apart + i + j * SPAR__LANES);
        }
    }
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) {
        vec w = load(type, row, i);
        for (int v = 0; v < count; v++) s[v][0] += w * vec_load(x + v * apart + i);
    }
    for (int v = 0; v < count; v++) {
        real sum = vec_sum((s[v][0] + s[v][1]) + (s[v][2] + s[v][3]));
        for (int64_t k = i; k < n; k++) sum += load_one(type, row, k) * x[v * apart + k];
        y[v * y_apart] = sum;
    }
}

SPAR__INLINE real row_dot(spar__type type, const char *row, const real *x, int64_t n) {
    real y;
    row_dots(type, 1, row, x, 0, n, &y, 0);
    return y;
}

SPAR__INLINE void several(spar__type type, real *y, int64_t y_apart, const void *w, size_t row_bytes, const real *x,
                          int64_t n_x, int64_t n_rows, int64_t n) {
    for (int64_t r = 0; r < n_rows; r++) {
        const char *row = (const char *)w + (size_t)r * row_bytes;
        int64_t v = 0;
        for (; v + TOGETHER <= n_x; v += TOGETHER)
            row_dots(type, TOGETHER, row, x + v * n, n, n, y + v * y_apart + r, y_apart);
        for (; v < n_x; v++) row_dots(type, 1, row, x + v * n, n, n, y + v * y_apart + r, y_apart);
    }
}

static void rows_dots_f32(real *y, int64_t y_apart, const void *w, size_t row_bytes, const real *x, int64_t n_x,
                          int64_t n_rows, int64_t n) {
    several(SPAR__F32, y, y_apart, w, row_bytes, x, n_x, n_rows, n);
}
static void rows_dots_f16(real *y, int64_t y_apart, const void *w, size_t row_bytes, const real *x, int64_t n_x,
                          int64_t n_rows, int64_t n) {
    several(SPAR__F16, y, y_apart, w, row_bytes, x, n_x, n_rows, n);
}
static void rows_dots_bf16(real *y, int64_t y_apart, const void *w, size_t row_bytes, const real *x, int64_t n_x,
                           int64_t n_rows, int64_t n) {
    several(SPAR__BF16, y, y_apart, w, row_bytes, x, n_x, n_rows, n);
}

static void rows_dot_f32(real *y, const void *w, size_t row_bytes, const real *x, int64_t n_rows,
                         int64_t n) {
    for (int64_t r = 0; r < n_rows; r++)
        y[r] = row_dot(SPAR__F32, (const char *)w + (size_t)r * row_bytes, x, n);
}

static void rows_dot_f16(real *y, const void *w, size_t row_bytes, const real *x, int64_t n_rows,
                         int64_t n) {
    for (int64_t r = 0; r < n_rows; r++)
        y[r] = row_dot(SPAR__F16, (const char *)w + (size_t)r * row_bytes, x, n);
}

static void rows_dot_bf16(real *y, const void *w, size_t row_bytes, const real *x, int64_t n_rows,
                          int64_t n) {
    for (int64_t r = 0; r < n_rows; r++)
        y[r] = row_dot(SPAR__BF16, (const char *)w + (size_t)r * row_bytes, x, n);
}

SPAR__INLINE void axpy_row(spar__type type, real *y, real a, const char *row, int64_t n) {
    int64_t i = 0;
    for (; i + UNROLL * SPAR__LANES <= n; i += UNROLL * SPAR__LANES) {
        int64_t size = type == SPAR__F32 ? (int64_t)sizeof(real) : 2;
        __builtin_prefetch(row + i * size + FAR);
        for (int j = 0; j < UNROLL; j++) {
            real *at = y + i + j * SPAR__LANES;
            vec_store(at, vec_load(at) + vec_all(a) * load(type, row, i + j * SPAR__LANES));
        }
    }
    for (; i + SPAR__LANES <= n; i += SPAR__LANES)
        vec_store(y + i, vec_load(y + i) + vec_all(a) * load(type, row, i));
    for (; i < n; i++) y[i] += a * load_one(type, row, i);
}

static void row_axpy_f32(real *y, real a, const void *row, int64_t n) {
    axpy_row(SPAR__F32, y, a, row, n);
}
static void row_axpy_f16(real *y, real a, const void *row, int64_t n) {
    axpy_row(SPAR__F16, y, a, row, n);
}
static void row_axpy_bf16(real *y, real a, const void *row, int64_t n) {
    axpy_row(SPAR__BF16, y, a, row, n);
}
static void to_bf16_all(uint16_t *y, const real *x, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = to_bf16(x[i]);
}

static void from_bf16_all(real *y, const uint16_t *x, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = from_bf16(x[i]);
}

static void to_f16_all(uint16_t *y, const real *x, int64_t n) {
    int64_t i = 0;
#if defined SPAR_ISA_avx2 || defined SPAR_ISA_avx512
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i_u *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#elif defined SPAR_ISA_neon
    for (; i + 4 <= n; i += 4)
        vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
#endif
    for (; i < n; i++) y[i] = to_f16(x[i]);
}

static void from_f16_all(real *y, const uint16_t *x, int64_t n) {
    int64_t i = 0;
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) vec_store(y + i, vec_load_f16(x + i));
    for (; i < n; i++) y[i] = from_f16(x[i]);
}

static void encode_bf16(void *out, const real *x, int64_t n) {
    to_bf16_all(out, x, n);
}
static void decode_bf16(real *out, const void *in, int64_t n) {
    from_bf16_all(out, in, n);
}
static void encode_f16(void *out, const real *x, int64_t n) {
    to_f16_all(out, x, n);
}
static void decode_f16(real *out, const void *in, int64_t n) {
    from_f16_all(out, in, n);
}
static void encode_f32(void *out, const real *x, int64_t n) {
    memcpy(out, x, (size_t)n * sizeof *x);
}
static void decode_f32(real *out, const void *in, int64_t n) {
    memcpy(out, in, (size_t)n * sizeof *out);
}

void SPAR__FN(fill_rows)(spar__kernels *k) {
    k->to_bf16 = to_bf16_all;
    k->from_bf16 = from_bf16_all;
    k->to_f16 = to_f16_all;
    k->from_f16 = from_f16_all;
    k->rows_dot[SPAR__F32] = rows_dot_f32;
    k->rows_dot[SPAR__F16] = rows_dot_f16;
    k->rows_dot[SPAR__BF16] = rows_dot_bf16;
    k->rows_dots[SPAR__F32] = rows_dots_f32;
    k->rows_dots[SPAR__F16] = rows_dots_f16;
    k->rows_dots[SPAR__BF16] = rows_dots_bf16;
    k->row_axpy[SPAR__F32] = row_axpy_f32;
    k->row_axpy[SPAR__F16] = row_axpy_f16;
    k->row_axpy[SPAR__BF16] = row_axpy_bf16;
    k->encode[SPAR__F32] = encode_f32;
    k->decode[SPAR__F32] = decode_f32;
    k->encode[SPAR__F16] = encode_f16;
    k->decode[SPAR__F16] = decode_f16;
    k->encode[SPAR__BF16] = encode_bf16;
    k->decode[SPAR__BF16] = decode_bf16;
}
