/* A session: cache, arena and the place in the sequence. */
#include "generate/inside.h"

#include <string.h>

#include "op/cache.h"
#include "op/product.h"

spar_status spar_session_create(const spar_model *model, const spar_session_options *options,
                                spar_session **out) {
    spar__type type;
    if (!spar__type_find(options->cache_type, &type) || !spar__cache_type(type))
        return spar__fail(SPAR_ERR_ARGUMENT, "cache type '%s': expected f32, bf16, f16 or q8_0",
                          options->cache_type);
    int64_t limit = spar_model_context(model), context = options->context ? options->context : limit;
    if (context < 1 || (limit && context > limit))
        return spar__fail(SPAR_ERR_ARGUMENT, "context %lld: expected 1 to %lld", (long long)context,
                          (long long)limit);
    if (options->chunk < 1)
        return spar__fail(SPAR_ERR_ARGUMENT, "chunk %lld: expected at least 1", (long long)options->chunk);
    if (strcmp(spar_model_architecture(model), "encoder") == 0)
        return spar__fail(SPAR_ERR_ARGUMENT, "an encoder cannot continue a sequence; it is run on whole ones");
    int64_t n_layers = spar__model_shape(model)->n_layers;
    if (options->layers < 0 || options->layers > n_layers)
        return spar__fail(SPAR_ERR_ARGUMENT, "layers %lld: expected 1 to %lld, the model's, or 0 for all",
                          (long long)options->layers, (long long)n_layers);
    spar_session *s = spar__alloc(sizeof *s);
    if (!s) return SPAR_ERR_MEMORY;
    s->model = model;
    s->layers = options->layers;
    s->context = context;
    s->chunk = options->chunk < context ? options->chunk : context;
    s->type = type;
    s->arena = spar__arena_create(0);
    s->positions = spar__array((size_t)s->chunk, sizeof *s->positions);
    s->tokens = spar__array((size_t)context, sizeof *s->tokens);
    s->logits = spar__array((size_t)spar_model_vocab_size(model), sizeof *s->logits);
    spar_status status = s->arena && s->positions && s->tokens && s->logits ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar__model_cache_part(model, s->layers, 1, context, s->chunk, type, &s->cache);
    if (status) spar_session_free(s);
    else *out = s;
    return status;
}

void spar_session_free(spar_session *s) {
    if (!s) return;
    spar__cache_free(s->cache);
    spar__arena_free(s->arena);
    spar__free(s->positions);
    spar__free(s->tokens);
    spar__free(s->logits);
    spar__free(s->each);
    spar__free(s);
}

const spar_model *spar__session_model(const spar_session *s) { return s->model; }
int64_t spar_session_position(const spar_session *s) { return s->position; }
int64_t spar_session_context(const spar_session *s) { return s->context; }
void spar_session_reset(spar_session *s) { s->position = s->longest = 0; }
size_t spar__session_chunk(const spar_session *s) { return (size_t)s->chunk; }
size_t spar__session_each(const spar_session *s) {
    return (size_t)(s->chunk < SPAR__TOGETHER ? s->chunk : SPAR__TOGETHER) - 1;
}
const int32_t *spar_session_tokens(const spar_session *s) { return s->tokens; }

spar_status spar_session_cut(spar_session *s, int64_t length) {
    int64_t least = length ? spar__cache_cut_limit(s->cache, s->longest) : 0;
    if (length < least || length > s->position)
        return spar__fail(SPAR_ERR_LIMIT, "length %lld: expected %lld to %lld", (long long)length,
                          (long long)(least > 0 ? least : 0), (long long)s->position);
    s->position = length;
    if (!length) s->longest = 0;
    return SPAR_OK;
}

uint64_t spar_session_cache_bytes(const spar_session *s) {
    return spar__model_cache_part_bytes(s->model, s->layers, 1, s->context, s->chunk, s->type);
}

spar_status spar_session_source(spar_session *s, const int32_t *tokens, size_t count) {
    int32_t *positions = spar__array(count + 1, sizeof *positions);
    if (!positions) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) positions[i] = (int32_t)i;
    spar__sequence sequence = {.count = (int64_t)count};
    spar__rows sources = {.n_rows = (int64_t)count, .n_sequences = 1, .sequences = &sequence, .positions = positions};
    spar__pass pass = {.arena = s->arena, .rows = &sources, .cache = s->cache};
    spar__arena_rewind(s->arena, (spar__arena_mark){0});
    spar__model_encode(&pass, s->model, &sources, tokens);
    if (!pass.status) {
        s->source = (int64_t)count;
        s->position = s->longest = 0;
    }
    spar__free(positions);
    return pass.status;
}

/* One chunk; logits [last, vocab_size] of its last tokens into `out`. */
static spar_status feed_chunk(spar_session *s, const int32_t *tokens, int64_t count, int64_t last,
                              float *out) {
    for (int64_t i = 0; i < count; i++) s->positions[i] = (int32_t)(s->position + i);
    spar__sequence sequence = {.count = count, .past = s->position, .source = s->source};
    spar__rows rows = {count, 1, &sequence, s->positions, NULL};
    spar__pass pass = {.arena = s->arena, .rows = &rows, .cache = s->cache, .n_layers = s->layers};
    pass.singly = last > 1 && count <= SPAR__TOGETHER;
    spar__arena_rewind(s->arena, (spar__arena_mark){0});
    spar__tensor *hidden = spar__model_hidden(&pass, s->model, tokens);
    if (hidden && last) {
        spar__tensor rest = {.data = spar__data(hidden) + (count - last) * hidden->cols,
                             .rows = last,
                             .cols = hidden->cols};
        spar__tensor *logits = spar__model_logits_of(&pass, s->model, &rest);
        for (int64_t i = 0; logits && i < last * logits->cols; i++) out[i] = (float)spar__data(logits)[i];
    }
    if (!pass.status) memcpy(s->tokens + s->position, tokens, (size_t)count * sizeof *tokens);
    if (s->position + count > s->longest) s->longest = s->position + count;
    return pass.status;
}

spar_status spar_session_feed(spar_session *s, const int32_t *tokens, size_t count, const float **logits) {
    if (!count) return spar__fail(SPAR_ERR_ARGUMENT, "no tokens to feed");
    if (count > (size_t)(s->context - s->position))
        return spar__fail(SPAR_ERR_LIMIT, "context is full: %lld tokens and %zu more, %lld fit",
                          (long long)s->position, count, (long long)s->context);
    int64_t before = s->position;
    for (size_t done = 0; done < count;) {
        int64_t left = (int64_t)(count - done), n = left < s->chunk ? left : s->chunk;
        spar_status status = feed_chunk(s, tokens + done, n, logits && n == left, s->logits);
        if (status) {
            s->position = before;
            return status;
        }
        s->position += n;
        done += (size_t)n;
    }
    if (logits) *logits = s->logits;
    return SPAR_OK;
}

spar_status spar_session_feed_each(spar_session *s, const int32_t *tokens, size_t count, const float **logits) {
    int64_t most = s->context - s->position < s->chunk ? s->context - s->position : s->chunk;
    if (!count || count > (size_t)most)
        return spar__fail(SPAR_ERR_LIMIT, "%zu tokens at once: expected 1 to %lld", count, (long long)most);
    if (count > s->n_each) {
        float *each = spar__array(count, (size_t)spar_model_vocab_size(s->model) * sizeof *each);
        if (!each) return SPAR_ERR_MEMORY;
        spar__free(s->each);
        s->each = each;
        s->n_each = count;
    }
    SPAR_TRY(feed_chunk(s, tokens, (int64_t)count, (int64_t)count, s->each));
    s->position += (int64_t)count;
    *logits = s->each;
    return SPAR_OK;
}
