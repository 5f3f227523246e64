/* Text in the source language is cut by one SentencePiece model, and its pieces are looked up in a
 * vocabulary that both languages share; ids are joined by way of the vocabulary alone. A code
 * >>xx<< at the front, which names the language to translate to, is one token. In JSON it is
 * {"type": "Marian", "source": base64 of source.spm, "target": of target.spm, "vocab": {…}}. */
#include "token/marian.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "token/base64.h"
#include "token/field.h"
#include "token/spm.h"
#include "token/tokenizer.h"
#include "token/unicode.h"

enum { MAX_FILE = 1 << 29 };

typedef struct marian {
    spar__spm source, target;
    int32_t *ids; /* of the source's pieces in the vocabulary */
} marian;

static void marian_free(void *state) {
    marian *m = state;
    if (!m) return;
    spar__spm_free(&m->source);
    spar__spm_free(&m->target);
    spar__free(m->ids);
    spar__free(m);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static spar_status open_side(const json_t *settings, const char *key, spar__spm *s) {
    const char *text;
    unsigned char *file;
    size_t length;
    SPAR_TRY(spar__field_string(settings, key, "", &text));
    SPAR_TRY(spar__base64_decode(text, strlen(text), &file, &length));
    spar_status status = spar__spm_read(file, length, s);
    if (!status) status = spar__spm_prepare(s);
    return status ? spar__fail_within(status, "key 'model.%s'", key) : SPAR_OK;
}

/* The vocabulary as it is written, and with blanks for what streams. */
static spar_status read_vocab(spar_tokenizer *t, const json_t *vocab) {
    size_t bytes = 0, longest = 0, n = json_object_size(vocab);
    const char *key;
    const json_t *id;
    json_object_foreach((json_t *)vocab, key, id) {
        size_t length = strlen(key);
        bytes += length + 1;
        if (length > longest) longest = length;
        if (!json_is_integer(id))
            return spar__fail(SPAR_ERR_FORMAT, "key 'model.vocab': '%.64s': the id is no integer", key);
    }
    SPAR_TRY(spar__vocab_create(&t->vocab, n + n / 2 + 4096, bytes));
    SPAR_TRY(spar__vocab_create(&t->shown, n + n / 2 + 4096, bytes));
    char *room = spar__alloc(longest + 1);
    spar_status status = room ? SPAR_OK : SPAR_ERR_MEMORY;
    json_object_foreach((json_t *)vocab, key, id) {
        size_t length = strlen(key);
        if (!status) status = spar__vocab_add(&t->vocab, json_integer_value(id), key, length);
        if (!status)
            status = spar__vocab_add(&t->shown, json_integer_value(id), room,
                                     spar__spm_shown(key, length, room));
    }
    spar__free(room);
    return status;
}

static spar_status find_special(spar_tokenizer *t, const char *name, int32_t *id) {
    *id = spar__vocab_find(&t->vocab, name, strlen(name));
    if (*id < 0) return SPAR_OK;
    t->vocab.flags[*id] |= SPAR__PIECE_SPECIAL;
    t->added.tokens[t->added.count++] = (spar__added_token){
        .text = spar__vocab_bytes(&t->vocab, *id), .length = strlen(name), .id = *id, .special = true};
    return SPAR_OK;
}

static spar_status marian_model_open(spar_tokenizer *t, const json_t *settings) {
    marian *m = spar__alloc(sizeof *m);
    if (!m) return SPAR_ERR_MEMORY;
    t->model_state = m;
    const json_t *vocab;
    SPAR_TRY(open_side(settings, "source", &m->source));
    SPAR_TRY(open_side(settings, "target", &m->target));
    SPAR_TRY(spar__field_object(settings, "vocab", true, &vocab));
    SPAR_TRY(read_vocab(t, vocab));
    t->added.tokens = spar__array(3, sizeof *t->added.tokens);
    m->ids = spar__array((size_t)m->source.count, sizeof *m->ids);
    if (!t->added.tokens || !m->ids) return SPAR_ERR_MEMORY;
    SPAR_TRY(find_special(t, "<unk>", &t->unk));
    SPAR_TRY(find_special(t, "</s>", &t->eos));
    SPAR_TRY(find_special(t, "<pad>", &t->pad));
    if (t->unk < 0 || t->eos < 0)
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.vocab': expected <unk> and </s> in it");
    for (int32_t i = 0; i < m->source.count; i++) {
        const spar__spm_piece *p = &m->source.pieces[i];
        int32_t id = spar__vocab_find(&t->vocab, p->bytes, p->length);
        m->ids[i] = id >= 0 ? id : t->unk;
    }
    m->source.outside = &t->vocab;
    t->after[t->n_after++] = t->eos;
    return spar__added_prepare(&t->added);
}

/* ---- Use ------------------------------------------------------------------------------------ */

static spar_status marian_encode(const spar_tokenizer *t, spar__run *run, const char *piece,
                                 size_t length) {
    const marian *m = t->model_state;
    size_t from = run->ids.count;
    const char *end = length > 2 && !memcmp(piece, ">>", 2) ? memmem(piece, length, "<<", 2) : NULL;
    if (end) {
        size_t n = (size_t)(end - piece) + 2;
        int32_t id = spar__vocab_find(&t->vocab, piece, n);
        SPAR_TRY(spar__run_span(run, piece, piece + n));
        SPAR_TRY(spar__ids_add(&run->ids, id >= 0 ? id : t->unk));
        piece += n;
        length -= n;
        from++;
    }
    if (length) SPAR_TRY(spar__spm_encode(&m->source, run, piece, length));
    for (size_t i = from; i < run->ids.count; i++) {
        int32_t id = run->ids.at[i]; /* below 0: found in the vocabulary, though no piece */
        run->ids.at[i] = id < 0 ? -id - 1 : m->ids[id];
    }
    return SPAR_OK;
}

static size_t trimmed(const char *text, size_t *begin, size_t end) {
    size_t n;
    while (*begin < end && (n = spar__space_at(text, *begin, end))) *begin += n;
    while (end > *begin && (n = spar__space_before(text, end))) end -= n;
    return end;
}

/* Pieces are joined, the blank in front goes; a special token is followed by a blank. */
static spar_status marian_decode(const spar_tokenizer *t, const int32_t *ids, size_t count,
                                 spar__buffer *out) {
    const spar__spm *s = &((const marian *)t->model_state)->target;
    bool drops = s->dummy_prefix || s->remove_extra, begins = true;
    spar__buffer whole = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < count; i++) {
        size_t n, dropped = 0;
        const char *text = spar_tokenizer_piece(t, ids[i], &n);
        if (spar_tokenizer_is_special(t, ids[i])) {
            status = spar__buffer_print(&whole, "%.*s ", (int)n, text);
            begins = true;
            continue;
        }
        int byte = s->byte_fallback ? spar__byte_piece(text, n) : -1;
        char value = (char)byte;
        if (byte >= 0) text = &value, n = 1;
        else if (begins && drops && n && *text == ' ') dropped = 1;
        begins = begins && dropped && n == 1 && s->remove_extra;
        status = spar__buffer_add(&whole, text + dropped, n - dropped);
    }
    size_t begin = 0, end = whole.length ? trimmed(whole.bytes, &begin, whole.length) : 0;
    if (!status && end > begin) status = spar__buffer_add(out, whole.bytes + begin, end - begin);
    spar__buffer_free(&whole);
    return status;
}

const spar__model_kind spar__model_marian = {"Marian", "marian", marian_model_open, marian_free,
                                             marian_encode, marian_decode, true};

/* ---- Files ---------------------------------------------------------------------------------- */

static bool has(const char *folder, const char *name) {
    char *path = spar__path_join(folder, name);
    bool found = path && spar__file_exists(path);
    spar__free(path);
    return found;
}

bool spar__marian_in(const char *folder) {
    return has(folder, "source.spm") && has(folder, "target.spm") && has(folder, "vocab.json");
}

static spar_status load(const char *folder, const char *name, char **bytes, size_t *length) {
    char *path = spar__path_join(folder, name);
    spar_status status = path ? spar__read_file(path, MAX_FILE, bytes, length) : SPAR_ERR_MEMORY;
    spar__free(path);
    return status;
}

static spar_status load_base64(const char *folder, const char *name, json_t *model,
                               const char *key) {
    char *bytes;
    size_t length;
    SPAR_TRY(load(folder, name, &bytes, &length));
    char *text = spar__base64_encode(bytes, length);
    spar__free(bytes);
    if (!text) return SPAR_ERR_MEMORY;
    int failed = json_object_set_new(model, key, json_string(text));
    spar__free(text);
    return failed ? spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer") : SPAR_OK;
}

static spar_status load_vocab(const char *folder, json_t *model) {
    char *text;
    size_t length;
    json_error_t error;
    SPAR_TRY(load(folder, "vocab.json", &text, &length));
    json_t *vocab = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    spar__free(text);
    if (!json_is_object(vocab)) {
        json_decref(vocab);
        return spar__fail(SPAR_ERR_FORMAT, "%s/vocab.json: %s", folder,
                          vocab ? "expected a JSON object" : error.text);
    }
    json_object_set_new(model, "vocab", vocab);
    return SPAR_OK;
}

spar_status spar__marian_open(const char *folder, spar_tokenizer **out) {
    if (has(folder, "target_vocab.json"))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s/target_vocab.json: a vocabulary for each "
                          "language is not supported", folder);
    json_t *root = json_pack("{s:s, s:{s:s}}", "version", "1.0", "model", "type", "Marian");
    json_t *model = json_object_get(root, "model");
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    spar_status status = load_base64(folder, "source.spm", model, "source");
    if (!status) status = load_base64(folder, "target.spm", model, "target");
    if (!status) status = load_vocab(folder, model);
    if (!status) status = spar__tokenizer_from_json(folder, root, NULL, 0, out);
    json_decref(root);
    return status;
}

static spar_status store(const char *folder, const char *name, const void *bytes, size_t length) {
    char *path = spar__path_join(folder, name);
    spar_status status = path ? spar__write_file(path, bytes, length) : SPAR_ERR_MEMORY;
    spar__free(path);
    return status;
}

spar_status spar__marian_save(const spar_tokenizer *t, const char *folder) {
    const marian *m = t->model_state;
    json_error_t error;
    char *text = NULL;
    json_t *root = json_loadb(t->json, t->json_length, 0, &error);
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    spar_status status = vocab ? spar__json_text(vocab, 0, &text)
                               : spar__fail(SPAR_ERR_MEMORY, "out of memory: vocab.json");
    if (!status) status = store(folder, "vocab.json", text, strlen(text));
    if (!status) status = store(folder, "source.spm", m->source.file, m->source.file_length);
    if (!status) status = store(folder, "target.spm", m->target.file, m->target.file_length);
    spar__free(text);
    json_decref(root);
    return status;
}
