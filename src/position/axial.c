/* Axial positions (Reformer, Kitaev et al. 2020, arXiv 2001.04451): a position is a point of a box with sides
 * `shape`, the last side counted fastest, and has a trained vector for its coordinate on each axis; these,
 * `widths` wide, joined are added to the embedding. Tables of Σ sides rows serve Π sides positions. */
#include <stdio.h>
#include <string.h>

#include "position/position.h"

typedef struct options {
    spar_ints shape, widths;
} options;

static const spar_option table[] = {
    {"shape", SPAR_OPTION_INTS, offsetof(options, shape), 0, 1, 1 << 24, NULL,
     "sides of the box; none: about square for the context"},
    {"widths", SPAR_OPTION_INTS, offsetof(options, widths), 0, 1, 1 << 20, NULL,
     "of the axes' vectors, d_model in all; none: equal ones"},
    {0}};

typedef struct layer {
    int n;
    spar__param *axis[SPAR_MOST_INTS];
    int64_t side[SPAR_MOST_INTS];
} layer;

static void fill_in(const spar__shape *s, options *o) {
    if (!o->shape.n) {
        int64_t side = 1;
        while (side * side < s->context) side++;
        o->shape = (spar_ints){2, {(s->context + side - 1) / side, side}};
    }
    for (int64_t left = s->d_model; !o->widths.n || o->widths.n < o->shape.n;) {
        int64_t axes = o->shape.n - o->widths.n, width = left / axes;
        if (o->widths.n == 0 && width == 0) break;
        o->widths.at[o->widths.n++] = width;
        left -= width;
    }
}

static spar_status check(const spar__shape *s, const options *o) {
    int64_t positions = 1, width = 0;
    if (o->widths.n != o->shape.n)
        return spar__fail(SPAR_ERR_CONFIG, "model.position.widths: %lld numbers, expected %lld, one for each side of shape",
                          (long long)o->widths.n, (long long)o->shape.n);
    for (int64_t i = 0; i < o->shape.n; i++) {
        width += o->widths.at[i];
        if (positions < s->context) positions *= o->shape.at[i];
    }
    if (width != s->d_model)
        return spar__fail(SPAR_ERR_CONFIG, "model.position.widths: %lld in all, expected d_model, %lld",
                          (long long)width, (long long)s->d_model);
    if (positions < s->context)
        return spar__fail(SPAR_ERR_CONFIG, "model.position.shape: %lld positions, expected at least the context's %lld",
                          (long long)positions, (long long)s->context);
    return SPAR_OK;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    options o = *(const options *)opts;
    fill_in(s, &o);
    SPAR_TRY(check(s, &o));
    layer l = {.n = (int)o.shape.n};
    for (int i = 0; i < l.n; i++) {
        char name[48];
        snprintf(name, sizeof name, "position_embd.%d.weight", i);
        l.side[i] = o.shape.at[i];
        l.axis[i] = spar__declare_matrix(b, name, s->std, l.side[i], o.widths.at[i]);
    }
    *(layer *)self = l;
    return b->status;
}

/* ---- x + the joined rows ---- */

typedef struct axial {
    const layer *l;
    spar__tensor *x, *y;
    const int32_t *positions;
} axial;

static int64_t coordinate(const layer *l, int axis, int64_t position) {
    for (int i = l->n - 1; i > axis; i--) position /= l->side[i];
    return position % l->side[axis];
}

static void axial_back(spar__pass *pass, void *arguments) {
    axial *a = arguments;
    if (!a->y->grad_started) return;
    bool add;
    int64_t rows = a->y->rows, d = a->y->cols, at = 0;
    real *dx = spar__grad(pass, a->x, &add);
    if (dx && add) spar__k()->add(dx, a->y->grad, rows * d);
    else if (dx) memcpy(dx, a->y->grad, (size_t)(rows * d) * sizeof *dx);
    for (int i = 0; i < a->l->n; i++) {
        spar__tensor *t = &a->l->axis[i]->value;
        real *dt = spar__grad(pass, t, &add);
        if (dt && !add) memset(dt, 0, (size_t)(t->rows * t->cols) * sizeof *dt);
        for (int64_t r = 0; dt && r < rows; r++)
            spar__k()->add(dt + coordinate(a->l, i, a->positions[r]) * t->cols, a->y->grad + r * d + at, t->cols);
        at += t->cols;
    }
}

static spar__tensor *embed(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    if (!x || !spar__ok(pass)) return NULL;
    bool needs = x->needs_grad || l->axis[0]->value.needs_grad;
    spar__tensor *y = spar__new(pass, x->rows, x->cols, needs);
    if (!y) return NULL;
    int64_t at = 0;
    for (int i = 0; i < l->n; i++) {
        const spar__tensor *t = &l->axis[i]->value;
        size_t row_bytes = 0;
        spar__row_bytes(t->type, (size_t)t->cols, &row_bytes);
        for (int64_t r = 0; r < x->rows; r++)
            spar__k()->decode[t->type](
                spar__data(y) + r * x->cols + at,
                (const char *)t->data + (size_t)coordinate(l, i, pass->rows->positions[r]) * row_bytes, t->cols);
        at += t->cols;
    }
    spar__k()->add(spar__data(y), spar__data(x), x->rows * x->cols);
    if (y->needs_grad) spar__push(pass, axial_back, &(axial){l, x, y, pass->rows->positions}, sizeof(axial));
    return y;
}

const spar__position_kind spar__position_axial = {
    {"axial", table, sizeof(options)}, sizeof(layer), declare, NULL, NULL, embed, NULL, NULL};
