/* Dense products of packed matrices (Goto and van de Geijn 2008): a tile of C = A·B whose B lies in
 * panels of COLS columns, each read from the first cache while the rows of A pass by.
 *
 * An element of C is one chain of multiply–adds over k, wherever its tile begins. */
#include "kernel/isa/vec.h"
#include "kernel/packed.h"

enum { COLS = 2 * SPAR__LANES };

/* ---- Packing ---- */

/* to[l·width + i] = from[i·ld + l] for n rows of k, zero for rows up to `width`. */
SPAR__INLINE void pack_turned(real *to, const real *from, int64_t ld, int64_t k, int64_t n, int width) {
    int64_t l = 0;
#if SPAR__LANES >= 8
    for (; n == width && width % 8 == 0 && l + 8 <= k; l += 8)
        for (int i = 0; i < width; i += 8) transpose8(to + l * width + i, width, from + i * ld + l, ld);
#endif
    for (; l < k; l++)
        for (int i = 0; i < width; i++) to[l * width + i] = i < n ? from[i * ld + l] : 0;
}

/* to[l·width + i] = from[l·ld + i]. */
SPAR__INLINE void pack_straight(real *to, const real *from, int64_t ld, int64_t k, int64_t n, int width) {
    for (int64_t l = 0; l < k; l++) {
        if (n == width)
            memcpy(to + l * width, from + l * ld, (size_t)width * sizeof *to);
        else
            for (int i = 0; i < width; i++) to[l * width + i] = i < n ? from[l * ld + i] : 0;
    }
}

static void pack_rows(real *to, const real *a, int64_t lda, int64_t m, int64_t k) {
    for (int64_t i = 0; i < m; i += VEC_ROWS)
        pack_straight(to + i * k, a + i, lda, k, m - i < VEC_ROWS ? m - i : VEC_ROWS, VEC_ROWS);
}

static void pack_cols(real *to, const real *b, int64_t ldb, bool turned, int64_t k, int64_t n) {
    for (int64_t j = 0; j < n; j += COLS) {
        int64_t width = n - j < COLS ? n - j : COLS;
        if (turned) pack_turned(to + j * k, b + j * ldb, ldb, k, width, COLS);
        else pack_straight(to + j * k, b + j, ldb, k, width, COLS);
    }
}

/* ---- VEC_ROWS × COLS numbers of C ---- */

typedef struct sums {
    vec v[VEC_ROWS][2];
} sums;

SPAR__INLINE void multiply_packed(sums *s, const real *a, const real *b, int64_t k) {
#pragma GCC unroll 1 /* all registers are taken: more would be spilled */
    for (int64_t l = 0; l < k; l++, a += VEC_ROWS, b += COLS) {
        vec b0 = vec_load(b), b1 = vec_load(b + SPAR__LANES);
        for (int i = 0; i < VEC_ROWS; i++) {
            vec x = vec_all(a[i]);
            s->v[i][0] += x * b0;
            s->v[i][1] += x * b1;
        }
    }
}

SPAR__INLINE void multiply_rows(sums *s, const real *const a[VEC_ROWS], const real *b, int64_t k) {
#pragma GCC unroll 1
    for (int64_t l = 0; l < k; l++, b += COLS) {
        vec b0 = vec_load(b), b1 = vec_load(b + SPAR__LANES);
        for (int i = 0; i < VEC_ROWS; i++) {
            vec x = vec_all(a[i][l]);
            s->v[i][0] += x * b0;
            s->v[i][1] += x * b1;
        }
    }
}

static void store_edge(const spar__tile *t, const sums *s, int64_t i, int64_t j) {
    for (int64_t r = 0; r < VEC_ROWS && i + r < t->m; r++)
        for (int64_t q = 0; q < COLS && j + q < t->n; q++) {
            real *c = t->c + (i + r) * t->ldc + j + q;
            real sum = t->alpha * s->v[r][q / SPAR__LANES][q % SPAR__LANES];
            if (t->bias) sum += t->bias[j + q];
            *c = t->beta == 0 ? sum : sum + t->beta * *c;
        }
}

SPAR__INLINE void store_whole(const spar__tile *t, const sums *s, int64_t i, int64_t j) {
    real *c = t->c + i * t->ldc + j;
    vec alpha = vec_all(t->alpha), beta = vec_all(t->beta);
    for (int h = 0; h < 2; h++, c += SPAR__LANES) {
        vec bias = t->bias ? vec_load(t->bias + j + h * SPAR__LANES) : vec_all(0);
        if (t->beta == 0)
            for (int r = 0; r < VEC_ROWS; r++) vec_store(c + r * t->ldc, alpha * s->v[r][h] + bias);
        else
            for (int r = 0; r < VEC_ROWS; r++)
                vec_store(c + r * t->ldc, alpha * s->v[r][h] + bias + beta * vec_load(c + r * t->ldc));
    }
}

static void product(const spar__tile *t) {
    for (int64_t j = 0; j < t->n; j += COLS)
        for (int64_t i = 0; i < t->m; i += VEC_ROWS) {
            const real *b = t->b + j * t->k;
            bool whole = i + VEC_ROWS <= t->m && j + COLS <= t->n;
            sums s = {0};
            for (int r = 0; whole && r < VEC_ROWS; r++) __builtin_prefetch(t->c + (i + r) * t->ldc + j, 1);
            if (t->packed) {
                multiply_packed(&s, t->a + i * t->k, b, t->k);
            } else {
                const real *rows[VEC_ROWS];
                for (int r = 0; r < VEC_ROWS; r++)
                    rows[r] = t->a + (i + r < t->m ? i + r : t->m - 1) * t->lda;
                multiply_rows(&s, rows, b, t->k);
            }
            if (whole) store_whole(t, &s, i, j);
            else store_edge(t, &s, i, j);
        }
}

void SPAR__FN(fill_product)(spar__kernels *k) {
    k->product = (spar__packed_product){
        .rows = VEC_ROWS,
        .cols = COLS,
        .pack_rows = pack_rows,
        .pack_cols = pack_cols,
        .tile = product,
    };
#if SPAR__LANES >= 8 /* faster than oneDNN's, whose sgemm 2.6 also writes beyond its memory with AVX-512 */
    k->product.preferred = true;
#endif
}
