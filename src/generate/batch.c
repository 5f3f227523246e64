/* Several sequences in one cache, fed together: weights are read once for all of them. */
#include <string.h>

#include "model/model.h"
#include "op/cache.h"
#include "op/product.h"
#include "spar/session.h"

struct spar_batch {
    const spar_model *model;
    spar__cache *cache;
    spar__arena *arena;
    int64_t *lengths, *longest; /* [n_slots] */
    int32_t *tokens, *positions; /* [rows] */
    spar__sequence *sequences;  /* [n_slots] */
    float *logits;              /* [n_slots, vocab_size] */
    int64_t context, chunk, rows;
    int n_slots;
    spar__type type;
};

spar_status spar_batch_create(const spar_model *model, const spar_session_options *o, int n_slots,
                              spar_batch **out) {
    spar__type type;
    int64_t limit = spar_model_context(model), context = o->context ? o->context : limit;
    if (!spar__type_find(o->cache_type, &type) || !spar__cache_type(type))
        return spar__fail(SPAR_ERR_ARGUMENT, "cache type '%s': expected f32, bf16, f16 or q8_0", o->cache_type);
    if (context < 1 || (limit && context > limit))
        return spar__fail(SPAR_ERR_ARGUMENT, "context %lld: expected 1 to %lld", (long long)context,
                          (long long)limit);
    if (o->chunk < 1 || n_slots < 1 || n_slots > 65536)
        return spar__fail(SPAR_ERR_ARGUMENT, "chunk %lld and %d sequences: expected at least 1, at most 65536",
                          (long long)o->chunk, n_slots);
    spar_batch *b = spar__alloc(sizeof *b);
    if (!b) return SPAR_ERR_MEMORY;
    b->model = model;
    b->context = context;
    b->chunk = o->chunk < context ? o->chunk : context;
    b->n_slots = n_slots;
    b->type = type;
    b->arena = spar__arena_create(0);
    b->lengths = spar__array((size_t)n_slots, sizeof *b->lengths);
    b->longest = spar__array((size_t)n_slots, sizeof *b->longest);
    b->sequences = spar__array((size_t)n_slots, sizeof *b->sequences);
    b->logits = spar__array((size_t)n_slots, (size_t)spar_model_vocab_size(model) * sizeof *b->logits);
    bool all = b->arena && b->lengths && b->longest && b->sequences && b->logits;
    spar_status status = all ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar__model_cache_create(model, n_slots, context, b->chunk, type, &b->cache);
    if (status) spar_batch_free(b);
    else *out = b;
    return status;
}

void spar_batch_free(spar_batch *b) {
    if (!b) return;
    spar__cache_free(b->cache);
    spar__arena_free(b->arena);
    spar__free(b->lengths);
    spar__free(b->longest);
    spar__free(b->tokens);
    spar__free(b->positions);
    spar__free(b->sequences);
    spar__free(b->logits);
    spar__free(b);
}

int64_t spar_batch_length(const spar_batch *b, int slot) {
    return slot >= 0 && slot < b->n_slots ? b->lengths[slot] : 0;
}

uint64_t spar_batch_cache_bytes(const spar_batch *b) {
    return spar__model_cache_bytes(b->model, b->n_slots, b->context, b->chunk, b->type);
}

spar_status spar_batch_cut(spar_batch *b, int slot, int64_t length) {
    if (slot < 0 || slot >= b->n_slots)
        return spar__fail(SPAR_ERR_ARGUMENT, "slot %d: expected 0 to %d", slot, b->n_slots - 1);
    int64_t least = length ? spar__cache_cut_limit(b->cache, b->longest[slot]) : 0;
    if (length < least || length > b->lengths[slot])
        return spar__fail(SPAR_ERR_LIMIT, "length %lld: expected %lld to %lld", (long long)length,
                          (long long)(least > 0 ? least : 0), (long long)b->lengths[slot]);
    b->lengths[slot] = length;
    if (!length) b->longest[slot] = 0;
    return SPAR_OK;
}

spar_status spar_batch_copy(spar_batch *b, int from, int to, int64_t length) {
    int bad = from < 0 || from >= b->n_slots ? from : to;
    if (bad < 0 || bad >= b->n_slots || from == to)
        return spar__fail(SPAR_ERR_ARGUMENT, "slot %d: expected two of 0 to %d", bad, b->n_slots - 1);
    int64_t least = spar__cache_cut_limit(b->cache, b->longest[from]);
    if (length < least || length < 0 || length > b->lengths[from])
        return spar__fail(SPAR_ERR_LIMIT, "length %lld: expected %lld to %lld", (long long)length,
                          (long long)(least > 0 ? least : 0), (long long)b->lengths[from]);
    spar__cache_copy(b->cache, from, to, length, true);
    b->lengths[to] = length;
    b->longest[to] = b->longest[from];
    return SPAR_OK;
}

static spar_status check(const spar_batch *b, const spar_batch_item *items, size_t n, int64_t *rows) {
    *rows = 0;
    for (size_t i = 0; i < n; i++) {
        int slot = items[i].slot;
        if (slot < 0 || slot >= b->n_slots)
            return spar__fail(SPAR_ERR_ARGUMENT, "slot %d: expected 0 to %d", slot, b->n_slots - 1);
        for (size_t k = 0; k < i; k++)
            if (items[k].slot == slot) return spar__fail(SPAR_ERR_ARGUMENT, "slot %d is fed twice", slot);
        if (items[i].count < 1 || items[i].count > (size_t)b->chunk)
            return spar__fail(SPAR_ERR_ARGUMENT, "%zu tokens at once: expected 1 to %lld", items[i].count,
                              (long long)b->chunk);
        if ((int64_t)items[i].count > b->context - b->lengths[slot])
            return spar__fail(SPAR_ERR_LIMIT, "context is full: %lld tokens and %zu more, %lld fit",
                              (long long)b->lengths[slot], items[i].count, (long long)b->context);
        *rows += (int64_t)items[i].count;
    }
    return SPAR_OK;
}

static spar_status make_room(spar_batch *b, int64_t rows) {
    if (rows <= b->rows) return SPAR_OK;
    int32_t *tokens = spar__resize(b->tokens, (size_t)rows, sizeof *tokens);
    if (!tokens) return SPAR_ERR_MEMORY;
    b->tokens = tokens;
    int32_t *positions = spar__resize(b->positions, (size_t)rows, sizeof *positions);
    if (!positions) return SPAR_ERR_MEMORY;
    b->positions = positions;
    b->rows = rows;
    return SPAR_OK;
}

/* The last rows of the sequences, side by side. */
static spar__tensor *last_rows(spar__pass *pass, const spar__tensor *hidden, size_t n) {
    spar__tensor *x = spar__new(pass, (int64_t)n, hidden->cols, false);
    for (size_t i = 0; x && i < n; i++) {
        const spar__sequence *s = &pass->rows->sequences[i];
        memcpy(spar__data(x) + (int64_t)i * x->cols,
               spar__data(hidden) + (s->begin + s->count - 1) * x->cols, (size_t)x->cols * sizeof(real));
    }
    return x;
}

/* One pass; logits of its items to b->logits from that of item `first` on. */
static spar_status run_pass(spar_batch *b, spar_batch_item *items, size_t n, size_t first) {
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const spar_batch_item *item = &items[i];
        int64_t past = b->lengths[item->slot];
        b->sequences[i] =
            (spar__sequence){.begin = at, .count = (int64_t)item->count, .past = past, .slot = item->slot};
        for (size_t k = 0; k < item->count; k++, at++) {
            b->tokens[at] = item->tokens[k];
            b->positions[at] = (int32_t)(past + (int64_t)k);
        }
    }
    spar__rows of = {at, (int)n, b->sequences, b->positions, NULL};
    spar__pass pass = {.arena = b->arena, .rows = &of, .cache = b->cache};
    spar__arena_rewind(b->arena, (spar__arena_mark){0});
    spar__tensor *hidden = spar__model_hidden(&pass, b->model, b->tokens);
    spar__tensor *last = hidden ? last_rows(&pass, hidden, n) : NULL;
    spar__tensor *logits = last ? spar__model_logits_of(&pass, b->model, last) : NULL;
    if (!logits) return pass.status;
    for (size_t i = 0; i < n; i++) {
        float *out = b->logits + (int64_t)(first + i) * logits->cols;
        for (int64_t k = 0; k < logits->cols; k++)
            out[k] = (float)spar__data(logits)[(int64_t)i * logits->cols + k];
        items[i].logits = out;
    }
    return SPAR_OK;
}

/* More rows than that are cut: a sequence's bits must not depend on how many others there are. One that is longer
 * by itself runs alone, as it would anyway. */
static size_t pass_of(const spar_batch_item *items, size_t n) {
    size_t count = 1, rows = items[0].count;
    while (count < n && rows + items[count].count <= SPAR__TOGETHER) rows += items[count++].count;
    return count;
}

spar_status spar_batch_feed(spar_batch *b, spar_batch_item *items, size_t n) {
    int64_t rows;
    if (!n) return spar__fail(SPAR_ERR_ARGUMENT, "no sequences to feed");
    SPAR_TRY(check(b, items, n, &rows));
    SPAR_TRY(make_room(b, rows));
    for (size_t at = 0, count; at < n; at += count) {
        count = pass_of(items + at, n - at);
        SPAR_TRY(run_pass(b, items + at, count, at));
    }
    for (size_t i = 0; i < n; i++) {
        int slot = items[i].slot;
        b->lengths[slot] += (int64_t)items[i].count;
        if (b->lengths[slot] > b->longest[slot]) b->longest[slot] = b->lengths[slot];
    }
    return SPAR_OK;
}
