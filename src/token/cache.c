#include "token/cache.h"

enum { SLOTS = 2048, MAX_IDS = 6, MAX_BYTES = 16 };

typedef struct entry {
    uint64_t key[2]; /* the bytes themselves */
    uint8_t length, count; /* length 0: empty */
    int32_t ids[MAX_IDS];
} entry;

spar_status spar__cached(const void *state, spar__run *run, const char *word, size_t length,
                         spar_status (*encode)(const void *state, spar__run *run, const char *word,
                                               size_t length)) {
    if (length > MAX_BYTES || run->wants_spans) return encode(state, run, word, length);
    if (!run->cache && !(run->cache = spar__array(SLOTS, sizeof(entry)))) return SPAR_ERR_MEMORY;
    size_t low = length < 8 ? length : 8;
    uint64_t a = spar__vocab_key(word, low), b = spar__vocab_key(word + low, length - low);
    uint64_t h = (a ^ b * 0xC2B2AE3D27D4EB4Fu ^ length) * 0x9E3779B97F4A7C15u;
    entry *e = (entry *)run->cache + (h >> 40) % SLOTS;
    if (e->length == length && e->key[0] == a && e->key[1] == b) {
        for (int i = 0; i < e->count; i++) SPAR_TRY(spar__ids_add(&run->ids, e->ids[i]));
        return SPAR_OK;
    }
    size_t from = run->ids.count;
    SPAR_TRY(encode(state, run, word, length));
    size_t n = run->ids.count - from;
    if (n > MAX_IDS) return SPAR_OK;
    *e = (entry){{a, b}, (uint8_t)length, (uint8_t)n, {0}};
    for (size_t i = 0; i < n; i++) e->ids[i] = run->ids.at[from + i];
    return SPAR_OK;
}
