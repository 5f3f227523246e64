/* spar tokenize: text to token ids. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "spar/tokenizer.h"

typedef struct job {
    const char *model, *tokenizer, *text, *file, *jsonl;
    bool special;
} job;

static json_t *ids_json(const int32_t *ids, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static int print_ids(const int32_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++) printf(i ? " %d" : "%d", ids[i]);
    putchar('\n');
    return CLI_OK;
}

static int one_text(const spar_tokenizer *t, const char *text, size_t length, unsigned flags,
                    bool line) {
    int32_t *ids;
    size_t count;
    spar_status status = spar_tokenizer_encode(t, text, length, flags, &ids, &count);
    if (status) return cli_report(status);
    int code = !cli.json ? print_ids(ids, count)
               : line    ? cli_print_json(ids_json(ids, count))
                         : cli_print_json(json_pack("{s:o}", "ids", ids_json(ids, count)));
    spar_free(ids);
    return code;
}

static int each_line(const spar_tokenizer *t, const char *path, const char *text, size_t length,
                     unsigned flags) {
    size_t number = 0;
    const char *end;
    for (const char *line = text; line < text + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end) end = text + length;
        number++;
        if (line == end) continue;
        json_error_t error;
        json_t *value = json_loadb(line, (size_t)(end - line), JSON_DECODE_ANY | JSON_ALLOW_NUL,
                                   &error);
        if (!json_is_string(value)) {
            json_decref(value);
            return cli_fail("%s: line %zu: expected a JSON string", path, number);
        }
        int code = one_text(t, json_string_value(value), json_string_length(value), flags, true);
        json_decref(value);
        if (code) return code;
    }
    return CLI_OK;
}

static int run(const job *j) {
    unsigned flags = j->special ? SPAR_TOKENIZE_SPECIAL : 0;
    const char *path = j->jsonl ? j->jsonl : j->file;
    char *bytes = NULL;
    size_t length = 0;
    spar_tokenizer *t;
    spar_status status = spar_tokenizer_open(j->tokenizer ? j->tokenizer : j->model, &t);
    if (status) return cli_report(status);
    int code = path ? cli_report(cli_read(path, &bytes, &length)) : CLI_OK;
    if (!code)
        code = j->text    ? one_text(t, j->text, strlen(j->text), flags, false)
               : j->jsonl ? each_line(t, path, bytes, length, flags)
                            : one_text(t, bytes, length, flags, false);
    spar_free(bytes);
    spar_tokenizer_free(t);
    return code;
}

int cmd_tokenize(int argc, char **argv) {
    job j = {0};
    const cli_option options[] = {
        {"tokenizer", CLI_TEXT, &j.tokenizer, "T", "tokenizer.json, vocab.json, folder or .gguf",
         false},
        {"model", CLI_TEXT, &j.model, "M", "the tokenizer of a model", false},
        {"text", CLI_TEXT, &j.text, "S", "the text", false},
        {"file", CLI_TEXT, &j.file, "F", "a whole file as one text (- is standard input)", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "F", "a JSON string a line, one result for each", false},
        {"special", CLI_FLAG, &j.special, NULL, "add the tokens that begin and end a text",
         false},
        {0},
    };
    const cli_usage usage = {"tokenize", "Turns text into token ids.", options,
                             "spar tokenize --model model.gguf --text \"To be, or not to be\""};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!j.tokenizer == !j.model)
        return cli_misuse("tokenize: expected one of --tokenizer and --model");
    if (!j.text + !j.file + !j.jsonl != 2)
        return cli_misuse("tokenize: expected one of --text, --file and --jsonl");
    return run(&j);
}
