/* Finding a tokenizer in a path: tokenizer.json, vocab.json with merges.txt or Marian's two .spm,
 * folders, GGUF. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "token/field.h"
#include "token/gguf.h"
#include "token/marian.h"
#include "token/scan.h"
#include "token/spm.h"
#include "token/tokenizer.h"
#include "token/wordpiece.h"

enum { MAX_FILE = 1 << 29 };

static json_t *byte_level(bool regex) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", regex);
}

static json_t *splitter_json(const spar__pattern *pattern) {
    if (!strcmp(pattern->name, "gpt2")) return byte_level(true);
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", pattern->expression, "behavior",
                     "Isolated", "invert", 0, byte_level(false));
}

spar_status spar__bpe_json(json_t *vocab, json_t *merges, const char *splitter,
                           const char *const *special, int n_special, json_t **out) {
    const spar__pattern *pattern = spar__pattern_named(splitter);
    json_t *added = json_array();
    bool good = vocab && merges && added;
    for (int i = 0; good && i < n_special; i++) {
        json_t *id = json_object_get(vocab, special[i]);
        good = id && !json_array_append_new(
                         added, json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                          "content", special[i], "single_word", 0, "lstrip", 0,
                                          "rstrip", 0, "normalized", 0, "special", 1));
    }
    json_t *root =
        good && pattern
            ? json_pack("{s:s, s:n, s:n, s:O, s:n, s:o, s:n, s:o, s:{s:s, s:n, s:n, s:n, s:n, s:b, "
                        "s:b, s:b, s:O, s:O}}",
                        "version", "1.0", "truncation", "padding", "added_tokens", added,
                        "normalizer", "pre_tokenizer", splitter_json(pattern), "post_processor",
                        "decoder", byte_level(true), "model", "type", "BPE", "dropout",
                        "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                        0, "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", merges)
            : NULL;
    json_decref(added);
    json_decref(vocab);
    json_decref(merges);
    if (!pattern)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "splitter '%.64s' is not known", splitter);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    *out = root;
    return SPAR_OK;
}

static spar_status load_json(const char *path, json_t **out) {
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, MAX_FILE, &text, &length));
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    spar__free(text);
    if (!root)
        return spar__fail(SPAR_ERR_FORMAT, "%s: line %d, column %d: %s", path, error.line,
                          error.column, error.text);
    *out = root;
    return SPAR_OK;
}

/* bos, eos, pad and unk as tokenizer_config.json names them, text or {"content": text}. */
static void read_config(const char *folder, spar_tokenizer *t) {
    struct {
        const char *key;
        int32_t *id;
    } roles[] = {{"bos_token", &t->bos}, {"eos_token", &t->eos}, {"pad_token", &t->pad},
                 {"unk_token", &t->unk}};
    char *path = spar__path_join(folder, "tokenizer_config.json");
    json_t *root = NULL;
    if (path && spar__file_exists(path) && load_json(path, &root)) root = NULL;
    for (int i = 0; root && i < 4; i++) {
        const json_t *value = json_object_get(root, roles[i].key);
        if (json_is_object(value)) value = json_object_get(value, "content");
        const char *name = json_string_value(value);
        int32_t id = name ? spar__vocab_find(&t->vocab, name, strlen(name)) : -1;
        if (id >= 0) *roles[i].id = id;
    }
    json_decref(root);
    spar__free(path);
}

/* merges.txt: a line "#version…", then a pair a line. */
static spar_status read_merges_file(const char *path, json_t **out) {
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, MAX_FILE, &text, &length));
    json_t *list = json_array();
    spar_status status = list ? SPAR_OK : spar__fail(SPAR_ERR_MEMORY, "out of memory: merges");
    size_t line_number = 0;
    for (char *line = text, *end; !status && line < text + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end) end = text + length;
        size_t n = (size_t)(end - line);
        if (n && line[n - 1] == '\r') n--;
        if (!n || (!line_number++ && n >= 8 && !memcmp(line, "#version", 8))) continue;
        if (json_array_append_new(list, json_stringn(line, n)))
            status = spar__fail(SPAR_ERR_FORMAT, "%s: line %zu: not UTF-8", path, line_number);
    }
    spar__free(text);
    if (status) json_decref(list);
    else *out = list;
    return status;
}

static spar_status open_vocab(const char *path, const char *folder, spar_tokenizer **out) {
    static const char *const special[] = {"<|endoftext|>"};
    char *merges_path = spar__path_join(folder, "merges.txt");
    json_t *vocab = NULL, *merges = NULL, *root = NULL;
    spar_status status = merges_path ? load_json(path, &vocab) : SPAR_ERR_MEMORY;
    if (!status && !json_is_object(vocab))
        status = spar__fail(SPAR_ERR_FORMAT, "%s: expected a JSON object", path);
    if (!status) status = read_merges_file(merges_path, &merges);
    if (status) json_decref(vocab);
    else
        status = spar__bpe_json(vocab, merges, "gpt2", special,
                                json_object_get(vocab, special[0]) ? 1 : 0, &root);
    spar__free(merges_path);
    SPAR_TRY(status);
    status = spar__tokenizer_from_json(path, root, NULL, 0, out);
    json_decref(root);
    return status;
}

static spar_status open_json(const char *path, const char *folder, spar_tokenizer **out) {
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, MAX_FILE, &text, &length));
    spar_tokenizer *t;
    spar_status status = spar__tokenizer_from_text(path, text, length, &t);
    spar__free(text);
    SPAR_TRY(status);
    read_config(folder, t);
    *out = t;
    return SPAR_OK;
}

/* vocab.txt: a piece a line; its number is the id. */
static spar_status read_lines(const char *path, json_t **out) {
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, MAX_FILE, &text, &length));
    json_t *vocab = json_object();
    spar_status status = vocab ? SPAR_OK : spar__fail(SPAR_ERR_MEMORY, "out of memory: vocabulary");
    json_int_t id = 0;
    for (char *line = text, *end; !status && line < text + length; line = end + 1, id++) {
        end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end) end = text + length;
        size_t n = (size_t)(end - line);
        if (n && line[n - 1] == '\r') n--;
        json_t *piece = json_stringn(line, n);
        const char *name = json_string_value(piece);
        /* Of pieces that stand twice the later counts, as in BERT's own reader. */
        if (!name || strlen(name) != n || json_object_set_new(vocab, name, json_integer(id)))
            status = spar__fail(SPAR_ERR_FORMAT, "%s: line %lld: not UTF-8 text", path,
                                (long long)id + 1);
        json_decref(piece);
    }
    spar__free(text);
    if (status) json_decref(vocab);
    else *out = vocab;
    return status;
}

/* Whether text is lower-cased is what tokenizer_config.json says, else what the pieces show. */
static bool lower_cased(const char *folder, const json_t *vocab) {
    char *path = spar__path_join(folder, "tokenizer_config.json");
    json_t *root = NULL;
    if (path && spar__file_exists(path) && load_json(path, &root)) root = NULL;
    const json_t *stated = json_object_get(root, "do_lower_case");
    bool lower = json_is_boolean(stated) ? json_is_true(stated) : spar__wordpiece_is_lower(vocab);
    json_decref(root);
    spar__free(path);
    return lower;
}

static spar_status open_lines(const char *path, const char *folder, spar_tokenizer **out) {
    json_t *vocab, *root;
    SPAR_TRY(read_lines(path, &vocab));
    SPAR_TRY(spar__wordpiece_json(vocab, lower_cased(folder, vocab), &root));
    spar_status status = spar__tokenizer_from_json(path, root, NULL, 0, out);
    json_decref(root);
    return status;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* `both`: bos first and eos last, whatever the model's kind usually has. */
static spar_status open_spm(const char *path, bool both, spar_tokenizer **out) {
    char *file;
    size_t length;
    SPAR_TRY(spar__read_file(path, MAX_FILE, &file, &length));
    spar_status status = spar__tokenizer_from_spm(path, file, length, both ? 1 : -1,
                                                  both ? 1 : -1, out);
    spar__free(file);
    return status;
}

static spar_status open_folder(const char *folder, spar_tokenizer **out) {
    char *json = spar__path_join(folder, "tokenizer.json");
    char *vocab = spar__path_join(folder, "vocab.json");
    char *model = spar__path_join(folder, "tokenizer.model");
    char *lines = spar__path_join(folder, "vocab.txt");
    char *piece = spar__path_join(folder, "spiece.model"); /* T5, Reformer */
    char *both = spar__path_join(folder, "spm.model");     /* DeBERTa v2 and v3: [CLS] … [SEP] */
    spar_status status;
    if (!json || !vocab || !model || !lines || !piece || !both) status = SPAR_ERR_MEMORY;
    else if (spar__file_exists(json)) status = open_json(json, folder, out);
    else if (spar__marian_in(folder)) status = spar__marian_open(folder, out);
    else if (spar__file_exists(vocab)) status = open_vocab(vocab, folder, out);
    else if (spar__file_exists(model)) status = open_spm(model, false, out);
    else if (spar__file_exists(piece)) status = open_spm(piece, false, out);
    else if (spar__file_exists(both)) status = open_spm(both, true, out);
    else if (spar__file_exists(lines)) status = open_lines(lines, folder, out);
    else
        status = spar__fail(SPAR_ERR_NOT_FOUND, "%s: no tokenizer here: expected tokenizer.json, "
                            "vocab.json, tokenizer.model or vocab.txt", folder);
    spar__free(json);
    spar__free(vocab);
    spar__free(model);
    spar__free(lines);
    spar__free(piece);
    spar__free(both);
    return status;
}

spar_status spar_tokenizer_open(const char *path, spar_tokenizer **out) {
    if (spar__folder_exists(path)) return open_folder(path, out);
    if (ends_with(path, ".gguf")) return spar__tokenizer_open_gguf(path, out);
    if (ends_with(path, ".spm")) return open_spm(path, false, out);
    if (ends_with(path, ".model")) return open_spm(path, ends_with(path, "spm.model"), out);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? spar__copy_bytes(path, (size_t)(slash - path) + 1)
                         : spar__copy_string(".");
    if (!folder) return SPAR_ERR_MEMORY;
    bool vocab = ends_with(path, "vocab.json");
    spar_status status = vocab && spar__marian_in(folder) ? spar__marian_open(folder, out)
                         : vocab                          ? open_vocab(path, folder, out)
                         : ends_with(path, "vocab.txt")   ? open_lines(path, folder, out)
                                                          : open_json(path, folder, out);
    spar__free(folder);
    return status;
}

spar_status spar_tokenizer_save(const spar_tokenizer *t, const char *path) {
    return spar__write_file(path, t->json, t->json_length);
}
