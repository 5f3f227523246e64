/* Byte-pair encoding by ranked merges (Sennrich et al. 2016). Symbols start as bytes (Radford et
 * al. 2019) or as characters. Pieces that are a token of their own are looked up at once. */
#include <string.h>

#include "base/text.h"
#include "token/cache.h"
#include "token/field.h"
#include "token/merge.h"
#include "token/spell.h"
#include "token/tokenizer.h"

enum { MAX_AFFIX = 64 };

typedef struct bpe {
    spar__merges merges;
    int32_t byte_id[256]; /* −1: the byte alone is no token */
    int32_t fallback[256]; /* <0x00> … <0xFF> */
    int32_t unk;
    bool bytes, ignore_merges, fuse_unk, byte_fallback;
    char *prefix, *suffix; /* of symbols within a word, of the last one; NULL: none */
    const spar_tokenizer *tokenizer;
} bpe;

/* ---- Pieces to symbols ---------------------------------------------------------------------- */

/* A symbol of the piece: its id, and the bytes that it stands for. */
static spar_status add_symbol(spar__run *run, int32_t id, const char *bytes, size_t length) {
    SPAR_TRY(spar__run_span(run, bytes, bytes + length));
    return spar__ids_add(&run->ids, id);
}

/* Unknown characters of a piece: <unk> comes before the next known one, so after the bytes that
 * other unknown ones fall back to. */
typedef struct waiting {
    const char *begin, *end; /* equal: none waits */
} waiting;

static spar_status flush_unknown(const bpe *m, spar__run *run, waiting *w) {
    const char *begin = w->begin, *end = w->end;
    w->begin = w->end;
    return begin < end ? add_symbol(run, m->unk, begin, (size_t)(end - begin)) : SPAR_OK;
}

static spar_status add_unknown(const bpe *m, spar__run *run, waiting *w, const char *bytes,
                               size_t length) {
    if (m->unk < 0) return SPAR_OK;
    if (!m->fuse_unk) SPAR_TRY(flush_unknown(m, run, w));
    if (w->begin == w->end) w->begin = bytes;
    w->end = bytes + length;
    return SPAR_OK;
}

/* A character as the vocabulary has it (with its affixes), or its bytes, or unknown. */
static spar_status add_character(const bpe *m, spar__run *run, waiting *w, const char *spelled,
                                 size_t length, const char *bytes, size_t width) {
    int32_t id = spar__vocab_own(&m->tokenizer->vocab, spelled, length);
    if (id >= 0) {
        SPAR_TRY(flush_unknown(m, run, w));
        return add_symbol(run, id, bytes, width);
    }
    bool whole = m->byte_fallback;
    for (size_t i = 0; whole && i < length; i++) whole = m->fallback[(uint8_t)spelled[i]] >= 0;
    if (!whole) return add_unknown(m, run, w, bytes, width);
    for (size_t i = 0; i < length; i++)
        SPAR_TRY(add_symbol(run, m->fallback[(uint8_t)spelled[i]], bytes + (i < width ? i : width),
                            i < width));
    return SPAR_OK;
}

/* Characters with the prefix of those that go on and the suffix of the last. */
static spar_status add_affixed(const bpe *m, spar__run *run, waiting *w, const char *piece,
                               size_t at, size_t width, size_t length) {
    char room[2 * MAX_AFFIX + 4];
    size_t n = 0, n_prefix = m->prefix && at ? strlen(m->prefix) : 0;
    size_t n_suffix = m->suffix && at + width == length ? strlen(m->suffix) : 0;
    if (n_prefix) memcpy(room, m->prefix, n_prefix);
    n = n_prefix;
    memcpy(room + n, piece + at, width);
    n += width;
    if (n_suffix) memcpy(room + n, m->suffix, n_suffix);
    return add_character(m, run, w, room, n + n_suffix, piece + at, width);
}

static spar_status add_symbols(const bpe *m, spar__run *run, const char *piece, size_t length) {
    spar__ids *ids = &run->ids;
    waiting w = {piece, piece};
    if (m->bytes && !m->prefix && !m->suffix && !run->wants_spans) {
        if (ids->capacity - ids->count < length) SPAR_TRY(spar__ids_grow(ids, length));
        for (size_t i = 0; i < length; i++) {
            int32_t id = m->byte_id[(uint8_t)piece[i]];
            if (id >= 0 && w.begin == w.end) ids->at[ids->count++] = id;
            else SPAR_TRY(add_character(m, run, &w, piece + i, 1, piece + i, 1));
        }
        return flush_unknown(m, run, &w);
    }
    for (size_t at = 0, width; at < length; at += width) {
        uint32_t code;
        int n = m->bytes ? 1
                         : spar__utf8_decode((const unsigned char *)piece + at, length - at, &code);
        width = n ? (size_t)n : 1;
        SPAR_TRY(m->prefix || m->suffix
                     ? add_affixed(m, run, &w, piece, at, width, length)
                     : add_character(m, run, &w, piece + at, width, piece + at, width));
    }
    return flush_unknown(m, run, &w);
}

/* Bytes of a symbol, the prefix of one that goes on left out. */
static size_t own_length(const bpe *m, int32_t id, bool first) {
    const spar__vocab *v = &m->tokenizer->vocab;
    size_t n = v->length[id], n_prefix = m->prefix && !first ? strlen(m->prefix) : 0;
    return n_prefix && n >= n_prefix && !memcmp(spar__vocab_bytes(v, id), m->prefix, n_prefix)
               ? n - n_prefix
               : n;
}

/* Joins the spans of symbols[0 … n) to those of the tokens that they became. */
static void join_spans(const bpe *m, spar__run *run, const int32_t *symbols, size_t n, size_t from,
                       size_t first_span) {
    spar__span *spans = run->spans + first_span;
    size_t at = 0, kept = 0;
    for (size_t i = from; i < run->ids.count && at < n; i++) {
        size_t want = own_length(m, run->ids.at[i], i == from), have = 0, begin = at;
        do have += own_length(m, symbols[at], at == 0);
        while (++at < n && have < want);
        spans[kept++] = (spar__span){spans[begin].begin, spans[at - 1].end};
    }
    run->n_spans = first_span + kept;
}

static spar_status merge_piece(const void *state, spar__run *run, const char *piece,
                               size_t length) {
    const bpe *m = state;
    size_t from = run->ids.count, first_span = run->n_spans;
    int32_t *symbols = NULL;
    SPAR_TRY(add_symbols(m, run, piece, length));
    size_t n = run->ids.count - from, n_symbols = n;
    if (!n) return SPAR_OK;
    if (run->wants_spans) {
        symbols = spar__array(n, sizeof *symbols);
        if (!symbols) return SPAR_ERR_MEMORY;
        memcpy(symbols, run->ids.at + from, n * sizeof *symbols);
    }
    spar_status status = spar__merges_run(&m->merges, run, run->ids.at + from, &n);
    run->ids.count = from + n;
    if (!status && symbols) join_spans(m, run, symbols, n_symbols, from, first_span);
    spar__free(symbols);
    return status;
}

static spar_status bpe_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                              size_t length) {
    int32_t id = spar__vocab_find(&t->vocab, piece, length);
    if (id >= 0 && (t->vocab.flags[id] & SPAR__PIECE_WHOLE))
        return add_symbol(run, id, piece, length);
    return spar__cached(t->model_state, run, piece, length, merge_piece);
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
    size_t n_prefix = m->prefix ? strlen(m->prefix) : 0, n_joined = n_a + n_b;
    if (n_prefix && n_b >= n_prefix) {
        memmove(room->bytes + n_a, room->bytes + n_a + n_prefix, n_b - n_prefix);
        n_joined -= n_prefix;
    }
    int32_t id = spar__vocab_find(&t->vocab, room->bytes, n_joined);
    if (id < 0)
        return spar__fail(SPAR_ERR_FORMAT, "key 'merges': entry %zu: '%.40s' + '%.40s' is no token",
                          index, left, right);
    spar__merges_set(&m->merges, ids[0], ids[1], (uint32_t)index, id);
    return SPAR_OK;
malformed:
    return spar__fail(SPAR_ERR_FORMAT,
                      "key 'merges': entry %zu: expected \"a b\" or [\"a\", \"b\"]", index);
}

static spar_status read_merges(spar_tokenizer *t, bpe *m, const json_t *list) {
    size_t n = json_array_size(list);
    SPAR_TRY(spar__merges_create(&m->merges, n));
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
        if (!(*flags & SPAR__PIECE_DEFINED) || (*flags & SPAR__PIECE_ADDED)) continue;
        if (m->ignore_merges) {
            *flags |= SPAR__PIECE_WHOLE;
            continue;
        }
        run.ids.count = 0;
        status = merge_piece(m, &run, spar__vocab_bytes(&t->vocab, id), t->vocab.length[id]);
        if (run.ids.count == 1 && run.ids.at[0] == id) *flags |= SPAR__PIECE_WHOLE;
    }
    spar__run_free(&run);
    return status;
}

static void bpe_free(void *state) {
    bpe *m = state;
    if (!m) return;
    spar__merges_free(&m->merges);
    spar__free(m->prefix);
    spar__free(m->suffix);
    spar__free(m);
}

static spar_status read_affix(const json_t *settings, const char *key, char **out) {
    const char *affix;
    SPAR_TRY(spar__field_string(settings, key, "", &affix));
    if (strlen(affix) > MAX_AFFIX)
        return spar__fail(SPAR_ERR_LIMIT, "key 'model.%s': %zu bytes, at most %d", key,
                          strlen(affix), MAX_AFFIX);
    if (*affix && !(*out = spar__copy_string(affix))) return SPAR_ERR_MEMORY;
    return SPAR_OK;
}

static spar_status bpe_open(spar_tokenizer *t, const json_t *settings) {
    bpe *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    t->model_state = m;
    m->tokenizer = t;
    m->bytes = t->byte_level;
    SPAR_TRY(read_affix(settings, "continuing_subword_prefix", &m->prefix));
    SPAR_TRY(read_affix(settings, "end_of_word_suffix", &m->suffix));
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
        m->byte_id[i] = spar__vocab_own(&t->vocab, &byte, 1);
        m->fallback[i] = spar__vocab_own(&t->vocab, name, 6);
    }
    SPAR_TRY(read_merges(t, m, merges));
    return mark_whole(t, m);
}

const spar__model_kind spar__model_bpe = {"BPE", "bpe", bpe_open, bpe_free, bpe_encode};
