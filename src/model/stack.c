/* Running a model: stacks of layers, the head, and what a cache must hold. */
#include <string.h>

#include "model/inside.h"
#include "op/cache.h"
#include "op/content.h"

static spar__tensor *embed(spar__pass *pass, const spar__stack *s, const int32_t *tokens) {
    const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
    spar__tensor *x = spar__embed(pass, s->embedding, tokens, pass->rows->n_rows);
    x = spar__scaled(pass, x, s->embedding_scale);
    if (s->widen && !s->project_sum) x = spar__linear(pass, x, s->widen, s->widen_bias);
    if (position->embed) x = position->embed(pass, s->position_self, x);
    if (s->segments && x) {
        const int32_t *types = pass->segments;
        int32_t *zeros = types ? NULL : spar__take(pass, x->rows, sizeof *zeros);
        if (zeros) memset(zeros, 0, (size_t)x->rows * sizeof *zeros);
        x = spar__sum(pass, x, spar__embed(pass, s->segments, types ? types : zeros, x->rows));
    }
    if (s->widen && s->project_sum) x = spar__linear(pass, x, s->widen, s->widen_bias);
    if (s->embedding_norm.weight) x = spar__block_norm(pass, &s->embedding_norm, x);
    return spar__dropout(pass, x, s->dropout);
}

/* Beside the first layer (DeBERTa v2): x1 = norm(x1 + f(convolution(x0))). */
static spar__tensor *convolve(spar__pass *pass, const spar__stack *s, spar__tensor *before, spar__tensor *x) {
    int64_t side = s->convolution_width / 2;
    spar__tensor *y = spar__neighbours(pass, before, side, side);
    y = spar__linear(pass, y, s->convolution, s->convolution_bias);
    y = spar__activate(pass, spar__dropout(pass, y, s->dropout), s->convolution_activation);
    return spar__block_norm(pass, &s->convolution_norm, spar__sum(pass, x, y));
}

/* What the layers of a stack share in this pass, with gradients ready. */
static spar__shared *share(spar__pass *pass, const spar__stack *s, const spar__shared *given) {
    const spar__position_kind *position = (const spar__position_kind *)s->position.kind;
    spar__shared *shared = spar__take(pass, 1, sizeof *shared);
    if (!shared) return NULL;
    *shared = (spar__shared){0};
    if (given && !s->shape.encoder) {
        shared->memory = given->memory;
        shared->memory_rows = given->memory_rows;
    }
    if (position->share) position->share(pass, s->position_self, shared);
    spar__tensor *const all[] = {shared->memory, shared->bias, shared->relative};
    for (int i = 0; i < 3 && spar__ok(pass); i++) {
        if (!all[i]) continue;
        if (all[i]->needs_grad) spar__grad_ready(pass, all[i]);
        if (pass->bf16 && i != 1) spar__half(pass, all[i]);
    }
    return spar__ok(pass) ? shared : NULL;
}

static spar__tensor *run_stack(spar__pass *pass, const spar_model *m, const spar__stack *s,
                               const int32_t *tokens) {
    if (!spar__ok(pass)) return NULL;
    for (int64_t i = 0; i < pass->rows->n_rows; i++)
        if (pass->rows->positions[i] < 0 || pass->rows->positions[i] >= s->shape.context)
            return spar__stop(pass, spar__fail(SPAR_ERR_LIMIT, "position %d, the %s's context is %lld tokens",
                                               pass->rows->positions[i], m->n_stacks > 1 ? s->name : "model",
                                               (long long)s->shape.context));
    spar__tensor *x = embed(pass, s, tokens);
    if (m->joined && !s->shape.encoder) x = spar__joined_run(pass, m, s, x);
    else x = spar__stack_blocks(pass, m, s, x);
    if (s->project) x = spar__linear(pass, x, s->project, s->project_bias);
    if (s->final_norm.weight) x = spar__block_norm(pass, &s->final_norm, x);
    return s->narrow ? spar__linear(pass, x, s->narrow, NULL) : x;
}

/* Without a backward pass nothing of a block is needed but its output: that takes the place of its input, and the rest
 * goes. So activations of a long prompt or of many sentences stay in the cache, and a pass touches little new memory. */
static spar__tensor *keep_output(spar__pass *pass, spar__arena_mark mark, spar__tensor *x, spar__tensor *y) {
    bool needed = pass->recording || pass->bf16 || pass->observer || pass->watch || pass->looker;
    if (needed || !x || !y || !spar__ok(pass) || x->rows != y->rows || x->cols != y->cols) return y;
    if (x != y) memcpy(spar__data(x), spar__data(y), (size_t)(y->rows * y->cols) * sizeof(real));
    spar__arena_rewind(pass->arena, mark);
    return x;
}

spar__tensor *spar__stack_blocks(spar__pass *pass, const spar_model *m, const spar__stack *s, spar__tensor *x) {
    if (!x || !spar__ok(pass)) return NULL;
    spar__shared *outside = pass->shared;
    pass->shared = share(pass, s, outside);
    int64_t n = pass->n_layers && pass->n_layers < s->shape.n_layers ? pass->n_layers : s->shape.n_layers;
    const spar__residual_kind *residual = n ? s->blocks[0].residual : NULL;
    if (residual && residual->reversible)
        x = spar__reversible_run(pass, s->blocks, n, residual->joined, x);
    for (int64_t i = 0; i < n && !residual->reversible; i++) {
        spar__tensor *before = x;
        spar__arena_mark mark = spar__arena_here(pass->arena);
        x = spar__block_run(pass, &s->blocks[i], x, m->recompute);
        if (i == 0 && s->convolution) x = convolve(pass, s, before, x);
        x = keep_output(pass, mark, before, x);
    }
    pass->layer = -1;
    pass->shared = outside;
    return spar__ok(pass) ? x : NULL;
}

/* The copies of the last pass lie in memory that has been rewound, of weights that have changed. */
static void forget_halves(spar__pass *pass, const spar_model *m) {
    if (pass->bf16 && pass->recording)
        for (int i = 0; i < m->params.n_params; i++) m->params.params[i]->value.half = NULL;
}

spar__tensor *spar__model_hidden(spar__pass *pass, const spar_model *m, const int32_t *tokens) {
    if (!spar__ok(pass)) return NULL;
    bool held = pass->cache != NULL, given = pass->shared && pass->shared->memory;
    for (int i = 0; m->n_stacks > 1 && held && i < pass->rows->n_sequences; i++)
        held = pass->rows->sequences[i].source > 0;
    if (m->n_stacks > 1 && !held && !given)
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "an encoder–decoder needs a source"));
    if (m->n_stacks == 1) forget_halves(pass, m);
    const spar__rows *rows = pass->rows;
    if (m->joined && pass->cache) pass->rows = spar__joined_shifted(pass);
    spar__tensor *x = spar__ok(pass) ? run_stack(pass, m, spar__model_last(m), tokens) : NULL;
    pass->rows = rows;
    return x;
}

/* ---- Sources of encoder–decoders ---- */

static spar_status check_sources(const spar_model *m, const spar__pass *pass, const spar__rows *sources) {
    if (m->n_stacks < 2)
        return spar__fail(SPAR_ERR_ARGUMENT, "a source is given, but the model is a %s", m->architecture);
    if (!pass->cache && sources->n_sequences != pass->rows->n_sequences)
        return spar__fail(SPAR_ERR_ARGUMENT, "%d sources for %d sequences", sources->n_sequences,
                          pass->rows->n_sequences);
    for (int i = 0; i < sources->n_sequences; i++)
        if (sources->sequences[i].count < 1)
            return spar__fail(SPAR_ERR_ARGUMENT, "source %d: empty, expected at least one token", i);
    return SPAR_OK;
}

static void keep_memory(spar__pass *pass, const spar__stack *decoder, const spar__rows *sources,
                        spar__tensor *memory) {
    for (int64_t l = 0; l < decoder->shape.n_layers && spar__ok(pass); l++) {
        spar__arena_mark mark = spar__arena_here(pass->arena);
        spar__tensor *qkv[3] = {NULL, NULL, NULL};
        spar__block_memory(pass, &decoder->blocks[l], memory, qkv);
        for (int i = 0; qkv[2] && i < sources->n_sequences; i++)
            for (int k = 1; k < 3; k++) {
                const spar__sequence *q = &sources->sequences[i];
                spar__cache_store(pass->cache, (int)l, SPAR__KEY_VALUE_TRACKS + k - 1, q->slot, 0, q->count,
                                  spar__data(qkv[k]) + q->begin * qkv[k]->cols);
            }
        spar__arena_rewind(pass->arena, mark);
    }
}

void spar__model_encode(spar__pass *pass, const spar_model *m, const spar__rows *sources,
                        const int32_t *tokens) {
    if (!spar__ok(pass)) return;
    spar_status status = check_sources(m, pass, sources);
    if (status) {
        spar__stop(pass, status);
        return;
    }
    forget_halves(pass, m);
    struct spar__cache *cache = pass->cache;
    const spar__rows *rows = pass->rows;
    pass->cache = NULL;
    pass->rows = sources;
    spar__tensor *memory = run_stack(pass, m, &m->stacks[0], tokens);
    pass->cache = cache;
    pass->rows = rows;
    if (!memory) return;
    if (cache && m->joined) {
        spar__joined_keep(pass, m, spar__model_last(m), sources, memory);
        return;
    }
    if (cache) {
        keep_memory(pass, spar__model_last(m), sources, memory);
        return;
    }
    spar__shared *shared = spar__take(pass, 1, sizeof *shared);
    if (shared) *shared = (spar__shared){.memory = memory, .memory_rows = sources};
    pass->shared = shared;
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

/* Positions of a cache for sequences of `context`: a joined source comes before them. */
static int64_t rows_of(const spar_model *m, int64_t context) {
    return context + (m->joined ? m->stacks[0].shape.context : 0);
}

/* One allocation: the layers, and behind them their tracks. A source that is read once and stays must not be
 * overwritten as in a ring. */
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
    for (size_t i = 0; m->joined && i < n; i++)
        for (int k = 0; k < layers[i].n_tracks; k++) ((spar__cache_track *)layers[i].tracks)[k].keep = 0;
    *out = layers;
    return SPAR_OK;
}

spar_status spar__model_states_check(const spar_model *m, const struct spar__cache *cache, const void *states,
                                     const char *path) {
    const spar__stack *s = spar__model_last(m);
    int64_t context = spar__cache_context(cache);
    size_t bytes = spar__cache_states_bytes(cache);
    int32_t *numbers = bytes ? spar__alloc(bytes) : NULL, *at = numbers;
    if (!bytes) return SPAR_OK;
    if (!numbers) return SPAR_ERR_MEMORY;
    memcpy(numbers, states, bytes); /* aligned */
    spar_status status = SPAR_OK;
    for (int64_t i = 0; !status && i < s->shape.n_layers && at < numbers + bytes / sizeof *at; i++) {
        const spar__block *b = &s->blocks[i];
        const spar_pattern_kind *kind = (const spar_pattern_kind *)b->pattern.kind;
        int64_t n = spar__block_state(b, context);
        if (n && !kind->content->state_valid(b->pattern.options, b->pattern_self, (int)s->shape.n_heads, context, at))
            status = spar__fail(SPAR_ERR_FORMAT, "%s: layer %lld: not what '%s' attention keeps", path, (long long)i,
                                kind->name);
        at += n;
    }
    spar__free(numbers);
    return status;
}

static bool in_blocks(const spar_model *m) {
    for (int i = 0; i < m->params.n_params; i++)
        if (spar__type_of(m->params.params[i]->value.type)->block > 1) return true;
    return false;
}

static int cached_layers(const spar_model *m, int64_t n_layers) {
    int64_t all = spar__model_last(m)->shape.n_layers;
    return (int)(n_layers && n_layers < all ? n_layers : all);
}

spar_status spar__model_cache_part(const spar_model *m, int64_t n_layers, int n_slots, int64_t context,
                                   int64_t max_chunk, spar__type type, struct spar__cache **out) {
    spar__cache_layer *layers;
    SPAR_TRY(describe_cache(m, context, &layers));
    spar_status status = spar__cache_create(cached_layers(m, n_layers), layers, n_slots, rows_of(m, context), max_chunk,
                                            type, out);
    if (!status && in_blocks(m)) spar__cache_let_round(*out);
    spar__free(layers);
    return status;
}

spar_status spar__model_cache_create(const spar_model *m, int n_slots, int64_t context, int64_t max_chunk,
                                     spar__type type, struct spar__cache **out) {
    return spar__model_cache_part(m, 0, n_slots, context, max_chunk, type, out);
}

uint64_t spar__model_cache_bytes(const spar_model *m, int n_slots, int64_t context, int64_t max_chunk,
                                 spar__type type) {
    return spar__model_cache_part_bytes(m, 0, n_slots, context, max_chunk, type);
}

uint64_t spar__model_cache_part_bytes(const spar_model *m, int64_t n_layers, int n_slots, int64_t context,
                                      int64_t max_chunk, spar__type type) {
    spar__cache_layer *layers;
    if (describe_cache(m, context, &layers)) return 0;
    uint64_t bytes = spar__cache_plan_bytes(cached_layers(m, n_layers), layers, n_slots, rows_of(m, context), max_chunk,
                                            type);
    spar__free(layers);
    return bytes;
}
