/* The head and its cross entropy, fused: logits exist for a chunk of rows at a time, and become their
 * own gradient in place. The scale of the gradient is known beforehand, so the products of the
 * backward pass are done at once, and only dx [rows, d] is kept. */
#include <string.h>

#include "op/modules.h"
#include "op/product.h"

/* Rows of one chunk: logits of about 8 MB, so that they stay in the cache between the products; but
 * enough rows that reading the weights of a large vocabulary pays. */
static int64_t chunk_rows(int64_t vocabulary) {
    int64_t n = ((int64_t)1 << 21) / vocabulary;
    return n < 256 ? 256 : n > 1024 ? 1024 : n;
}

typedef struct head_loss {
    spar__tensor *x;
    real *dx;
} head_loss;

static void head_loss_back(spar__pass *pass, void *arguments) {
    head_loss *h = arguments;
    bool add;
    if (!h->x->grad) {
        h->x->grad = h->dx;
        h->x->grad_started = true;
        return;
    }
    real *dx = spar__grad(pass, h->x, &add);
    if (!dx) return;
    int64_t n = h->x->rows * h->x->cols;
    if (add) spar__k()->add(dx, h->dx, n);
    else memcpy(dx, h->dx, (size_t)n * sizeof *dx);
}

/* What makes the logits: w [columns, d], or with D a multiplicative layer (op/modules.h), whose columns are
 * padded to a multiple of its modules: those beyond the vocabulary are no classes. */
typedef struct head {
    spar__param *d, *w, *b;
    int64_t columns, vocabulary;
} head;

typedef struct chunk {
    spar__tensor x;
    const int32_t *targets;
    real *logits;   /* [rows, columns] */
    real *spread;   /* [rows·modules, d] of a multiplicative layer */
    uint16_t *half; /* of the logits, or NULL */
    double *nats;   /* [rows of the chunk] */
} chunk;

static void rows_loss(const head *h, const chunk *c, real scale, const spar__loss_options *o) {
    int64_t v = h->vocabulary;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < c->x.rows; r++) {
        double lse;
        real *row = c->logits + r * h->columns;
        c->nats[r] = 0;
        if (c->targets[r] >= 0)
            c->nats[r] = spar__k()->cross_entropy(row, v, c->targets[r], scale, (real)o->smoothing,
                                                  (real)o->z_loss, &lse);
        else memset(row, 0, (size_t)v * sizeof *row);
        memset(row + v, 0, (size_t)(h->columns - v) * sizeof *row);
    }
}

static void chunk_logits(spar__pass *pass, const head *h, chunk *c, real scale) {
    int64_t n = c->x.rows, d = c->x.cols;
    for (int64_t i = 0; h->b && i < n; i++)
        memcpy(c->logits + i * h->columns, h->b->value.data, (size_t)h->columns * sizeof(real));
    if (h->d) {
        int64_t modules = h->d->value.rows;
        spar__spread(spar__data(&c->x), spar__decoded(pass, h->d), n, modules, d, c->spread);
        spar__tensor spread = {.data = c->spread, .rows = n * modules, .cols = d};
        spar__times_weight(pass, &spread, &h->w->value, scale, h->b ? 1 : 0, c->logits);
    } else {
        spar__times_weight(pass, &c->x, &h->w->value, scale, h->b ? 1 : 0, c->logits);
    }
}

/* Gradients, from logits that have become theirs. */
static void chunk_back(spar__pass *pass, const head *h, chunk *c, real scale) {
    int64_t n = c->x.rows, d = c->x.cols;
    bool add;
    real *db = h->b ? spar__grad(pass, &h->b->value, &add) : NULL;
    if (db) spar__add_column_sums(db, c->logits, n, h->columns, add);
    if (!h->d) {
        if (c->half) {
#pragma omp parallel for schedule(static)
            for (int64_t i = 0; i < n; i++)
                spar__k()->to_bf16(c->half + i * h->columns, c->logits + i * h->columns, h->columns);
        }
        spar__times_weight_back(pass, &c->x, &h->w->value, scale, c->logits, c->half);
        return;
    }
    int64_t modules = h->d->value.rows, m = h->w->value.rows;
    real *dw = spar__grad(pass, &h->w->value, &add);
    if (dw)
        spar__stop(pass, spar__gemm(true, false, m, d, n * modules, scale, c->logits, m, c->spread, d, add ? 1 : 0,
                                    dw, d));
    real *dd = spar__grad(pass, &h->d->value, &add);
    if (dd && !add) memset(dd, 0, (size_t)(modules * d) * sizeof *dd);
    spar__stop(pass, spar__gemm(false, false, n * modules, d, m, scale, c->logits, m, spar__data(&h->w->value), d, 0,
                                c->spread, d));
    if (c->x.grad) memset(c->x.grad, 0, (size_t)(n * d) * sizeof *c->x.grad);
    spar__spread_back(spar__data(&c->x), spar__data(&h->d->value), c->spread, n, modules, d, c->x.grad, dd);
}

/* Σ nats of all rows; with `dx` gradients too, those of the weights added. */
static double all_rows(spar__pass *pass, const head *h, spar__tensor *x, const int32_t *targets,
                       const spar__loss_options *o, int64_t counted, bool back, real *dx) {
    int64_t v = h->columns, d = x->cols, step = chunk_rows(v), modules = h->d ? h->d->value.rows : 0;
    if (step > x->rows) step = x->rows;
    chunk c = {.logits = spar__take(pass, step * v, sizeof(real))};
    double *nats = spar__take(pass, step, sizeof *nats), total = 0;
    c.nats = nats;
    c.half = back && pass->bf16 && !h->d ? spar__take(pass, step * v, sizeof *c.half) : NULL;
    c.spread = h->d ? spar__take(pass, step * modules * d, sizeof *c.spread) : NULL;
    real scale = back && counted ? (real)(o->scale / (double)counted) : 0;
    for (int64_t r = 0; r < x->rows && spar__ok(pass); r += step) {
        int64_t n = x->rows - r < step ? x->rows - r : step;
        spar__arena_mark mark = spar__arena_here(pass->arena);
        c.targets = targets + r;
        c.x = (spar__tensor){.data = spar__data(x) + r * d, .rows = n, .cols = d};
        c.x.half = x->half ? x->half + r * d : NULL;
        if (dx) c.x.needs_grad = true, c.x.grad = dx + r * d;
        chunk_logits(pass, h, &c, (real)o->logit_scale);
        if (spar__ok(pass)) {
            rows_loss(h, &c, scale, o);
            for (int64_t i = 0; i < n; i++) total += nats[i];
            if (back) chunk_back(pass, h, &c, (real)o->logit_scale);
        }
        spar__arena_rewind(pass->arena, mark);
    }
    return total;
}

static void head_loss_of(spar__pass *pass, const head *h, spar__tensor *x, const int32_t *targets,
                         const spar__loss_options *o, double *sum, int64_t *count) {
    if (!x || !spar__ok(pass)) return;
    int64_t counted = 0;
    for (int64_t r = 0; r < x->rows; r++) {
        if (targets[r] >= h->vocabulary)
            spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "target %d, expected below %lld", targets[r],
                                        (long long)h->vocabulary));
        counted += targets[r] >= 0;
    }
    bool back = pass->recording && (x->needs_grad || h->w->value.needs_grad);
    real *dx = back && x->needs_grad ? spar__take(pass, x->rows * x->cols, sizeof(real)) : NULL;
    if (pass->bf16) spar__half(pass, x), spar__half_weight(pass, &h->w->value);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    double total = spar__ok(pass) ? all_rows(pass, h, x, targets, o, counted, back, dx) : 0;
    spar__arena_rewind(pass->arena, mark);
    if (dx) spar__push(pass, head_loss_back, &(head_loss){x, dx}, sizeof(head_loss));
    if (!spar__ok(pass)) return;
    if (sum) *sum = total;
    if (count) *count = counted;
}

void spar__head_loss(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b,
                     const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count) {
    head h = {NULL, w, b, w->value.rows, w->value.rows};
    head_loss_of(pass, &h, x, targets, o, sum, count);
}

void spar__multiplicative_loss(spar__pass *pass, spar__tensor *x, spar__param *d, spar__param *e, spar__param *b,
                               int64_t vocabulary, const int32_t *targets, const spar__loss_options *o,
                               double *sum, int64_t *count) {
    head h = {d, e, b, d->value.rows * e->value.rows, vocabulary};
    head_loss_of(pass, &h, x, targets, o, sum, count);
}
