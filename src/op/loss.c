/* The head and its cross entropy, fused: logits exist for a chunk of rows at a time, and become their
 * own gradient in place. The scale of the gradient is known beforehand, so the products of the
 * backward pass are done at once, and only dx [rows, d] is kept. */
#include <string.h>

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

typedef struct chunk {
    spar__tensor x;
    const int32_t *targets;
    real *logits;
    double *nats; /* [rows of the chunk] */
} chunk;

static void rows_loss(const chunk *c, int64_t v, real scale, const spar__loss_options *o) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < c->x.rows; r++) {
        double lse;
        real *row = c->logits + r * v;
        c->nats[r] = 0;
        if (c->targets[r] >= 0)
            c->nats[r] = spar__k()->cross_entropy(row, v, c->targets[r], scale, (real)o->smoothing,
                                                  (real)o->z_loss, &lse);
        else memset(row, 0, (size_t)v * sizeof *row);
    }
}

void spar__head_loss(spar__pass *pass, spar__tensor *x, spar__param *w, spar__param *b,
                     const int32_t *targets, const spar__loss_options *o, double *sum,
                     int64_t *count) {
    if (!x || !spar__ok(pass)) return;
    int64_t v = w->value.rows, d = x->cols, counted = 0, step = chunk_rows(v);
    for (int64_t r = 0; r < x->rows; r++) {
        if (targets[r] >= v)
            spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "target %d, expected below %lld", targets[r],
                                        (long long)v));
        counted += targets[r] >= 0;
    }
    bool back = pass->recording && (x->needs_grad || w->value.needs_grad);
    real *dx = back && x->needs_grad ? spar__take(pass, x->rows * d, sizeof(real)) : NULL;
    if (pass->bf16) spar__half(pass, x), spar__half(pass, &w->value);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *logits = spar__take(pass, step * v, sizeof(real));
    double *nats = spar__take(pass, step, sizeof *nats), total = 0;
    uint16_t *half = back && pass->bf16 ? spar__take(pass, step * v, sizeof *half) : NULL;
    real scale = back && counted ? (real)(o->scale / (double)counted) : 0;
    real logit_scale = (real)o->logit_scale;
    for (int64_t r = 0; r < x->rows && spar__ok(pass); r += step) {
        int64_t n = x->rows - r < step ? x->rows - r : step;
        chunk c = {.targets = targets + r, .logits = logits, .nats = nats};
        c.x = (spar__tensor){.data = spar__data(x) + r * d, .rows = n, .cols = d};
        c.x.half = x->half ? x->half + r * d : NULL;
        if (dx) c.x.needs_grad = true, c.x.grad = dx + r * d;
        if (b)
            for (int64_t i = 0; i < n; i++)
                memcpy(logits + i * v, b->value.data, (size_t)v * sizeof(real));
        spar__times_weight(pass, &c.x, &w->value, logit_scale, b ? 1 : 0, logits);
        if (!spar__ok(pass)) break;
        rows_loss(&c, v, scale, o);
        for (int64_t i = 0; i < n; i++) total += nats[i];
        if (!back) continue;
        if (half) {
#pragma omp parallel for schedule(static)
            for (int64_t i = 0; i < n; i++) spar__k()->to_bf16(half + i * v, logits + i * v, v);
        }
        spar__times_weight_back(pass, &c.x, &w->value, logit_scale, logits, half);
        bool add;
        real *db = b ? spar__grad(pass, &b->value, &add) : NULL;
        if (db) spar__add_column_sums(db, logits, n, v, add);
    }
    spar__arena_rewind(pass->arena, mark);
    if (dx) spar__push(pass, head_loss_back, &(head_loss){x, dx}, sizeof(head_loss));
    if (!spar__ok(pass)) return;
    if (sum) *sum = total;
    if (count) *count = counted;
}
