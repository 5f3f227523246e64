/* Reversible residuals (Gomez et al. 2017, arXiv 1707.04585; Reformer, Kitaev et al. 2020, arXiv 2001.04451): two
 * streams a and b, which both start as x. Each half of a block is
 *     a ← a + f(norm(b));  a and b are swapped
 * with f the attention, then the feed-forward (`once`: after which they stay as they are). In the end the streams are averaged (Terraformer) or joined
 * (Reformer). Training keeps the last streams alone: the backward pass runs each half again on b, which is
 * still there, subtracts it from a, and so comes back to the first. What comes back differs in its last bits, so
 * discrete choices are kept (spar__keep); random draws are functions of their site. */
#include <string.h>

#include "block/block.h"

typedef struct reversible {
    const spar__block *blocks;
    int64_t n; /* halves */
    int32_t *halves; /* [n]: the block's number times two, and one more for its feed-forward */
    bool joined;
    spar__tensor *x, *y;
    int64_t rows, d;
    real *a, *b; /* [rows, d] */
    uint64_t *sites; /* of the halves */
} reversible;

static spar__tensor *run_half(spar__pass *pass, const reversible *r, int64_t i, spar__tensor *b) {
    const spar__block *block = &r->blocks[r->halves[i] / 2];
    bool feedforward = r->halves[i] % 2;
    pass->layer = block->index;
    spar__tensor *h = spar__block_norm(pass, &block->norm[feedforward], b);
    return feedforward ? spar__block_feedforward(pass, block, h, b) : spar__block_attention(pass, block, h);
}

/* Both halves of each block, or attention alone where there is no feed-forward. */
static void list_halves(spar__pass *pass, reversible *r, int64_t n_blocks) {
    r->halves = spar__take(pass, 2 * n_blocks, sizeof *r->halves);
    for (int64_t i = 0; r->halves && i < n_blocks; i++) {
        r->halves[r->n++] = (int32_t)(2 * i);
        if (spar__block_has_feedforward(&r->blocks[i])) r->halves[r->n++] = (int32_t)(2 * i + 1);
    }
}

/* Whether the streams are swapped after half i. */
static bool swaps(const reversible *r, int64_t i) {
    return !(r->halves[i] % 2 && r->blocks[r->halves[i] / 2].residual->once);
}

static void swap(reversible *r) {
    real *a = r->a;
    r->a = r->b;
    r->b = a;
}

/* to += sign·from, over all rows. */
static void accumulate(real *to, const real *from, int64_t n, int sign) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) to[i] += sign < 0 ? -from[i] : from[i];
}

/* Two streams [rows, d] to [rows, 2·d], and back. */
static void side_by_side(real *to, const real *a, const real *b, int64_t rows, int64_t d) {
    for (int64_t i = 0; i < rows; i++) {
        memcpy(to + 2 * i * d, a + i * d, (size_t)d * sizeof *a);
        memcpy(to + (2 * i + 1) * d, b + i * d, (size_t)d * sizeof *b);
    }
}

static void apart(const real *from, real *a, real *b, int64_t rows, int64_t d) {
    for (int64_t i = 0; i < rows; i++) {
        memcpy(a + i * d, from + 2 * i * d, (size_t)d * sizeof *a);
        memcpy(b + i * d, from + (2 * i + 1) * d, (size_t)d * sizeof *b);
    }
}

/* ---- The streams' end: y = (a + b)/2, or a and b side by side ---- */

static void end_streams(const reversible *r, real *y) {
    int64_t rows = r->rows, d = r->d;
    if (r->joined) side_by_side(y, r->a, r->b, rows, d);
    for (int64_t i = 0; i < rows * d && !r->joined; i++) y[i] = (r->a[i] + r->b[i]) / 2;
}

static void begin_gradients(const reversible *r, real *da, real *db) {
    int64_t rows = r->rows, d = r->d;
    const real *dy = r->y->grad;
    if (r->joined) apart(dy, da, db, rows, d);
    for (int64_t i = 0; i < rows * d && !r->joined; i++) da[i] = db[i] = dy[i] / 2;
}

/* ---- Backward ---- */

/* Undoes half i, whose sum is in a: a becomes what it was, and the gradient of b grows by f's part. */
static void undo_half(spar__pass *pass, const reversible *r, int64_t i, real *da, real *db) {
    int64_t rows = r->rows, d = r->d;
    spar__record *until = pass->tape;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    spar__weight_copy *copies = pass->copies;
    spar__tensor b = {.data = r->b, .rows = rows, .cols = d, .grad = db, .grad_started = true, .needs_grad = true};
    pass->site = r->sites[i];
    pass->recording = true;
    spar__tensor *f = run_half(pass, r, i, &b);
    if (f) {
        accumulate(r->a, spar__data(f), rows * d, -1);
        f->grad = da;
        f->grad_started = true;
        spar__run_backward(pass, until);
    }
    pass->tape = until;
    spar__drop_copies(pass, copies);
    spar__arena_rewind(pass->arena, mark);
}

static void reversible_back(spar__pass *pass, void *arguments) {
    reversible *r = arguments;
    if (!r->y->grad_started) return;
    int64_t size = r->rows * r->d;
    bool add = false;
    real *dx = spar__grad(pass, r->x, &add);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *da = spar__take(pass, size, sizeof *da), *db = spar__take(pass, size, sizeof *db);
    uint64_t site = pass->site;
    struct spar__observer *observer = pass->observer;
    pass->observer = NULL; /* it has been told in the forward pass */
    if (db) begin_gradients(r, da, db);
    for (int64_t i = r->n; i-- > 0 && spar__ok(pass);) {
        if (swaps(r, i)) {
            swap(r);
            real *d = da;
            da = db;
            db = d;
        }
        undo_half(pass, r, i, da, db);
    }
    pass->site = site;
    pass->observer = observer;
    if (dx && spar__ok(pass)) {
        int64_t d = r->d;
        if (!add) memset(dx, 0, (size_t)(r->rows * r->x->cols) * sizeof *dx);
        for (int64_t i = 0; i < r->rows; i++) {
            spar__k()->add(dx + i * r->x->cols, da + i * d, d);
            spar__k()->add(dx + (i + 1) * r->x->cols - d, db + i * d, d);
        }
    }
    spar__arena_rewind(pass->arena, mark);
}

/* ---- Forward ---- */

static void run_halves(spar__pass *pass, reversible *r) {
    int64_t rows = r->rows, d = r->d;
    for (int64_t i = 0; i < r->n && spar__ok(pass); i++) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        spar__weight_copy *copies = pass->copies;
        spar__tensor b = {.data = r->b, .rows = rows, .cols = d};
        r->sites[i] = pass->site;
        spar__tensor *f = run_half(pass, r, i, &b);
        if (f) accumulate(r->a, spar__data(f), rows * d, 1);
        spar__drop_copies(pass, copies);
        spar__arena_rewind(pass->arena, mark);
        if (swaps(r, i)) swap(r);
    }
}

spar__tensor *spar__reversible_run(spar__pass *pass, const spar__block *blocks, int64_t n, bool joined,
                                   spar__tensor *x) {
    if (!x || !spar__ok(pass)) return NULL;
    bool recording = pass->recording;
    int64_t d = n ? blocks[0].shape->d_model : x->cols, size = x->rows * d;
    reversible r = {.blocks = blocks, .joined = joined, .x = x, .rows = x->rows, .d = d};
    list_halves(pass, &r, n);
    r.y = spar__new(pass, x->rows, joined ? 2 * d : d, true);
    r.a = spar__take(pass, size, sizeof *r.a);
    r.b = spar__take(pass, size, sizeof *r.b);
    r.sites = spar__take(pass, r.n, sizeof *r.sites);
    if (!r.sites) return NULL;
    if (x->cols > d) {
        apart(spar__data(x), r.a, r.b, x->rows, d);
    } else {
        memcpy(r.a, x->data, (size_t)size * sizeof *r.a);
        memcpy(r.b, x->data, (size_t)size * sizeof *r.b);
    }
    pass->recording = false;
    run_halves(pass, &r);
    pass->recording = recording;
    if (!spar__ok(pass)) return NULL;
    end_streams(&r, spar__data(r.y));
    spar__push(pass, reversible_back, &r, sizeof r);
    return r.y;
}
