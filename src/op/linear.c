/* y = x·wᵀ + b.  dx = dy·w,  dw = dyᵀ·x,  db = Σ_rows dy. */
#include <string.h>

#include "kernel/quant.h"
#include "op/product.h"

enum {
    WEIGHTS_AT_ONCE = 64, /* weight rows that one iteration of a parallel loop takes */
    STORED_OF_SEVERAL = 16, /* where several rows of x meet them: they stay in the cache */
    WEIGHTS_OF_SEVERAL = 256, /* in blocks, where several rows of x meet them: while some are multiplied, others come */
    DECODED_AT_ONCE = 512 /* rows of a stored type decoded for one dense product */
};

/* How many steps of so many bytes a thread takes at a time: few short rows are not worth an agreement. */
static int steps_at_once(int64_t step_bytes) {
    enum { BYTES_AT_ONCE = 1 << 15 };
    return step_bytes < BYTES_AT_ONCE ? (int)(BYTES_AT_ONCE / step_bytes) : 1;
}

/* Each weight row is read once, at the speed of memory; at most SPAR__TOGETHER rows of x. */
static void few_rows(spar__tensor *x, spar__tensor *w, real alpha, real beta, real *y) {
    const spar__kernels *k = spar__k();
    size_t row_bytes = 0;
    spar__row_bytes(w->type, (size_t)w->cols, &row_bytes);
    int64_t step = x->rows > 1 ? STORED_OF_SEVERAL : WEIGHTS_AT_ONCE;
    int at_once = steps_at_once(step * (int64_t)row_bytes);
#pragma omp parallel for schedule(dynamic, at_once) if (w->rows * w->cols > 1 << 14)
    for (int64_t o = 0; o < w->rows; o += step) {
        int64_t n = w->rows - o < step ? w->rows - o : step;
        const char *rows = (const char *)w->data + (size_t)o * row_bytes;
        real parts[SPAR__TOGETHER][WEIGHTS_AT_ONCE];
        if (k->rows_dots[w->type])
            k->rows_dots[w->type](parts[0], WEIGHTS_AT_ONCE, rows, row_bytes, spar__data(x), x->rows, n, w->cols);
        else
            for (int64_t r = 0; r < x->rows; r++)
                k->rows_dot[w->type](parts[r], rows, row_bytes, spar__data(x) + r * x->cols, n, w->cols);
        for (int64_t r = 0; r < x->rows; r++) {
            real *out = y + r * w->rows + o;
            for (int64_t i = 0; i < n; i++)
                out[i] = alpha * parts[r][i] + (beta != 0 ? beta * out[i] : 0);
        }
    }
}

/* Tiles of weight rows from o, which one thread takes after one another, times all vectors. */
static void packed_tiles(const spar__tensor *w, int64_t o, int64_t end, spar__packed_tile tile, real *y) {
    size_t packed_bytes = spar__packed_bytes(w->cols);
    const char *x = tile.x;
    int64_t rows = tile.n_rows;
    for (; o < end; o += SPAR__PACKED_OUTPUTS) {
        tile.n_out = end - o < SPAR__PACKED_OUTPUTS ? end - o : SPAR__PACKED_OUTPUTS;
        tile.n_next = end - o - tile.n_out;
        tile.w = (const char *)w->data + (size_t)o * tile.row_bytes;
        for (int64_t r = 0; r < rows; r += SPAR__PACKED_ROWS) {
            tile.n_rows = rows - r < SPAR__PACKED_ROWS ? rows - r : SPAR__PACKED_ROWS;
            tile.x = x + (size_t)r * packed_bytes;
            tile.y = y + r * w->rows + o;
            spar__k()->packed_tile[w->type](&tile);
        }
    }
}

/* Types in blocks, in sessions: x is packed to 8 bits once. One vector meets row after row; several meet tiles of
 * rows, with the same bits, so neither batches nor chunks of a prompt change a result. */
static void packed_rows(spar__pass *pass, const spar__tensor *x, const spar__tensor *w, real alpha,
                        real beta, real *y) {
    const spar__kernels *k = spar__k();
    size_t row_bytes = 0, packed_bytes = spar__packed_bytes(w->cols);
    int64_t n = w->cols, rows = x->rows, step = WEIGHTS_AT_ONCE;
    spar__row_bytes(w->type, (size_t)n, &row_bytes);
    if (rows > 1) step = w->rows >= 16 * WEIGHTS_OF_SEVERAL ? WEIGHTS_OF_SEVERAL : SPAR__PACKED_OUTPUTS;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    char *packed = spar__take(pass, rows, packed_bytes);
    if (!packed) return;
#pragma omp parallel for schedule(static) if (rows > 1)
    for (int64_t r = 0; r < rows; r++)
        k->pack(packed + (size_t)r * packed_bytes, spar__data(x) + r * n, n);
    int at_once = steps_at_once(step * (int64_t)row_bytes * (rows + 1) / 2);
#pragma omp parallel for schedule(dynamic, at_once) if (w->rows * n > 1 << 14)
    for (int64_t o = 0; o < w->rows; o += step) {
        int64_t outputs = w->rows - o < step ? w->rows - o : step;
        if (rows > 1) {
            packed_tiles(w, o, o + outputs,
                         (spar__packed_tile){.row_bytes = row_bytes, .n_rows = rows, .n = n, .x = packed,
                                             .y_stride = w->rows, .alpha = alpha, .beta = beta}, y);
            continue;
        }
        real part[WEIGHTS_AT_ONCE], *out = y + o;
        k->packed_dot[w->type](part, (const char *)w->data + (size_t)o * row_bytes, row_bytes, packed, outputs, n);
        for (int64_t i = 0; i < outputs; i++)
            out[i] = alpha * part[i] + (beta != 0 ? beta * out[i] : 0);
    }
    spar__arena_rewind(pass->arena, mark);
}

static void decode_rows(const spar__tensor *w, int64_t begin, int64_t n, real *out) {
    const spar__kernels *k = spar__k();
    size_t row_bytes = 0;
    spar__row_bytes(w->type, (size_t)w->cols, &row_bytes);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++)
        k->decode[w->type](out + i * w->cols, (const char *)w->data + (size_t)(begin + i) * row_bytes,
                           w->cols);
}

void spar__times_weight(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha, real beta,
                        real *y) {
    if (!spar__ok(pass)) return;
    if (pass->watch) pass->watch(pass->watch_context, x, w);
    /* A pass without a cache (logits, evaluation, encoders) is exact: it does not round x. */
    if (spar__k()->packed_dot[w->type] && pass->cache && !pass->training) {
        packed_rows(pass, x, w, alpha, beta, y);
    } else if (x->rows <= spar__few_rows(pass)) {
        few_rows(x, w, alpha, beta, y);
    } else if (w->type != SPAR__F32) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        real *decoded = spar__take(pass, DECODED_AT_ONCE * w->cols, sizeof(real));
        for (int64_t o = 0; decoded && o < w->rows && spar__ok(pass); o += DECODED_AT_ONCE) {
            int64_t n = w->rows - o < DECODED_AT_ONCE ? w->rows - o : DECODED_AT_ONCE;
            decode_rows(w, o, n, decoded);
            spar__stop(pass, spar__gemm(false, true, x->rows, n, w->cols, alpha, spar__data(x), x->cols,
                                        decoded, w->cols, beta, y + o, w->rows));
        }
        spar__arena_rewind(pass->arena, mark);
    } else if (pass->bf16) {
        const uint16_t *xh = spar__half(pass, x), *wh = spar__half_weight(pass, w);
        if (xh && wh)
            spar__stop(pass, spar__gemm_bf16(false, true, x->rows, w->rows, w->cols, alpha, xh, x->cols,
                                             wh, w->cols, beta, y, w->rows));
    } else {
        spar__stop(pass, spar__gemm(false, true, x->rows, w->rows, w->cols, alpha, spar__data(x), x->cols,
                                    w->data, w->cols, beta, y, w->rows));
    }
}

/* out [cols, rows] = inᵀ. Blocks of 16 × 16 keep both sides in the cache. */
static void transpose(real *out, const real *in, int64_t rows, int64_t cols) {
    enum { BLOCK = 16 };
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r += BLOCK) {
        int64_t end = r + BLOCK < rows ? r + BLOCK : rows;
        for (int64_t c = 0; c < cols; c += BLOCK) {
            int64_t last = c + BLOCK < cols ? c + BLOCK : cols;
            for (int64_t j = c; j < last; j++)
                for (int64_t i = r; i < end; i++) out[j * rows + i] = in[i * cols + j];
        }
    }
}

/* dw += alpha·dyᵀ·x. Libraries multiply with a transposed first factor at half of their speed, so
 * there it is turned beforehand. */
static void weight_gradient(spar__pass *pass, const spar__tensor *x, int64_t out, real alpha,
                            const real *dy, real *dw, bool add) {
    if (spar__gemm_turns()) {
        spar__stop(pass, spar__gemm(true, false, out, x->cols, x->rows, alpha, dy, out, spar__data(x),
                                    x->cols, add ? 1 : 0, dw, x->cols));
        return;
    }
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *turned = spar__take(pass, x->rows * out, sizeof *turned);
    if (turned) {
        transpose(turned, dy, x->rows, out);
        spar__stop(pass, spar__gemm(false, false, out, x->cols, x->rows, alpha, turned, x->rows,
                                    spar__data(x), x->cols, add ? 1 : 0, dw, x->cols));
    }
    spar__arena_rewind(pass->arena, mark);
}

void spar__times_weight_back(spar__pass *pass, spar__tensor *x, spar__tensor *w, real alpha,
                             const real *dy, const uint16_t *dyh) {
    bool add;
    int64_t rows = x->rows, in = w->cols, out = w->rows;
    real *dx = spar__grad(pass, x, &add);
    if (dx && dyh)
        spar__stop(pass, spar__gemm_bf16(false, false, rows, in, out, alpha, dyh, out,
                                         spar__half_weight(pass, w), in, add ? 1 : 0, dx, in));
    else if (dx)
        spar__stop(pass, spar__gemm(false, false, rows, in, out, alpha, dy, out, w->data, in, add ? 1 : 0,
                                    dx, in));
    real *dw = spar__grad(pass, w, &add);
    if (dw && dyh)
        spar__stop(pass, spar__gemm_bf16(true, false, out, in, rows, alpha, dyh, out, spar__half(pass, x),
                                         in, add ? 1 : 0, dw, in));
    else if (dw)
        weight_gradient(pass, x, out, alpha, dy, dw, add);
}

/* Each thread sums whole columns, so the order of the sum is that of the rows. */
void spar__add_column_sums(real *db, const real *dy, int64_t rows, int64_t cols, bool add) {
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < cols; c += 64) {
        int64_t n = cols - c < 64 ? cols - c : 64;
        if (!add) memset(db + c, 0, (size_t)n * sizeof *db);
        for (int64_t r = 0; r < rows; r++) k->add(db + c, dy + r * cols + c, n);
    }
}

typedef struct linear {
    spar__tensor *x, *y;
    spar__param *w, *b;
    bool bf16;
} linear;

static void linear_back(spar__pass *pass, void *arguments) {
    linear *l = arguments;
    if (!l->y->grad_started) return;
    bool add;
    /* What the products need for themselves lies above what they leave: take that first. */
    spar__grad_room(pass, l->x);
    const uint16_t *half = NULL;
    if (l->bf16) {
        spar__half(pass, l->x);
        spar__half_weight(pass, &l->w->value);
    }
    spar__arena_mark mark = spar__arena_here(pass->arena);
    if (l->bf16) {
        spar__tensor dy = {.data = l->y->grad, .rows = l->y->rows, .cols = l->y->cols};
        half = spar__half(pass, &dy);
    }
    if (spar__ok(pass)) spar__times_weight_back(pass, l->x, &l->w->value, 1, l->y->grad, half);
    real *db = l->b ? spar__grad(pass, &l->b->value, &add) : NULL;
    if (db) spar__add_column_sums(db, l->y->grad, l->y->rows, l->y->cols, add);
    spar__arena_rewind(pass->arena, mark);
    spar__grad_done(pass, l->y);
}

/* y = x·wᵀ + b */
static void forward(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b, real *y) {
    int64_t rows = x->rows, in = x->cols, out = w->value.rows;
    bool plain = w->value.type == SPAR__F32 && !pass->bf16 && rows > spar__few_rows(pass);
    if (b && plain) { /* the bias is added where the products are stored */
        spar__stop(pass, spar__gemm_bias(false, true, rows, out, in, 1, spar__data(x), in, w->value.data,
                                         in, b->value.data, y, out));
        return;
    }
    for (int64_t r = 0; b && r < rows; r++)
        memcpy(y + r * out, b->value.data, (size_t)out * sizeof(real));
    spar__times_weight(pass, x, &w->value, 1, b ? 1 : 0, y);
}

static spar__tensor *run(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b) {
    if (!x || !spar__ok(pass)) return NULL;
    if (x->cols != w->value.cols)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: %lld inputs, expected %lld", w->name,
                                           (long long)x->cols, (long long)w->value.cols));
    bool needs = x->needs_grad || w->value.needs_grad;
    spar__tensor *y = spar__new(pass, x->rows, w->value.rows, needs);
    if (!y) return NULL;
    forward(pass, x, w, b, spar__data(y));
    if (needs) spar__push(pass, linear_back, &(linear){x, y, w, b, pass->bf16}, sizeof(linear));
    return spar__ok(pass) ? y : NULL;
}

spar__tensor *spar__linear(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b) {
    return run(pass, x, w, b);
}

spar__tensor *spar__linear_exact(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b) {
    bool bf16 = pass->bf16;
    pass->bf16 = false;
    spar__tensor *y = run(pass, x, w, b);
    pass->bf16 = bf16;
    return y;
}
