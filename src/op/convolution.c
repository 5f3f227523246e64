/* Convolution over rows of a sequence and modules of a row: what a kernel sees is laid out as one row for each
 * (row, module), a chunk at a time, and multiplied at once. Backward, dx is a convolution of dy with the kernel
 * turned round, and dK = dyᵀ·A. */
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "op/cache.h"
#include "op/modules.h"
#include "op/product.h"

enum { LAID_OUT = 1 << 20 }; /* elements of a chunk's laid out rows */

typedef struct layer {
    spar__tensor *x, *y;
    spar__param *k, *bias;
    int64_t modules, in, out, length, width; /* in, out: of a module */
    int track;
} layer;

typedef struct place {
    const spar__sequence *sequence;
    int64_t position, first; /* within the sequence; the first that is seen */
} place;

static const spar__sequence *sequence_of(const spar__rows *rows, int64_t row) {
    int low = 0, high = rows->n_sequences - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (rows->sequences[middle].begin <= row) low = middle;
        else high = middle - 1;
    }
    return &rows->sequences[low];
}

static place place_of(const spar__rows *rows, int64_t row) {
    const spar__sequence *s = sequence_of(rows, row);
    return (place){s, s->past + row - s->begin, rows->first ? rows->first[row] : 0};
}

/* The row of x at a position of the sequence of `at`, from this pass or the cache; zeros outside. */
static const real *row_at(const spar__pass *pass, const layer *l, const place *at, int64_t position, real *scratch) {
    const spar__sequence *s = at->sequence;
    int64_t cols = l->modules * l->in;
    if (position >= at->first && position >= s->past)
        return spar__data(l->x) + (s->begin + position - s->past) * cols;
    if (position < at->first || position < 0 || !pass->cache) return memset(scratch, 0, (size_t)cols * sizeof *scratch);
    spar__cache_load(pass->cache, pass->layer, l->track, s->slot, position, scratch);
    return scratch;
}

/* out [modules, length·width·in]: what module s sees of tap i's row is W neighbours of it, side by side. */
static void lay_tap(const real *row, int64_t modules, int64_t in, int64_t length, int64_t width, int64_t tap, real *out) {
    int64_t stride = length * width * in, reach = (width - 1) / 2;
    for (int64_t s = 0; s < modules; s++) {
        real *to = out + s * stride + tap * width * in;
        int64_t low = s - reach < 0 ? reach - s : 0, high = s - reach + width > modules ? modules - s + reach : width;
        if (low > 0) memset(to, 0, (size_t)(low * in) * sizeof *to);
        memcpy(to + low * in, row + (s - reach + low) * in, (size_t)((high - low) * in) * sizeof *to);
        if (high < width) memset(to + high * in, 0, (size_t)((width - high) * in) * sizeof *to);
    }
}

/* The rows [begin, begin + n) laid out. */
static void lay_out(const spar__pass *pass, const layer *l, int64_t begin, int64_t n, real *out, real *scratch) {
    int64_t size = l->modules * l->length * l->width * l->in;
#pragma omp parallel for schedule(static) if (n > 1)
    for (int64_t r = 0; r < n; r++) {
        place at = place_of(pass->rows, begin + r);
        real *own = scratch + omp_get_thread_num() * l->modules * l->in;
        for (int64_t i = 0; i < l->length; i++) {
            const real *row = row_at(pass, l, &at, at.position - (l->length - 1) + i, own);
            lay_tap(row, l->modules, l->in, l->length, l->width, i, out + r * size);
        }
    }
}

/* The same of dy, with the kernel turned round: tap i looks i rows ahead, and the neighbours are met in reverse.
 * An even width reaches one further to the other side, so they are laid one by one. */
static void lay_out_back(const spar__pass *pass, const layer *l, int64_t begin, int64_t n, real *out) {
    int64_t size = l->length * l->width * l->out, reach = (l->width - 1) / 2, cols = l->modules * l->out;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < n; r++) {
        int64_t row = begin + r;
        place at = place_of(pass->rows, row);
        for (int64_t i = 0; i < l->length; i++) {
            int64_t later = row + l->length - 1 - i;
            bool there = later < at.sequence->begin + at.sequence->count &&
                         (!pass->rows->first || pass->rows->first[later] <= at.position);
            for (int64_t s = 0; s < l->modules; s++)
                for (int64_t j = 0; j < l->width; j++) {
                    real *to = out + (r * l->modules + s) * size + (i * l->width + j) * l->out;
                    int64_t module = s - j + reach;
                    if (there && module >= 0 && module < l->modules)
                        memcpy(to, l->y->grad + later * cols + module * l->out, (size_t)l->out * sizeof *to);
                    else memset(to, 0, (size_t)l->out * sizeof *to);
                }
        }
    }
}

static int64_t chunk_of(const layer *l, int64_t size) {
    int64_t n = LAID_OUT / (size * l->modules);
    return n < 1 ? 1 : n < l->x->rows ? n : l->x->rows;
}

/* [in, length·width·out] from [out, length·width·in]. */
static void turn_kernel(const layer *l, real *out) {
    int64_t taps = l->length * l->width;
    const real *k = spar__data(&l->k->value);
    for (int64_t o = 0; o < l->out; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < l->in; i++) out[(i * taps + t) * l->out + o] = k[(o * taps + t) * l->in + i];
}

static void input_back(spar__pass *pass, const layer *l) {
    bool add;
    real *dx = spar__grad(pass, l->x, &add);
    if (!dx) return;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t size = l->length * l->width * l->out, step = chunk_of(l, size), cols = l->modules * l->in;
    real *k = spar__take(pass, l->in * size, sizeof *k), *a = spar__take(pass, step * l->modules * size, sizeof *a);
    if (spar__ok(pass)) turn_kernel(l, k);
    for (int64_t r = 0; r < l->x->rows && spar__ok(pass); r += step) {
        int64_t n = l->x->rows - r < step ? l->x->rows - r : step;
        lay_out_back(pass, l, r, n, a);
        spar__stop(pass, spar__gemm(false, true, n * l->modules, l->in, size, 1, a, size, k, size, add ? 1 : 0,
                                    dx + r * cols, l->in));
    }
    spar__arena_rewind(pass->arena, mark);
}

static void kernel_back(spar__pass *pass, const layer *l) {
    bool add;
    real *dk = spar__grad(pass, &l->k->value, &add);
    if (!dk) return;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t size = l->length * l->width * l->in, step = chunk_of(l, size), cols = l->modules * l->out;
    real *a = spar__take(pass, step * l->modules * size, sizeof *a);
    real *scratch = spar__take(pass, spar__threads() * l->modules * l->in, sizeof *scratch);
    for (int64_t r = 0; r < l->x->rows && spar__ok(pass); r += step) {
        int64_t n = l->x->rows - r < step ? l->x->rows - r : step;
        lay_out(pass, l, r, n, a, scratch);
        spar__stop(pass, spar__gemm(true, false, l->out, size, n * l->modules, 1, l->y->grad + r * cols, l->out, a,
                                    size, add || r ? 1 : 0, dk, size));
    }
    spar__arena_rewind(pass->arena, mark);
}

static void back(spar__pass *pass, void *arguments) {
    layer *l = arguments;
    if (!l->y->grad_started) return;
    bool add;
    real *db = l->bias ? spar__grad(pass, &l->bias->value, &add) : NULL;
    if (db) spar__add_column_sums(db, l->y->grad, l->y->rows * l->modules, l->out, add);
    input_back(pass, l);
    kernel_back(pass, l);
}

/* A token or a few: what module s sees of a tap's row begins `in` behind what its neighbour sees, so rows with zeros
 * at both ends need not be laid out. */
static void forward_few(spar__pass *pass, const layer *l, int64_t begin, int64_t rows) {
    int64_t reach = (l->width - 1) / 2 * l->in, cols = l->modules * l->in;
    int64_t padded = cols + (l->width - 1) * l->in;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *all = spar__take(pass, rows * l->length * padded, sizeof *all);
    real *y = spar__data(l->y) + begin * l->modules * l->out;
    const real **a = spar__take(pass, rows * l->length, sizeof *a);
    for (int64_t i = 0; spar__ok(pass) && i < rows * l->length; i++) {
        place at = place_of(pass->rows, begin + i / l->length);
        real *to = all + i * padded;
        const real *row = row_at(pass, l, &at, at.position - (l->length - 1) + i % l->length, to + reach);
        memset(to, 0, (size_t)reach * sizeof *to);
        if (row != to + reach) memcpy(to + reach, row, (size_t)cols * sizeof *to);
        memset(to + reach + cols, 0, (size_t)(padded - reach - cols) * sizeof *to);
        a[i] = to;
    }
    for (int64_t i = 0; l->bias && i < rows * l->modules; i++)
        memcpy(y + i * l->out, l->bias->value.data, (size_t)l->out * sizeof *y);
    spar__thin_product(pass, &(spar__thin){.groups = rows, .rows = l->modules, .segments = l->length,
                                           .width = l->width * l->in, .n = l->out, .a = a, .lda = l->in,
                                           .w = &l->k->value, .add = l->bias, .y = y});
    spar__arena_rewind(pass->arena, mark);
}

static void forward(spar__pass *pass, const layer *l) {
    if (l->x->rows <= spar__few_rows(pass) || spar__rounds(pass)) {
        for (int64_t r = 0; r < l->x->rows; r += SPAR__TOGETHER)
            forward_few(pass, l, r, l->x->rows - r < SPAR__TOGETHER ? l->x->rows - r : SPAR__TOGETHER);
        return;
    }
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t size = l->length * l->width * l->in, step = chunk_of(l, size), cols = l->modules * l->out;
    const real *k = spar__decoded(pass, l->k);
    real *a = spar__take(pass, step * l->modules * size, sizeof *a), *y = spar__data(l->y);
    real *scratch = spar__take(pass, spar__threads() * l->modules * l->in, sizeof *scratch);
    for (int64_t r = 0; r < l->x->rows && spar__ok(pass); r += step) {
        int64_t n = l->x->rows - r < step ? l->x->rows - r : step, m = n * l->modules;
        for (int64_t i = 0; l->bias && i < m; i++)
            memcpy(y + r * cols + i * l->out, l->bias->value.data, (size_t)l->out * sizeof *y);
        lay_out(pass, l, r, n, a, scratch);
        spar__stop(pass, spar__gemm(false, true, m, l->out, size, 1, a, size, k, size, l->bias ? 1 : 0, y + r * cols,
                                    l->out));
    }
    spar__arena_rewind(pass->arena, mark);
}

static spar_status store(const spar__pass *pass, const spar__tensor *x, int track) {
    for (int i = 0; i < pass->rows->n_sequences; i++) {
        const spar__sequence *s = &pass->rows->sequences[i];
        SPAR_TRY(spar__cache_check(pass->cache, s));
        spar__cache_store(pass->cache, pass->layer, track, s->slot, s->past, s->count,
                          spar__data(x) + s->begin * x->cols);
    }
    return SPAR_OK;
}

spar__tensor *spar__convolution(spar__pass *pass, spar__tensor *x, int64_t modules, spar__param *k,
                                spar__param *bias, int track, bool stored) {
    if (!x || !spar__ok(pass)) return NULL;
    layer l = {.x = x, .k = k, .bias = bias, .modules = modules, .in = k->shape[3], .out = k->shape[0]};
    l.length = k->shape[1];
    l.width = k->shape[2];
    l.track = track;
    if (x->cols != modules * l.in || x->rows != pass->rows->n_rows)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: [%lld, %lld], expected [%lld, %lld]", k->name,
                                           (long long)x->rows, (long long)x->cols, (long long)pass->rows->n_rows,
                                           (long long)(modules * l.in)));
    if (pass->cache && l.length > 1 && !stored) spar__stop(pass, store(pass, x, track));
    bool needs = x->needs_grad || k->value.needs_grad;
    l.y = spar__new(pass, x->rows, modules * l.out, needs);
    if (l.y) forward(pass, &l);
    if (needs) spar__push(pass, back, &l, sizeof l);
    return spar__ok(pass) ? l.y : NULL;
}
