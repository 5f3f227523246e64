/* tokenizer.json of Hugging Face's tokenizers: the description that every tokenizer is built from.
 * Format: huggingface.co/docs/tokenizers. */
#include <stdlib.h>
#include <string.h>

#include "token/field.h"
#include "token/spell.h"
#include "token/tokenizer.h"

/* What is described must be in the file: each token takes some bytes of it. */
enum { SPARE_IDS = 4096 };

/* ---- Vocabulary ----------------------------------------------------------------------------- */

/* What the vocabulary holds for a piece of the file: where it spells bytes, those. `room` has the
 * piece's length. */
static const char *own_form(const spar_tokenizer *t, const char *piece, size_t *length,
                            char *room) {
    size_t n;
    if (!t->byte_level || !spar__spell_decode(piece, *length, room, &n)) return piece;
    *length = n;
    return room;
}

static spar_status read_added(spar_tokenizer *t, const json_t *list, char *room) {
    size_t n = json_array_size(list);
    t->added.tokens = spar__array(n + 1, sizeof *t->added.tokens);
    if (!t->added.tokens) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        spar__added_token token = {0};
        int64_t id;
        if (!json_is_object(item))
            return spar__fail(SPAR_ERR_FORMAT, "key 'added_tokens': entry %zu is no object", i);
        SPAR_TRY(spar__field_string(item, "content", "", &token.text));
        SPAR_TRY(spar__field_int(item, "id", -1, &id));
        SPAR_TRY(spar__field_bool(item, "single_word", false, &token.single_word));
        SPAR_TRY(spar__field_bool(item, "lstrip", false, &token.lstrip));
        SPAR_TRY(spar__field_bool(item, "rstrip", false, &token.rstrip));
        SPAR_TRY(spar__field_bool(item, "special", false, &token.special));
        SPAR_TRY(spar__field_bool(item, "normalized", !token.special, &token.normalized));
        token.length = strlen(token.text);
        if (id < 0 || id >= t->vocab.limit)
            return spar__fail(SPAR_ERR_FORMAT,
                              "key 'added_tokens': '%.64s': id %lld, expected 0 to %d", token.text,
                              (long long)id, t->vocab.limit - 1);
        size_t length = token.length;
        const char *bytes = own_form(t, token.text, &length, room);
        if (!(t->vocab.flags[id] & SPAR__PIECE_DEFINED)) {
            SPAR_TRY(spar__vocab_add(&t->vocab, id, bytes, length));
            t->vocab.flags[id] |= SPAR__PIECE_ADDED;
        }
        const char *has = spar__vocab_bytes(&t->vocab, id);
        if (t->vocab.length[id] != length || memcmp(has, bytes, length))
            return spar__fail(SPAR_ERR_FORMAT,
                              "key 'added_tokens': id %lld is '%.64s' here and '%.64s' in the "
                              "vocabulary", (long long)id, token.text, has);
        token.id = (int32_t)id;
        bool same = length == token.length && !memcmp(has, token.text, length);
        if (same) token.text = has;
        else if (!(token.text = token.owned = spar__copy_bytes(token.text, token.length)))
            return SPAR_ERR_MEMORY;
        if (token.special) t->vocab.flags[id] |= SPAR__PIECE_SPECIAL;
        t->added.tokens[t->added.count++] = token;
    }
    return SPAR_OK;
}

/* The vocabulary as one list whatever its form: {piece: id}, or [[piece, score], …]. */
typedef struct entries {
    const json_t *vocab;
    void *iter;
    size_t next;
} entries;

static spar_status next_entry(entries *e, const char **key, size_t *length, json_int_t *id) {
    *key = NULL;
    if (json_is_array(e->vocab)) {
        if (e->next == json_array_size(e->vocab)) return SPAR_OK;
        const json_t *text = json_array_get(json_array_get(e->vocab, e->next), 0);
        if (!json_is_string(text) ||
            !json_is_number(json_array_get(json_array_get(e->vocab, e->next), 1)))
            return spar__fail(SPAR_ERR_FORMAT, "key 'model.vocab': entry %zu: expected a piece and "
                              "its score", e->next);
        *key = json_string_value(text);
        *length = json_string_length(text);
        *id = (json_int_t)e->next++;
        return SPAR_OK;
    }
    e->iter = e->next++ ? json_object_iter_next((json_t *)e->vocab, e->iter)
                        : json_object_iter((json_t *)e->vocab);
    if (!e->iter) return SPAR_OK;
    const json_t *number = json_object_iter_value(e->iter);
    *key = json_object_iter_key(e->iter);
    *length = strlen(*key);
    if (!json_is_integer(number))
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.vocab': '%.64s': the id is no integer", *key);
    *id = json_integer_value(number);
    return SPAR_OK;
}

static spar_status read_tokens(spar_tokenizer *t, const json_t *vocab, const json_t *added,
                               char *room) {
    entries e = {.vocab = vocab};
    const char *key;
    size_t length;
    json_int_t id;
    for (;;) {
        SPAR_TRY(next_entry(&e, &key, &length, &id));
        if (!key) return read_added(t, added, room);
        const char *bytes = own_form(t, key, &length, room);
        SPAR_TRY(spar__vocab_add(&t->vocab, id, bytes, length));
    }
}

static spar_status read_vocab(spar_tokenizer *t, const json_t *vocab, const json_t *added) {
    size_t bytes = 0, longest = 0, count = 0, length;
    entries e = {.vocab = vocab};
    const char *key;
    json_int_t id;
    for (;; count++) {
        SPAR_TRY(next_entry(&e, &key, &length, &id));
        if (!key) break;
        bytes += length + 1;
        if (length > longest) longest = length;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *content = json_object_get(json_array_get(added, i), "content");
        bytes += json_string_length(content) + 1;
        if (json_string_length(content) > longest) longest = json_string_length(content);
    }
    size_t limit = count + json_array_size(added);
    limit += limit / 2 + SPARE_IDS;
    SPAR_TRY(spar__vocab_create(&t->vocab, limit, bytes));
    char *room = spar__alloc(longest + 1);
    spar_status status = room ? read_tokens(t, vocab, added, room) : SPAR_ERR_MEMORY;
    spar__free(room);
    return status;
}

/* ---- Stages --------------------------------------------------------------------------------- */

/* The stages of a part that may be absent, one object, or a Sequence of them, also one within
 * another. */
typedef struct stages {
    const json_t *at[SPAR__MAX_STAGES];
    const char *types[SPAR__MAX_STAGES];
    int count;
} stages;

static spar_status add_stages(const char *part, const char *key, const json_t *stage, int depth,
                              stages *out) {
    const char *type;
    if (!json_is_object(stage))
        return spar__fail(SPAR_ERR_FORMAT, "key '%s': expected an object", part);
    SPAR_TRY(spar__field_string(stage, "type", "", &type));
    if (strcmp(type, "Sequence")) {
        if (out->count == SPAR__MAX_STAGES)
            return spar__fail(SPAR_ERR_LIMIT, "key '%s': more than %d stages", part,
                              SPAR__MAX_STAGES);
        out->types[out->count] = type;
        out->at[out->count++] = stage;
        return SPAR_OK;
    }
    const json_t *list;
    if (depth == 4) return spar__fail(SPAR_ERR_LIMIT, "key '%s': nested too deeply", part);
    SPAR_TRY(spar__field_array(stage, key, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        SPAR_TRY(add_stages(part, key, json_array_get(list, i), depth + 1, out));
    return SPAR_OK;
}

static spar_status find_stages(const json_t *root, const char *part, const char *key,
                               stages *out) {
    const json_t *stage;
    out->count = 0;
    SPAR_TRY(spar__field_object(root, part, false, &stage));
    return stage ? add_stages(part, key, stage, 0, out) : SPAR_OK;
}

static const spar__normalizer_kind *const normalizer_kinds[] = {
#define NORMALIZER(name) &spar__normalizer_##name,
#include "token/normalizer.def"
#undef NORMALIZER
    NULL};
static const spar__splitter_kind *const splitter_kinds[] = {
#define SPLITTER(name) &spar__splitter_##name,
#include "token/splitter.def"
#undef SPLITTER
    NULL};
static const spar__decoder_kind *const decoder_kinds[] = {
#define DECODER(name) &spar__decoder_##name,
#include "token/decoder.def"
#undef DECODER
    NULL};

/* The readers of the three tables differ only in their names. */
#define READ_STAGES(function, kinds, array, part, key)                                             \
    static spar_status function(spar_tokenizer *t, const json_t *root) {                           \
        stages found;                                                                              \
        SPAR_TRY(find_stages(root, part, key, &found));                                            \
        for (int i = 0; i < found.count; i++) {                                                    \
            size_t k = 0;                                                                          \
            while (kinds[k] && strcmp(kinds[k]->name, found.types[i])) k++;                        \
            if (!kinds[k])                                                                         \
                return spar__fail(SPAR_ERR_UNSUPPORTED, "key '%s': '%.64s' is not supported",      \
                                  part, found.types[i]);                                           \
            void *state = NULL;                                                                    \
            spar_status status = kinds[k]->open(found.at[i], &state);                              \
            if (status) return spar__fail_within(status, "key '%s'", part);                        \
            t->array[t->n_##array].kind = kinds[k];                                                \
            t->array[t->n_##array++].state = state;                                                \
        }                                                                                          \
        return SPAR_OK;                                                                            \
    }
READ_STAGES(read_normalizers, normalizer_kinds, normalizers, "normalizer", "normalizers")
READ_STAGES(read_splitters, splitter_kinds, splitters, "pre_tokenizer", "pretokenizers")
READ_STAGES(read_decoders, decoder_kinds, decoders, "decoder", "decoders")

static spar_status find_model(const json_t *model, const spar__model_kind **out) {
    static const spar__model_kind *const kinds[] = {
#define MODEL(name) &spar__model_##name,
#include "token/model.def"
#undef MODEL
        NULL};
    const char *type;
    /* Old files do not say. */
    const char *usual = json_is_array(json_object_get(model, "vocab")) ? "Unigram"
                        : json_object_get(model, "merges")             ? "BPE"
                        : json_object_get(model, "max_input_chars_per_word") ? "WordPiece"
                                                                             : "WordLevel";
    SPAR_TRY(spar__field_string(model, "type", usual, &type));
    for (size_t k = 0; kinds[k]; k++)
        if (!strcmp(kinds[k]->name, type)) return *out = kinds[k], SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "key 'model.type': '%.64s' is not supported", type);
}

/* Vocabularies that spell bytes hold the bytes themselves here (byte_level), provided that text is
 * taken as bytes only at the last stage before the model; else they stay as they are, and text is
 * spelled (spelled). */
static spar_status settle_spelling(spar_tokenizer *t) {
    int last = t->n_splitters - 1;
    bool decodes = t->n_decoders == 1 && t->decoders[0].kind == &spar__decoder_byte_level;
    bool bytes = last >= 0 && t->splitters[last].kind == &spar__splitter_byte_level && decodes;
    for (int i = 0; i < t->n_normalizers; i++)
        if (t->normalizers[i].kind == &spar__normalizer_byte_level) t->spelled = true;
    for (int i = 0; i <= last; i++)
        if (t->splitters[i].kind == &spar__splitter_byte_level && (i < last || !decodes))
            t->spelled = true;
    t->byte_level = bytes && !t->spelled;
    for (int i = last; i >= 0 && !t->byte_level; i--) {
        if (t->splitters[i].kind != &spar__splitter_byte_level) continue;
        if (t->n_splitters == SPAR__MAX_STAGES)
            return spar__fail(SPAR_ERR_LIMIT, "key 'pre_tokenizer': more than %d stages",
                              SPAR__MAX_STAGES - 1);
        memmove(&t->splitters[i + 2], &t->splitters[i + 1],
                (size_t)(t->n_splitters - i - 1) * sizeof t->splitters[0]);
        t->splitters[i + 1].kind = &spar__splitter_spelling;
        t->splitters[i + 1].state = NULL;
        t->n_splitters++;
    }
    for (int i = 0; i < t->n_splitters; i++)
        if (t->splitters[i].kind == &spar__splitter_metaspace &&
            spar__metaspace_from_start(t->splitters[i].state))
            t->from_start = true;
    return SPAR_OK;
}

/* ---- What is added before and after --------------------------------------------------------- */

static spar_status put_around(spar_tokenizer *t, bool before, json_int_t id) {
    int *n = before ? &t->n_before : &t->n_after;
    if (id < 0 || id >= t->vocab.size || *n >= SPAR__MAX_AROUND)
        return spar__fail(SPAR_ERR_FORMAT, "key 'post_processor': token %lld, expected 0 to %d and "
                          "at most %d", (long long)id, t->vocab.size - 1, SPAR__MAX_AROUND);
    (before ? t->before : t->after)[(*n)++] = (int32_t)id;
    return SPAR_OK;
}

static spar_status read_template(spar_tokenizer *t, const json_t *settings) {
    const json_t *single, *table;
    SPAR_TRY(spar__field_array(settings, "single", true, &single));
    SPAR_TRY(spar__field_object(settings, "special_tokens", false, &table));
    bool before = true;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *special = json_object_get(item, "SpecialToken");
        if (!special) {
            before = false;
            continue;
        }
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids = name ? json_object_get(json_object_get(table, name), "ids") : NULL;
        if (!json_array_size(ids))
            return spar__fail(SPAR_ERR_FORMAT, "key 'post_processor.special_tokens': '%.64s' is "
                              "missing", name ? name : "");
        for (size_t k = 0; k < json_array_size(ids); k++)
            SPAR_TRY(put_around(t, before, json_is_integer(json_array_get(ids, k))
                                               ? json_integer_value(json_array_get(ids, k))
                                               : -1));
    }
    return SPAR_OK;
}

static spar_status read_around(spar_tokenizer *t, const json_t *root) {
    stages found;
    SPAR_TRY(find_stages(root, "post_processor", "processors", &found));
    for (int i = 0; i < found.count; i++) {
        const json_t *stage = found.at[i];
        const char *type = found.types[i];
        if (!strcmp(type, "ByteLevel")) continue; /* offsets only */
        if (!strcmp(type, "TemplateProcessing")) {
            SPAR_TRY(read_template(t, stage));
        } else if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing")) {
            const json_t *cls = json_object_get(stage, "cls"), *sep = json_object_get(stage, "sep");
            if (!json_is_integer(json_array_get(cls, 1)) || !json_is_integer(json_array_get(sep, 1)))
                return spar__fail(SPAR_ERR_FORMAT,
                                  "key 'post_processor': expected 'cls' and 'sep' with ids");
            SPAR_TRY(put_around(t, true, json_integer_value(json_array_get(cls, 1))));
            SPAR_TRY(put_around(t, false, json_integer_value(json_array_get(sep, 1))));
        } else {
            return spar__fail(SPAR_ERR_UNSUPPORTED,
                              "key 'post_processor': '%.64s' is not supported", type);
        }
    }
    return SPAR_OK;
}

/* ---- Roles ---------------------------------------------------------------------------------- */

static int32_t first_special(const spar_tokenizer *t, const char *const *names) {
    for (; *names; names++) {
        int32_t id = spar__vocab_find(&t->vocab, *names, strlen(*names));
        if (id >= 0 && spar_tokenizer_is_special(t, id)) return id;
    }
    return -1;
}

static void guess_roles(spar_tokenizer *t, const json_t *root) {
    static const char *const bos[] = {"<|begin_of_text|>", "<s>", "[CLS]", "<|endoftext|>",
                                      "<bos>", "<|startoftext|>", NULL};
    static const char *const eos[] = {"<|end_of_text|>", "</s>", "[SEP]", "<|endoftext|>",
                                      "<eos>", "<|im_end|>", NULL};
    static const char *const pad[] = {"<pad>", "[PAD]", "<|pad|>", NULL};
    static const char *const unk[] = {"<unk>", "[UNK]", NULL};
    const json_t *stated = json_object_get(json_object_get(root, "padding"), "pad_id");
    json_int_t pad_id = json_is_integer(stated) ? json_integer_value(stated) : -1;
    t->bos = t->n_before ? t->before[0] : first_special(t, bos);
    t->eos = first_special(t, eos);
    t->pad = pad_id >= 0 && pad_id < t->vocab.size ? (int32_t)pad_id : first_special(t, pad);
    if (t->unk < 0) t->unk = first_special(t, unk);
}

/* Added tokens that are looked for in normalised text are themselves normalised. */
static spar_status normalize_added(spar_tokenizer *t) {
    spar__added *a = &t->added;
    spar__text texts[2] = {spar__text_make(false), spar__text_make(false)};
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < a->count; i++) {
        spar__added_token *token = &a->tokens[i];
        const char *text = token->text;
        size_t length = token->length;
        for (int k = 0; !status && token->normalized && length && k < t->n_normalizers; k++) {
            spar__text *out = &texts[k % 2];
            out->bytes.length = 0;
            status = t->normalizers[k].kind->apply(t->normalizers[k].state, text, length, out);
            text = out->bytes.bytes;
            length = out->bytes.length;
        }
        if (status || text == token->text) continue;
        char *kept = spar__copy_bytes(length ? text : "", length);
        spar__free(token->owned);
        token->text = token->owned = kept;
        token->length = length;
        if (!kept) status = SPAR_ERR_MEMORY;
        t->vocab.flags[token->id] |= SPAR__PIECE_NORMALIZED;
    }
    spar__text_free(&texts[0]);
    spar__text_free(&texts[1]);
    return status;
}

/* What each piece stands for, where the decoders make something else of it: for text that streams. */
static spar_status show_pieces(spar_tokenizer *t, const json_t *model) {
    const char *suffix;
    SPAR_TRY(spar__field_string(model, "end_of_word_suffix", "", &suffix));
    bool as_is = t->byte_level && !*suffix;
    for (int i = 0; i < t->n_decoders && as_is; i++)
        as_is = t->decoders[i].kind == &spar__decoder_byte_level;
    if (as_is || (!t->n_decoders && !t->spelled)) return SPAR_OK;
    size_t bytes = t->vocab.pool_length + (size_t)t->vocab.size + 1;
    SPAR_TRY(spar__vocab_create(&t->shown, (size_t)t->vocab.size, 2 * bytes));
    spar__buffer room = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    for (int32_t id = 0; !status && id < t->vocab.size; id++) {
        if (!(t->vocab.flags[id] & SPAR__PIECE_DEFINED)) continue;
        room.length = 0;
        status = spar__piece_shown(t, id, *suffix ? suffix : NULL, &room);
        if (!status) status = spar__vocab_reserve(&t->shown, room.length + 1);
        if (!status)
            status = spar__vocab_add(&t->shown, id, room.length ? room.bytes : "", room.length);
    }
    spar__buffer_free(&room);
    return status;
}

static spar_status build(spar_tokenizer *t, const json_t *root) {
    const json_t *model, *added, *vocab;
    if (!json_is_object(root)) return spar__fail(SPAR_ERR_FORMAT, "expected a JSON object");
    SPAR_TRY(spar__field_object(root, "model", true, &model));
    SPAR_TRY(find_model(model, &t->model));
    if (t->model->whole) return t->model->open(t, model);
    SPAR_TRY(spar__field_array(root, "added_tokens", false, &added));
    vocab = json_object_get(model, "vocab");
    if (!json_is_array(vocab)) SPAR_TRY(spar__field_object(model, "vocab", true, &vocab));
    SPAR_TRY(read_normalizers(t, root));
    SPAR_TRY(read_splitters(t, root));
    SPAR_TRY(read_decoders(t, root));
    SPAR_TRY(settle_spelling(t));
    t->spaced = !t->n_decoders;
    SPAR_TRY(read_vocab(t, vocab, added));
    SPAR_TRY(t->model->open(t, model));
    SPAR_TRY(read_around(t, root));
    SPAR_TRY(normalize_added(t));
    SPAR_TRY(spar__added_prepare(&t->added));
    SPAR_TRY(show_pieces(t, model));
    guess_roles(t, root);
    return SPAR_OK;
}

spar_status spar__tokenizer_from_json(const char *name, const json_t *root, const char *text,
                                      size_t length, spar_tokenizer **out) {
    spar_tokenizer *t = spar__alloc(sizeof *t);
    if (!t) return SPAR_ERR_MEMORY;
    t->bos = t->eos = t->pad = t->unk = -1;
    spar_status status = build(t, root);
    char *dump = NULL;
    if (!status && !text) {
        text = dump = json_dumps(root, JSON_COMPACT);
        if (!dump) status = spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
        else length = strlen(dump);
    }
    if (!status) {
        t->json = spar__copy_bytes(text, length);
        t->json_length = length;
        if (!t->json) status = SPAR_ERR_MEMORY;
    }
    free(dump);
    if (status) {
        spar_tokenizer_free(t);
        return spar__fail_within(status, "%s", name);
    }
    *out = t;
    return SPAR_OK;
}

spar_status spar__tokenizer_from_text(const char *name, const char *text, size_t length,
                                      spar_tokenizer **out) {
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return spar__fail(SPAR_ERR_FORMAT, "%s: line %d, column %d: %s", name, error.line,
                          error.column, error.text);
    spar_status status = spar__tokenizer_from_json(name, root, text, length, out);
    json_decref(root);
    return status;
}
