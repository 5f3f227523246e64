#include "op/cache.h"

#include <string.h>

/* Rows are cut into parts, a head's each: a slot holds the first parts of all rows, then the second ones …, so that
 * who reads a head meets its numbers one after the other. */
typedef struct track {
    char *rows;
    int64_t width, n_rows, ring;
    int64_t part, parts;
    bool given; /* rows of something else than the sequence */
    spar_key_run columns;
    spar__type type;
} track;

typedef struct state {
    int32_t *numbers;
    int64_t size; /* of a slot */
} state;

struct spar__cache {
    track **layers;
    state *states;
    int n_layers, n_slots;
    int64_t context, max_chunk;
    bool rounds;
    int64_t *leads; /* [n_slots] */
};

/* Numbers in whole blocks, as those of each part are. */
static size_t row_bytes(spar__type type, int64_t width) {
    size_t bytes = 0;
    spar__row_bytes(type, (size_t)width, &bytes);
    return bytes;
}

static size_t part_bytes(const track *t) { return row_bytes(t->type, t->part); }
static size_t plane_bytes(const track *t) { return (size_t)t->n_rows * part_bytes(t); }
static size_t slot_bytes(const track *t) { return (size_t)t->parts * plane_bytes(t); }

/* Rows that columns take in a context. */
static int64_t column_rows(const spar_key_run *c, int64_t context) {
    if (!c->count || context <= c->begin) return 0;
    int64_t count = c->step ? (context - c->begin + c->step - 1) / c->step : 1;
    return (count < c->count ? count : c->count) * c->width;
}

/* Rows that no whole number of blocks fills stay f32. */
static spar__type stored_as(const spar__cache_track *t, spar__type type) {
    int64_t block = spar__type_of(type)->block;
    if (t->exact || (block > 1 && (t->width % block || t->part % block || !t->part))) return SPAR__F32;
    return type;
}

static track shape_of(const spar__cache_track *t, int64_t context, int64_t max_chunk, spar__type type) {
    track out = {.width = t->width, .n_rows = t->rows ? t->rows : context, .given = t->rows > 0, .type = stored_as(t, type)};
    bool whole = t->part <= 0 || t->width % t->part;
    out.part = whole ? t->width : t->part;
    out.parts = whole ? 1 : t->width / t->part;
    if (t->rows || !t->keep || t->keep > context) return out;
    int64_t ring = t->keep - 1 + max_chunk, columns = column_rows(&t->columns, context);
    if (ring >= context - columns) return out;
    out.ring = ring;
    out.n_rows = ring + columns;
    if (columns) out.columns = t->columns;
    return out;
}

uint64_t spar__cache_plan_bytes(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                                int64_t max_chunk, spar__type type) {
    uint64_t bytes = 0;
    for (int i = 0; i < n_layers; i++) {
        bytes += (uint64_t)n_slots * (uint64_t)layers[i].state * sizeof(int32_t);
        for (int k = 0; k < layers[i].n_tracks; k++) {
            track t = shape_of(&layers[i].tracks[k], context, max_chunk, type);
            bytes += (uint64_t)n_slots * (uint64_t)t.n_rows * row_bytes(t.type, t.width);
        }
    }
    return bytes;
}

static spar_status make_rows(track *t, int n_slots) {
    size_t bytes, row;
    if (!spar__mul((size_t)n_slots, (size_t)t->n_rows, &bytes) ||
        !spar__row_bytes(t->type, (size_t)t->width, &row) || !spar__mul(bytes, row, &bytes))
        return spar__fail(SPAR_ERR_MEMORY, "out of memory: a cache of %lld positions", (long long)t->n_rows);
    return (t->rows = spar__alloc(bytes)) ? SPAR_OK : SPAR_ERR_MEMORY;
}

static spar_status make_states(spar__cache *c, const spar__cache_layer *layers) {
    if (!(c->states = spar__array((size_t)c->n_layers + 1, sizeof *c->states))) return SPAR_ERR_MEMORY;
    for (int i = 0; i < c->n_layers; i++) {
        size_t count;
        state *s = &c->states[i];
        if (!(s->size = layers[i].state)) continue;
        if (!spar__mul((size_t)c->n_slots, (size_t)s->size, &count))
            return spar__fail(SPAR_ERR_MEMORY, "out of memory: a cache of %lld positions", (long long)c->context);
        if (!(s->numbers = spar__array(count, sizeof *s->numbers))) return SPAR_ERR_MEMORY;
    }
    return SPAR_OK;
}

spar_status spar__cache_create(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                               int64_t max_chunk, spar__type type, spar__cache **out) {
    spar__cache *c = spar__alloc(sizeof *c);
    if (!c) return SPAR_ERR_MEMORY;
    *c = (spar__cache){.n_slots = n_slots, .context = context, .max_chunk = max_chunk};
    size_t n = 0;
    for (int i = 0; i < n_layers; i++) n += (size_t)layers[i].n_tracks;
    /* The tracks of all layers lie one after the other, from the first layer's on. */
    track *tracks = spar__array(n ? n : 1, sizeof *tracks);
    c->layers = tracks ? spar__array((size_t)n_layers + 1, sizeof *c->layers) : NULL;
    if (!c->layers) {
        spar__free(tracks);
        spar__free(c);
        return SPAR_ERR_MEMORY;
    }
    c->n_layers = n_layers;
    c->layers[0] = tracks;
    spar_status status = SPAR_OK;
    for (int i = 0; i < n_layers; i++) {
        for (int k = 0; k < layers[i].n_tracks; k++)
            tracks[k] = shape_of(&layers[i].tracks[k], context, max_chunk, type);
        for (int k = 0; !status && k < layers[i].n_tracks; k++) status = make_rows(&tracks[k], n_slots);
        c->layers[i + 1] = tracks += layers[i].n_tracks;
    }
    if (!status) status = make_states(c, layers);
    if (!status && !(c->leads = spar__array((size_t)n_slots + 1, sizeof *c->leads))) status = SPAR_ERR_MEMORY;
    if (status) spar__cache_free(c);
    else *out = c;
    return status;
}

int32_t *spar__cache_state(const spar__cache *c, int layer, int slot) {
    const state *s = &c->states[layer];
    return s->numbers ? s->numbers + slot * s->size : NULL;
}

int64_t spar__cache_context(const spar__cache *c) { return c->context; }
int64_t spar__cache_max_chunk(const spar__cache *c) { return c->max_chunk; }
bool spar__cache_rounds(const spar__cache *c) { return c->rounds; }
void spar__cache_let_round(spar__cache *c) { c->rounds = true; }
void spar__cache_lead(spar__cache *c, int slot, int64_t rows) { c->leads[slot] = rows; }

void spar__cache_free(spar__cache *c) {
    if (!c) return;
    for (track *t = c->layers[0]; t < c->layers[c->n_layers]; t++) spar__free(t->rows);
    for (int i = 0; c->states && i < c->n_layers; i++) spar__free(c->states[i].numbers);
    spar__free(c->states);
    spar__free(c->leads);
    spar__free(c->layers[0]);
    spar__free(c->layers);
    spar__free(c);
}

spar__cache_view spar__cache_at(const spar__cache *c, int layer, int index, int slot) {
    const track *t = &c->layers[layer][index];
    return (spar__cache_view){t->rows + (size_t)slot * slot_bytes(t), t->part,    t->parts, plane_bytes(t),
                              t->ring,                               t->columns, t->type};
}

static char *row_at(const spar__cache_view *v, int64_t part, int64_t row) {
    return (char *)v->rows + (size_t)part * v->plane_bytes + (size_t)row * row_bytes(v->type, v->stride);
}

static int64_t row_of(const spar__cache_view *v, int64_t position) {
    return v->ring ? position % v->ring : position;
}

/* The row that a position has for good, or −1. */
static int64_t column_of(const spar__cache_view *v, int64_t position) {
    const spar_key_run *c = &v->columns;
    int64_t at = position - c->begin, turn = c->step ? at / c->step : 0;
    if (at < 0 || turn >= c->count || at - turn * c->step >= c->width) return -1;
    return v->ring + turn * c->width + at - turn * c->step;
}

void spar__cache_store(spar__cache *c, int layer, int index, int slot, int64_t past, int64_t count,
                       const real *rows) {
    spar__cache_view v = spar__cache_at(c, layer, index, slot);
    for (int64_t i = 0; i < count; i++) {
        int64_t column = column_of(&v, past + i), row = row_of(&v, past + i);
        for (int64_t p = 0; p < v.parts; p++, rows += v.stride) {
            spar__k()->encode[v.type](row_at(&v, p, row), rows, v.stride);
            if (column >= 0) spar__k()->encode[v.type](row_at(&v, p, column), rows, v.stride);
        }
    }
}

/* Rows of a track's slot that hold something. */
static size_t used_rows(const track *t, int64_t count) {
    return (size_t)(t->given || t->ring || count > t->n_rows ? t->n_rows : count);
}

/* The used rows of a slot: every part's between two places, planes so far apart. */
static void move_rows(const track *t, char *to, size_t to_plane, const char *from, size_t from_plane, int64_t count) {
    size_t bytes = used_rows(t, count) * part_bytes(t);
    for (int64_t p = 0; p < t->parts; p++, to += to_plane, from += from_plane) memcpy(to, from, bytes);
}

void spar__cache_copy(spar__cache *c, int from, int to, int64_t count, bool given) {
    count += c->leads[from];
    c->leads[to] = c->leads[from];
    for (track *t = c->layers[0]; t < c->layers[c->n_layers]; t++) {
        if (t->given && !given) continue;
        size_t slot = slot_bytes(t), plane = plane_bytes(t);
        move_rows(t, t->rows + (size_t)to * slot, plane, t->rows + (size_t)from * slot, plane, count);
    }
    for (int i = 0; i < c->n_layers; i++)
        if (c->states[i].size)
            memcpy(spar__cache_state(c, i, to), spar__cache_state(c, i, from),
                   (size_t)c->states[i].size * sizeof(int32_t));
}

int64_t spar__cache_leads(const spar__cache *c, int slot) { return c->leads[slot]; }

/* Bytes of a track's slot that hold something. */
static size_t used_bytes(const track *t, int64_t count) {
    return used_rows(t, count) * part_bytes(t) * (size_t)t->parts;
}

uint64_t spar__cache_slot_bytes(const spar__cache *c, int slot, int64_t count) {
    uint64_t bytes = 0;
    count += c->leads[slot];
    for (track *t = c->layers[0]; t < c->layers[c->n_layers]; t++) bytes += used_bytes(t, count);
    return bytes + spar__cache_states_bytes(c);
}

size_t spar__cache_states_bytes(const spar__cache *c) {
    size_t bytes = 0;
    for (int i = 0; i < c->n_layers; i++) bytes += (size_t)c->states[i].size * sizeof(int32_t);
    return bytes;
}

/* To or from the bytes at `at`. */
static void move_slot(const spar__cache *c, int slot, int64_t count, char *at, bool pack) {
    count += c->leads[slot];
    for (track *t = c->layers[0]; t < c->layers[c->n_layers]; t++) {
        char *rows = t->rows + (size_t)slot * slot_bytes(t);
        size_t plane = plane_bytes(t), packed = used_rows(t, count) * part_bytes(t);
        if (pack) move_rows(t, at, packed, rows, plane, count);
        else move_rows(t, rows, plane, at, packed, count);
        at += used_bytes(t, count);
    }
    for (int i = 0; i < c->n_layers; i++) {
        size_t bytes = (size_t)c->states[i].size * sizeof(int32_t);
        void *numbers = spar__cache_state(c, i, slot);
        if (bytes) memcpy(pack ? (void *)at : numbers, pack ? numbers : (void *)at, bytes);
        at += bytes;
    }
}

void spar__cache_pack(const spar__cache *c, int slot, int64_t count, void *out) { move_slot(c, slot, count, out, true); }

void spar__cache_unpack(spar__cache *c, int slot, int64_t count, int64_t leads, const void *in) {
    c->leads[slot] = leads;
    move_slot(c, slot, count, (char *)in, false);
}

void spar__cache_load(const spar__cache *c, int layer, int index, int slot, int64_t position, real *row) {
    spar__cache_view v = spar__cache_at(c, layer, index, slot);
    for (int64_t p = 0; p < v.parts; p++, row += v.stride) {
        if (position < 0) memset(row, 0, (size_t)v.stride * sizeof *row);
        else spar__k()->decode[v.type](row, row_at(&v, p, row_of(&v, position)), v.stride);
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

int64_t spar__cache_cut_limit(const spar__cache *c, int64_t longest) {
    for (const track *t = c->layers[0]; t < c->layers[c->n_layers]; t++)
        if (t->ring && longest > t->ring) return longest - c->max_chunk;
    return 0;
}
