/* The table of primitives: all arithmetic of the operations goes through it.
 *
 * Kernels are written once in kernel/isa, compiled for each instruction set, and chosen when first
 * asked for: the best that the CPU has, or what SPAR_ISA names (scalar, avx2, avx512, neon). They
 * take a caller's memory and threads: none allocates, locks or starts threads, so each is called
 * on a part of the rows by a parallel region above it. */
#ifndef SPAR_KERNEL_KERNEL_H
#define SPAR_KERNEL_KERNEL_H

#include "tensor/tensor.h"

typedef spar__real real;

typedef enum spar__activation {
    SPAR__RELU,
    SPAR__GELU,
    SPAR__GELU_TANH,
    SPAR__SILU,
    SPAR__TANH,
    SPAR__IDENTITY,
    SPAR__QUICK_GELU,
    SPAR__GELU_10,
    SPAR__RELU2,
    SPAR__RELU6,
    SPAR__LEAKY_RELU,
    SPAR__SIGMOID,
    SPAR__HARD_SWISH,
    SPAR__MISH,
    SPAR__LAPLACE,
    SPAR__N_ACTIVATIONS
} spar__activation; /* named in op/elementwise.c */

struct spar__attention_args; /* kernel/attention.h */
struct spar__tile;           /* kernel/packed.h */

/* Dense products of packed matrices: what an instruction set has for kernel/packed.c. */
typedef struct spar__packed_product {
    bool preferred; /* to those of the library */
    int rows, cols; /* of C at once; PACKED_ROWS and tiles are cut at multiples of them */
    /* A, transposed [k, m], into strips of `rows`; B [k, n], or transposed [n, k], into panels of
     * `cols`. What is missing of the last is zeros. */
    void (*pack_rows)(real *to, const real *a, int64_t lda, int64_t m, int64_t k);
    void (*pack_cols)(real *to, const real *b, int64_t ldb, bool transposed, int64_t k, int64_t n);
    void (*tile)(const struct spar__tile *tile);
} spar__packed_product;

/* Products of rows of whole numbers, a scale for each row: kernel/packed.h. NULL in doubles. */
struct spar__short_tile;
typedef struct spar__short_product {
    /* x = scale·out → scale */
    real (*shorten)(int16_t *out, const real *x, int64_t n);
    /* The same of n ≤ SPAR__SHORT_DEPTH weights in blocks; NULL for types with minima. */
    real (*shorten_row[SPAR__N_TYPES])(int16_t *out, const void *row, int64_t n);
    /* n rows of k, an even number, into panels of product.cols rows */
    void (*pack)(int16_t *to, const int16_t *rows, int64_t k, int64_t n);
    void (*tile)(const struct spar__short_tile *tile);
} spar__short_product;

struct spar_tile;            /* spar/pattern.h */
struct spar__packed_tile;    /* kernel/quant.h */

typedef struct spar__kernels {
    const char *isa;

    /* ---- vectors of n ---- */
    void (*add)(real *y, const real *x, int64_t n);                  /* y += x */
    void (*axpy)(real *y, real a, const real *x, int64_t n);         /* y += a·x */
    void (*scale)(real *y, real a, int64_t n);                       /* y *= a */
    void (*mul)(real *out, const real *a, const real *b, int64_t n); /* out = a·b */
    real (*dot)(const real *a, const real *b, int64_t n);
    double (*sum_squares)(const real *x, int64_t n);
    bool (*finite)(const real *x, int64_t n);
    void (*to_bf16)(uint16_t *y, const real *x, int64_t n); /* nearest, ties to even */
    void (*from_bf16)(real *y, const uint16_t *x, int64_t n);
    void (*to_f16)(uint16_t *y, const real *x, int64_t n);
    void (*from_f16)(real *y, const uint16_t *x, int64_t n);

    /* ---- activations: y = f(x); dx = dy·f'(x), or += when `add` ---- */
    void (*activate)(spar__activation f, real *y, const real *x, int64_t n);
    void (*activate_back)(spar__activation f, real *dx, const real *x, const real *dy, int64_t n,
                          bool add);
    /* gated: y = f(g)·u */
    void (*gate)(spar__activation f, real *y, const real *g, const real *u, int64_t n);
    void (*gate_back)(spar__activation f, real *dg, real *du, const real *g, const real *u,
                      const real *dy, int64_t n, bool add);

    /* ---- norms of one row of n: layer norm when `center`, else RMS; bias may be NULL ----
     * stats: [2] mean and 1/deviation. Backward: dx (+)=; dweight, dbias += (either may be NULL). */
    void (*norm)(real *y, real *stats, const real *x, const real *weight, const real *bias, real eps,
                 bool center, int64_t n);
    void (*norm_back)(real *dx, real *dweight, real *dbias, const real *x, const real *weight,
                      const real *stats, const real *dy, bool center, int64_t n, bool add);

    /* ---- softmax and cross entropy of one row ---- */
    void (*softmax)(real *x, int64_t n); /* in place */
    /* In place, logits → gradient of scale·(cross entropy with label smoothing + z_loss·lse²);
     * returns the unscaled cross entropy (smoothing included, z-loss not), sets *lse. With
     * scale 0 the logits may be left in any state. */
    double (*cross_entropy)(real *logits, int64_t n, int64_t target, real scale, real smoothing,
                            real z_loss, double *lse);

    /* ---- rotary, in place, one head: pairs (i, i + n/2) when `halves`, else (2i, 2i+1), over the
     * first n elements; cosine, sine [n/2]; sign −1 turns back (backward) ---- */
    void (*rotate)(real *x, const real *cosine, const real *sine, int64_t n, bool halves, int sign);

    /* ---- products with rows of stored weights: y[r] = w[r,:]·x for n_rows rows that are row_bytes
     * apart; and y += a·(one row) ---- */
    void (*rows_dot[SPAR__N_TYPES])(real *y, const void *w, size_t row_bytes, const real *x,
                                    int64_t n_rows, int64_t n);
    /* y[v·y_apart + r] = w[r,:]·x[v,:] for n_x vectors x [n_x, n], with the same bits; NULL for types in blocks */
    void (*rows_dots[SPAR__N_TYPES])(real *y, int64_t y_apart, const void *w, size_t row_bytes, const real *x,
                                     int64_t n_x, int64_t n_rows, int64_t n);
    void (*row_axpy[SPAR__N_TYPES])(real *y, real a, const void *row, int64_t n);
    /* a row to and from a stored type */
    void (*encode[SPAR__N_TYPES])(void *out, const real *x, int64_t n);
    void (*decode[SPAR__N_TYPES])(real *out, const void *in, int64_t n);
    /* Types in blocks: encode with a weight of the square error for each column [n], or NULL. */
    void (*quantise[SPAR__N_TYPES])(void *out, const real *x, const float *importance, int64_t n);

    /* ---- types in blocks, times vectors of 8 bits (kernel/quant.h): x is packed once, n is a
     * multiple of 32; then rows meet it as in rows_dot, but several times as fast. A tile of rows
     * that meets several vectors gives the same bits. NULL for other types, and in doubles. ---- */
    void (*pack)(void *packed, const real *x, int64_t n);
    void (*packed_dot[SPAR__N_TYPES])(real *y, const void *w, size_t row_bytes, const void *packed,
                                      int64_t n_rows, int64_t n);
    void (*packed_tile[SPAR__N_TYPES])(const struct spar__packed_tile *tile);

    /* c[i,j] = a[i]·b[j] for m rows of a and n of b, each of k */
    void (*row_dots)(real *c, int64_t ldc, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb,
                     int64_t n, int64_t k);
    int64_t (*largest)(const real *x, int64_t n); /* the index of the first of the largest, n > 0 */

    /* ---- rows of n picked by an index, different from each other where they are written ---- */
    void (*gather_dot)(real *out, const real *rows, int64_t stride, const int32_t *index, int64_t count,
                       const real *x, int64_t n); /* out[i] = rows[index[i]]·x */
    void (*gather_add)(real *y, const real *a, const real *rows, int64_t stride, const int32_t *index,
                       int64_t count, int64_t n); /* y += Σ a[i]·rows[index[i]] */
    void (*scatter_add)(real *rows, int64_t stride, const int32_t *index, const real *a, int64_t count,
                        const real *x, int64_t n); /* rows[index[i]] += a[i]·x */

    /* ---- AdamW over n weights: g is multiplied by grad_scale; w −= lr·(m/c1)/(√(v/c2) + eps);
     * weight decay comes before, by `scale` ---- */
    void (*adamw)(real *w, real *m, real *v, const real *g, int64_t n, real lr, real beta1, real beta2,
                  real eps, real correction1, real correction2, real grad_scale);

    spar__packed_product product;
    spar__short_product shorts;

    /* ---- attention over one tile of queries: kernel/attention.h ---- */
    void (*attend)(const struct spar__attention_args *args, const struct spar_tile *tile,
                   void *workspace);
    void (*attend_back)(const struct spar__attention_args *args, const struct spar_tile *tile,
                        void *workspace);
} spar__kernels;

/* Chooses the table. Fails (SPAR_ERR_UNSUPPORTED) when SPAR_ISA names what the CPU lacks. */
spar_status spar__kernels_choose(void);
const spar__kernels *spar__k(void); /* the chosen table; chooses the best one if nobody has */
/* Tables that can run here, the scalar one first; for tests. Returns how many. */
int spar__kernels_all(const spar__kernels *const **tables);

/* ---- Dense products (our own, oneDNN's or CBLAS's): kernel/gemm.c ----------------------------
 * C[m,n] = alpha·op(A)·op(B) + beta·C, row-major, ld = distance of rows. Splits the product over
 * threads by a partition that depends on the shape alone, each part computed by one thread: the
 * same bits at any thread count. Called outside parallel regions. */
spar_status spar__gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, real alpha,
                       const real *a, int64_t lda, const real *b, int64_t ldb, real beta, real *c,
                       int64_t ldc);
/* C[m,n] = alpha·op(A)·op(B) + bias, bias [n] added to each row; NULL = none. */
spar_status spar__gemm_bias(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, real alpha,
                            const real *a, int64_t lda, const real *b, int64_t ldb, const real *bias,
                            real *c, int64_t ldc);
bool spar__gemm_turns(void); /* a transposed A costs nothing */
/* As spar__gemm, with A and B in bf16 and C in f32. Where the CPU has no bf16 products it is still right. */
spar_status spar__gemm_bf16(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            real alpha, const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb,
                            real beta, real *c, int64_t ldc);
bool spar__gemm_bf16_fast(void);      /* bf16 products are faster than f32 ones here */
const char *spar__gemm_library(void); /* "oneDNN 2.6.3" */

#endif
