/* The vocabulary: id → bytes and bytes → id. */
#ifndef SPAR_TOKEN_VOCAB_H
#define SPAR_TOKEN_VOCAB_H

#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

enum {
    SPAR__PIECE_DEFINED = 1,
    SPAR__PIECE_SPECIAL = 2,
    SPAR__PIECE_ADDED = 8, /* not in the model's own vocabulary: found as an added token only */
    SPAR__PIECE_NORMALIZED = 16, /* an added token that text holds in another form */
    SPAR__PIECE_WHOLE = 4, /* the model gives this id for a piece that is exactly these bytes */
};

typedef struct spar__vocab_slot {
    uint64_t key; /* up to 8 bytes: the bytes themselves; more: their hash */
    int32_t id;   /* −1: free */
    uint32_t length;
} spar__vocab_slot;

typedef struct spar__vocab {
    char *pool;
    size_t pool_length, pool_capacity;
    size_t *offset; /* [limit] into the pool */
    uint32_t *length;
    uint8_t *flags;
    int32_t size, limit; /* ids below `size` are in use; `limit` is what fits */
    spar__vocab_slot *slots;
    size_t mask; /* slots − 1, a power of two less one */
} spar__vocab;

/* Room for ids below `limit` and `bytes` of text. */
spar_status spar__vocab_create(spar__vocab *vocab, size_t limit, size_t bytes);
void spar__vocab_free(spar__vocab *vocab);

/* Makes room for `bytes` more of text; what points into the pool moves. */
spar_status spar__vocab_reserve(spar__vocab *vocab, size_t bytes);

/* Gives `id` its bytes. An id that has some already is an error; of two ids with equal bytes the
 * first is the one that is found. */
spar_status spar__vocab_add(spar__vocab *vocab, int64_t id, const char *bytes, size_t length);

static inline uint64_t spar__vocab_key(const char *bytes, size_t length) {
    if (length > 8) return XXH3_64bits(bytes, length);
    uint64_t low = 0, high = 0;
    if (length >= 4) { /* two loads that overlap cover 4–8 bytes */
        uint32_t a, b;
        memcpy(&a, bytes, 4);
        memcpy(&b, bytes + length - 4, 4);
        low = a, high = b;
        return low | high << 32;
    }
    if (!length) return 0;
    return (uint64_t)(unsigned char)bytes[0] | (uint64_t)(unsigned char)bytes[length / 2] << 8 |
           (uint64_t)(unsigned char)bytes[length - 1] << 16;
}

static inline size_t spar__vocab_index(const spar__vocab *v, uint64_t key, size_t length) {
    uint64_t h = (key ^ (uint64_t)length << 59) * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & v->mask;
}

static inline const char *spar__vocab_bytes(const spar__vocab *v, int32_t id) {
    return v->pool + v->offset[id];
}

/* The id of exactly these bytes, or −1. */
static inline int32_t spar__vocab_find(const spar__vocab *v, const char *bytes, size_t length) {
    uint64_t key = spar__vocab_key(bytes, length);
    for (size_t i = spar__vocab_index(v, key, length);; i = (i + 1) & v->mask) {
        const spar__vocab_slot *s = &v->slots[i];
        if (s->id < 0) return -1;
        if (s->key == key && s->length == length &&
            (length <= 8 || !memcmp(spar__vocab_bytes(v, s->id), bytes, length)))
            return s->id;
    }
}

/* The same for pieces of the model's own vocabulary. */
static inline int32_t spar__vocab_own(const spar__vocab *v, const char *bytes, size_t length) {
    int32_t id = spar__vocab_find(v, bytes, length);
    return id >= 0 && (v->flags[id] & SPAR__PIECE_ADDED) ? -1 : id;
}

#endif
