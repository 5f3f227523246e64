#include "token/trie.h"

#include <stdlib.h>
#include <string.h>

typedef struct range { /* keys [low, high) agree in their first `depth` bytes: one state */
    size_t low, high, depth;
    int32_t state;
} range;

typedef struct builder {
    const spar__trie_key *keys;
    spar__trie trie;
    uint8_t *used; /* bases that a state has */
    size_t capacity;
    size_t head; /* places before it are not looked at again */
    range *queue;
    size_t queue_head, queue_count, queue_capacity;
} builder;

static int compare(const void *a, const void *b) {
    const spar__trie_key *s = a, *t = b;
    size_t n = s->length < t->length ? s->length : t->length;
    int order = memcmp(s->bytes, t->bytes, n);
    if (!order) order = (s->length > t->length) - (s->length < t->length);
    return order ? order : (s->value > t->value) - (s->value < t->value);
}

/* Whole blocks of 256. */
static spar_status reserve(builder *b, size_t count) {
    if (count > INT32_MAX / 2) return spar__fail(SPAR_ERR_LIMIT, "the vocabulary is too large");
    count = (count + 255) / 256 * 256;
    if (count > b->capacity) {
        size_t capacity = b->capacity * 2 > count ? b->capacity * 2 : count + 1024;
        spar__trie_unit *units = spar__resize(b->trie.units, capacity, sizeof *units);
        if (units) b->trie.units = units;
        uint8_t *used = units ? spar__resize(b->used, capacity, 1) : NULL;
        if (!used) return SPAR_ERR_MEMORY;
        b->used = used;
        b->capacity = capacity;
    }
    for (; b->trie.count < count; b->trie.count++) {
        b->trie.units[b->trie.count] = (spar__trie_unit){0, SPAR__TRIE_FREE, 0};
        b->used[b->trie.count] = 0;
    }
    return SPAR_OK;
}

static bool is_free(const builder *b, size_t at) {
    return b->trie.units[at].label == SPAR__TRIE_FREE;
}

/* A base where the states of all `n` bytes are free. What lies too far before the place that is found is left as it
 * is: a search is short, and few places stay empty. The first block has no children: states without any have base 0. */
static spar_status find_base(builder *b, const unsigned char *bytes, int n, size_t *out) {
    enum { LOOK_BACK = 256 };
    for (size_t at = b->head;; at++) {
        SPAR_TRY(reserve(b, at + 1));
        size_t base = at ^ bytes[0];
        bool taken = !is_free(b, at);
        if (taken && at == b->head) b->head++;
        if (taken || b->used[base]) continue;
        int k = 1;
        while (k < n && is_free(b, base ^ bytes[k])) k++;
        if (k < n) continue;
        if (at > b->head + LOOK_BACK) b->head = at - LOOK_BACK;
        b->used[base] = 1;
        *out = base;
        return SPAR_OK;
    }
}

static spar_status push(builder *b, range item) {
    if (b->queue_count == b->queue_capacity) {
        size_t capacity = b->queue_capacity ? b->queue_capacity * 2 : 1024;
        range *queue = spar__resize(b->queue, capacity, sizeof *queue);
        if (!queue) return SPAR_ERR_MEMORY;
        b->queue = queue;
        b->queue_capacity = capacity;
    }
    b->queue[b->queue_count++] = item;
    return SPAR_OK;
}

static spar_status place_children(builder *b, range r) {
    unsigned char bytes[256];
    size_t starts[257], base;
    int n = 0;
    while (r.low < r.high && b->keys[r.low].length == r.depth) {
        spar__trie_unit *unit = &b->trie.units[r.state];
        if (!unit->value) unit->value = (uint32_t)b->keys[r.low].value + 1;
        r.low++;
    }
    for (size_t i = r.low; i < r.high; i++) {
        unsigned char byte = (unsigned char)b->keys[i].bytes[r.depth];
        if (n && bytes[n - 1] == byte) continue;
        bytes[n] = byte;
        starts[n++] = i;
    }
    if (!n) return SPAR_OK;
    starts[n] = r.high;
    SPAR_TRY(find_base(b, bytes, n, &base));
    b->trie.units[r.state].base = (uint32_t)base;
    for (int k = 0; k < n; k++) b->trie.units[base ^ bytes[k]].label = bytes[k];
    for (int k = 0; k < n; k++)
        SPAR_TRY(push(b, (range){starts[k], starts[k + 1], r.depth + 1,
                                 (int32_t)(base ^ bytes[k])}));
    return SPAR_OK;
}

spar_status spar__trie_build(spar__trie_key *keys, size_t count, spar__trie *out) {
    builder b = {.keys = keys, .head = 256};
    for (size_t i = 0; i < count; i++)
        if (keys[i].value > SPAR__TRIE_MAX_VALUE)
            return spar__fail(SPAR_ERR_LIMIT, "vocabulary of more than %d pieces",
                              SPAR__TRIE_MAX_VALUE);
    if (count) qsort(keys, count, sizeof *keys, compare);
    spar_status status = reserve(&b, 512);
    if (!status) status = push(&b, (range){0, count, 0, 0});
    while (!status && b.queue_head < b.queue_count)
        status = place_children(&b, b.queue[b.queue_head++]);
    spar__free(b.queue);
    spar__free(b.used);
    if (status) spar__trie_free(&b.trie);
    else *out = b.trie;
    return status;
}

void spar__trie_free(spar__trie *t) {
    spar__free(t->units);
    *t = (spar__trie){0};
}

size_t spar__trie_longest(const spar__trie *t, const char *text, size_t length, int32_t *value) {
    size_t best = 0;
    int32_t state = 0;
    for (size_t i = 0; i < length; i++) {
        state = spar__trie_step(t, state, (unsigned char)text[i]);
        if (state < 0) break;
        if (t->units[state].value) best = i + 1, *value = spar__trie_value(t, state);
    }
    return best;
}
