/* Rows of two parts of a sequence one after the other: what an encoder made of its source, then the decoder's own
 * rows; and the own ones taken out again. */
#include <string.h>

#include "op/op.h"

typedef struct append {
    spar__tensor *first, *x, *y;
    const spar__rows *sources, *own;
} append;

/* A part's row among the joined ones, side by side as often as it fits. */
static void copy_row(real *joined, int64_t width, const real *row, int64_t cols) {
    for (int64_t i = 0; i < width; i += cols) memcpy(joined + i, row, (size_t)cols * sizeof *row);
}

static void add_row(real *row, int64_t cols, const real *joined, int64_t width) {
    for (int64_t i = 0; i < width; i += cols) spar__k()->add(row, joined + i, cols);
}

/* All rows of both parts into the joined ones, or the gradients of those back. */
static void each_part(const append *j, real *joined, bool back) {
    int64_t at = 0, width = j->y->cols;
    for (int i = 0; i < 2 * j->own->n_sequences; i++) {
        const spar__rows *rows = i % 2 ? j->own : j->sources;
        spar__tensor *t = i % 2 ? j->x : j->first;
        const spar__sequence *s = &rows->sequences[i / 2];
        for (int64_t r = s->begin; r < s->begin + s->count; r++, at++) {
            if (!back) copy_row(joined + at * width, width, spar__data(t) + r * t->cols, t->cols);
            else if (t->needs_grad) add_row(t->grad + r * t->cols, t->cols, joined + at * width, width);
        }
    }
}

static void append_back(spar__pass *pass, void *arguments) {
    const append *j = arguments;
    if (!j->y->grad_started) return;
    spar__grad_ready(pass, j->first);
    spar__grad_ready(pass, j->x);
    if (spar__ok(pass)) each_part(j, j->y->grad, true);
}

spar__tensor *spar__append(spar__pass *pass, spar__tensor *first, const spar__rows *sources, spar__tensor *x, int64_t cols) {
    if (!first || !x || !spar__ok(pass)) return NULL;
    append j = {first, x, NULL, sources, pass->rows};
    j.y = spar__new(pass, first->rows + x->rows, cols, first->needs_grad || x->needs_grad);
    if (!j.y) return NULL;
    each_part(&j, spar__data(j.y), false);
    if (j.y->needs_grad) spar__push(pass, append_back, &j, sizeof j);
    return j.y;
}

/* ---- The second parts ---- */

static void part_back(spar__pass *pass, void *arguments) {
    const append *j = arguments;
    if (!j->y->grad_started || !j->x->needs_grad) return;
    spar__grad_ready(pass, j->x);
    int64_t at = 0, cols = j->y->cols;
    for (int i = 0; i < j->own->n_sequences && spar__ok(pass); i++) {
        const spar__sequence *s = &j->own->sequences[i];
        at += j->sources->sequences[i].count;
        spar__k()->add(j->x->grad + at * cols, j->y->grad + s->begin * cols, s->count * cols);
        at += s->count;
    }
}

spar__tensor *spar__appended(spar__pass *pass, spar__tensor *joined, const spar__rows *sources) {
    if (!joined || !spar__ok(pass)) return NULL;
    append j = {NULL, joined, NULL, sources, pass->rows};
    int64_t at = 0, cols = joined->cols;
    j.y = spar__new(pass, pass->rows->n_rows, cols, joined->needs_grad);
    for (int i = 0; j.y && i < pass->rows->n_sequences; i++) {
        const spar__sequence *s = &pass->rows->sequences[i];
        at += sources->sequences[i].count;
        memcpy(spar__data(j.y) + s->begin * cols, spar__data(joined) + at * cols, (size_t)(s->count * cols) * sizeof(real));
        at += s->count;
    }
    if (j.y && joined->needs_grad) spar__push(pass, part_back, &j, sizeof j);
    return j.y;
}
