/* WordPiece as BERT uses it (Schuster and Nakajima 2012; Devlin et al. 2019): the longest piece from
 * the left, again and again; pieces that do not begin a word are written with a prefix. A word of
 * which any part is no piece is unknown as a whole. */
#include <string.h>

#include "token/cache.h"
#include "token/field.h"
#include "token/trie.h"
#include "token/tokenizer.h"
#include "token/wordpiece.h"

typedef struct wordpiece {
    spar__trie first, next; /* pieces that begin a word, pieces that go on (without the prefix) */
    int32_t unk;
    int64_t max_chars;
} wordpiece;

static void wordpiece_free(void *state) {
    wordpiece *m = state;
    if (!m) return;
    spar__trie_free(&m->first);
    spar__trie_free(&m->next);
    spar__free(m);
}

static spar_status build_tries(const spar_tokenizer *t, wordpiece *m, const char *prefix) {
    size_t n_prefix = strlen(prefix), n = 0;
    spar__trie_key *keys = spar__array((size_t)t->vocab.size + 1, sizeof *keys);
    if (!keys) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    for (int next = 0; !status && next < 2; next++) {
        n = 0;
        for (int32_t id = 0; id < t->vocab.size; id++) {
            const char *bytes = spar__vocab_bytes(&t->vocab, id);
            size_t length = t->vocab.length[id], skip = next ? n_prefix : 0;
            if (t->vocab.flags[id] & SPAR__PIECE_ADDED) continue;
            if (length <= skip || (next && memcmp(bytes, prefix, n_prefix))) continue;
            keys[n++] = (spar__trie_key){bytes + skip, length - skip, id};
        }
        status = spar__trie_build(keys, n, next ? &m->next : &m->first);
    }
    spar__free(keys);
    return status;
}

static spar_status wordpiece_open(spar_tokenizer *t, const json_t *settings) {
    const char *unk, *prefix;
    wordpiece *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    t->model_state = m;
    SPAR_TRY(spar__field_string(settings, "unk_token", "[UNK]", &unk));
    SPAR_TRY(spar__field_string(settings, "continuing_subword_prefix", "##", &prefix));
    SPAR_TRY(spar__field_int(settings, "max_input_chars_per_word", 100, &m->max_chars));
    m->unk = t->unk = spar__vocab_find(&t->vocab, unk, strlen(unk));
    if (m->unk < 0)
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.unk_token': '%.64s' is no token", unk);
    return build_tries(t, m, prefix);
}

static spar_status encode_word(const void *state, spar__run *run, const char *word,
                               size_t length) {
    const wordpiece *m = state;
    size_t from = run->ids.count, first_span = run->n_spans, at = 0;
    int64_t chars = 0;
    for (size_t i = 0; i < length; i++) chars += ((unsigned char)word[i] & 0xC0) != 0x80;
    while (chars <= m->max_chars && at < length) {
        int32_t id = -1;
        size_t n = spar__trie_longest(at ? &m->next : &m->first, word + at, length - at, &id);
        if (!n) break;
        SPAR_TRY(spar__run_span(run, word + at, word + at + n));
        SPAR_TRY(spar__ids_add(&run->ids, id));
        at += n;
    }
    if (at == length) return SPAR_OK;
    run->ids.count = from;
    run->n_spans = first_span;
    SPAR_TRY(spar__run_span(run, word, word + length));
    return spar__ids_add(&run->ids, m->unk);
}

static spar_status wordpiece_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                                    size_t length) {
    return spar__cached(t->model_state, run, piece, length, encode_word);
}

const spar__model_kind spar__model_wordpiece = {"WordPiece",      "wordpiece",      wordpiece_open,
                                                wordpiece_free,   wordpiece_encode, NULL, false};

/* ---- Decoding ------------------------------------------------------------------------------- */

typedef struct gluing {
    char *prefix;
    bool cleanup;
} gluing;

static void gluing_free(void *state) {
    gluing *g = state;
    if (g) spar__free(g->prefix);
    spar__free(g);
}

static spar_status gluing_open(const json_t *settings, void **state) {
    const char *prefix;
    bool cleanup;
    SPAR_TRY(spar__field_string(settings, "prefix", "##", &prefix));
    SPAR_TRY(spar__field_bool(settings, "cleanup", true, &cleanup));
    gluing *g = spar__alloc(sizeof *g);
    if (!g) return SPAR_ERR_MEMORY;
    g->cleanup = cleanup;
    g->prefix = spar__copy_string(prefix);
    if (!g->prefix) return gluing_free(g), SPAR_ERR_MEMORY;
    *state = g;
    return SPAR_OK;
}

/* HF's clean-up of English, one replacement after the other on a piece with the blank before it. */
static spar_status clean_up(spar__buffer *piece, spar__buffer *room) {
    static const char *const pairs[][2] = {
        {" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t n = strlen(pairs[i][0]), at = 0;
        const char *found = memmem(piece->bytes, piece->length, pairs[i][0], n);
        if (!found) continue;
        room->length = 0;
        for (; found; found = memmem(piece->bytes + at, piece->length - at, pairs[i][0], n)) {
            size_t begin = (size_t)(found - piece->bytes);
            SPAR_TRY(spar__buffer_add(room, piece->bytes + at, begin - at));
            SPAR_TRY(spar__buffer_add(room, pairs[i][1], strlen(pairs[i][1])));
            at = begin + n;
        }
        SPAR_TRY(spar__buffer_add(room, piece->bytes + at, piece->length - at));
        spar__buffer made = *room;
        *room = *piece;
        *piece = made;
    }
    return SPAR_OK;
}

static spar_status glue(const gluing *g, bool first, const char *piece, size_t length,
                        spar__buffer rooms[2], spar__pieces *out) {
    size_t n_prefix = strlen(g->prefix);
    bool goes_on = !first && length >= n_prefix && !memcmp(piece, g->prefix, n_prefix);
    if (goes_on) piece += n_prefix, length -= n_prefix;
    rooms[0].length = 0;
    if (!first && !goes_on) SPAR_TRY(spar__buffer_add(&rooms[0], " ", 1));
    SPAR_TRY(spar__buffer_add(&rooms[0], piece, length));
    if (g->cleanup && rooms[0].length) SPAR_TRY(clean_up(&rooms[0], &rooms[1]));
    return spar__pieces_add(out, rooms[0].bytes, rooms[0].length);
}

static spar_status gluing_apply(const void *state, const spar__pieces *in, spar__pieces *out) {
    spar__buffer rooms[2] = {spar__buffer_make(SIZE_MAX), spar__buffer_make(SIZE_MAX)};
    spar_status status = SPAR_OK;
    for (size_t i = 0, begin = 0; !status && i < in->count; begin = in->ends[i++])
        status = glue(state, !i, in->bytes.bytes + begin, in->ends[i] - begin, rooms, out);
    spar__buffer_free(&rooms[0]);
    spar__buffer_free(&rooms[1]);
    return status;
}

const spar__decoder_kind spar__decoder_wordpiece = {"WordPiece", gluing_open, gluing_free,
                                                    gluing_apply};

/* ---- Descriptions --------------------------------------------------------------------------- */

static json_t *special_json(const json_t *vocab, const char *const *names, json_t **table) {
    json_t *added = json_array();
    *table = json_object();
    for (; *names; names++) {
        json_t *id = json_object_get(vocab, *names);
        if (!id) continue;
        json_array_append_new(added, json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                               "content", *names, "single_word", 0, "lstrip", 0,
                                               "rstrip", 0, "normalized", 0, "special", 1));
        json_object_set_new(*table, *names, json_pack("{s:s, s:[O], s:[s]}", "id", *names, "ids",
                                                      id, "tokens", *names));
    }
    return added;
}

spar_status spar__wordpiece_json(json_t *vocab, bool lower, json_t **out) {
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", NULL};
    json_t *table, *added = special_json(vocab, names, &table);
    json_t *around = json_null(), *root;
    if (json_object_get(table, "[CLS]") && json_object_get(table, "[SEP]"))
        around = json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, "
                           "s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], "
                           "s:O}", "type", "TemplateProcessing",
                           "single", "SpecialToken", "id", "[CLS]", "type_id", 0,
                           "Sequence", "id", "A", "type_id", 0,
                           "SpecialToken", "id", "[SEP]", "type_id", 0,
                           "pair", "SpecialToken", "id", "[CLS]", "type_id", 0,
                           "Sequence", "id", "A", "type_id", 0,
                           "SpecialToken", "id", "[SEP]", "type_id", 0,
                           "Sequence", "id", "B", "type_id", 1,
                           "SpecialToken", "id", "[SEP]", "type_id", 1,
                           "special_tokens", table);
    root = json_pack("{s:s, s:n, s:n, s:o, s:{s:s, s:b, s:b, s:n, s:b}, s:{s:s}, s:o, s:{s:s, s:s, "
                     "s:b}, s:{s:s, s:s, s:s, s:i, s:O}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                     "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1,
                     "strip_accents", "lowercase", lower, "pre_tokenizer", "type",
                     "BertPreTokenizer", "post_processor", around, "decoder", "type", "WordPiece",
                     "prefix", "##", "cleanup", 1, "model", "type", "WordPiece", "unk_token",
                     "[UNK]", "continuing_subword_prefix", "##", "max_input_chars_per_word", 100,
                     "vocab", vocab);
    json_decref(table);
    json_decref(vocab);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    *out = root;
    return SPAR_OK;
}

bool spar__wordpiece_is_lower(const json_t *vocab) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value) {
        if (key[0] == '[') continue;
        for (const char *p = key; *p; p++)
            if (*p >= 'A' && *p <= 'Z') return false;
    }
    return true;
}
