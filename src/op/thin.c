/* Products of a token's modules, or a few tokens', with stored weights. The sum over k is cut into units of a size
 * that the shape alone decides: each decodes and packs its columns of the weights, which stay in the cache for all
 * rows, and is made by one thread; the units' sums are added in their order. While a slice is multiplied, the next one
 * is on its way from memory: its pieces of rows are too short for the processor to see them coming.
 * In sessions with weights in blocks, slices are rounded to 12 bits (kernel/isa/short.c). Rows of A that overlap by
 * modules are then rounded module by module, once. */
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "kernel/packed.h"
#include "op/cache.h"
#include "op/product.h"

enum {
    DEPTH = SPAR__SHORT_DEPTH, /* columns of the weights that are packed at once: a multiple of every type's block */
    MOST_UNITS = 16,
    UNIT = 1 << 21,  /* multiplications of a unit, about: below, preparing its factors costs too much */
    BAND = 96,       /* scaled rows at once */
    SERIAL = 1 << 15 /* multiplications that one thread does alone */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool spar__rounds(const spar__pass *pass) {
    return pass->cache && !pass->training && spar__cache_rounds(pass->cache) && spar__k()->shorts.tile;
}

/* How the work is cut: a unit is a range of columns of one segment, and of outputs. */
typedef struct cut {
    int64_t per_segment, width; /* ranges of columns */
    int64_t ranges, outputs;    /* of outputs */
    int64_t sums;               /* of an output: ranges of columns in all */
    int64_t depth;              /* of a slice */
    bool shorts;                /* in whole numbers */
    int64_t modules;            /* of a segment's overlapping rows, lda each, that are rounded once; or 0 */
    size_t row_bytes, scale_bytes;
} cut;

static cut cut_of(const spar__pass *pass, const spar__thin *t) {
    int64_t step = spar__type_of(t->w->type)->block, whole = t->segments * t->width;
    if (t->scale) step = step > spar__type_of(t->scale->type)->block ? step : spar__type_of(t->scale->type)->block;
    bool shorts = spar__rounds(pass), by_module = shorts && !t->scale && t->width % t->lda == 0 &&
                                                  t->lda % step == 0 && t->lda <= DEPTH;
    if (by_module) step = t->lda;
    int64_t wanted = least(MOST_UNITS, ceil_div(t->rows * t->n * whole, UNIT)), cols = spar__k()->product.cols;
    cut c = {.per_segment = least(ceil_div(wanted, t->segments), ceil_div(t->width, DEPTH / 2))};
    c.width = ceil_div(ceil_div(t->width, c.per_segment), step) * step;
    c.per_segment = ceil_div(t->width, c.width);
    c.sums = t->segments * c.per_segment;
    c.depth = ceil_div(ceil_div(c.width, ceil_div(c.width, DEPTH)), step) * step;
    c.ranges = c.sums >= wanted || t->scale ? 1 : least(ceil_div(wanted, c.sums), ceil_div(t->n, cols));
    c.outputs = ceil_div(ceil_div(t->n, c.ranges), cols) * cols;
    c.ranges = ceil_div(t->n, c.outputs);
    c.shorts = shorts;
    if (by_module) c.depth = t->lda, c.modules = t->rows - 1 + t->width / t->lda;
    spar__row_bytes(t->w->type, (size_t)whole, &c.row_bytes);
    if (t->scale) spar__row_bytes(t->scale->type, (size_t)t->width, &c.scale_bytes);
    return c;
}

/* Of all threads: the modules as whole numbers [groups, segments, modules, even lda], and their scales. */
typedef struct rounded {
    int16_t *shorts;
    real *scales;
} rounded;

/* Of a thread: panels of the weights, decoded rows of one, scaled rows of A; or all of it in whole numbers. */
typedef struct workspace {
    real *panels, *decoded, *scaled;
    int16_t *short_panels, *short_rows;
    real *panel_scales, *row_scales;
} workspace;

static const char *element(const char *row, spar__type type, int64_t i) { return row + spar__bytes_of(type, i); }

static void prefetch_rows(const char *row, size_t row_bytes, int64_t n, size_t bytes) {
    for (int64_t i = 0; i < n; i++, row += row_bytes)
        for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
}

static int64_t even(int64_t n) { return n + (n & 1); }

/* n rows of k numbers, `stride` apart, as whole ones. */
static void shorten_rows(const real *rows, int64_t stride, int64_t n, int64_t k, int16_t *out, real *scales) {
    for (int64_t i = 0; i < n; i++, out += even(k)) {
        scales[i] = spar__k()->shorts.shorten(out, rows + i * stride, k);
        if (k & 1) out[k] = 0;
    }
}

/* Rows [o, o + n) and k columns from `at` of the weights, as panels. */
static void pack_weights(const spar__thin *t, const cut *c, int64_t o, int64_t n, int64_t at, int64_t k,
                         const workspace *w) {
    const spar__packed_product *own = &spar__k()->product;
    for (int64_t j = 0; j < n; j += own->cols) {
        int64_t cols = least(own->cols, n - j), stride = k;
        const char *from = element((const char *)t->w->data + (size_t)(o + j) * c->row_bytes, t->w->type, at);
        const real *rows = w->decoded;
        if (c->shorts && spar__k()->shorts.shorten_row[t->w->type]) {
            for (int64_t i = 0; i < cols; i++)
                w->panel_scales[j + i] = spar__k()->shorts.shorten_row[t->w->type](
                    w->short_rows + i * k, from + (size_t)i * c->row_bytes, k);
            spar__k()->shorts.pack(w->short_panels + j * k, w->short_rows, k, cols);
            continue;
        }
        if (t->w->type == SPAR__F32) rows = (const real *)(const void *)from, stride = t->segments * t->width;
        else
            for (int64_t i = 0; i < cols; i++)
                spar__k()->decode[t->w->type](w->decoded + i * k, from + (size_t)i * c->row_bytes, k);
        if (c->shorts) {
            shorten_rows(rows, stride, cols, k, w->short_rows, w->panel_scales + j);
            spar__k()->shorts.pack(w->short_panels + j * even(k), w->short_rows, even(k), cols);
        } else {
            own->pack_cols(w->panels + j * k, rows, stride, true, k, cols);
        }
    }
}

/* A slice of rows [s, s + n) of a∘scale. */
static void scale_rows(const spar__thin *t, const cut *c, const real *a, int64_t s, int64_t n, int64_t at, int64_t k,
                       real *out) {
    const spar__tensor *d = t->scale;
    int64_t next = least(k, t->width - at - k);
    size_t ahead = spar__bytes_of(d->type, next);
    for (int64_t i = 0; i < n; i++, out += k) {
        const char *from = element((const char *)d->data + (size_t)(s + i) * c->scale_bytes, d->type, at);
        prefetch_rows(element(from, d->type, k), c->scale_bytes, 1, ahead);
        if (d->type == SPAR__F32) {
            spar__k()->mul(out, a, (const real *)(const void *)from, k);
        } else {
            spar__k()->decode[d->type](out, from, k);
            spar__k()->mul(out, out, a, k);
        }
    }
}

/* What a slice is multiplied with next is fetched meanwhile. */
typedef struct ahead {
    const char *rows;
    size_t bytes; /* of a row */
} ahead;

/* Where a group's rows of a slice are: as they are, or rounded already. */
typedef struct factor {
    const real *a;
    const int16_t *shorts; /* NULL: not yet */
    const real *scales;
} factor;

/* out [m, n] (+)= rows [s, s + m) of A, times the panels. */
static void multiply(const spar__thin *t, const cut *c, const factor *f, int64_t s, int64_t m, int64_t n, int64_t at,
                     int64_t k, bool add, const workspace *w, const ahead *next, real *out) {
    int64_t cols = spar__k()->product.cols, lda = t->scale ? k : t->lda;
    const real *rows = t->scale ? w->scaled : f->a + s * t->lda;
    const int16_t *shorts = f->shorts ? f->shorts + s * even(k) : w->short_rows;
    const real *scales = f->shorts ? f->scales + s : w->row_scales;
    if (t->scale) scale_rows(t, c, f->a, s, m, at, k, w->scaled);
    if (c->shorts && !f->shorts) shorten_rows(rows, lda, m, k, w->short_rows, w->row_scales);
    for (int64_t j = 0; j < n; j += cols) {
        int64_t some = least(cols, n - j);
        if (next) prefetch_rows(next->rows + (size_t)j * c->row_bytes, c->row_bytes, some, next->bytes);
        if (c->shorts)
            spar__k()->shorts.tile(&(spar__short_tile){m, some, even(k), shorts, w->short_panels + j * even(k), scales,
                                                       w->panel_scales + j, add, out + j, n});
        else
            spar__k()->product.tile(&(spar__tile){.m = m, .n = some, .k = k, .a = rows, .lda = lda,
                                                  .b = w->panels + j * k, .alpha = 1, .beta = add, .c = out + j,
                                                  .ldc = n});
    }
}

static factor factor_of(const spar__thin *t, const cut *c, const rounded *r, int64_t g, int64_t segment, int64_t at) {
    int64_t i = g * t->segments + segment;
    factor f = {.a = t->a[i] + at};
    if (!c->modules) return f;
    int64_t module = i * c->modules + at / t->lda;
    f.shorts = r->shorts + module * even(t->lda);
    f.scales = r->scales + module;
    return f;
}

/* Sums of unit (segment, columns [from, from + width), outputs [o, o + n)) into out [groups·rows, n]. */
static void run_unit(const spar__thin *t, const cut *c, int64_t segment, int64_t from, int64_t width, int64_t o,
                     int64_t n, const rounded *r, const workspace *w, real *out) {
    for (int64_t l = 0; l < width; l += c->depth) {
        int64_t k = least(c->depth, width - l), at = from + l, begin = segment * t->width + at;
        const char *weights = (const char *)t->w->data + (size_t)o * c->row_bytes;
        ahead next = {element(weights, t->w->type, begin + k), spar__bytes_of(t->w->type, least(k, t->width - at - k))};
        pack_weights(t, c, o, n, begin, k, w);
        for (int64_t g = 0; g < t->groups; g++) {
            factor f = factor_of(t, c, r, g, segment, at);
            for (int64_t s = 0; s < t->rows; s += BAND)
                multiply(t, c, &f, s, least(BAND, t->rows - s), n, at, k, l > 0, w, g + s ? NULL : &next,
                         out + (g * t->rows + s) * n);
        }
    }
}

/* y (+)= the sums [sums, m, n] of a range of outputs, for row i. */
static void add_sums(const spar__thin *t, const cut *c, const real *parts, int64_t i, int64_t o, int64_t n) {
    int64_t m = t->groups * t->rows;
    real *y = t->y + i * t->n + o;
    if (!t->add) memcpy(y, parts + i * n, (size_t)n * sizeof *y);
    for (int64_t p = !t->add; p < c->sums; p++) spar__k()->add(y, parts + (p * m + i) * n, n);
}

/* The parts of a thread's memory, or with NULL their size. */
static size_t lay_out(const spar__thin *t, const cut *c, char *memory, workspace *w) {
    int64_t cols = spar__k()->product.cols, depth = even(c->depth), rows = least(BAND, t->rows);
    int64_t outputs = (c->outputs + cols - 1) / cols * cols, both = rows > cols ? rows : cols;
    struct {
        void *at;
        size_t bytes;
    } parts[] = {{&w->panels, c->shorts ? 0 : (size_t)(outputs * depth) * sizeof(real)},
                 {&w->decoded, (size_t)(cols * depth) * sizeof(real)},
                 {&w->scaled, t->scale ? (size_t)(rows * depth) * sizeof(real) : 0},
                 {&w->short_panels, c->shorts ? (size_t)(outputs * depth) * sizeof(int16_t) : 0},
                 {&w->short_rows, c->shorts ? (size_t)(both * depth) * sizeof(int16_t) : 0},
                 {&w->panel_scales, c->shorts ? (size_t)outputs * sizeof(real) : 0},
                 {&w->row_scales, c->shorts ? (size_t)rows * sizeof(real) : 0}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *begin = memory + at;
        if (memory) memcpy(parts[i].at, &begin, sizeof begin);
        at += (parts[i].bytes + 63) / 64 * 64;
    }
    return at;
}

void spar__thin_product(spar__pass *pass, const spar__thin *t) {
    if (!spar__ok(pass)) return;
    workspace all;
    cut c = cut_of(pass, t);
    int64_t m = t->groups * t->rows;
    size_t each = lay_out(t, &c, NULL, &all);
    bool parallel = m * t->n * t->segments * t->width > SERIAL;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *parts = spar__take(pass, c.sums * m * c.outputs * c.ranges, sizeof *parts);
    char *scratch = spar__take(pass, parallel ? spar__threads() : 1, each);
    int64_t modules = t->groups * t->segments * c.modules;
    rounded r = {NULL, NULL};
    if (modules) {
        r.shorts = spar__take(pass, modules * even(t->lda), sizeof *r.shorts);
        r.scales = spar__take(pass, modules, sizeof *r.scales);
    }
    if (spar__ok(pass)) {
#pragma omp parallel if (parallel)
        {
            workspace w;
            lay_out(t, &c, scratch + (size_t)omp_get_thread_num() * each, &w);
#pragma omp for schedule(static)
            for (int64_t i = 0; i < modules; i++)
                shorten_rows(t->a[i / c.modules] + i % c.modules * t->lda, 0, 1, t->lda, r.shorts + i * even(t->lda),
                             r.scales + i);
#pragma omp for schedule(static)
            for (int64_t u = 0; u < c.sums * c.ranges; u++) {
                int64_t p = u / c.ranges, o = u % c.ranges * c.outputs, n = least(c.outputs, t->n - o);
                int64_t from = p % c.per_segment * c.width;
                run_unit(t, &c, p / c.per_segment, from, least(c.width, t->width - from), o, n, &r, &w,
                         parts + (o * c.sums + p * n) * m);
            }
#pragma omp for schedule(static)
            for (int64_t i = 0; i < m * c.ranges; i++) {
                int64_t o = i % c.ranges * c.outputs, n = least(c.outputs, t->n - o);
                add_sums(t, &c, parts + o * c.sums * m, i / c.ranges, o, n);
            }
        }
    }
    spar__arena_rewind(pass->arena, mark);
}
