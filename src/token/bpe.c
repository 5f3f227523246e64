/* Byte-pair encoding by ranked merges (Sennrich et al. 2016). Symbols start as bytes (Radford et
 * al. 2019) or as characters. Pieces that are a token of their own are looked up at once. */
#include <string.h>

#include "base/text.h"
#include "token/cache.h"
#include "token/field.h"
#include "token/merge.h"
#include "token/spell.h"
#include "token/tokenizer.h"

typedef struct bpe {
    spar__merges merges;
    int32_t byte_id[256]; /* −1: the byte alone is no token */
    int32_t fallback[256]; /* <0x00> … <0xFF> */
    int32_t unk;
    bool bytes, ignore_merges, fuse_unk, byte_fallback;
} bpe;

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
    SPAR_TRY(spar__merges_run(&m->merges, run, run->ids.at + from, &n));
    run->ids.count = from + n;
    return SPAR_OK;
}

static spar_status bpe_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                              size_t length) {
    int32_t id = spar__vocab_find(&t->vocab, piece, length);
    if (id >= 0 && (t->vocab.flags[id] & SPAR__PIECE_WHOLE)) return spar__ids_add(&run->ids, id);
    return spar__cached(run, piece, length, merge_piece);
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
    if (m) spar__merges_free(&m->merges);
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
