/* What sequences under way have left behind, for rows still to come: a layer keeps any number of tracks, each
 * with one row for each position. Keys and values are the first two; kinds of projection and feed-forward
 * may declare more (a convolution's last rows, a recurrent cell).
 *
 * A track that looks back only so far is a ring: its memory does not grow with the context. Rows are found
 * by their position, so that a sequence can be cut back to an earlier one and go on from there. */
#ifndef SPAR_OP_CACHE_H
#define SPAR_OP_CACHE_H

#include "op/tape.h"
#include "spar/pattern.h"

typedef struct spar__cache_track {
    int64_t width; /* numbers of a row */
    int64_t keep;  /* newest rows that a row to come needs, its own included; 0 = all */
    bool exact;    /* stored as f32, whatever the type of the cache */
    spar_key_run columns; /* older rows that are kept all the same (spar/pattern.h); count 0 = none */
    int64_t rows;  /* that there are, where they are not the sequence's own positions; 0 = they are */
    int64_t part;  /* numbers that are read at a time (a head), which types in blocks must fit; 0: the row, no such types */
} spar__cache_track;

/* Where a layer's tracks begin (op/tape.h: pass->track says which are a kind's own). */
enum { SPAR__TRACK_KEYS, SPAR__TRACK_VALUES, SPAR__KEY_VALUE_TRACKS, SPAR__KIND_TRACKS = 4 };

typedef struct spar__cache_layer {
    int n_tracks;
    const spar__cache_track *tracks;
    int64_t state; /* numbers that a layer keeps of a sequence by a scheme of its own; they start as 0 */
} spar__cache_layer;

typedef struct spar__cache spar__cache;

/* Whether keys and values may be kept in a type. */
static inline bool spar__cache_type(spar__type type) {
    return type == SPAR__F32 || type == SPAR__F16 || type == SPAR__BF16 || type == SPAR__Q8_0;
}

/* n_slots sequences of up to `context` positions, fed at most max_chunk at once: a ring has keep − 1 +
 * max_chunk rows, so that the first row of a chunk still finds its oldest one. `type`: SPAR__F32,
 * SPAR__F16, SPAR__BF16, or one in blocks, where they fit. */
spar_status spar__cache_create(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                               int64_t max_chunk, spar__type type, spar__cache **out);
void spar__cache_free(spar__cache *cache); /* NULL is fine */
/* Bytes of the rows of such a cache, exactly. */
uint64_t spar__cache_plan_bytes(int n_layers, const spar__cache_layer *layers, int n_slots, int64_t context,
                                int64_t max_chunk, spar__type type);

/* The rows of a slot of a track. */
typedef struct spar__cache_view {
    void *rows;     /* [parts, ring or context, stride], and behind each ring the columns */
    int64_t stride; /* elements */
    int64_t parts;  /* of a position's numbers, the width of the track */
    size_t plane_bytes;
    int64_t ring;   /* position p is row p mod ring; 0 = rows are positions */
    spar_key_run columns; /* position begin + s·step + i is row ring + s·width + i as well */
    spar__type type;
} spar__cache_view;
spar__cache_view spar__cache_at(const spar__cache *cache, int layer, int track, int slot);

/* What a layer keeps by a scheme of its own, or NULL. When a sequence begins anew, or is cut back, it is as
 * the last pass left it. */
int32_t *spar__cache_state(const spar__cache *cache, int layer, int slot);
int64_t spar__cache_context(const spar__cache *cache);
int64_t spar__cache_max_chunk(const spar__cache *cache);
/* Whether operations on its sequences may round what meets the weights: these are in blocks themselves. */
bool spar__cache_rounds(const spar__cache *cache);
void spar__cache_let_round(spar__cache *cache);
/* So many of a slot's first rows are not the sequence's own: spar__cache_copy's count is of those after them. */
void spar__cache_lead(spar__cache *cache, int slot, int64_t rows);

/* Stores rows [count, width] of positions past … past + count − 1. */
void spar__cache_store(spar__cache *cache, int layer, int track, int slot, int64_t past, int64_t count,
                       const real *rows);
/* The first `count` positions of a slot to another one; with `given` also the tracks whose rows are not the
 * sequence's own. */
void spar__cache_copy(spar__cache *cache, int from, int to, int64_t count, bool given);
/* What a slot holds of its first `count` positions, one track after the other, then the states: as bytes, to be kept
 * and given back to a cache of the same shape. */
uint64_t spar__cache_slot_bytes(const spar__cache *cache, int slot, int64_t count);
void spar__cache_pack(const spar__cache *cache, int slot, int64_t count, void *out);
/* `leads` as given to spar__cache_lead. The caller has checked the length. */
void spar__cache_unpack(spar__cache *cache, int slot, int64_t count, int64_t leads, const void *in);
size_t spar__cache_states_bytes(const spar__cache *cache); /* of a slot, at the end of the bytes */
int64_t spar__cache_leads(const spar__cache *cache, int slot);
/* The row of a position that is still in the ring; zeros before the first. */
void spar__cache_load(const spar__cache *cache, int layer, int track, int slot, int64_t position, real *row);
/* Refuses positions beyond the context, slots that are not there, and chunks that are too long. */
spar_status spar__cache_check(const spar__cache *cache, const spar__sequence *sequence);
/* The earliest length to which a sequence may be cut back that has at some time been `longest` long: its
 * next pass then begins there. */
int64_t spar__cache_cut_limit(const spar__cache *cache, int64_t longest);

#endif
