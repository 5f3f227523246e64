/* Simple recurrent unit (Lei et al. 2018, arXiv 1709.02755): with the thirds r, f, y of u, σ of the first two,
 *     c_t = f·c_{t−1} + (1 − f)·y;   h_t = r·g(c_t) + (1 − r)·x·√3
 * Numbers of a row do not meet each other, so the columns are spread over threads; each runs along its sequence.
 * Backward, the gradient of c_t is its own, through h_t, and f_{t+1} times that of c_{t+1}. */
#include <math.h>
#include <string.h>

#include "op/cache.h"
#include "op/op.h"

enum { COLUMNS = 16 }; /* of one iteration of a parallel loop */

typedef struct unit {
    spar__tensor *x, *u, *y;
    real *cells, *shown; /* [rows, d]: c and g(c); the same memory where g is the identity */
    spar__activation f;
    int track;
} unit;

static real sigmoid(real x) { return 1 / (1 + (real)exp((double)-x)); }

/* Whether the row behind its sequence's first `i` sees the cell of the position before. */
static bool goes_on(const spar__pass *pass, const spar__sequence *s, int64_t i) {
    const int32_t *first = pass->rows->first;
    int64_t before = s->past + i - 1;
    return before >= (first ? first[s->begin + i] : 0) && (i > 0 || pass->cache);
}

/* Cells of columns [low, high) along a sequence; `start` is the cell before its first row. */
static void run_cells(const spar__pass *pass, const unit *l, const spar__sequence *s, int64_t low, int64_t high,
                      const real *start) {
    int64_t d = l->x->cols;
    for (int64_t i = 0; i < s->count; i++) {
        const real *u = spar__data(l->u) + (s->begin + i) * 3 * d;
        real *c = l->cells + (s->begin + i) * d;
        const real *before = !goes_on(pass, s, i) ? NULL : i ? c - d : start;
        for (int64_t j = low; j < high; j++) {
            real f = sigmoid(u[d + j]);
            c[j] = (before ? f * before[j] : 0) + (1 - f) * u[2 * d + j];
        }
    }
}

static void forward(spar__pass *pass, const unit *l) {
    int64_t d = l->x->cols, n = l->x->rows * d;
    const spar__rows *rows = pass->rows;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *start = pass->cache ? spar__take(pass, d, sizeof *start) : NULL;
    for (int i = 0; i < rows->n_sequences && spar__ok(pass); i++) {
        const spar__sequence *s = &rows->sequences[i];
        if (start) spar__cache_load(pass->cache, pass->layer, l->track, s->slot, s->past - 1, start);
#pragma omp parallel for schedule(static) if (s->count > 1)
        for (int64_t low = 0; low < d; low += COLUMNS)
            run_cells(pass, l, s, low, low + COLUMNS < d ? low + COLUMNS : d, start);
        if (start)
            spar__cache_store(pass->cache, pass->layer, l->track, s->slot, s->past, s->count, l->cells + s->begin * d);
    }
    spar__arena_rewind(pass->arena, mark);
    if (l->shown != l->cells) spar__k()->activate(l->f, l->shown, l->cells, n);
    const real *x = spar__data(l->x), *u = spar__data(l->u);
    real *y = spar__data(l->y), root = (real)sqrt(3);
#pragma omp parallel for schedule(static) if (l->x->rows > 1)
    for (int64_t r = 0; r < l->x->rows; r++)
        for (int64_t j = 0; j < d; j++) {
            real reset = sigmoid(u[r * 3 * d + j]);
            y[r * d + j] = reset * l->shown[r * d + j] + (1 - reset) * root * x[r * d + j];
        }
}

/* Gradients of the cells of columns [low, high) along a sequence, from dc, which holds those through h. */
static void cells_back(const spar__pass *pass, const unit *l, const spar__sequence *s, int64_t low, int64_t high,
                       real *dc, real *du) {
    int64_t d = l->x->cols;
    for (int64_t i = s->count; i-- > 0;) {
        int64_t row = s->begin + i;
        bool before = goes_on(pass, s, i) && i > 0;
        const real *u = spar__data(l->u) + row * 3 * d, *c = l->cells + (before ? row - 1 : row) * d;
        for (int64_t j = low; j < high; j++) {
            real f = sigmoid(u[d + j]), g = dc[row * d + j];
            du[row * 3 * d + d + j] += g * ((before ? c[j] : 0) - u[2 * d + j]) * f * (1 - f);
            du[row * 3 * d + 2 * d + j] += g * (1 - f);
            if (before) dc[(row - 1) * d + j] += g * f;
        }
    }
}

/* Through h: into the first third of du, into dx, and the cells' own gradients into dc. */
static void output_back(const unit *l, real *dc, real *du, real *dx) {
    int64_t d = l->x->cols;
    const real *x = spar__data(l->x), *u = spar__data(l->u), *dy = l->y->grad;
    real root = (real)sqrt(3);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < l->x->rows; r++)
        for (int64_t j = 0; j < d; j++) {
            int64_t i = r * d + j;
            real reset = sigmoid(u[r * 3 * d + j]);
            du[r * 3 * d + j] += dy[i] * (l->shown[i] - root * x[i]) * reset * (1 - reset);
            if (dx) dx[i] += dy[i] * (1 - reset) * root;
            dc[i] = dy[i] * reset;
        }
    if (l->shown != l->cells) spar__k()->activate_back(l->f, dc, l->cells, dc, l->x->rows * d, false);
}

static void back(spar__pass *pass, void *arguments) {
    const unit *l = arguments;
    if (!l->y->grad_started) return;
    int64_t d = l->x->cols;
    spar__grad_ready(pass, l->x);
    spar__grad_ready(pass, l->u);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *dc = spar__take(pass, l->x->rows * d, sizeof *dc);
    if (!dc) return;
    output_back(l, dc, l->u->grad, l->x->needs_grad ? l->x->grad : NULL);
    for (int i = 0; i < pass->rows->n_sequences; i++) {
        const spar__sequence *s = &pass->rows->sequences[i];
#pragma omp parallel for schedule(static)
        for (int64_t low = 0; low < d; low += COLUMNS)
            cells_back(pass, l, s, low, low + COLUMNS < d ? low + COLUMNS : d, dc, l->u->grad);
    }
    spar__arena_rewind(pass->arena, mark);
}

spar__tensor *spar__recurrence(spar__pass *pass, spar__tensor *x, spar__tensor *u, spar__activation f, int track) {
    if (!x || !u || !spar__ok(pass)) return NULL;
    int64_t n = x->rows * x->cols;
    if (u->rows != x->rows || u->cols != 3 * x->cols || x->rows != pass->rows->n_rows)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "recurrence: [%lld, %lld] with [%lld, %lld]",
                                           (long long)x->rows, (long long)x->cols, (long long)u->rows,
                                           (long long)u->cols));
    for (int i = 0; pass->cache && i < pass->rows->n_sequences; i++)
        spar__stop(pass, spar__cache_check(pass->cache, &pass->rows->sequences[i]));
    unit l = {.x = x, .u = u, .f = f, .track = track};
    l.y = spar__new(pass, x->rows, x->cols, u->needs_grad);
    l.cells = spar__take(pass, n, sizeof *l.cells);
    l.shown = f == SPAR__IDENTITY ? l.cells : spar__take(pass, n, sizeof *l.shown);
    if (!spar__ok(pass)) return NULL;
    forward(pass, &l);
    if (u->needs_grad) spar__push(pass, back, &l, sizeof l);
    return spar__ok(pass) ? l.y : NULL;
}
