/* SentencePiece's byte-pair encoding: from characters on, the neighbours whose joined piece has the
 * highest score are merged, the leftmost of equals. That is merging by rank, where the rank of a
 * pair is that of its joined piece by score. */
#include <stdlib.h>
#include <string.h>

#include "token/cache.h"
#include "token/spm.h"

static int32_t exact(const spar__spm *s, const char *bytes, size_t length) {
    int32_t state = 0;
    for (size_t i = 0; i < length; i++)
        if ((state = spar__trie_step(&s->trie, state, (unsigned char)bytes[i])) < 0) return -1;
    return spar__trie_value(&s->trie, state);
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int by_score(const void *a, const void *b) {
    const scored *s = a, *t = b;
    return s->score != t->score ? (s->score < t->score) - (s->score > t->score)
                                : (s->id > t->id) - (s->id < t->id);
}

static bool matches_text(const spar__spm_piece *p) {
    return p->type == SPAR__SPM_NORMAL || p->type == SPAR__SPM_USER || p->type == SPAR__SPM_UNUSED;
}

static bool is_blank(const char *bytes, size_t length) {
    return length >= 3 && !memcmp(bytes, SPAR__SPM_BLANK, 3);
}

static bool has_blank_inside(const spar__spm_piece *p) {
    bool other = false;
    for (size_t at = 0, n; at < p->length; at += n) {
        n = spar__spm_width(p->bytes + at, p->length - at);
        if (!is_blank(p->bytes + at, p->length - at)) other = true;
        else if (other) return true;
    }
    return false;
}

spar_status spar__spm_bpe_prepare(spar__spm *s) {
    size_t splits = 0, n = 0;
    scored *order = spar__array((size_t)s->count, sizeof *order);
    if (!order) return SPAR_ERR_MEMORY;
    for (int32_t i = 0; i < s->count; i++) {
        if (!matches_text(&s->pieces[i])) continue;
        order[n++] = (scored){s->pieces[i].score, i};
        splits += s->pieces[i].length;
        if (has_blank_inside(&s->pieces[i])) s->blank_inside = true;
    }
    qsort(order, n, sizeof *order, by_score);
    spar_status status = spar__merges_create(&s->merges, splits);
    uint32_t rank = 0;
    for (size_t k = 0; !status && k < n; k++) {
        const spar__spm_piece *p = &s->pieces[order[k].id];
        if (k && order[k].score != order[k - 1].score) rank = (uint32_t)k;
        for (size_t at = spar__spm_width(p->bytes, p->length); at < p->length;
             at += spar__spm_width(p->bytes + at, p->length - at)) {
            int32_t left = exact(s, p->bytes, at), right = exact(s, p->bytes + at, p->length - at);
            if (left >= 0 && right >= 0) spar__merges_set(&s->merges, left, right, rank, order[k].id);
        }
    }
    spar__free(order);
    return status;
}

/* A word all of whose characters are pieces. */
static spar_status encode_word(const void *state, spar__run *run, const char *word,
                               size_t length) {
    const spar__spm *s = state;
    size_t from = run->ids.count;
    for (size_t at = 0, n; at < length; at += n) {
        n = spar__spm_width(word + at, length - at);
        SPAR_TRY(spar__ids_add(&run->ids, exact(s, word + at, n)));
    }
    size_t n = run->ids.count - from;
    SPAR_TRY(spar__merges_run(&s->merges, run, run->ids.at + from, &n));
    run->ids.count = from + n;
    for (size_t i = from, at = 0; run->wants_spans && i < from + n; i++) {
        size_t width = s->pieces[run->ids.at[i]].length;
        SPAR_TRY(spar__run_span(run, word + at, word + at + width));
        at += width;
    }
    return SPAR_OK;
}

/* Words end before a blank that follows another character, unless pieces reach across. */
spar_status spar__spm_bpe(const spar__spm *s, spar__run *run, const char *text, size_t length) {
    size_t word = 0;
    bool unknown = false, blank_before = true;
    for (size_t at = 0; at < length;) {
        int32_t id;
        size_t n = s->has_user ? spar__trie_longest(&s->user, text + at, length - at, &id) : 0;
        bool user = n > 0, blank = is_blank(text + at, length - at);
        if (!user) {
            n = spar__spm_width(text + at, length - at);
            id = exact(s, text + at, n);
        }
        bool ends = user || id < 0 || (blank && !blank_before && !s->blank_inside);
        if (ends && word < at) SPAR_TRY(spar__cached(s, run, text + word, at - word, encode_word));
        if (ends && word < at) unknown = false;
        if (ends) word = user || id < 0 ? at + n : at;
        if (user) {
            SPAR_TRY(spar__run_span(run, text + at, text + at + n));
            SPAR_TRY(spar__ids_add(&run->ids, id));
            unknown = false;
        } else if (id < 0) {
            SPAR_TRY(spar__spm_unknown(s, run, text + at, n, unknown));
            unknown = true;
        }
        blank_before = blank;
        at += n;
    }
    return word < length ? spar__cached(s, run, text + word, length - word, encode_word) : SPAR_OK;
}
