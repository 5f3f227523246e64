#include "token/gguf.h"

#include <limits.h>
#include <string.h>

#include "token/gguf_bert.h"
#include "token/gguf_pre.h"
#include "token/gguf_spm.h"
#include "token/scan.h"
#include "token/spell.h"
#include "token/tokenizer.h"

#define KEY(name) "tokenizer.ggml." name
#define JSON_KEY  "tokenizer.huggingface.json"
#define OWN_KEY   "spar.tokenizer" /* descriptions that only Spar reads */

/* Token types of GGUF. */
enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };
enum { MAX_TOKENS = INT32_MAX / 4 };

static const struct {
    const char *key;
    size_t offset;
} roles[] = {{KEY("bos_token_id"), offsetof(spar_tokenizer, bos)},
             {KEY("eos_token_id"), offsetof(spar_tokenizer, eos)},
             {KEY("padding_token_id"), offsetof(spar_tokenizer, pad)},
             {KEY("unknown_token_id"), offsetof(spar_tokenizer, unk)}};
enum { N_ROLES = sizeof roles / sizeof *roles };

static int32_t *role_of(spar_tokenizer *t, int i) {
    return (int32_t *)((char *)t + roles[i].offset);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static json_t *byte_level(void) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 0);
}

static json_t *splitters_json(const spar__gguf_pre *pre) {
    json_t *list = json_array();
    for (int i = 0; i < SPAR__PRE_STAGES && pre->expressions[i]; i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                              "pattern", "Regex", pre->expressions[i], "behavior",
                                              "Isolated", "invert", 0));
    json_array_append_new(list, byte_level());
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

static spar_status read_tokens(const spar__gguf *gguf, json_t *vocab, json_t *added,
                               spar__gguf_string *control) {
    spar__gguf_value tokens, types = {0};
    spar__gguf_string token;
    SPAR_TRY(spar__gguf_texts(gguf, KEY("tokens"), 1, MAX_TOKENS, &tokens));
    size_t n = tokens.count;
    if (spar__gguf_find(gguf, KEY("token_type"), NULL))
        SPAR_TRY(spar__gguf_numbers(gguf, KEY("token_type"), n, n, &types));
    for (size_t i = 0; spar__gguf_next_text(&tokens, &token); i++) {
        char name[64];
        int64_t type = types.count ? spar__gguf_integer_at(&types, i) : NORMAL;
        json_t *text = json_stringn(token.bytes, token.length), *id = json_integer((json_int_t)i);
        bool good = text && id && !memchr(token.bytes, 0, token.length);
        if (good && json_object_get(vocab, json_string_value(text))) {
            /* Fillers of a padded vocabulary may repeat: only the first can be found. */
            snprintf(name, sizeof name, "<|spar-duplicate-%zu|>", i);
            good = !json_object_set(vocab, name, id);
        } else if (good) {
            good = !json_object_set(vocab, json_string_value(text), id);
            if (good && (type == CONTROL || type == USER_DEFINED))
                good = !json_array_append_new(
                    added, json_pack("{s:O, s:O, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                     text, "single_word", 0, "lstrip", 0, "rstrip", 0,
                                     "normalized", 0, "special", type == CONTROL));
            control[i] = token;
        }
        json_decref(text);
        json_decref(id);
        if (!good)
            return spar__fail(SPAR_ERR_FORMAT, "%s: key '" KEY("tokens") "': token %zu is no text",
                              spar__gguf_path(gguf), i);
    }
    return SPAR_OK;
}

/* {"type": "TemplateProcessing"} from add_bos_token and add_eos_token; NULL where neither is set. */
static spar_status template_json(const spar__gguf *gguf, bool add_bos,
                                 const spar__gguf_string *tokens, int64_t size, json_t **out) {
    static const char *const flags[] = {KEY("add_bos_token"), KEY("add_eos_token")};
    bool add[2] = {add_bos, false};
    json_t *single = json_array(), *table = json_object();
    spar_status status = SPAR_OK;
    for (int i = 0; !status && i < 2; i++) {
        int64_t id;
        status = spar__gguf_bool_or(gguf, flags[i], add[i], &add[i]);
        if (!status) status = spar__gguf_integer_or(gguf, roles[i].key, 0, UINT32_MAX, -1, &id);
        if (i && single)
            json_array_insert_new(single, json_array_size(single),
                                  json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
        if (status || !add[i] || id < 0 || id >= size || !tokens[id].length) continue;
        json_t *name = json_stringn(tokens[id].bytes, tokens[id].length);
        json_array_append_new(single,
                              json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", 0));
        json_object_set_new(table, json_string_value(name),
                            json_pack("{s:O, s:[I], s:[O]}", "id", name, "ids", (json_int_t)id,
                                      "tokens", name));
        json_decref(name);
    }
    *out = !status && json_object_size(table)
               ? json_pack("{s:s, s:O, s:O}", "type", "TemplateProcessing", "single", single,
                           "special_tokens", table)
               : json_null();
    json_decref(single);
    json_decref(table);
    return status;
}

static spar_status read_merges(const spar__gguf *gguf, json_t *merges) {
    spar__gguf_value list;
    spar__gguf_string line;
    SPAR_TRY(spar__gguf_texts(gguf, KEY("merges"), 0, MAX_TOKENS, &list));
    while (spar__gguf_next_text(&list, &line))
        if (json_array_append_new(merges, json_stringn(line.bytes, line.length)))
            return spar__fail(SPAR_ERR_FORMAT, "%s: key '" KEY("merges") "': not UTF-8",
                              spar__gguf_path(gguf));
    return SPAR_OK;
}

static spar_status find_pre(const spar__gguf *gguf, const spar__gguf_pre **out) {
    char *name = NULL;
    if (spar__gguf_find(gguf, KEY("pre"), NULL))
        SPAR_TRY(spar__gguf_text_copy(gguf, KEY("pre"), &name));
    *out = spar__gguf_pre_named(name ? name : "default");
    spar_status status = *out ? SPAR_OK
                              : spar__fail(SPAR_ERR_UNSUPPORTED,
                                           "%s: key '" KEY("pre") "': '%.64s' is not supported",
                                           spar__gguf_path(gguf), name);
    spar__free(name);
    return status;
}

static spar_status from_bpe(const spar__gguf *gguf, spar_tokenizer **out) {
    const spar__gguf_pre *pre;
    spar__gguf_value tokens;
    SPAR_TRY(find_pre(gguf, &pre));
    SPAR_TRY(spar__gguf_texts(gguf, KEY("tokens"), 1, MAX_TOKENS, &tokens));
    spar__gguf_string *texts = spar__array(tokens.count, sizeof *texts);
    if (!texts) return SPAR_ERR_MEMORY;
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array(), *around = NULL;
    json_t *root = NULL;
    spar_status status = read_tokens(gguf, vocab, added, texts);
    if (!status) status = read_merges(gguf, merges);
    if (!status)
        status = template_json(gguf, pre->add_bos, texts, (int64_t)tokens.count, &around);
    if (!status) {
        root = json_pack("{s:s, s:n, s:n, s:O, s:n, s:o, s:O, s:o, s:{s:s, s:n, s:n, s:n, s:n, "
                         "s:b, s:b, s:b, s:O, s:O}}",
                         "version", "1.0", "truncation", "padding", "added_tokens", added,
                         "normalizer", "pre_tokenizer", splitters_json(pre), "post_processor",
                         around, "decoder", byte_level(), "model", "type", "BPE", "dropout",
                         "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                         0, "byte_fallback", 0, "ignore_merges", pre->ignore_merges, "vocab", vocab,
                         "merges", merges);
        status = root ? spar__tokenizer_from_json(spar__gguf_path(gguf), root, NULL, 0, out)
                      : spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    }
    json_decref(root);
    json_decref(around);
    json_decref(added);
    json_decref(merges);
    json_decref(vocab);
    spar__free(texts);
    return status;
}

spar_status spar__tokenizer_from_gguf(const spar__gguf *gguf, spar_tokenizer **out) {
    spar_tokenizer *t;
    spar__gguf_string json;
    const char *whole = spar__gguf_find(gguf, OWN_KEY, NULL) ? OWN_KEY : JSON_KEY;
    if (spar__gguf_find(gguf, whole, NULL)) {
        SPAR_TRY(spar__gguf_text(gguf, whole, &json));
        SPAR_TRY(spar__tokenizer_from_text(spar__gguf_path(gguf), json.bytes, json.length, &t));
    } else if (!spar__gguf_find(gguf, KEY("model"), NULL)) {
        return spar__fail(SPAR_ERR_NOT_FOUND, "%s: has no tokenizer", spar__gguf_path(gguf));
    } else if (spar__gguf_text_is(gguf, KEY("model"), "gpt2")) {
        SPAR_TRY(from_bpe(gguf, &t));
    } else if (spar__gguf_text_is(gguf, KEY("model"), "llama")) {
        SPAR_TRY(spar__spm_from_gguf(gguf, true, &t));
    } else if (spar__gguf_text_is(gguf, KEY("model"), "t5")) {
        SPAR_TRY(spar__spm_from_gguf(gguf, false, &t));
    } else if (spar__gguf_text_is(gguf, KEY("model"), "bert")) {
        SPAR_TRY(spar__wordpiece_from_gguf(gguf, &t));
    } else {
        char *model;
        SPAR_TRY(spar__gguf_text_copy(gguf, KEY("model"), &model));
        spar_status status = spar__fail(SPAR_ERR_UNSUPPORTED,
                                        "%s: key '" KEY("model") "': '%.64s' is not supported",
                                        spar__gguf_path(gguf), model);
        spar__free(model);
        return status;
    }
    for (int i = 0; i < N_ROLES; i++) {
        int64_t id;
        int32_t *role = role_of(t, i);
        spar_status status = spar__gguf_integer_or(gguf, roles[i].key, 0, UINT32_MAX, *role, &id);
        if (status) return spar_tokenizer_free(t), status;
        /* Converters copy ids from config.json that the vocabulary need not have. */
        *role = id < t->vocab.size ? (int32_t)id : -1;
    }
    *out = t;
    return SPAR_OK;
}

spar_status spar__tokenizer_open_gguf(const char *path, spar_tokenizer **out) {
    spar__gguf *gguf;
    SPAR_TRY(spar__gguf_open(path, &gguf));
    spar_status status = spar__tokenizer_from_gguf(gguf, out);
    spar__gguf_free(gguf);
    return status;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* The expression that a stage amounts to; "" for one that cuts nothing, NULL where it has none. */
static const char *stage_expression(const json_t *stage) {
    const char *type = json_string_value(json_object_get(stage, "type"));
    const json_t *pattern = json_object_get(stage, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    if (!type) return NULL;
    if (!strcmp(type, "Split") && regex && !strcmp(regex, " ?[^(\\s|[.,!?…。，、।۔،])]+"))
        return " ?[^(\\s|.,!?…。，、।۔،)]+"; /* BLOOM's, without a class in a class */
    if (!strcmp(type, "Split")) return regex;
    if (!strcmp(type, "Punctuation")) return "[\\p{P}\\$\\+<=>\\^~\\|`]+";
    if (!strcmp(type, "Digits"))
        return json_is_true(json_object_get(stage, "individual_digits")) ? "\\p{N}" : "";
    if (!strcmp(type, "ByteLevel"))
        return json_is_false(json_object_get(stage, "use_regex"))
                   ? ""
                   : spar__pattern_named("gpt2")->expression;
    return NULL;
}

/* The name of the splitting expressions, where GGUF has one. */
static const char *pre_name(const json_t *root) {
    const json_t *part = json_object_get(root, "pre_tokenizer");
    const json_t *list = json_object_get(part, "pretokenizers");
    const char *expressions[SPAR__PRE_STAGES];
    int count = 0;
    for (size_t i = 0; i < (list ? json_array_size(list) : 1); i++) {
        const char *expression = stage_expression(list ? json_array_get(list, i) : part);
        if (!expression || count == SPAR__PRE_STAGES) return "default";
        if (*expression) expressions[count++] = expression;
    }
    const char *name = spar__gguf_pre_of(expressions, count);
    return name ? name : "default";
}

static spar_status write_tokens(const spar_tokenizer *t, const json_t *vocab,
                                spar__gguf_writer *writer) {
    size_t n = (size_t)t->vocab.size;
    spar__gguf_string *texts = spar__array(n + 1, sizeof *texts);
    int32_t *types = spar__array(n + 1, sizeof *types);
    char(*names)[24] = spar__array(n + 1, sizeof *names);
    spar_status status = texts && types && names ? SPAR_OK : SPAR_ERR_MEMORY;
    const char *key;
    const json_t *id;
    if (!status)
        json_object_foreach((json_t *)vocab, key, id) {
            size_t i = (size_t)json_integer_value(id);
            texts[i] = (spar__gguf_string){key, strlen(key)};
            types[i] = NORMAL;
        }
    for (size_t i = 0; !status && i < t->added.count; i++) {
        const spar__added_token *token = &t->added.tokens[i];
        texts[token->id] = (spar__gguf_string){spar__vocab_bytes(&t->vocab, token->id),
                                               t->vocab.length[token->id]};
        types[token->id] = token->special ? CONTROL : USER_DEFINED;
    }
    for (size_t i = 0; !status && i < n; i++)
        if (!types[i]) {
            int length = snprintf(names[i], sizeof names[i], "[UNUSED%zu]", i);
            texts[i] = (spar__gguf_string){names[i], (size_t)length};
            types[i] = UNUSED;
        }
    if (!status) status = spar__gguf_add_texts(writer, KEY("tokens"), texts, n);
    if (!status)
        status = spar__gguf_add_numbers(writer, KEY("token_type"), SPAR__GGUF_INT32, types, n);
    spar__free(texts);
    spar__free(types);
    spar__free(names);
    return status;
}

static spar_status write_merges(const json_t *merges, spar__gguf_writer *writer) {
    size_t n = json_array_size(merges);
    spar__gguf_string *lines = spar__array(n + 1, sizeof *lines);
    size_t *ends = spar__array(n + 1, sizeof *ends), begin = 0;
    spar__buffer text = spar__buffer_make(SIZE_MAX);
    spar_status status = lines && ends ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < n; i++) {
        const json_t *item = json_array_get(merges, i);
        if (json_is_string(item))
            status = spar__buffer_print(&text, "%s", json_string_value(item));
        else
            status = spar__buffer_print(&text, "%s %s", json_string_value(json_array_get(item, 0)),
                                        json_string_value(json_array_get(item, 1)));
        ends[i] = text.length;
    }
    for (size_t i = 0; !status && i < n; begin = ends[i++])
        lines[i] = (spar__gguf_string){text.bytes + begin, ends[i] - begin};
    if (!status) status = spar__gguf_add_texts(writer, KEY("merges"), lines, n);
    spar__buffer_free(&text);
    spar__free(ends);
    spar__free(lines);
    return status;
}

static spar_status write_bpe(const spar_tokenizer *t, spar__gguf_writer *writer) {
    json_error_t error;
    json_t *root = json_loadb(t->json, t->json_length, 0, &error);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    const json_t *model = json_object_get(root, "model");
    const char *pre = pre_name(root);
    spar_status status = spar__gguf_add_text(writer, KEY("model"), "gpt2", 4);
    if (!status) status = spar__gguf_add_text(writer, KEY("pre"), pre, strlen(pre));
    if (!status) status = write_tokens(t, json_object_get(model, "vocab"), writer);
    if (!status) status = write_merges(json_object_get(model, "merges"), writer);
    json_decref(root);
    return status;
}

spar_status spar__tokenizer_to_gguf(const spar_tokenizer *t, spar__gguf_writer *writer) {
    /* GGUF has no name for BPE on plain characters. */
    bool bpe = !strcmp(t->model->kind, "bpe") && (t->byte_level || t->spelled);
    bool spm = !strcmp(t->model->kind, "sentencepiece");
    if (bpe) SPAR_TRY(write_bpe(t, writer));
    if (spm) SPAR_TRY(spar__spm_to_gguf(t, writer));
    if (!strcmp(t->model->kind, "wordpiece")) SPAR_TRY(spar__wordpiece_to_gguf(t, writer));
    for (int i = 0; i < N_ROLES; i++) {
        int32_t id = *role_of((spar_tokenizer *)t, i);
        if (id >= 0) SPAR_TRY(spar__gguf_add_u32(writer, roles[i].key, (uint32_t)id));
    }
    SPAR_TRY(spar__gguf_add_bool(writer, KEY("add_bos_token"), t->n_before > 0));
    SPAR_TRY(spar__gguf_add_bool(writer, KEY("add_eos_token"), t->n_after > 0));
    bool own = t->model->whole; /* what no other program knows */
    return spar__gguf_add_text(writer, own ? OWN_KEY : JSON_KEY, t->json, t->json_length);
}
