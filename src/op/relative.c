/* Scores by relative position: trained biases of distances (Raffel et al. 2020, arXiv 1910.10683), and
 * products of each head's queries or keys with rows of positions (He et al. 2021, arXiv 2006.03654). */
#include <string.h>

#include "op/product.h"

/* ---- y[h, i] = table[bucket[i], h] ---- */

typedef struct picked {
    spar__param *table;
    spar__tensor *y;
    const int32_t *bucket;
} picked;

static void bucket_bias_back(spar__pass *pass, void *arguments) {
    picked *p = arguments;
    if (!p->y->grad_started) return;
    spar__tensor *t = &p->table->value;
    bool add;
    real *d = spar__grad(pass, t, &add);
    if (!d) return;
    if (!add) memset(d, 0, (size_t)(t->rows * t->cols) * sizeof *d);
    for (int64_t h = 0; h < p->y->rows; h++)
        for (int64_t i = 0; i < p->y->cols; i++)
            d[p->bucket[i] * t->cols + h] += p->y->grad[h * p->y->cols + i];
}

spar__tensor *spar__bucket_bias(spar__pass *pass, spar__param *table, const int32_t *bucket, int64_t n) {
    if (!spar__ok(pass)) return NULL;
    spar__tensor *t = &table->value;
    spar__tensor *y = spar__new(pass, t->cols, n, t->needs_grad);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    real *row = spar__take(pass, t->cols, sizeof *row);
    if (!y || !row) return NULL;
    size_t row_bytes = 0;
    spar__row_bytes(t->type, (size_t)t->cols, &row_bytes);
    for (int64_t i = 0; i < n; i++) {
        spar__k()->decode[t->type](row, (const char *)t->data + (size_t)bucket[i] * row_bytes, t->cols);
        for (int64_t h = 0; h < t->cols; h++) spar__data(y)[h * n + i] = row[h];
    }
    spar__arena_rewind(pass->arena, mark);
    if (y->needs_grad) spar__push(pass, bucket_bias_back, &(picked){table, y, bucket}, sizeof(picked));
    return y;
}

/* ---- y[r, h, p] = scale·x[r, h]·rows[p, h] ---- */

typedef struct products {
    spar__tensor *x, *rows, *y;
    int n_heads;
    int64_t head_dim;
    real scale;
} products;

/* Where head h of y finds its vectors in a tensor with as many heads or, grouped, with fewer. */
static int64_t column(const products *p, const spar__tensor *t, int h) {
    int heads = (int)(t->cols / p->head_dim);
    return h / (p->n_heads / heads) * p->head_dim;
}

static real *added_grad(spar__pass *pass, spar__tensor *t) {
    spar__grad_ready(pass, t);
    return t->needs_grad && spar__ok(pass) ? t->grad : NULL;
}

static void head_products_back(spar__pass *pass, void *arguments) {
    products *p = arguments;
    if (!p->y->grad_started) return;
    int64_t n = p->rows->rows, d = p->head_dim;
    real *dx = added_grad(pass, p->x), *drows = added_grad(pass, p->rows);
    for (int h = 0; h < p->n_heads && spar__ok(pass); h++) {
        int64_t from = column(p, p->x, h), of = column(p, p->rows, h);
        const real *dy = p->y->grad + h * n;
        if (dx)
            spar__stop(pass, spar__gemm(false, false, p->x->rows, d, n, p->scale, dy, p->y->cols,
                                        spar__data(p->rows) + of, p->rows->cols, 1, dx + from, p->x->cols));
        if (drows)
            spar__stop(pass, spar__gemm(true, false, n, d, p->x->rows, p->scale, dy, p->y->cols,
                                        spar__data(p->x) + from, p->x->cols, 1, drows + of, p->rows->cols));
    }
}

/* A token or a few, one by one. */
static void few_head_products(const products *p) {
    int64_t n = p->rows->rows;
    for (int h = 0; h < p->n_heads; h++)
        spar__k()->row_dots(spar__data(p->y) + h * n, p->y->cols, spar__data(p->x) + column(p, p->x, h), p->x->cols,
                            p->x->rows, spar__data(p->rows) + column(p, p->rows, h), p->rows->cols, n, p->head_dim);
    spar__k()->scale(spar__data(p->y), p->scale, p->y->rows * p->y->cols);
}

spar__tensor *spar__head_products(spar__pass *pass, spar__tensor *x, spar__tensor *rows, int n_heads,
                                  int64_t head_dim, double scale) {
    if (!x || !rows || !spar__ok(pass)) return NULL;
    int64_t n = rows->rows;
    products p = {x, rows, NULL, n_heads, head_dim, (real)scale};
    p.y = spar__new(pass, x->rows, n_heads * n, x->needs_grad || rows->needs_grad);
    bool few = p.y && pass->cache && x->rows <= spar__few_rows(pass);
    if (few) few_head_products(&p);
    for (int h = 0; p.y && !few && h < n_heads && spar__ok(pass); h++)
        spar__stop(pass, spar__gemm(false, true, x->rows, n, head_dim, p.scale,
                                    spar__data(x) + column(&p, x, h), x->cols,
                                    spar__data(rows) + column(&p, rows, h), rows->cols, 0,
                                    spar__data(p.y) + h * n, p.y->cols));
    if (p.y && p.y->needs_grad) spar__push(pass, head_products_back, &p, sizeof p);
    return spar__ok(pass) ? p.y : NULL;
}
