/* The importance of columns: for y = x·wᵀ an error e of a weight in column c costs e²·x_c², so the
 * sum of x_c² over a text weighs the squares that quantisers minimise. */
#include <string.h>

#include "base/log.h"
#include "model/inside.h"
#include "spar/quantize.h"

enum { WINDOW = 512 };

typedef struct sums {
    const spar_model *model;
    double **squares; /* for each parameter [cols], or NULL where it was not met */
    uint64_t *counts;
    spar_status status;
} sums;

static void watch(void *context, const spar__tensor *x, const spar__tensor *w) {
    sums *s = context;
    int n = s->model->params.n_params, i = 0;
    while (i < n && &s->model->params.params[i]->value != w) i++;
    if (i == n || s->status) return;
    if (!s->squares[i] && !(s->squares[i] = spar__array((size_t)w->cols, sizeof(double)))) {
        s->status = SPAR_ERR_MEMORY;
        return;
    }
    double *to = s->squares[i];
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < w->cols; c += 64) {
        int64_t end = c + 64 < w->cols ? c + 64 : w->cols;
        for (int64_t r = 0; r < x->rows; r++)
            for (int64_t k = c; k < end; k++) {
                double v = (double)spar__data(x)[r * x->cols + k];
                to[k] += v * v;
            }
    }
    s->counts[i] += (uint64_t)x->rows;
}

static spar_status run(const spar_model *m, sums *s, const int32_t *tokens, size_t count,
                       const spar_progress *progress) {
    int64_t limit = spar_model_context(m), step = limit && limit < WINDOW ? limit : WINDOW;
    int32_t positions[WINDOW];
    for (int i = 0; i < WINDOW; i++) positions[i] = i;
    spar__arena *arena = spar__arena_create(0);
    spar_status status = arena ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t at = 0; !status && at < count; at += (size_t)step) {
        spar__sequence sequence = {.count = (int64_t)(count - at) < step ? (int64_t)(count - at) : step};
        spar__rows rows = {sequence.count, 1, &sequence, positions, NULL};
        spar__pass pass = {.arena = arena, .rows = &rows, .watch = watch, .watch_context = s};
        spar__arena_rewind(arena, (spar__arena_mark){0});
        spar__model_logits_of(&pass, m, spar__model_hidden(&pass, m, tokens + at));
        status = pass.status ? pass.status : s->status;
        if (!status) status = spar__progress(progress, "calibrate", at + (size_t)sequence.count, count, "");
    }
    spar__arena_free(arena);
    return status;
}

static spar_status describe(spar__gguf_writer *w, const sums *s) {
    SPAR_TRY(spar__gguf_add_text(w, "general.type", "imatrix", 7));
    for (int i = 0; i < s->model->params.n_params; i++) {
        const spar__param *p = s->model->params.params[i];
        char name[160];
        int64_t ne[2] = {p->value.cols, 1}, one[2] = {1, 1};
        if (!s->squares[i]) continue;
        snprintf(name, sizeof name, "%s.in_sum2", p->name);
        SPAR_TRY(spar__gguf_add_tensor(w, name, SPAR__GGUF_F32, 2, ne));
        snprintf(name, sizeof name, "%s.counts", p->name);
        SPAR_TRY(spar__gguf_add_tensor(w, name, SPAR__GGUF_F32, 2, one));
    }
    return SPAR_OK;
}

static spar_status write(const sums *s, const char *path) {
    spar__gguf_writer *w;
    SPAR_TRY(spar__gguf_writer_create(&w));
    spar_status status = describe(w, s);
    if (!status) status = spar__gguf_writer_begin(w, path);
    for (int i = 0; !status && i < s->model->params.n_params; i++) {
        if (!s->squares[i]) continue;
        for (int64_t c = 0; !status && c < s->model->params.params[i]->value.cols; c++) {
            float v = (float)s->squares[i][c];
            status = spar__gguf_writer_data(w, &v, sizeof v);
        }
        float count = (float)s->counts[i];
        if (!status) status = spar__gguf_writer_data(w, &count, sizeof count);
    }
    if (!status) status = spar__gguf_writer_commit(w);
    spar__gguf_writer_free(w);
    return status;
}

spar_status spar_calibrate(const spar_model *model, const int32_t *tokens, size_t count,
                           const spar_progress *progress, const char *path) {
    size_t n = (size_t)model->params.n_params;
    if (!count) return spar__fail(SPAR_ERR_ARGUMENT, "no tokens to calibrate with");
    sums s = {.model = model};
    s.squares = spar__array(n + 1, sizeof *s.squares);
    s.counts = spar__array(n + 1, sizeof *s.counts);
    spar_status status = s.squares && s.counts ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = run(model, &s, tokens, count, progress);
    if (!status) status = write(&s, path);
    for (size_t i = 0; s.squares && i < n; i++) spar__free(s.squares[i]);
    spar__free(s.squares);
    spar__free(s.counts);
    return status;
}
