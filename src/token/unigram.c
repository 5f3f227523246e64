/* The unigram language model (Kudo 2018) as tokenizer.json has it: pieces with log-probabilities,
 * the segmentation of highest sum. Sums are double here and begin at the front of each piece of
 * text; SentencePiece's own files (spm_unigram.c) sum in float. */
#include <stdlib.h>
#include <string.h>

#include "token/cache.h"
#include "token/field.h"
#include "token/lattice.h"
#include "token/tokenizer.h"
#include "token/trie.h"

enum { NO_UNK = -2 }; /* an unknown character where there is no <unk> */

typedef struct unigram {
    spar__trie trie;
    double *scores;
    double unknown; /* the score of a character that is no piece */
    int32_t unk;    /* −1: none */
    int32_t fallback[256];
    bool byte_fallback;
    const spar_tokenizer *tokenizer;
} unigram;

static void unigram_free(void *state) {
    unigram *m = state;
    if (!m) return;
    spar__trie_free(&m->trie);
    spar__free(m->scores);
    spar__free(m);
}

/* A score as the reference reads it: not the nearest double to what the file says, but its digits
 * divided by a power of ten, each rounded. On long runs of one character this decides. */
static double read_score(const json_t *value) {
    double score = json_number_value(value), magnitude = score < 0 ? -score : score;
    if (!json_is_real(value) || !(magnitude > 1e-6 && magnitude < 1e15)) return score;
    char text[40];
    int digits = 15;
    do snprintf(text, sizeof text, "%.*e", digits - 1, magnitude); /* the fewest that say it */
    while (strtod(text, NULL) != magnitude && digits++ < 17);
    uint64_t significand = 0;
    int power = 0;
    const char *p = text;
    bool fraction = false;
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') fraction = true;
        else significand = significand * 10 + (uint64_t)(*p - '0'), power -= fraction;
    }
    for (power += atoi(p + 1); power < 0 && significand % 10 == 0; power++) significand /= 10;
    double made = (double)significand, scale = 1;
    for (int i = power; i; i += i < 0 ? 1 : -1) scale *= 10;
    made = power < 0 ? made / scale : made * scale;
    return score < 0 ? -made : made;
}

static spar_status read_scores(const spar_tokenizer *t, unigram *m, const json_t *vocab) {
    size_t n = json_array_size(vocab);
    m->scores = spar__array((size_t)t->vocab.size + 1, sizeof *m->scores);
    spar__trie_key *keys = spar__array(n + 1, sizeof *keys);
    if (!m->scores || !keys) return spar__free(keys), SPAR_ERR_MEMORY;
    double lowest = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        double score = read_score(json_array_get(json_array_get(vocab, i), 1));
        if (!i || score < lowest) lowest = score;
        m->scores[i] = score;
        if (t->vocab.length[i])
            keys[kept++] = (spar__trie_key){spar__vocab_bytes(&t->vocab, (int32_t)i),
                                            t->vocab.length[i], (int32_t)i};
    }
    m->unknown = lowest - 10;
    spar_status status = spar__trie_build(keys, kept, &m->trie);
    spar__free(keys);
    return status;
}

static spar_status unigram_open(spar_tokenizer *t, const json_t *settings) {
    unigram *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    t->model_state = m;
    m->tokenizer = t;
    const json_t *vocab;
    int64_t unk;
    SPAR_TRY(spar__field_array(settings, "vocab", true, &vocab));
    SPAR_TRY(spar__field_int(settings, "unk_id", -1, &unk));
    SPAR_TRY(spar__field_bool(settings, "byte_fallback", false, &m->byte_fallback));
    if (unk < -1 || unk >= (int64_t)json_array_size(vocab))
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.unk_id': %lld, expected 0 to %zu",
                          (long long)unk, json_array_size(vocab) - 1);
    m->unk = t->unk = (int32_t)unk;
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        m->fallback[i] = spar__vocab_own(&t->vocab, name, 6);
    }
    return read_scores(t, m, vocab);
}

static void forward(const unigram *m, const char *text, size_t length, spar__link *links,
                    double *scores) {
    scores[0] = 0;
    for (size_t at = 0, width; at < length; at += width) {
        double so_far = scores[at];
        bool single = false;
        int32_t state = 0;
        unsigned char first = (unsigned char)text[at];
        width = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (width > length - at) width = length - at;
        for (size_t end = at; end < length;) {
            state = spar__trie_step(&m->trie, state, (unsigned char)text[end++]);
            if (state < 0) break;
            int32_t id = spar__trie_value(&m->trie, state);
            if (id < 0) continue;
            double score = m->scores[id] + so_far;
            if (links[end].id == SPAR__NO_PATH || score > scores[end]) {
                links[end] = (spar__link){id, (uint32_t)at};
                scores[end] = score;
            }
            if (end - at == width) single = true;
        }
        size_t end = at + width;
        if (!single && (links[end].id == SPAR__NO_PATH || m->unknown + so_far > scores[end])) {
            links[end] = (spar__link){m->unk < 0 ? NO_UNK : m->unk, (uint32_t)at};
            scores[end] = m->unknown + so_far;
        }
    }
}

/* A run of unknown characters: a piece after all, or its bytes, or <unk>. */
static spar_status add_unknown(const unigram *m, spar__run *run, const char *text, size_t length) {
    int32_t id = spar__vocab_own(&m->tokenizer->vocab, text, length);
    bool bytes = id < 0 && m->byte_fallback;
    for (size_t i = 0; bytes && i < length; i++) bytes = m->fallback[(uint8_t)text[i]] >= 0;
    for (size_t i = 0; bytes && i < length; i++) {
        SPAR_TRY(spar__run_span(run, text + i, text + i + 1));
        SPAR_TRY(spar__ids_add(&run->ids, m->fallback[(uint8_t)text[i]]));
    }
    if (bytes) return SPAR_OK;
    if (id < 0) id = m->unk;
    if (id < 0)
        return spar__fail(SPAR_ERR_ARGUMENT, "text '%.*s' has no tokens and the tokenizer no unk_id",
                          (int)(length < 64 ? length : 64), text);
    SPAR_TRY(spar__run_span(run, text, text + length));
    return spar__ids_add(&run->ids, id);
}

static spar_status encode_word(const void *state, spar__run *run, const char *text,
                               size_t length) {
    const unigram *m = state;
    spar__link *links;
    void *scores;
    SPAR_TRY(spar__lattice_begin(run, length, sizeof(double), &links, &scores));
    forward(m, text, length, links, scores);
    spar__lattice_turn(links, length);
    for (size_t at = 0; at < length;) {
        size_t end = links[at].from;
        int32_t id = links[at].id;
        bool unknown = id == NO_UNK || id == m->unk;
        while (unknown && m->unk >= 0 && end < length && links[end].id == id) end = links[end].from;
        if (unknown) {
            SPAR_TRY(add_unknown(m, run, text + at, end - at));
        } else {
            SPAR_TRY(spar__run_span(run, text + at, text + end));
            SPAR_TRY(spar__ids_add(&run->ids, id));
        }
        at = end;
    }
    return SPAR_OK;
}

static spar_status unigram_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                                  size_t length) {
    return spar__cached(t->model_state, run, piece, length, encode_word);
}

const spar__model_kind spar__model_unigram = {"Unigram",      "unigram",      unigram_open,
                                              unigram_free,   unigram_encode, NULL, false};
