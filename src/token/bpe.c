/* Byte-pair encoding: of all neighbouring pairs of symbols in a piece the one of lowest rank, the
 * leftmost of equals, is merged, until none has a rank (Sennrich et al. 2016). Symbols start as
 * bytes (Radford et al. 2019) or as characters.
 *
 * Short pieces scan an array for the lowest rank; long ones keep a heap over a linked list, so that
 * n symbols take O(n log n). Pieces that are a token of their own are looked up at once, and a small
 * cache remembers the last words. */
#include <string.h>

#include "base/text.h"
#include "token/field.h"
#include "token/spell.h"
#include "token/tokenizer.h"

enum { SHORT = 48, CACHE_SLOTS = 2048, CACHE_IDS = 6, CACHE_BYTES = 16 };
#define NO_RANK UINT32_MAX
#define FREE    UINT64_MAX

typedef struct merge {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank;
    int32_t id;
} merge;

typedef struct bpe {
    merge *slots;
    size_t mask;
    int32_t byte_id[256]; /* −1: the byte alone is no token */
    int32_t fallback[256]; /* <0x00> … <0xFF> */
    int32_t unk;
    bool bytes, ignore_merges, fuse_unk, byte_fallback;
} bpe;

static inline uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline size_t slot_of(const bpe *m, uint64_t pair) {
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & m->mask;
}

static inline const merge *merge_find(const bpe *m, int32_t left, int32_t right) {
    uint64_t pair = pair_of(left, right);
    for (size_t i = slot_of(m, pair);; i = (i + 1) & m->mask)
        if (m->slots[i].pair == pair || m->slots[i].pair == FREE) return &m->slots[i];
}

/* ---- Merging -------------------------------------------------------------------------------- */

/* Symbols of short pieces; returns how many are left. */
static size_t merge_short(const bpe *m, int32_t *ids, size_t n) {
    uint32_t rank[SHORT];
    int32_t into[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const merge *found = merge_find(m, ids[i], ids[i + 1]);
        rank[i] = found->rank, into[i] = found->id;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) break;
        ids[best] = into[best];
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        if (best + 1 < n) {
            memmove(rank + best + 1, rank + best + 2, (n - best - 2) * sizeof *rank);
            memmove(into + best + 1, into + best + 2, (n - best - 2) * sizeof *into);
            const merge *found = merge_find(m, ids[best], ids[best + 1]);
            rank[best] = found->rank, into[best] = found->id;
        }
        if (best) {
            const merge *found = merge_find(m, ids[best - 1], ids[best]);
            rank[best - 1] = found->rank, into[best - 1] = found->id;
        }
    }
    return n;
}

typedef struct symbol {
    int32_t id;
    int32_t into;           /* what the pair that begins here becomes … */
    uint32_t rank;          /* … and its rank now; older heap entries are stale */
    uint32_t previous, next; /* NO_RANK at the ends */
} symbol;

static void heap_push(uint64_t *heap, size_t *count, uint64_t item) {
    size_t i = (*count)++;
    for (size_t up; i && heap[up = (i - 1) / 2] > item; i = up) heap[i] = heap[up];
    heap[i] = item;
}

static uint64_t heap_pop(uint64_t *heap, size_t *count) {
    uint64_t top = heap[0], last = heap[--*count];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < *count; i = down) {
        if (down + 1 < *count && heap[down + 1] < heap[down]) down++;
        if (heap[down] >= last) break;
        heap[i] = heap[down];
    }
    heap[i] = last;
    return top;
}

static void pair_update(const bpe *m, symbol *s, uint32_t at, uint64_t *heap, size_t *count) {
    s[at].rank = NO_RANK;
    if (s[at].next == NO_RANK) return;
    const merge *found = merge_find(m, s[at].id, s[s[at].next].id);
    s[at].rank = found->rank;
    s[at].into = found->id;
    if (found->rank != NO_RANK) heap_push(heap, count, (uint64_t)found->rank << 32 | at);
}

/* A heap entry is rank << 32 | position. Each merge adds at most two entries and n − 1 merges are
 * possible, so 3n entries are enough. */
static spar_status merge_long(const bpe *m, spar__run *run, int32_t *ids, size_t *length) {
    size_t n = *length, bytes, count = 0;
    if (n >= NO_RANK || !spar__mul(n, sizeof(symbol) + 3 * sizeof(uint64_t), &bytes))
        return spar__fail(SPAR_ERR_LIMIT, "a piece of %zu symbols is too long", n);
    if (bytes > run->scratch_bytes) {
        spar__free(run->scratch);
        run->scratch_bytes = 0;
        run->scratch = spar__alloc(bytes);
        if (!run->scratch) return SPAR_ERR_MEMORY;
        run->scratch_bytes = bytes;
    }
    uint64_t *heap = run->scratch;
    symbol *s = (symbol *)(heap + 3 * n);
    for (size_t i = 0; i < n; i++)
        s[i] = (symbol){.id = ids[i], .previous = i ? (uint32_t)i - 1 : NO_RANK,
                        .next = i + 1 < n ? (uint32_t)i + 1 : NO_RANK};
    for (size_t i = 0; i < n; i++) pair_update(m, s, (uint32_t)i, heap, &count);
    while (count) {
        uint64_t top = heap_pop(heap, &count);
        uint32_t at = (uint32_t)top, rank = (uint32_t)(top >> 32);
        if (s[at].rank != rank) continue;
        uint32_t gone = s[at].next;
        s[at].id = s[at].into;
        s[at].next = s[gone].next;
        s[gone].rank = NO_RANK;
        if (s[at].next != NO_RANK) s[s[at].next].previous = at;
        pair_update(m, s, at, heap, &count);
        if (s[at].previous != NO_RANK) pair_update(m, s, s[at].previous, heap, &count);
    }
    size_t kept = 0;
    for (uint32_t at = 0; at != NO_RANK; at = s[at].next) ids[kept++] = s[at].id;
    *length = kept;
    return SPAR_OK;
}

/* ---- Pieces to symbols ---------------------------------------------------------------------- */

static spar_status add_unknown(const bpe *m, spar__ids *ids, size_t from) {
    if (m->unk < 0 || (m->fuse_unk && ids->count > from && ids->at[ids->count - 1] == m->unk))
        return SPAR_OK;
    return spar__ids_add(ids, m->unk);
}

static spar_status add_character(const spar_tokenizer *t, const bpe *m, spar__ids *ids,
                                 size_t from, const char *piece, size_t width) {
    int32_t id = spar__vocab_find(&t->vocab, piece, width);
    if (id >= 0) return spar__ids_add(ids, id);
    bool whole = m->byte_fallback;
    for (size_t i = 0; whole && i < width; i++) whole = m->fallback[(uint8_t)piece[i]] >= 0;
    if (!whole) return add_unknown(m, ids, from);
    for (size_t i = 0; i < width; i++)
        SPAR_TRY(spar__ids_add(ids, m->fallback[(uint8_t)piece[i]]));
    return SPAR_OK;
}

static spar_status add_symbols(const spar_tokenizer *t, const bpe *m, spar__ids *ids,
                               const char *piece, size_t length) {
    size_t from = ids->count;
    if (!m->bytes) {
        for (size_t at = 0, width; at < length; at += width) {
            uint32_t code;
            int n = spar__utf8_decode((const unsigned char *)piece + at, length - at, &code);
            width = n ? (size_t)n : 1;
            SPAR_TRY(add_character(t, m, ids, from, piece + at, width));
        }
        return SPAR_OK;
    }
    if (ids->capacity - ids->count < length) SPAR_TRY(spar__ids_grow(ids, length));
    for (size_t i = 0; i < length; i++) {
        int32_t id = m->byte_id[(uint8_t)piece[i]];
        if (id >= 0) ids->at[ids->count++] = id;
        else SPAR_TRY(add_unknown(m, ids, from));
    }
    return SPAR_OK;
}

static spar_status merge_piece(const spar_tokenizer *t, spar__run *run, const char *piece,
                               size_t length) {
    const bpe *m = t->model_state;
    size_t from = run->ids.count;
    SPAR_TRY(add_symbols(t, m, &run->ids, piece, length));
    size_t n = run->ids.count - from;
    if (n <= SHORT) n = merge_short(m, run->ids.at + from, n);
    else SPAR_TRY(merge_long(m, run, run->ids.at + from, &n));
    run->ids.count = from + n;
    return SPAR_OK;
}

typedef struct cached {
    uint64_t key[2];
    uint8_t length, count; /* length 0: empty */
    int32_t ids[CACHE_IDS];
} cached;

static spar_status merge_cached(const spar_tokenizer *t, spar__run *run, const char *piece,
                                size_t length) {
    if (!run->cache && !(run->cache = spar__array(CACHE_SLOTS, sizeof(cached))))
        return SPAR_ERR_MEMORY;
    size_t low = length < 8 ? length : 8;
    uint64_t a = spar__vocab_key(piece, low), b = spar__vocab_key(piece + low, length - low);
    uint64_t h = (a ^ b * 0xC2B2AE3D27D4EB4Fu ^ length) * 0x9E3779B97F4A7C15u;
    cached *c = (cached *)run->cache + (h >> 40) % CACHE_SLOTS;
    if (c->length == length && c->key[0] == a && c->key[1] == b) {
        for (int i = 0; i < c->count; i++) SPAR_TRY(spar__ids_add(&run->ids, c->ids[i]));
        return SPAR_OK;
    }
    size_t from = run->ids.count;
    SPAR_TRY(merge_piece(t, run, piece, length));
    size_t n = run->ids.count - from;
    if (n > CACHE_IDS) return SPAR_OK;
    *c = (cached){{a, b}, (uint8_t)length, (uint8_t)n, {0}};
    if (n) memcpy(c->ids, run->ids.at + from, n * sizeof *c->ids);
    return SPAR_OK;
}

static spar_status bpe_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                              size_t length) {
    int32_t id = spar__vocab_find(&t->vocab, piece, length);
    if (id >= 0 && (t->vocab.flags[id] & SPAR__PIECE_WHOLE)) return spar__ids_add(&run->ids, id);
    return length <= CACHE_BYTES ? merge_cached(t, run, piece, length)
                                 : merge_piece(t, run, piece, length);
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* One side of a merge, as the file spells it, and its id. */
static spar_status side(const spar_tokenizer *t, size_t index, const char *text, size_t length,
                        const char **bytes, size_t *n, char *room, int32_t *id) {
    if (t->byte_level && spar__spell_decode(text, length, room, n)) *bytes = room;
    else *bytes = text, *n = length;
    *id = spar__vocab_find(&t->vocab, *bytes, *n);
    return *id >= 0 ? SPAR_OK
                    : spar__fail(SPAR_ERR_FORMAT, "key 'merges': entry %zu: '%.*s' is no token",
                                 index, (int)(length < 64 ? length : 64), text);
}

static spar_status read_merge(spar_tokenizer *t, bpe *m, size_t index, const json_t *item,
                              spar__buffer *room) {
    const char *left, *right;
    size_t n_left, n_right;
    if (json_is_string(item)) {
        left = json_string_value(item);
        right = strchr(left, ' ');
        if (!right) goto malformed;
        n_left = (size_t)(right - left);
        n_right = json_string_length(item) - n_left - 1;
        right++;
    } else {
        const json_t *a = json_array_get(item, 0), *b = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(a) || !json_is_string(b)) goto malformed;
        left = json_string_value(a), right = json_string_value(b);
        n_left = json_string_length(a), n_right = json_string_length(b);
    }
    room->length = 0;
    SPAR_TRY(spar__buffer_reserve(room, n_left + n_right));
    const char *a, *b;
    int32_t ids[2];
    size_t n_a, n_b;
    SPAR_TRY(side(t, index, left, n_left, &a, &n_a, room->bytes, &ids[0]));
    if (a != room->bytes) memcpy(room->bytes, a, n_a);
    SPAR_TRY(side(t, index, right, n_right, &b, &n_b, room->bytes + n_a, &ids[1]));
    if (b != room->bytes + n_a) memcpy(room->bytes + n_a, b, n_b);
    int32_t id = spar__vocab_find(&t->vocab, room->bytes, n_a + n_b);
    if (id < 0)
        return spar__fail(SPAR_ERR_FORMAT, "key 'merges': entry %zu: '%.40s' + '%.40s' is no token",
                          index, left, right);
    merge *slot = &m->slots[merge_find(m, ids[0], ids[1]) - m->slots];
    /* Of a pair that stands twice the later rank counts, as in Hugging Face's reader. */
    *slot = (merge){pair_of(ids[0], ids[1]), (uint32_t)index, id};
    return SPAR_OK;
malformed:
    return spar__fail(SPAR_ERR_FORMAT,
                      "key 'merges': entry %zu: expected \"a b\" or [\"a\", \"b\"]", index);
}

static spar_status read_merges(spar_tokenizer *t, bpe *m, const json_t *list) {
    size_t n = json_array_size(list), slots = 16;
    while (slots < n * 2) slots *= 2;
    m->mask = slots - 1;
    m->slots = spar__array(slots, sizeof *m->slots);
    if (!m->slots) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < slots; i++) m->slots[i] = (merge){FREE, NO_RANK, -1};
    spar__buffer room = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < n; i++)
        status = read_merge(t, m, i, json_array_get(list, i), &room);
    spar__buffer_free(&room);
    return status;
}

/* Marks the tokens that their own bytes are encoded to. */
static spar_status mark_whole(spar_tokenizer *t, const bpe *m) {
    spar__run run = {.tokenizer = t};
    spar_status status = SPAR_OK;
    for (int32_t id = 0; !status && id < t->vocab.size; id++) {
        uint8_t *flags = &t->vocab.flags[id];
        if (!(*flags & SPAR__PIECE_DEFINED) || (*flags & SPAR__PIECE_SPECIAL)) continue;
        if (m->ignore_merges) {
            *flags |= SPAR__PIECE_WHOLE;
            continue;
        }
        run.ids.count = 0;
        status = merge_piece(t, &run, spar__vocab_bytes(&t->vocab, id), t->vocab.length[id]);
        if (run.ids.count == 1 && run.ids.at[0] == id) *flags |= SPAR__PIECE_WHOLE;
    }
    spar__run_free(&run);
    return status;
}

static void bpe_free(void *state) {
    bpe *m = state;
    if (m) spar__free(m->slots);
    spar__free(m);
}

static spar_status refuse_affixes(const json_t *settings) {
    static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        const char *affix;
        SPAR_TRY(spar__field_string(settings, keys[i], "", &affix));
        if (*affix)
            return spar__fail(SPAR_ERR_UNSUPPORTED, "key 'model.%s': '%s' is not supported", keys[i],
                              affix);
    }
    return SPAR_OK;
}

static spar_status bpe_open(spar_tokenizer *t, const json_t *settings) {
    SPAR_TRY(refuse_affixes(settings));
    bpe *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    t->model_state = m;
    m->bytes = t->byte_level;
    const json_t *merges;
    const char *unk;
    SPAR_TRY(spar__field_bool(settings, "ignore_merges", false, &m->ignore_merges));
    SPAR_TRY(spar__field_bool(settings, "fuse_unk", false, &m->fuse_unk));
    SPAR_TRY(spar__field_bool(settings, "byte_fallback", false, &m->byte_fallback));
    SPAR_TRY(spar__field_string(settings, "unk_token", "", &unk));
    SPAR_TRY(spar__field_array(settings, "merges", true, &merges));
    m->unk = *unk ? spar__vocab_find(&t->vocab, unk, strlen(unk)) : -1;
    if (*unk && m->unk < 0)
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.unk_token': '%s' is no token", unk);
    t->unk = m->unk;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i, name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        m->byte_id[i] = spar__vocab_find(&t->vocab, &byte, 1);
        m->fallback[i] = spar__vocab_find(&t->vocab, name, 6);
    }
    SPAR_TRY(read_merges(t, m, merges));
    return mark_whole(t, m);
}

const spar__model_kind spar__model_bpe = {"BPE", "bpe", bpe_open, bpe_free, bpe_encode};
