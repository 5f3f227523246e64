/* Few rows times stored weights, y = a·wᵀ: the weights are decoded a slice of columns at a time, which stays in the
 * cache for all rows; a slice's sums are made by one thread and the slices added in their order. */
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "op/product.h"

enum { SLICE = 512 };

typedef struct thin {
    const real *a;
    const char *w;
    spar__type type;
    int64_t m, n, k;
    size_t row_bytes;
} thin;

/* Columns [from, from + width) of the weights' rows. */
static const real *slice_of(const thin *t, int64_t from, int64_t width, int64_t *stride, real *scratch) {
    const spar__type_traits *type = spar__type_of(t->type);
    const char *at = t->w + (size_t)(from / type->block) * type->block_bytes;
    *stride = t->type == SPAR__F32 ? t->k : SLICE;
    if (t->type == SPAR__F32) return (const real *)(const void *)at;
    for (int64_t r = 0; r < t->n; r++)
        spar__k()->decode[t->type](scratch + r * SLICE, at + (size_t)r * t->row_bytes, width);
    return scratch;
}

static void add_parts(const thin *t, const real *parts, int64_t slices, real beta, real *y) {
    int64_t size = t->m * t->n;
    enum { PIECE = 1024 };
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < size; i += PIECE) {
        int64_t n = size - i < PIECE ? size - i : PIECE;
        if (beta == 0) memset(y + i, 0, (size_t)n * sizeof *y);
        for (int64_t s = 0; s < slices; s++) spar__k()->add(y + i, parts + s * size + i, n);
    }
}

void spar__thin_product(spar__pass *pass, const real *a, int64_t m, const spar__tensor *w, int64_t n, int64_t k,
                        bool add, real *y) {
    thin t = {.a = a, .w = w->data, .type = w->type, .m = m, .n = n, .k = k};
    if (!spar__ok(pass)) return;
    spar__row_bytes(w->type, (size_t)k, &t.row_bytes);
    int64_t slices = (k + SLICE - 1) / SLICE;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *parts = spar__take(pass, slices * m * n, sizeof *parts);
    real *scratch = spar__take(pass, spar__threads() * n * SLICE, sizeof *scratch);
    if (spar__ok(pass)) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t s = 0; s < slices; s++) {
            int64_t from = s * SLICE, width = k - from < SLICE ? k - from : SLICE, stride;
            const real *b = slice_of(&t, from, width, &stride, scratch + omp_get_thread_num() * n * SLICE);
            spar__k()->row_dots(parts + s * m * n, n, a + from, k, m, b, stride, n, width);
        }
        add_parts(&t, parts, slices, add ? 1 : 0, y);
    }
    spar__arena_rewind(pass->arena, mark);
}
