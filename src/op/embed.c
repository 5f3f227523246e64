/* Rows of a table picked by ids; backward adds each row's gradient to its table row. */
#include <string.h>

#include "op/op.h"

typedef struct embed {
    spar__param *table;
    spar__tensor *y;
    const int32_t *ids;
} embed;

/* Each thread owns columns, so rows with one id are added in their order. */
static void embed_back(spar__pass *pass, void *arguments) {
    embed *e = arguments;
    if (!e->y->grad_started) return;
    spar__tensor *table = &e->table->value;
    bool add;
    real *dtable = spar__grad(pass, table, &add);
    if (!dtable) return;
    int64_t d = table->cols;
    const spar__kernels *k = spar__k();
    if (!add) memset(dtable, 0, (size_t)(table->rows * d) * sizeof *dtable);
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < d; c += 64) {
        int64_t n = d - c < 64 ? d - c : 64;
        for (int64_t r = 0; r < e->y->rows; r++)
            k->add(dtable + e->ids[r] * d + c, e->y->grad + r * d + c, n);
    }
}

spar__tensor *spar__embed(spar__pass *pass, spar__param *table, const int32_t *ids, int64_t count) {
    if (!spar__ok(pass)) return NULL;
    spar__tensor *t = &table->value;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= t->rows)
            return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: id %d, expected 0 to %lld",
                                               table->name, ids[i], (long long)t->rows - 1));
    spar__tensor *y = spar__new(pass, count, t->cols, t->needs_grad);
    if (!y) return NULL;
    size_t row_bytes = 0;
    spar__row_bytes(t->type, (size_t)t->cols, &row_bytes);
    for (int64_t i = 0; i < count; i++)
        spar__k()->decode[t->type](spar__data(y) + i * t->cols,
                                   (const char *)t->data + (size_t)ids[i] * row_bytes, t->cols);
    if (y->needs_grad) spar__push(pass, embed_back, &(embed){table, y, ids}, sizeof(embed));
    return y;
}
