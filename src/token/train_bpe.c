/* Learning byte-pair encoding (Sennrich et al. 2016): merge the most frequent pair of neighbouring
 * symbols in the words of the corpus, again and again. Counts are kept up to date: a merge touches
 * only the words that hold the pair. The heap may hold outdated counts, which are put right when
 * they come up; of equal counts the pair of lowest ids goes first. */
#include <string.h>

#include "base/log.h"
#include "token/spell.h"
#include "token/train.h"
#include "token/words.h"

#define NO_PAIR UINT32_MAX

typedef struct word {
    size_t begin; /* into the symbols */
    uint32_t length;
    int64_t count;
} word;

typedef struct pair {
    uint64_t key; /* left << 32 | right */
    int64_t count;
    uint32_t *words; /* where it stands, or stood */
    uint32_t n_words, capacity;
    uint32_t touched; /* the last merge that made it more frequent */
} pair;

typedef struct entry {
    int64_t count;
    uint64_t key;
    uint32_t pair;
} entry;

typedef struct trainer {
    const spar_tokenizer_options *options;
    spar__vocab vocab;
    word *words;
    int32_t *symbols;
    size_t n_words;
    pair *pairs;
    size_t n_pairs, pair_capacity;
    uint32_t *slots; /* hash of keys → pairs */
    size_t n_slots;
    entry *heap;
    size_t n_heap, heap_capacity;
    uint32_t *fresh; /* pairs touched by this merge */
    size_t n_fresh, fresh_capacity;
    uint64_t *merges;
    size_t n_merges, merge_capacity;
    uint32_t step;
} trainer;

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

static size_t slot_of(const trainer *t, uint64_t key) {
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & (t->n_slots - 1);
}

static spar_status slots_grow(trainer *t) {
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

static spar_status pair_get(trainer *t, int32_t left, int32_t right, uint32_t *out) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    if (t->n_pairs * 2 >= t->n_slots) SPAR_TRY(slots_grow(t));
    size_t at = slot_of(t, key);
    for (; t->slots[at] != NO_PAIR; at = (at + 1) & (t->n_slots - 1))
        if (t->pairs[t->slots[at]].key == key) return *out = t->slots[at], SPAR_OK;
    if (t->n_pairs >= NO_PAIR - 1) return spar__fail(SPAR_ERR_LIMIT, "too many pairs of symbols");
    SPAR_TRY(room((void **)&t->pairs, t->n_pairs, &t->pair_capacity, sizeof *t->pairs));
    t->pairs[t->n_pairs] = (pair){.key = key};
    t->slots[at] = *out = (uint32_t)t->n_pairs++;
    return SPAR_OK;
}

static spar_status pair_change(trainer *t, int32_t left, int32_t right, uint32_t index,
                               int direction) {
    uint32_t at = 0;
    SPAR_TRY(pair_get(t, left, right, &at));
    pair *p = &t->pairs[at];
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
    if (p->touched == t->step) return SPAR_OK;
    p->touched = t->step;
    SPAR_TRY(room((void **)&t->fresh, t->n_fresh, &t->fresh_capacity, sizeof *t->fresh));
    t->fresh[t->n_fresh++] = at;
    return SPAR_OK;
}

/* ---- Heap ----------------------------------------------------------------------------------- */

static bool before(const entry *a, const entry *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static spar_status heap_push(trainer *t, entry item) {
    SPAR_TRY(room((void **)&t->heap, t->n_heap, &t->heap_capacity, sizeof *t->heap));
    size_t i = t->n_heap++;
    for (size_t up; i && before(&item, &t->heap[up = (i - 1) / 2]); i = up) t->heap[i] = t->heap[up];
    t->heap[i] = item;
    return SPAR_OK;
}

static entry heap_pop(trainer *t) {
    entry top = t->heap[0], last = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < t->n_heap; i = down) {
        if (down + 1 < t->n_heap && before(&t->heap[down + 1], &t->heap[down])) down++;
        if (!before(&t->heap[down], &last)) break;
        t->heap[i] = t->heap[down];
    }
    t->heap[i] = last;
    return top;
}

static spar_status push_fresh(trainer *t) {
    for (size_t i = 0; i < t->n_fresh; i++) {
        const pair *p = &t->pairs[t->fresh[i]];
        if (p->count > 0) SPAR_TRY(heap_push(t, (entry){p->count, p->key, t->fresh[i]}));
    }
    t->n_fresh = 0;
    return SPAR_OK;
}

/* ---- Learning ------------------------------------------------------------------------------- */

static spar_status begin_vocab(trainer *t) {
    const spar_tokenizer_options *o = t->options;
    size_t bytes = 512;
    for (int i = 0; i < o->n_special; i++) bytes += strlen(o->special[i]) + 1;
    if (o->vocab_size < 256 + o->n_special)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "vocabulary size %d, expected at least %d: 256 bytes and %d special "
                          "tokens", o->vocab_size, 256 + o->n_special, o->n_special);
    SPAR_TRY(spar__vocab_create(&t->vocab, (size_t)o->vocab_size, bytes));
    for (int i = 0; i < o->n_special; i++)
        SPAR_TRY(spar__vocab_add(&t->vocab, i, o->special[i], strlen(o->special[i])));
    /* In the order of the characters that spell them, as GPT-2 has them. */
    uint8_t byte_of[0x144] = {0};
    for (int byte = 0; byte < 256; byte++) byte_of[spar__spell_code((uint8_t)byte)] = (uint8_t)byte;
    for (uint32_t code = 0; code < 0x144; code++) {
        char byte = (char)byte_of[code];
        if (spar__spell_code((uint8_t)byte) == code)
            SPAR_TRY(spar__vocab_add(&t->vocab, t->vocab.size, &byte, 1));
    }
    return SPAR_OK;
}

static spar_status begin_words(trainer *t, const spar__words *counted) {
    int32_t byte_id[256];
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        byte_id[i] = spar__vocab_find(&t->vocab, &byte, 1);
    }
    t->words = spar__array(counted->count, sizeof *t->words);
    t->symbols = spar__array(counted->pool.length, sizeof *t->symbols);
    if (!t->words || !t->symbols) return SPAR_ERR_MEMORY;
    if (counted->count > UINT32_MAX) return spar__fail(SPAR_ERR_LIMIT, "too many different words");
    for (size_t i = 0; i < counted->pool.length; i++)
        t->symbols[i] = byte_id[(uint8_t)counted->pool.bytes[i]];
    t->step = 1;
    for (size_t i = 0; i < counted->n_slots; i++) {
        const spar__word *w = &counted->slots[i];
        if (!w->count) continue;
        t->words[t->n_words] = (word){w->offset, w->length, (int64_t)w->count};
        const int32_t *s = t->symbols + w->offset;
        for (uint32_t k = 0; k + 1 < w->length; k++)
            SPAR_TRY(pair_change(t, s[k], s[k + 1], (uint32_t)t->n_words, 1));
        t->n_words++;
    }
    return push_fresh(t);
}

/* Replaces each left + right in the word by `into`. The counts of the pairs around each change;
 * that of the pair itself no longer matters. */
static spar_status merge_word(trainer *t, uint32_t index, int32_t left, int32_t right,
                              int32_t into) {
    word *w = &t->words[index];
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

static spar_status joined_id(trainer *t, int32_t left, int32_t right, int32_t *out) {
    size_t a = t->vocab.length[left], b = t->vocab.length[right];
    char *bytes = spar__alloc(a + b);
    if (!bytes) return SPAR_ERR_MEMORY;
    memcpy(bytes, spar__vocab_bytes(&t->vocab, left), a);
    memcpy(bytes + a, spar__vocab_bytes(&t->vocab, right), b);
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

static spar_status merge_pair(trainer *t, uint32_t at) {
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

static spar_status learn(trainer *t, const spar_progress *progress) {
    uint64_t total = (uint64_t)t->options->vocab_size;
    while (t->vocab.size < t->options->vocab_size && t->n_heap) {
        entry top = heap_pop(t);
        int64_t count = t->pairs[top.pair].count;
        if (count != top.count) {
            if (count > 0) SPAR_TRY(heap_push(t, (entry){count, top.key, top.pair}));
            continue;
        }
        if (count < 1 || count < t->options->min_frequency) break;
        SPAR_TRY(merge_pair(t, top.pair));
        if (t->n_merges % 256 == 0)
            SPAR_TRY(spar__progress(progress, "merging", (uint64_t)t->vocab.size, total, ""));
    }
    return spar__progress(progress, "merging", total, total, "");
}

/* ---- Result --------------------------------------------------------------------------------- */

/* A token as the file spells it, in a new JSON string. */
static json_t *spelled(const trainer *t, int32_t id, char *room_for_text) {
    const char *bytes = spar__vocab_bytes(&t->vocab, id);
    if (id < t->options->n_special) return json_string(bytes);
    return json_stringn(room_for_text,
                        spar__spell_encode(bytes, t->vocab.length[id], room_for_text));
}

static spar_status result_json(const trainer *t, json_t **out) {
    uint32_t longest = 0;
    for (int32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.length[id] > longest) longest = t->vocab.length[id];
    char *text = spar__array((size_t)longest + 1, 2);
    if (!text) return SPAR_ERR_MEMORY;
    json_t *vocab = json_object(), *merges = json_array();
    for (int32_t id = 0; id < t->vocab.size; id++) {
        json_t *name = spelled(t, id, text);
        json_object_set_new(vocab, json_string_value(name), json_integer(id));
        json_decref(name);
    }
    for (size_t i = 0; i < t->n_merges; i++) {
        json_t *left = spelled(t, (int32_t)(t->merges[i] >> 32), text);
        json_t *right = spelled(t, (int32_t)(uint32_t)t->merges[i], text);
        json_array_append_new(merges, json_pack("[o, o]", left, right));
    }
    spar__free(text);
    return spar__bpe_json(vocab, merges, t->options->splitter, t->options->special,
                          t->options->n_special, out);
}

static spar_status result(const trainer *t, spar_tokenizer **out) {
    json_t *root;
    SPAR_TRY(result_json(t, &root));
    spar_status status = spar__tokenizer_from_json("trained tokenizer", root, NULL, 0, out);
    json_decref(root);
    return status;
}

static void trainer_clear(trainer *t) {
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

static spar_status train_bpe(const spar_tokenizer_options *options, const spar_text_reader *reader,
                             const spar_progress *progress, spar_tokenizer **out) {
    trainer t = {.options = options};
    spar__words counted = {0};
    spar_tokenizer *base = NULL;
    spar_status status;
    SPAR_TRY_GOTO(done, begin_vocab(&t));
    SPAR_TRY_GOTO(done, result(&t, &base)); /* no merges yet: it only splits */
    SPAR_TRY_GOTO(done, spar__words_count(base, reader, progress, &counted));
    SPAR_TRY_GOTO(done, begin_words(&t, &counted));
    spar__words_free(&counted);
    SPAR_TRY_GOTO(done, learn(&t, progress));
    status = result(&t, out);
done:
    spar__words_free(&counted);
    spar_tokenizer_free(base);
    trainer_clear(&t);
    return status;
}

const spar__trainer_kind spar__trainer_bpe = {"bpe", train_bpe};
