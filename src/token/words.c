#include "token/words.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cpu.h"
#include "base/log.h"

/* Text gathered before the threads share it out. */
enum { BATCH_BYTES = 8 << 20, MAX_PIECES = 4096 };

void spar__words_free(spar__words *w) {
    spar__free(w->slots);
    spar__buffer_free(&w->pool);
    *w = (spar__words){0};
}

static spar_status grow(spar__words *w) {
    size_t n = w->n_slots ? w->n_slots * 2 : 1 << 14;
    spar__word *slots = spar__array(n, sizeof *slots);
    if (!slots) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < w->n_slots; i++) {
        if (!w->slots[i].count) continue;
        size_t at = w->slots[i].hash & (n - 1);
        while (slots[at].count) at = (at + 1) & (n - 1);
        slots[at] = w->slots[i];
    }
    spar__free(w->slots);
    w->slots = slots;
    w->n_slots = n;
    return SPAR_OK;
}

spar_status spar__words_add(spar__words *w, const char *bytes, size_t length, uint64_t count) {
    if (length > UINT32_MAX)
        return spar__fail(SPAR_ERR_LIMIT, "a word of %zu bytes is too long", length);
    if (w->count * 2 >= w->n_slots) SPAR_TRY(grow(w));
    if (!w->pool.maximum) w->pool = spar__buffer_make(SIZE_MAX);
    uint64_t hash = XXH3_64bits(bytes, length);
    size_t at = hash & (w->n_slots - 1);
    for (; w->slots[at].count; at = (at + 1) & (w->n_slots - 1)) {
        spar__word *word = &w->slots[at];
        if (word->hash == hash && word->length == length &&
            !memcmp(w->pool.bytes + word->offset, bytes, length)) {
            word->count += count;
            return SPAR_OK;
        }
    }
    size_t offset = w->pool.length;
    SPAR_TRY(spar__buffer_add(&w->pool, bytes, length));
    w->slots[at] = (spar__word){hash, offset, (uint32_t)length, count};
    w->count++;
    return SPAR_OK;
}

static spar_status take_word(spar__run *run, const char *piece, size_t length) {
    return spar__words_add(run->context, piece, length, 1);
}

/* The corpus on its way to the threads, each of which has its own counts. */
typedef struct counter {
    const spar_tokenizer *tokenizer;
    spar__words *each;
    int threads;
    spar__buffer text;
    size_t ends[MAX_PIECES];
    int n_pieces;
    spar_status status;
    char message[256]; /* of the first failure: messages belong to threads */
} counter;

static void count_piece(counter *c, int thread, int i) {
    size_t begin = i ? c->ends[i - 1] : 0;
    spar__run run = {.tokenizer = c->tokenizer, .take = take_word, .context = &c->each[thread]};
    spar_status status = spar__run_text(&run, c->text.bytes + begin, c->ends[i] - begin, 0);
    spar__run_free(&run);
    if (!status) return;
#pragma omp critical(spar__words_failure)
    if (!c->status) {
        c->status = status;
        strncpy(c->message, spar_error(), sizeof c->message - 1);
    }
}

static spar_status count_batch(counter *c) {
    int next = 0;
#pragma omp parallel for num_threads(c->threads) schedule(static, 1)
    for (int thread = 0; thread < c->threads; thread++)
        for (;;) {
            int i;
#pragma omp atomic capture
            i = next++;
            if (i >= c->n_pieces) break;
            count_piece(c, thread, i);
        }
    c->n_pieces = 0;
    c->text.length = 0;
    return c->status ? spar__fail(c->status, "%s", c->message) : SPAR_OK;
}

static spar_status read_all(counter *c, const spar_text_reader *reader,
                            const spar_progress *progress) {
    uint64_t done = 0;
    for (;;) {
        const char *text = NULL;
        size_t length = 0;
        SPAR_TRY(reader->next(reader->context, &text, &length));
        if (!text) return count_batch(c);
        SPAR_TRY(spar__buffer_add(&c->text, text, length));
        c->ends[c->n_pieces++] = c->text.length;
        done += length;
        if (c->text.length < BATCH_BYTES && c->n_pieces < MAX_PIECES) continue;
        SPAR_TRY(count_batch(c));
        SPAR_TRY(spar__progress(progress, "counting words", done, 0, ""));
    }
}

spar_status spar__words_count(const spar_tokenizer *tokenizer, const spar_text_reader *reader,
                              const spar_progress *progress, spar__words *out) {
    counter *c = spar__alloc(sizeof *c);
    if (!c) return SPAR_ERR_MEMORY;
    c->tokenizer = tokenizer;
    c->threads = spar__threads();
    c->text = spar__buffer_make(SIZE_MAX);
    c->each = spar__array((size_t)c->threads, sizeof *c->each);
    spar_status status = c->each ? read_all(c, reader, progress) : SPAR_ERR_MEMORY;
    for (int t = 1; !status && t < c->threads; t++)
        for (size_t i = 0; !status && i < c->each[t].n_slots; i++) {
            const spar__word *word = &c->each[t].slots[i];
            if (word->count)
                status = spar__words_add(&c->each[0], c->each[t].pool.bytes + word->offset,
                                         word->length, word->count);
        }
    for (int t = status ? 0 : 1; c->each && t < c->threads; t++) spar__words_free(&c->each[t]);
    if (!status) *out = c->each[0];
    spar__free(c->each);
    spar__buffer_free(&c->text);
    spar__free(c);
    return status;
}

static int by_bytes(const void *a, const void *b, void *pool) {
    const spar__word *s = *(const spar__word *const *)a, *t = *(const spar__word *const *)b;
    size_t n = s->length < t->length ? s->length : t->length;
    int order = memcmp((const char *)pool + s->offset, (const char *)pool + t->offset, n);
    return order ? order : (s->length > t->length) - (s->length < t->length);
}

const spar__word **spar__words_sorted(const spar__words *words) {
    const spar__word **sorted = spar__array(words->count + 1, sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; sorted && i < words->n_slots; i++)
        if (words->slots[i].count) sorted[n++] = &words->slots[i];
    if (sorted && n) qsort_r(sorted, n, sizeof *sorted, by_bytes, words->pool.bytes);
    return sorted;
}
