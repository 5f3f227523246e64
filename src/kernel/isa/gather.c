/* Products with rows picked by an index: what sparse layers are made of. Four rows are taken at a time, so that
 * the vector they share is loaded once; a row's result does not depend on its company. */
#include "kernel/isa/functions.h"
#include "kernel/isa/vec.h"

enum { AT_ONCE = 4 };

/* Dots of `rows` (1 or 4, constant in each use) rows with x. */
SPAR__INLINE void dots(real *out, const real *const *row, int rows, const real *x, int64_t n) {
    vec s[AT_ONCE][2] = {{{0}}};
    int64_t i = 0;
    for (; i + 2 * SPAR__LANES <= n; i += 2 * SPAR__LANES) {
        vec a = vec_load(x + i), b = vec_load(x + i + SPAR__LANES);
        for (int r = 0; r < rows; r++) {
            s[r][0] += a * vec_load(row[r] + i);
            s[r][1] += b * vec_load(row[r] + i + SPAR__LANES);
        }
    }
    for (; i + SPAR__LANES <= n; i += SPAR__LANES)
        for (int r = 0; r < rows; r++) s[r][0] += vec_load(x + i) * vec_load(row[r] + i);
    for (int r = 0; r < rows; r++) out[r] = vec_sum(s[r][0] + s[r][1]);
    for (; i < n; i++)
        for (int r = 0; r < rows; r++) out[r] += x[i] * row[r][i];
}

static void gather_dot(real *out, const real *rows, int64_t stride, const int32_t *index, int64_t count,
                       const real *x, int64_t n) {
    int64_t i = 0;
    for (; i + AT_ONCE <= count; i += AT_ONCE) {
        const real *row[AT_ONCE];
        for (int r = 0; r < AT_ONCE; r++) row[r] = rows + index[i + r] * stride;
        dots(out + i, row, AT_ONCE, x, n);
    }
    for (; i < count; i++) {
        const real *row = rows + index[i] * stride;
        dots(out + i, &row, 1, x, n);
    }
}

/* y += Σ a·row, in the order of the rows. */
SPAR__INLINE void sums(real *y, const real *a, const real *const *row, int rows, int64_t n) {
    int64_t i = 0;
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) {
        vec s = vec_load(y + i);
        for (int r = 0; r < rows; r++) s += vec_all(a[r]) * vec_load(row[r] + i);
        vec_store(y + i, s);
    }
    for (; i < n; i++)
        for (int r = 0; r < rows; r++) y[i] += a[r] * row[r][i];
}

static void gather_add(real *y, const real *a, const real *rows, int64_t stride, const int32_t *index,
                       int64_t count, int64_t n) {
    int64_t i = 0;
    for (; i + AT_ONCE <= count; i += AT_ONCE) {
        const real *row[AT_ONCE];
        for (int r = 0; r < AT_ONCE; r++) row[r] = rows + index[i + r] * stride;
        sums(y, a + i, row, AT_ONCE, n);
    }
    for (; i < count; i++) {
        const real *row = rows + index[i] * stride;
        sums(y, a + i, &row, 1, n);
    }
}

SPAR__INLINE void spread(real *const *row, const real *a, int rows, const real *x, int64_t n) {
    int64_t i = 0;
    for (; i + SPAR__LANES <= n; i += SPAR__LANES) {
        vec v = vec_load(x + i);
        for (int r = 0; r < rows; r++) vec_store(row[r] + i, vec_load(row[r] + i) + vec_all(a[r]) * v);
    }
    for (; i < n; i++)
        for (int r = 0; r < rows; r++) row[r][i] += a[r] * x[i];
}

static void scatter_add(real *rows, int64_t stride, const int32_t *index, const real *a, int64_t count,
                        const real *x, int64_t n) {
    int64_t i = 0;
    for (; i + 2 <= count; i += 2) {
        real *row[2] = {rows + index[i] * stride, rows + index[i + 1] * stride};
        spread(row, a + i, 2, x, n);
    }
    for (; i < count; i++) {
        real *row = rows + index[i] * stride;
        spread(&row, a + i, 1, x, n);
    }
}

void SPAR__FN(fill_gather)(spar__kernels *k) {
    k->gather_dot = gather_dot;
    k->gather_add = gather_add;
    k->scatter_add = scatter_add;
}
