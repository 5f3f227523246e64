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

static spar_status read_added(spar_tokenizer *t, const json_t *list) {
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
        if (!(t->vocab.flags[id] & SPAR__PIECE_DEFINED))
            SPAR_TRY(spar__vocab_add(&t->vocab, id, token.text, token.length));
        token.id = (int32_t)id;
        token.text = spar__vocab_bytes(&t->vocab, token.id);
        if (t->vocab.length[id] != token.length ||
            strcmp(token.text, json_string_value(json_object_get(item, "content"))))
            return spar__fail(SPAR_ERR_FORMAT,
                              "key 'added_tokens': id %lld is '%.64s' here and '%.64s' in the "
                              "vocabulary", (long long)id,
                              json_string_value(json_object_get(item, "content")), token.text);
        if (token.special) t->vocab.flags[id] |= SPAR__PIECE_SPECIAL;
        t->added.tokens[t->added.count++] = token;
    }
    return SPAR_OK;
}

/* Ids that the list of added tokens states: their vocabulary entries are text, not spelled bytes. */
static spar_status mark_added(const spar_tokenizer *t, const json_t *list, uint8_t *literal) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t id = json_integer_value(json_object_get(json_array_get(list, i), "id"));
        if (id >= 0 && id < t->vocab.limit) literal[id] = 1;
    }
    return SPAR_OK;
}

static spar_status read_token(spar_tokenizer *t, const char *text, size_t length, const json_t *id,
                              const uint8_t *literal, char *room) {
    if (!json_is_integer(id))
        return spar__fail(SPAR_ERR_FORMAT, "key 'model.vocab': '%.64s': the id is no integer", text);
    json_int_t number = json_integer_value(id);
    size_t n;
    if (t->byte_level && number >= 0 && number < t->vocab.limit && !literal[number] &&
        spar__spell_decode(text, length, room, &n))
        return spar__vocab_add(&t->vocab, number, room, n);
    return spar__vocab_add(&t->vocab, number, text, length);
}

static spar_status read_vocab(spar_tokenizer *t, const json_t *vocab, const json_t *added) {
    size_t bytes = 0, longest = 0, limit = json_object_size(vocab) + json_array_size(added);
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)vocab, key, value) {
        size_t n = strlen(key);
        bytes += n + 1;
        if (n > longest) longest = n;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *content = json_object_get(json_array_get(added, i), "content");
        bytes += json_string_length(content) + 1;
    }
    limit += limit / 2 + SPARE_IDS;
    SPAR_TRY(spar__vocab_create(&t->vocab, limit, bytes));
    uint8_t *literal = spar__alloc(limit);
    char *room = spar__alloc(longest + 1);
    spar_status status = literal && room ? mark_added(t, added, literal) : SPAR_ERR_MEMORY;
    if (!status)
        json_object_foreach((json_t *)vocab, key, value) {
            status = read_token(t, key, strlen(key), value, literal, room);
            if (status) break;
        }
    spar__free(literal);
    spar__free(room);
    return status ? status : read_added(t, added);
}

/* ---- Stages --------------------------------------------------------------------------------- */

/* The members of a part that may be absent, one object, or a Sequence of them under `key`. */
static spar_status stages(const json_t *root, const char *part, const char *key,
                          const json_t **list, const json_t **single) {
    const char *type;
    *list = *single = NULL;
    SPAR_TRY(spar__field_object(root, part, false, single));
    if (!*single) return SPAR_OK;
    SPAR_TRY(spar__field_string(*single, "type", "", &type));
    if (strcmp(type, "Sequence")) return SPAR_OK;
    const json_t *sequence = *single;
    *single = NULL;
    return spar__field_array(sequence, key, true, list);
}

static const json_t *stage_at(const json_t *list, const json_t *single, size_t i) {
    return list ? json_array_get(list, i) : i ? NULL : single;
}

static spar_status stage_type(const char *part, const json_t *stage, int count, const char **type) {
    if (!json_is_object(stage))
        return spar__fail(SPAR_ERR_FORMAT, "key '%s': expected an object", part);
    if (count >= SPAR__MAX_STAGES)
        return spar__fail(SPAR_ERR_LIMIT, "key '%s': more than %d stages", part, SPAR__MAX_STAGES);
    return spar__field_string(stage, "type", "", type);
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
        const json_t *list, *single, *stage;                                                       \
        const char *type;                                                                          \
        SPAR_TRY(stages(root, part, key, &list, &single));                                         \
        for (size_t i = 0; (stage = stage_at(list, single, i)); i++) {                             \
            size_t k = 0;                                                                          \
            SPAR_TRY(stage_type(part, stage, t->n_##array, &type));                                \
            while (kinds[k] && strcmp(kinds[k]->name, type)) k++;                                  \
            if (!kinds[k])                                                                         \
                return spar__fail(SPAR_ERR_UNSUPPORTED, "key '%s': '%.64s' is not supported",      \
                                  part, type);                                                     \
            void *state = NULL;                                                                    \
            spar_status status = kinds[k]->open(stage, &state);                                    \
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
    SPAR_TRY(spar__field_string(model, "type", "BPE", &type));
    for (size_t k = 0; kinds[k]; k++)
        if (!strcmp(kinds[k]->name, type)) return *out = kinds[k], SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "key 'model.type': '%.64s' is not supported", type);
}

static bool mentions_byte_level(const json_t *root, const char *part, const char *key) {
    const json_t *object = json_object_get(root, part), *list = json_object_get(object, key);
    for (size_t i = 0; i <= json_array_size(list); i++) {
        const json_t *stage = i ? json_array_get(list, i - 1) : object;
        const char *type = json_string_value(json_object_get(stage, "type"));
        if (type && !strcmp(type, "ByteLevel")) return true;
    }
    return false;
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
    const json_t *list, *single, *stage;
    SPAR_TRY(stages(root, "post_processor", "processors", &list, &single));
    for (size_t i = 0; (stage = stage_at(list, single, i)); i++) {
        const char *type;
        SPAR_TRY(stage_type("post_processor", stage, (int)i, &type));
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

static spar_status build(spar_tokenizer *t, const json_t *root) {
    const json_t *model, *vocab, *added;
    if (!json_is_object(root)) return spar__fail(SPAR_ERR_FORMAT, "expected a JSON object");
    SPAR_TRY(spar__field_object(root, "model", true, &model));
    SPAR_TRY(find_model(model, &t->model));
    if (t->model->whole) return t->model->open(t, model);
    SPAR_TRY(spar__field_array(root, "added_tokens", false, &added));
    SPAR_TRY(spar__field_object(model, "vocab", true, &vocab));
    SPAR_TRY(read_normalizers(t, root));
    SPAR_TRY(read_splitters(t, root));
    SPAR_TRY(read_decoders(t, root));
    t->byte_level = mentions_byte_level(root, "pre_tokenizer", "pretokenizers") ||
                    mentions_byte_level(root, "decoder", "decoders");
    t->spaced = !t->n_decoders;
    SPAR_TRY(read_vocab(t, vocab, added));
    SPAR_TRY(t->model->open(t, model));
    SPAR_TRY(read_around(t, root));
    SPAR_TRY(spar__added_prepare(&t->added));
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
