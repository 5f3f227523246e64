/* Merging the most frequent pair of neighbouring symbols in the words of a corpus, again and again
 * (Sennrich et al. 2016). Counts are kept up to date: a merge touches only the words that hold the
 * pair. The heap may hold outdated counts, which are put right when they come up; of equal counts
 * the pair of lowest ids goes first. */
#include "token/train_pairs.h"

#include <string.h>

#include "base/log.h"

#define NO_PAIR UINT32_MAX

/* Grows *array, of `size`-byte items, to hold one more than `count`. */
static spar_status room(void **array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return SPAR_OK;
    size_t more = *capacity ? *capacity * 2 : 1024;
    void *grown = spar__resize(*array, more, size);
    if (!grown) return SPAR_ERR_MEMORY;
    *array = grown;
    *capacity = more;
    return SPAR_OK;
}

/* ---- Pairs ---------------------------------------------------------------------------------- */

static size_t slot_of(const spar__pairs *t, uint64_t key) {
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & (t->n_slots - 1);
}

static spar_status slots_grow(spar__pairs *t) {
    size_t n = t->n_slots ? t->n_slots * 2 : 1 << 16;
    uint32_t *slots = spar__array(n, sizeof *slots);
    if (!slots) return SPAR_ERR_MEMORY;
    spar__free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    memset(slots, 0xFF, n * sizeof *slots);
    for (size_t i = 0; i < t->n_pairs; i++) {
        size_t at = slot_of(t, t->pairs[i].key);
        while (slots[at] != NO_PAIR) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i;
    }
    return SPAR_OK;
}

static spar_status pair_get(spar__pairs *t, int32_t left, int32_t right, uint32_t *out) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    if (t->n_pairs * 2 >= t->n_slots) SPAR_TRY(slots_grow(t));
    size_t at = slot_of(t, key);
    for (; t->slots[at] != NO_PAIR; at = (at + 1) & (t->n_slots - 1))
        if (t->pairs[t->slots[at]].key == key) return *out = t->slots[at], SPAR_OK;
    if (t->n_pairs >= NO_PAIR - 1) return spar__fail(SPAR_ERR_LIMIT, "too many pairs of symbols");
    SPAR_TRY(room((void **)&t->pairs, t->n_pairs, &t->pair_capacity, sizeof *t->pairs));
    t->pairs[t->n_pairs] = (spar__pair){.key = key};
    t->slots[at] = *out = (uint32_t)t->n_pairs++;
    return SPAR_OK;
}

static spar_status pair_change(spar__pairs *t, int32_t left, int32_t right, uint32_t index,
                               int direction) {
    uint32_t at = 0;
    SPAR_TRY(pair_get(t, left, right, &at));
    spar__pair *p = &t->pairs[at];
    p->count += direction * t->words[index].count;
    if (direction < 0) return SPAR_OK;
    if (!p->n_words || p->words[p->n_words - 1] != index) {
        if (p->n_words == p->capacity) {
            uint32_t capacity = p->capacity ? p->capacity * 2 : 2;
            uint32_t *words = spar__resize(p->words, capacity, sizeof *words);
            if (!words) return SPAR_ERR_MEMORY;
            p->words = words;
            p->capacity = capacity;
        }
        p->words[p->n_words++] = index;
    }
    if (p->touched == t->step + 1) return SPAR_OK;
    p->touched = t->step + 1;
    SPAR_TRY(room((void **)&t->fresh, t->n_fresh, &t->fresh_capacity, sizeof *t->fresh));
    t->fresh[t->n_fresh++] = at;
    return SPAR_OK;
}

/* ---- Heap ----------------------------------------------------------------------------------- */

static bool before(const spar__pair_entry *a, const spar__pair_entry *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static spar_status heap_push(spar__pairs *t, spar__pair_entry item) {
    SPAR_TRY(room((void **)&t->heap, t->n_heap, &t->heap_capacity, sizeof *t->heap));
    size_t i = t->n_heap++;
    for (size_t up; i && before(&item, &t->heap[up = (i - 1) / 2]); i = up) t->heap[i] = t->heap[up];
    t->heap[i] = item;
    return SPAR_OK;
}

static spar__pair_entry heap_pop(spar__pairs *t) {
    spar__pair_entry top = t->heap[0], last = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < t->n_heap; i = down) {
        if (down + 1 < t->n_heap && before(&t->heap[down + 1], &t->heap[down])) down++;
        if (!before(&t->heap[down], &last)) break;
        t->heap[i] = t->heap[down];
    }
    t->heap[i] = last;
    return top;
}

static spar_status push_fresh(spar__pairs *t) {
    for (size_t i = 0; i < t->n_fresh; i++) {
        const spar__pair *p = &t->pairs[t->fresh[i]];
        if (p->count > 0) SPAR_TRY(heap_push(t, (spar__pair_entry){p->count, p->key, t->fresh[i]}));
    }
    t->n_fresh = 0;
    return SPAR_OK;
}

/* ---- Learning ------------------------------------------------------------------------------- */

/* Replaces each left + right in the word by `into`. The counts of the pairs around each change;
 * that of the pair itself no longer matters. */
static spar_status merge_word(spar__pairs *t, uint32_t index, int32_t left, int32_t right,
                              int32_t into) {
    spar__pair_word *w = &t->words[index];
    int32_t *s = t->symbols + w->begin;
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->length; n++) {
        if (s[i] != left || i + 1 >= w->length || s[i + 1] != right) {
            s[n] = s[i++];
            continue;
        }
        i += 2;
        if (n) {
            SPAR_TRY(pair_change(t, s[n - 1], left, index, -1));
            SPAR_TRY(pair_change(t, s[n - 1], into, index, 1));
        }
        if (i < w->length) {
            SPAR_TRY(pair_change(t, right, s[i], index, -1));
            SPAR_TRY(pair_change(t, into, s[i], index, 1));
        }
        s[n] = into;
    }
    w->length = n;
    return SPAR_OK;
}

static spar_status joined_id(spar__pairs *t, int32_t left, int32_t right, int32_t *out) {
    size_t a = t->vocab.length[left], b = t->vocab.length[right];
    size_t skip = t->prefix ? strlen(t->prefix) : 0; /* the right one goes on */
    char *bytes = spar__alloc(a + b);
    if (!bytes) return SPAR_ERR_MEMORY;
    b -= skip;
    memcpy(bytes, spar__vocab_bytes(&t->vocab, left), a);
    memcpy(bytes + a, spar__vocab_bytes(&t->vocab, right) + skip, b);
    spar_status status = SPAR_OK;
    *out = spar__vocab_find(&t->vocab, bytes, a + b);
    if (*out < 0) {
        *out = t->vocab.size;
        status = spar__vocab_reserve(&t->vocab, a + b + 1);
        if (!status) status = spar__vocab_add(&t->vocab, *out, bytes, a + b);
    }
    spar__free(bytes);
    return status;
}

static spar_status merge_pair(spar__pairs *t, uint32_t at) {
    int32_t left = (int32_t)(t->pairs[at].key >> 32), right = (int32_t)(uint32_t)t->pairs[at].key;
    int32_t into;
    SPAR_TRY(joined_id(t, left, right, &into));
    SPAR_TRY(room((void **)&t->merges, t->n_merges, &t->merge_capacity, sizeof *t->merges));
    t->merges[t->n_merges++] = t->pairs[at].key;
    t->step++;
    uint32_t *words = t->pairs[at].words, n = t->pairs[at].n_words;
    t->pairs[at].words = NULL;
    t->pairs[at].n_words = t->pairs[at].capacity = 0;
    spar_status status = SPAR_OK;
    for (uint32_t i = 0; !status && i < n; i++)
        status = merge_word(t, words[i], left, right, into);
    spar__free(words);
    return status ? status : push_fresh(t);
}

spar_status spar__pairs_learn(spar__pairs *t, const spar_progress *progress) {
    SPAR_TRY(push_fresh(t));
    uint64_t total = (uint64_t)t->options->vocab_size;
    while (t->vocab.size < t->options->vocab_size && t->n_heap) {
        spar__pair_entry top = heap_pop(t);
        int64_t count = t->pairs[top.pair].count;
        if (count != top.count) {
            if (count > 0) SPAR_TRY(heap_push(t, (spar__pair_entry){count, top.key, top.pair}));
            continue;
        }
        if (count < 1 || count < t->options->min_frequency) break;
        SPAR_TRY(merge_pair(t, top.pair));
        if (t->n_merges % 256 == 0)
            SPAR_TRY(spar__progress(progress, "merging", (uint64_t)t->vocab.size, total, ""));
    }
    return spar__progress(progress, "merging", total, total, "");
}

spar_status spar__pairs_word(spar__pairs *t, size_t begin, uint32_t length, int64_t count) {
    t->words[t->n_words] = (spar__pair_word){begin, length, count};
    const int32_t *s = t->symbols + begin;
    for (uint32_t k = 0; k + 1 < length; k++)
        SPAR_TRY(pair_change(t, s[k], s[k + 1], (uint32_t)t->n_words, 1));
    t->n_words++;
    return SPAR_OK;
}

void spar__pairs_free(spar__pairs *t) {
    spar__vocab_free(&t->vocab);
    for (size_t i = 0; i < t->n_pairs; i++) spar__free(t->pairs[i].words);
    spar__free(t->words);
    spar__free(t->symbols);
    spar__free(t->pairs);
    spar__free(t->slots);
    spar__free(t->heap);
    spar__free(t->fresh);
    spar__free(t->merges);
}

