/* Running a model: embedding, blocks, last norm, head; and one-call logits. */
#include <string.h>

#include "model/inside.h"
#include "op/cache.h"

static spar__tensor *run_stack(spar__pass *pass, const spar_model *m, const spar__stack *s,
                               const int32_t *tokens) {
    int64_t n = pass->rows->n_rows;
    for (int64_t i = 0; i < n; i++)
        if (pass->rows->positions[i] < 0 || pass->rows->positions[i] >= s->shape.context)
            return spar__stop(pass, spar__fail(SPAR_ERR_LIMIT, "position %d, the %s's context is %lld tokens",
                                               pass->rows->positions[i], m->n_stacks > 1 ? s->name : "model",
                                               (long long)s->shape.context));
    const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
    spar__tensor *x = spar__embed(pass, s->embedding, tokens, n);
    x = spar__scaled(pass, x, s->embedding_scale);
    if (s->widen) x = spar__linear(pass, x, s->widen, NULL);
    if (position->embed) x = position->embed(pass, s->position_self, x);
    if (s->embedding_norm.weight) x = spar__block_norm(pass, &s->embedding_norm, x);
    x = spar__dropout(pass, x, s->dropout);
    for (int64_t i = 0; i < s->shape.n_layers; i++) x = spar__block_run(pass, &s->blocks[i], x, m->recompute);
    if (s->final_norm.weight) x = spar__block_norm(pass, &s->final_norm, x);
    return s->narrow ? spar__linear(pass, x, s->narrow, NULL) : x;
}

spar__tensor *spar__model_hidden(spar__pass *pass, const spar_model *m, const int32_t *tokens) {
    if (!spar__ok(pass)) return NULL;
    /* The copies of the last pass lie in memory that has been rewound, of weights that have changed. */
    if (pass->bf16 && pass->recording)
        for (int i = 0; i < m->params.n_params; i++) m->params.params[i]->value.half = NULL;
    return run_stack(pass, m, spar__model_last(m), tokens);
}

spar__tensor *spar__model_logits_of(spar__pass *pass, const spar_model *m, spar__tensor *hidden) {
    const spar__head_kind *head = (const spar__head_kind *)m->head.kind;
    return hidden ? head->logits(pass, m->head.options, m->head_self, hidden) : NULL;
}

void spar__model_loss(spar__pass *pass, const spar_model *m, spar__tensor *hidden, const int32_t *targets,
                      const spar__loss_options *options, double *sum, int64_t *count) {
    const spar__head_kind *head = (const spar__head_kind *)m->head.kind;
    pass->layer = -1;
    if (hidden) head->loss(pass, m->head.options, m->head_self, hidden, targets, options, sum, count);
}

/* ---- Caches ---- */

/* One allocation: the layers, and behind them their tracks. */
static spar_status describe_cache(const spar_model *m, int64_t context, spar__cache_layer **out) {
    const spar__stack *s = spar__model_last(m);
    size_t n = (size_t)s->shape.n_layers;
    spar__cache_layer *layers =
        spar__array(n, sizeof *layers + SPAR__BLOCK_TRACKS * sizeof(spar__cache_track));
    if (!layers) return SPAR_ERR_MEMORY;
    spar__cache_track *tracks = (spar__cache_track *)(void *)(layers + n);
    for (size_t i = 0; i < n; i++, tracks += SPAR__BLOCK_TRACKS)
        layers[i] = (spar__cache_layer){spar__block_tracks(&s->blocks[i], tracks), tracks,
                                        spar__block_state(&s->blocks[i], context)};
    *out = layers;
    return SPAR_OK;
}

spar_status spar__model_cache_create(const spar_model *m, int n_slots, int64_t context, int64_t max_chunk,
                                     spar__type type, struct spar__cache **out) {
    spar__cache_layer *layers;
    SPAR_TRY(describe_cache(m, context, &layers));
    spar_status status =
        spar__cache_create((int)spar__model_last(m)->shape.n_layers, layers, n_slots, context, max_chunk, type, out);
    spar__free(layers);
    return status;
}

uint64_t spar__model_cache_bytes(const spar_model *m, int n_slots, int64_t context, int64_t max_chunk,
                                 spar__type type) {
    spar__cache_layer *layers;
    if (describe_cache(m, context, &layers)) return 0;
    uint64_t bytes =
        spar__cache_plan_bytes((int)spar__model_last(m)->shape.n_layers, layers, n_slots, context, max_chunk, type);
    spar__free(layers);
    return bytes;
}

/* ---- Logits in one call ---- */

spar_status spar_model_logits(const spar_model *m, const int32_t *tokens, size_t count, float *out) {
    if (count > (size_t)spar_model_context(m))
        return spar__fail(SPAR_ERR_LIMIT, "%zu tokens, the model's context is %lld", count,
                          (long long)spar_model_context(m));
    if (!count) return SPAR_OK;
    spar__arena *arena = spar__arena_create(0);
    int32_t *positions = spar__array(count, sizeof *positions);
    spar_status status = arena && positions ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) {
        for (size_t i = 0; i < count; i++) positions[i] = (int32_t)i;
        spar__sequence sequence = {.count = (int64_t)count};
        spar__rows rows = {(int64_t)count, 1, &sequence, positions, NULL};
        spar__pass pass = {.arena = arena, .rows = &rows};
        spar__tensor *logits = spar__model_logits_of(&pass, m, spar__model_hidden(&pass, m, tokens));
        status = pass.status;
        if (logits)
            for (int64_t i = 0, n = logits->rows * logits->cols; i < n; i++)
                out[i] = (float)spar__data(logits)[i];
    }
    spar__free(positions);
    spar__arena_free(arena);
    return status;
}
