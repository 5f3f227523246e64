#include "op/tape.h"

#include <string.h>

void *spar__stop(spar__pass *pass, spar_status status) {
    if (!pass->status) pass->status = status;
    return NULL;
}

void *spar__take(spar__pass *pass, int64_t count, size_t size) {
    size_t bytes;
    if (!spar__ok(pass)) return NULL;
    if (count < 0 || !spar__mul((size_t)count, size, &bytes))
        return spar__stop(pass, spar__fail(SPAR_ERR_MEMORY, "out of memory: %lld items of %zu bytes",
                                           (long long)count, size));
    void *memory = spar__arena_take(pass->arena, bytes);
    return memory ? memory : spar__stop(pass, SPAR_ERR_MEMORY);
}

spar__tensor *spar__new(spar__pass *pass, int64_t rows, int64_t cols, bool needs_grad) {
    spar__tensor *t = spar__take(pass, 1, sizeof *t);
    void *data = t ? spar__take(pass, rows * cols, sizeof(real)) : NULL;
    if (!data) return NULL;
    *t = (spar__tensor){.data = data, .type = SPAR__F32, .rows = rows, .cols = cols};
    t->needs_grad = needs_grad && pass->recording;
    return t;
}

struct spar__kept {
    struct spar__kept *before;
    uint64_t site;
    void *memory;
};

void *spar__keep(spar__pass *pass, uint64_t site, int64_t count, size_t size, bool *found) {
    *found = false;
    for (struct spar__kept *k = pass->kept; k; k = k->before)
        if (k->site == site) return *found = true, k->memory;
    /* The first run of a block that will be run again does not record. */
    bool again = pass->kept_arena && pass->training && !pass->recording;
    if (!again) return spar__take(pass, count, size);
    spar__arena *arena = pass->arena;
    pass->arena = pass->kept_arena;
    struct spar__kept *k = spar__take(pass, 1, sizeof *k);
    void *memory = k ? spar__take(pass, count, size) : NULL;
    pass->arena = arena;
    if (!memory) return NULL;
    *k = (struct spar__kept){pass->kept, site, memory};
    pass->kept = k;
    return memory;
}

void spar__push(spar__pass *pass, spar__backward back, const void *arguments, size_t size) {
    if (!pass->recording) return;
    spar__record *record = spar__take(pass, 1, sizeof *record);
    void *copy = record ? spar__take(pass, 1, size) : NULL;
    if (!copy) return;
    memcpy(copy, arguments, size);
    *record = (spar__record){back, pass->tape, copy, pass->rows, pass->shared};
    pass->tape = record;
}

static real *take_spare(spar__pass *pass, int64_t count) {
    for (spar__spare **at = &pass->spares; *at; at = &(*at)->next) {
        spar__spare *spare = *at;
        if (spare->count != count) continue;
        *at = spare->next;
        return (real *)(void *)spare;
    }
    return NULL;
}

void spar__grad_room(spar__pass *pass, spar__tensor *t) {
    if (!t->needs_grad || t->grad || !spar__ok(pass)) return;
    int64_t count = t->rows * t->cols;
    t->grad = take_spare(pass, count);
    if (!t->grad) t->grad = spar__take(pass, count, sizeof(real));
    t->grad_taken = true;
}

void spar__grad_done(spar__pass *pass, spar__tensor *y) {
    int64_t count = y->rows * y->cols;
    if (!y->grad_taken || !y->grad || (size_t)count * sizeof(real) < sizeof(spar__spare)) return;
    spar__spare *spare = (spar__spare *)(void *)y->grad;
    *spare = (spar__spare){pass->spares, count};
    pass->spares = spare;
    y->grad = NULL;
}

real *spar__grad(spar__pass *pass, spar__tensor *t, bool *add) {
    if (!t || !t->needs_grad || !spar__ok(pass)) return NULL;
    spar__grad_room(pass, t);
    if (!t->grad) return NULL;
    *add = t->grad_started;
    t->grad_started = true;
    return t->grad;
}

void spar__grad_ready(spar__pass *pass, spar__tensor *t) {
    bool add;
    real *grad = spar__grad(pass, t, &add);
    if (grad && !add) memset(grad, 0, (size_t)(t->rows * t->cols) * sizeof *grad);
}

const uint16_t *spar__half(spar__pass *pass, spar__tensor *t) {
    if (t->half) return t->half;
    int64_t rows = t->rows, cols = t->cols;
    uint16_t *half = spar__take(pass, rows * cols, sizeof *half);
    if (!half) return NULL;
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r += SPAR__ROW_CHUNK) {
        int64_t n = rows - r < SPAR__ROW_CHUNK ? rows - r : SPAR__ROW_CHUNK;
        k->to_bf16(half + r * cols, spar__data(t) + r * cols, n * cols);
    }
    return t->half = half;
}

const uint16_t *spar__half_weight(spar__pass *pass, spar__tensor *weight) {
    if (weight->half) return weight->half;
    spar__weight_copy *copy = spar__take(pass, 1, sizeof *copy);
    if (!copy || !spar__half(pass, weight)) return NULL;
    *copy = (spar__weight_copy){weight, pass->copies};
    pass->copies = copy;
    return weight->half;
}

void spar__drop_copies(spar__pass *pass, spar__weight_copy *until) {
    for (; pass->copies != until; pass->copies = pass->copies->before) pass->copies->weight->half = NULL;
}

void spar__run_backward(spar__pass *pass, spar__record *until) {
    const spar__rows *rows = pass->rows;
    spar__shared *shared = pass->shared;
    /* A block that is run again rewinds the arena behind itself: its spares are its own. */
    spar__spare *spares = pass->spares;
    pass->spares = NULL;
    while (pass->tape != until) {
        spar__record *record = pass->tape;
        pass->tape = record->before;
        pass->rows = record->rows;
        pass->shared = record->shared;
        if (spar__ok(pass)) record->back(pass, record->arguments);
    }
    pass->rows = rows;
    pass->shared = shared;
    pass->spares = spares;
}
