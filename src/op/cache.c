#include "op/cache.h"

#include <string.h>

typedef struct layer {
    char *k, *v;
    int64_t width, rows, ring;
} layer;

struct spar__cache {
    layer *layers;
    int n_layers, n_slots;
    int64_t context, max_chunk;
    spar__type type;
};

static layer shape_of(const spar__cache_layer *l, int64_t context, int64_t max_chunk) {
    layer out = {.width = l->n_kv_heads * l->head_dim, .rows = context};
    if (l->keep && l->keep - 1 + max_chunk < context) out.rows = out.ring = l->keep - 1 + max_chunk;
    return out;
}

uint64_t spar__cache_plan_bytes(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                                int64_t max_chunk, spar__type type) {
    uint64_t bytes = 0;
    for (int i = 0; i < n_layers; i++) {
        layer l = shape_of(&layers[i], context, max_chunk);
        bytes += 2u * (uint64_t)n_slots * (uint64_t)l.rows * (uint64_t)l.width *
                 spar__type_of(type)->block_bytes;
    }
    return bytes;
}

spar_status spar__cache_create(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                               int64_t max_chunk, spar__type type, spar__cache **out) {
    spar__cache *c = spar__alloc(sizeof *c);
    if (!c) return SPAR_ERR_MEMORY;
    *c = (spar__cache){NULL, n_layers, n_slots, context, max_chunk, type};
    if (!(c->layers = spar__array((size_t)n_layers, sizeof *c->layers))) goto fail;
    for (int i = 0; i < n_layers; i++) {
        layer *l = &c->layers[i];
        size_t bytes;
        *l = shape_of(&layers[i], context, max_chunk);
        if (!spar__mul((size_t)n_slots, (size_t)l->rows, &bytes) ||
            !spar__mul(bytes, (size_t)l->width * spar__type_of(type)->block_bytes, &bytes)) {
            spar__fail(SPAR_ERR_MEMORY, "out of memory: a cache of %lld positions", (long long)context);
            goto fail;
        }
        if (!(l->k = spar__alloc(bytes)) || !(l->v = spar__alloc(bytes))) goto fail;
    }
    *out = c;
    return SPAR_OK;
fail:
    spar__cache_free(c);
    return SPAR_ERR_MEMORY;
}

void spar__cache_free(spar__cache *c) {
    if (!c) return;
    for (int i = 0; c->layers && i < c->n_layers; i++) {
        spar__free(c->layers[i].k);
        spar__free(c->layers[i].v);
    }
    spar__free(c->layers);
    spar__free(c);
}

spar__cache_view spar__cache_at(const spar__cache *c, int index, int slot) {
    const layer *l = &c->layers[index];
    size_t at = (size_t)slot * (size_t)(l->rows * l->width) * spar__type_of(c->type)->block_bytes;
    return (spar__cache_view){l->k + at, l->v + at, l->width, l->ring, c->type};
}

static void store_row(const spar__cache *c, char *to, const real *from, int64_t n) {
    if (c->type == SPAR__F32) memcpy(to, from, (size_t)n * sizeof *from);
    else spar__k()->encode[c->type](to, from, n);
}

void spar__cache_store(spar__cache *c, int index, int slot, int64_t past, int64_t count, const real *k,
                       const real *v) {
    const layer *l = &c->layers[index];
    spar__cache_view view = spar__cache_at(c, index, slot);
    size_t bytes = (size_t)l->width * spar__type_of(c->type)->block_bytes;
    for (int64_t i = 0; i < count; i++) {
        size_t row = (size_t)(l->ring ? (past + i) % l->ring : past + i);
        store_row(c, (char *)view.k + row * bytes, k + i * l->width, l->width);
        store_row(c, (char *)view.v + row * bytes, v + i * l->width, l->width);
    }
}

spar_status spar__cache_check(const spar__cache *c, const spar__sequence *s) {
    if (s->slot < 0 || s->slot >= c->n_slots)
        return spar__fail(SPAR_ERR_ARGUMENT, "slot %d of a cache of %d", s->slot, c->n_slots);
    if (s->past < 0 || s->count > c->context - s->past)
        return spar__fail(SPAR_ERR_LIMIT, "context is full: %lld tokens and %lld more, the cache holds %lld",
                          (long long)s->past, (long long)s->count, (long long)c->context);
    if (s->count > c->max_chunk)
        return spar__fail(SPAR_ERR_ARGUMENT, "%lld tokens at once, the cache was made for %lld",
                          (long long)s->count, (long long)c->max_chunk);
    return SPAR_OK;
}
