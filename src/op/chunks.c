#include "op/chunks.h"

#include <string.h>

typedef struct chunks {
    spar__tensor *x, *y;
    spar__row_layer run;
    const void *layer;
    int64_t rows;
    uint64_t site;
} chunks;

/* Rows [begin, begin + rows) of a tensor, with their part of its gradient. */
static spar__tensor part_of(const spar__tensor *t, int64_t begin, int64_t rows) {
    spar__tensor part = *t;
    part.data = spar__data(t) + begin * t->cols;
    part.grad = t->grad ? t->grad + begin * t->cols : NULL;
    part.half = NULL;
    part.rows = t->rows - begin < rows ? t->rows - begin : rows;
    return part;
}

static void chunks_back(spar__pass *pass, void *arguments) {
    chunks *c = arguments;
    if (!c->y->grad_started) return;
    bool add = false;
    spar__grad(pass, c->x, &add);
    spar__record *until = pass->tape;
    uint64_t site = pass->site;
    struct spar__observer *observer = pass->observer;
    pass->observer = NULL;
    pass->site = c->site;
    for (int64_t begin = 0; begin < c->x->rows && spar__ok(pass); begin += c->rows) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        spar__weight_copy *copies = pass->copies;
        spar__tensor x = part_of(c->x, begin, c->rows), dy = part_of(c->y, begin, c->rows);
        x.grad_started = add;
        spar__tensor *y = c->run(pass, c->layer, &x);
        if (y) {
            y->grad = dy.grad;
            y->grad_started = true;
            spar__run_backward(pass, until);
            if (x.grad && !x.grad_started)
                memset(x.grad, 0, (size_t)(x.rows * x.cols) * sizeof *x.grad);
        }
        pass->tape = until;
        spar__drop_copies(pass, copies);
        spar__arena_rewind(pass->arena, mark);
    }
    pass->site = site;
    pass->observer = observer;
}

spar__tensor *spar__in_chunks(spar__pass *pass, spar__tensor *x, int64_t chunk, spar__row_layer run,
                              const void *layer) {
    if (!x || !spar__ok(pass)) return NULL;
    if (chunk == 0 || chunk >= x->rows) return run(pass, layer, x);
    chunks c = {.x = x, .run = run, .layer = layer, .rows = chunk, .site = pass->site};
    bool recording = pass->recording;
    c.y = spar__new(pass, x->rows, x->cols, true);
    pass->recording = false;
    for (int64_t begin = 0; begin < x->rows && spar__ok(pass); begin += chunk) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        spar__weight_copy *copies = pass->copies;
        spar__tensor part = part_of(x, begin, chunk), *y = run(pass, layer, &part);
        if (y) memcpy(spar__data(c.y) + begin * c.y->cols, y->data, (size_t)(y->rows * y->cols) * sizeof(real));
        spar__drop_copies(pass, copies);
        spar__arena_rewind(pass->arena, mark);
    }
    pass->recording = recording;
    if (!spar__ok(pass)) return NULL;
    if (recording) spar__push(pass, chunks_back, &c, sizeof c);
    return c.y;
}
