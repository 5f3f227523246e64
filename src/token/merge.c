#include "token/merge.h"

#include <string.h>

enum { SHORT = 48 };
#define NO_RANK UINT32_MAX
#define FREE    UINT64_MAX

static inline uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline size_t slot_of(const spar__merges *m, uint64_t pair) {
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & m->mask;
}

static inline const spar__merge *merge_find(const spar__merges *m, int32_t left, int32_t right) {
    uint64_t pair = pair_of(left, right);
    for (size_t i = slot_of(m, pair);; i = (i + 1) & m->mask)
        if (m->slots[i].pair == pair || m->slots[i].pair == FREE) return &m->slots[i];
}

/* ---- Merging -------------------------------------------------------------------------------- */

/* Symbols of short pieces; returns how many are left. */
static size_t merge_short(const spar__merges *m, int32_t *ids, size_t n) {
    uint32_t rank[SHORT];
    int32_t into[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const spar__merge *found = merge_find(m, ids[i], ids[i + 1]);
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
            const spar__merge *found = merge_find(m, ids[best], ids[best + 1]);
            rank[best] = found->rank, into[best] = found->id;
        }
        if (best) {
            const spar__merge *found = merge_find(m, ids[best - 1], ids[best]);
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

static void pair_update(const spar__merges *m, symbol *s, uint32_t at, uint64_t *heap, size_t *count) {
    s[at].rank = NO_RANK;
    if (s[at].next == NO_RANK) return;
    const spar__merge *found = merge_find(m, s[at].id, s[s[at].next].id);
    s[at].rank = found->rank;
    s[at].into = found->id;
    if (found->rank != NO_RANK) heap_push(heap, count, (uint64_t)found->rank << 32 | at);
}

/* A heap entry is rank << 32 | position. Each merge adds at most two entries and n − 1 merges are
 * possible, so 3n entries are enough. */
static spar_status merge_long(const spar__merges *m, spar__run *run, int32_t *ids, size_t *length) {
    size_t n = *length, bytes, count = 0;
    if (n >= NO_RANK || !spar__mul(n, sizeof(symbol) + 3 * sizeof(uint64_t), &bytes))
        return spar__fail(SPAR_ERR_LIMIT, "a piece of %zu symbols is too long", n);
    SPAR_TRY(spar__run_scratch(run, bytes));
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

spar_status spar__merges_run(const spar__merges *m, spar__run *run, int32_t *ids, size_t *n) {
    if (*n > SHORT) return merge_long(m, run, ids, n);
    *n = merge_short(m, ids, *n);
    return SPAR_OK;
}

spar_status spar__merges_create(spar__merges *m, size_t count) {
    size_t slots = 16;
    while (slots / 2 < count) slots *= 2;
    m->mask = slots - 1;
    m->slots = spar__array(slots, sizeof *m->slots);
    if (!m->slots) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < slots; i++) m->slots[i] = (spar__merge){FREE, NO_RANK, -1};
    return SPAR_OK;
}

void spar__merges_set(spar__merges *m, int32_t left, int32_t right, uint32_t rank, int32_t id) {
    spar__merge *slot = &m->slots[merge_find(m, left, right) - m->slots];
    *slot = (spar__merge){pair_of(left, right), rank, id};
}

void spar__merges_free(spar__merges *m) { spar__free(m->slots); }
