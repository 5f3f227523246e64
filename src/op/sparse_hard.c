/* The chosen neurons' products. Forward, a unit of work is a chunk of rows and a group of blocks, then a chunk
 * and a range of columns; backward, a chunk for dx, and a group of blocks with a slice of columns for dW, so that
 * each sum is made by one thread in one order. */
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "kernel/quant.h"
#include "op/product.h"
#include "op/sparse_inside.h"

enum {
    NEURONS_AT_ONCE = 1024, /* of a unit's blocks */
    FEW_ROWS = SPAR__FEW,   /* of a run: below, a stored row is not decoded for them */
    COLUMNS = 256           /* ranges of columns are multiples of this: the largest block of a stored type */
};

static int64_t group_of(const spar__sparse_pass *s) {
    return s->o.block < NEURONS_AT_ONCE ? NEURONS_AT_ONCE / s->o.block : 1;
}
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ---- Stored rows: W1's column, then W2's row ---- */

typedef struct stored {
    const char *data;
    size_t row_bytes, half_bytes; /* half_bytes 0: a block of the type reaches over the middle */
    spar__type type;
    int64_t d;
} stored;

static stored stored_of(const spar__sparse_pass *s) {
    const spar__tensor *w = &s->w->value;
    stored out = {.data = w->data, .type = w->type, .d = s->d};
    spar__row_bytes(w->type, (size_t)w->cols, &out.row_bytes);
    if (!spar__row_bytes(w->type, (size_t)s->d, &out.half_bytes)) out.half_bytes = 0;
    return out;
}

static const char *half_at(const stored *w, int64_t neuron, int half) {
    return w->data + (size_t)neuron * w->row_bytes + (half ? w->half_bytes : 0);
}

/* One half as numbers, in place where it can be; `scratch` has room for 2·d. */
static const real *decoded_half(const stored *w, int64_t neuron, int half, real *scratch) {
    if (w->type == SPAR__F32) return (const real *)(const void *)half_at(w, neuron, half);
    if (w->half_bytes) {
        spar__k()->decode[w->type](scratch, half_at(w, neuron, half), w->d);
        return scratch;
    }
    spar__k()->decode[w->type](scratch, half_at(w, neuron, 0), 2 * w->d);
    return scratch + half * w->d;
}

/* ---- Forward ---- */

/* out[i] = W1's column · x of the rows of a run, of the chunk's rows from `begin`. */
static void run_dots(const spar__sparse_pass *s, const stored *w, int64_t neuron, int64_t begin, const int32_t *order,
                     int64_t n, real *out, real *scratch) {
    const spar__kernels *k = spar__k();
    const real *x = spar__data(s->x) + begin * w->d;
    const char *column = half_at(w, neuron, 0);
    if (s->packed) {
        for (int64_t i = 0; i < n; i++)
            k->packed_dot[w->type](out + i, column, w->row_bytes,
                                   s->packed + (size_t)(begin + order[i]) * s->packed_bytes, 1, w->d);
    } else if (w->half_bytes && (n < FEW_ROWS || s->singly)) {
        for (int64_t i = 0; i < n; i++)
            k->rows_dot[w->type](out + i, column, w->row_bytes, x + order[i] * w->d, 1, w->d);
    } else {
        k->gather_dot(out, x, w->d, order, n, decoded_half(w, neuron, 0, scratch), w->d);
    }
}

static void prefetch_row(const char *row) {
    for (int i = 0; i < 8; i++) __builtin_prefetch(row + 64 * i);
}

static void hidden_of(const spar__sparse_pass *s, const stored *w, spar__sparse_chunk c, int64_t b0, int64_t b1,
                      real *scratch) {
    for (int64_t b = b0; b < b1; b++) {
        int64_t at = spar__sparse_at(s, c, b), first = b * s->o.block;
        const int32_t *choice = s->choice + at;
        for (int64_t i = 0, end; i < c.rows; i = end) {
            end = spar__sparse_run(choice, i, c.rows);
            if (end < c.rows) prefetch_row(half_at(w, first + choice[end], 0));
            else if (b + 1 < b1) prefetch_row(half_at(w, first + s->o.block + choice[c.rows], 0));
            run_dots(s, w, first + choice[i], c.begin, s->order + at + i, end - i, s->h + at + i, scratch);
        }
        for (int64_t i = at; i < at + c.rows; i++) s->h[i] = s->h[i] > 0 ? s->h[i] : 0;
    }
}

/* The rows of a run that are not 0 (order, and weight f·h) → how many. */
static int64_t nonzero(const spar__sparse_pass *s, int64_t at, int64_t n, int32_t *index, real *a) {
    int64_t count = 0;
    for (int64_t i = at; i < at + n; i++)
        if (s->h[i] != 0) {
            index[count] = s->order[i];
            a[count++] = s->h[i] * s->factor * (s->f ? s->f[i] : 1);
        }
    return count;
}

/* Columns [from, to) of y for the rows of a chunk. */
static void output_of(const spar__sparse_pass *s, const stored *w, spar__sparse_chunk c, int64_t from, int64_t to,
                      real *scratch) {
    const spar__kernels *k = spar__k();
    real *y = spar__data(s->y) + c.begin * s->d, a[SPAR__SPARSE_CHUNK];
    int32_t index[SPAR__SPARSE_CHUNK];
    size_t skip = spar__bytes_of(w->type, from);
    bool direct = w->type != SPAR__F32 && w->half_bytes && k->row_axpy[w->type];
    for (int64_t r = 0; r < c.rows; r++) {
        if (s->bias) memcpy(y + r * s->d + from, spar__data(&s->bias->value) + from, (size_t)(to - from) * sizeof *y);
        else memset(y + r * s->d + from, 0, (size_t)(to - from) * sizeof *y);
    }
    for (int64_t b = 0; b < s->blocks; b++) {
        int64_t at = spar__sparse_at(s, c, b);
        for (int64_t i = 0, end; i < c.rows; i = end) {
            end = spar__sparse_run(s->choice + at, i, c.rows);
            int64_t neuron = b * s->o.block + s->choice[at + i];
            int64_t n = nonzero(s, at + i, end - i, index, a);
            if (!n) continue;
            if (direct && (n < FEW_ROWS || s->singly)) {
                for (int64_t j = 0; j < n; j++)
                    k->row_axpy[w->type](y + index[j] * s->d + from, a[j], half_at(w, neuron, 1) + skip, to - from);
            } else {
                k->scatter_add(y + from, s->d, index, a, n, decoded_half(w, neuron, 1, scratch) + from, to - from);
            }
        }
    }
}

/* Choices and hidden values, by chunks and groups of blocks. */
static void choose_all(spar__pass *pass, spar__sparse_pass *s, const stored *w) {
    spar__sparse_kept kept = {NULL, false};
    if (pass->training)
        kept.choices = spar__keep(pass, s->site, s->rows * s->blocks, s->o.block <= 256 ? 1 : 2, &kept.found);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    int64_t group = group_of(s), groups = ceil_div(s->blocks, group), n = s->o.block;
    int64_t size = (s->rows < SPAR__SPARSE_CHUNK ? s->rows : SPAR__SPARSE_CHUNK) * group + n + 1 + 2 * s->d;
    real *scratch = spar__take(pass, spar__threads() * size, sizeof *scratch);
    int32_t *places = spar__take(pass, spar__threads() * size, sizeof *places);
    if (spar__ok(pass)) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t u = 0; u < spar__sparse_chunks(s) * groups; u++) {
            spar__sparse_chunk c = spar__sparse_chunk_at(s, u / groups);
            int64_t b0 = u % groups * group, b1 = b0 + group < s->blocks ? b0 + group : s->blocks;
            int64_t own = omp_get_thread_num() * size;
            spar__sparse_choose(pass, s, c, b0, b1, &kept, scratch + own, places + own);
            if (s->hard) hidden_of(s, w, c, b0, b1, scratch + own);
        }
    }
    spar__arena_rewind(pass->arena, mark);
}

/* In sessions rows are packed to 8 bits, as for other products with weights in blocks (op/linear.c). */
static void pack_rows(spar__pass *pass, spar__sparse_pass *s, const stored *w) {
    s->packed = NULL;
    if (!pass->cache || pass->training || !w->half_bytes || !spar__k()->packed_dot[w->type]) return;
    s->packed_bytes = spar__packed_bytes(s->d);
    char *packed = spar__take(pass, s->rows, s->packed_bytes);
    if (!packed) return;
#pragma omp parallel for schedule(static) if (s->rows > 1)
    for (int64_t r = 0; r < s->rows; r++)
        spar__k()->pack(packed + (size_t)r * s->packed_bytes, spar__data(s->x) + r * s->d, s->d);
    s->packed = packed;
}

void spar__sparse_hard(spar__pass *pass, spar__sparse_pass *s) {
    stored w = stored_of(s);
    s->singly = s->rows <= spar__few_rows(pass);
    pack_rows(pass, s, &w);
    if (spar__ok(pass)) choose_all(pass, s, &w);
    if (!s->hard || !spar__ok(pass)) return;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *scratch = spar__take(pass, spar__threads() * 2 * s->d, sizeof *scratch);
    /* Columns are split where there are few chunks: each element's sum is the same. */
    int64_t chunks = spar__sparse_chunks(s), most = ceil_div(s->d, COLUMNS);
    int64_t ranges = chunks >= 2 * spar__threads() ? 1 : ceil_div(spar__threads(), chunks);
    if (ranges > most) ranges = most;
    int64_t width = ceil_div(most, ranges) * COLUMNS;
    if (spar__ok(pass)) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t u = 0; u < chunks * ranges; u++) {
            int64_t from = u % ranges * width, to = from + width < s->d ? from + width : s->d;
            if (from < to)
                output_of(s, &w, spar__sparse_chunk_at(s, u / ranges), from, to,
                          scratch + omp_get_thread_num() * 2 * s->d);
        }
    }
    spar__arena_rewind(pass->arena, mark);
}

/* ---- Backward ---- */

typedef struct gradients {
    real *dx, *dw;
    real *dpre, *hidden, *dm; /* of the chosen neurons, in their order; hidden = f·h */
    bool add_w;
} gradients;

/* dL/dh of a run, then what follows from it; dx of its rows. */
static void run_back(const spar__sparse_pass *s, const gradients *g, spar__sparse_chunk c, int64_t at, int64_t n,
                     int64_t neuron) {
    const spar__kernels *k = spar__k();
    const real *row = spar__data(&s->w->value) + neuron * 2 * s->d;
    real dh[SPAR__SPARSE_CHUNK], a[SPAR__SPARSE_CHUNK];
    int32_t index[SPAR__SPARSE_CHUNK];
    int64_t count = 0;
    k->gather_dot(dh, s->y->grad + c.begin * s->d, s->d, s->order + at, n, row + s->d, s->d);
    for (int64_t i = 0; i < n; i++) {
        real h = s->h[at + i], f = s->factor * (s->f ? s->f[at + i] : 1);
        g->hidden[at + i] = h * f;
        g->dpre[at + i] = h > 0 ? dh[i] * f : 0;
        if (g->dm) g->dm[at + i] = h * dh[i] * ((s->gate_moves ? s->factor : 0) + (s->straight ? f : 0));
        if (h > 0) {
            index[count] = s->order[at + i];
            a[count++] = dh[i] * f;
        }
    }
    if (g->dx) k->scatter_add(g->dx + c.begin * s->d, s->d, index, a, count, row, s->d);
}

static void chunk_back(const spar__sparse_pass *s, const gradients *g, spar__sparse_chunk c) {
    for (int64_t b = 0; b < s->blocks; b++) {
        int64_t at = spar__sparse_at(s, c, b);
        for (int64_t i = 0, end; i < c.rows; i = end) {
            end = spar__sparse_run(s->choice + at, i, c.rows);
            run_back(s, g, c, at + i, end - i, b * s->o.block + s->choice[at + i]);
        }
    }
}

/* dW of blocks [b0, b1), columns [from, to) of both halves. */
static void weights_back(const spar__sparse_pass *s, const gradients *g, int64_t b0, int64_t b1, int64_t from,
                         int64_t to) {
    const spar__kernels *k = spar__k();
    int64_t n = s->o.block, d = s->d, width = to - from;
    for (int64_t i = b0 * n; !g->add_w && i < b1 * n; i++)
        for (int half = 0; half < 2; half++)
            memset(g->dw + (2 * i + half) * d + from, 0, (size_t)width * sizeof *g->dw);
    for (int64_t chunk = 0; chunk < spar__sparse_chunks(s); chunk++) {
        spar__sparse_chunk c = spar__sparse_chunk_at(s, chunk);
        const real *x = spar__data(s->x) + c.begin * d + from, *dy = s->y->grad + c.begin * d + from;
        for (int64_t b = b0; b < b1; b++) {
            int64_t at = spar__sparse_at(s, c, b);
            for (int64_t i = 0, end; i < c.rows; i = end) {
                end = spar__sparse_run(s->choice + at, i, c.rows);
                real *dw = g->dw + (b * n + s->choice[at + i]) * 2 * d + from;
                const int32_t *order = s->order + at + i;
                k->gather_add(dw, g->dpre + at + i, x, d, order, end - i, width);
                k->gather_add(dw + d, g->hidden + at + i, dy, d, order, end - i, width);
            }
        }
    }
}

static void all_weights_back(const spar__sparse_pass *s, const gradients *g) {
    enum { SLICE = 128, NEURONS = 256 }; /* 256 KB of dW at a time */
    int64_t group = s->o.block < NEURONS ? NEURONS / s->o.block : 1;
    int64_t groups = ceil_div(s->blocks, group), slices = ceil_div(s->d, SLICE);
#pragma omp parallel for schedule(dynamic)
    for (int64_t u = 0; u < groups * slices; u++) {
        int64_t b0 = u / slices * group, b1 = b0 + group < s->blocks ? b0 + group : s->blocks;
        int64_t from = u % slices * SLICE, to = from + SLICE < s->d ? from + SLICE : s->d;
        weights_back(s, g, b0, b1, from, to);
    }
}

void spar__sparse_hard_back(spar__pass *pass, const spar__sparse_pass *s) {
    bool add;
    int64_t n = s->rows * s->blocks;
    gradients g = {.dx = spar__grad(pass, s->x, &add)};
    if (g.dx && !add) memset(g.dx, 0, (size_t)(s->rows * s->d) * sizeof *g.dx);
    g.dw = spar__grad(pass, &s->w->value, &g.add_w);
    spar__grad_room(pass, s->g);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    g.dpre = spar__take(pass, n, sizeof *g.dpre);
    g.hidden = spar__take(pass, n, sizeof *g.hidden);
    bool moves = s->gate_moves || s->straight;
    g.dm = moves ? spar__take(pass, n, sizeof *g.dm) : NULL;
    if (spar__ok(pass)) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t i = 0; i < spar__sparse_chunks(s); i++) chunk_back(s, &g, spar__sparse_chunk_at(s, i));
        if (g.dw) all_weights_back(s, &g);
        if (moves || s->counts) spar__sparse_choice_back(pass, s, g.dm, NULL);
    }
    spar__arena_rewind(pass->arena, mark);
}
