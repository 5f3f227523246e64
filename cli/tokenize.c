/* spar tokenize: text to token ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "spar/tokenizer.h"

typedef struct job {
    const char *model, *tokenizer, *text, *file, *jsonl;
    bool special, offsets;
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

static json_t *offsets_json(size_t (*offsets)[2], size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(list, json_pack("[I, I]", (json_int_t)offsets[i][0],
                                              (json_int_t)offsets[i][1]));
    return list;
}

/* A line for each token: its id, where it stands in the text's bytes, and those bytes. */
static int print_offsets(const char *text, const int32_t *ids, size_t (*offsets)[2], size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t begin = offsets[i][0], end = offsets[i][1];
        json_t *bytes = json_stringn(text + begin, end - begin);
        char *shown = bytes ? json_dumps(bytes, JSON_ENCODE_ANY) : NULL;
        printf("%d\t%zu\t%zu\t%s\n", ids[i], begin, end, shown ? shown : "(part of a character)");
        free(shown);
        json_decref(bytes);
    }
    return CLI_OK;
}

static int one_text(const spar_tokenizer *t, const job *j, const char *text, size_t length,
                    bool line) {
    int32_t *ids;
    size_t count, (*offsets)[2] = NULL;
    unsigned flags = j->special ? SPAR_TOKENIZE_SPECIAL : 0;
    spar_status status = spar_tokenizer_encode_offsets(t, text, length, flags, &ids,
                                                       j->offsets ? &offsets : NULL, &count);
    if (status) return cli_report(status);
    json_t *made = NULL;
    if (cli.json && j->offsets)
        made = json_pack("{s:o, s:o}", "ids", ids_json(ids, count), "offsets",
                         offsets_json(offsets, count));
    else if (cli.json) made = line ? ids_json(ids, count)
                                   : json_pack("{s:o}", "ids", ids_json(ids, count));
    int code = cli.json     ? cli_print_json(made)
               : j->offsets ? print_offsets(text, ids, offsets, count)
                            : print_ids(ids, count);
    spar_free(ids);
    spar_free(offsets);
    return code;
}

static int each_line(const spar_tokenizer *t, const job *j, const char *path, const char *text,
                     size_t length) {
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
        int code = one_text(t, j, json_string_value(value), json_string_length(value), true);
        json_decref(value);
        if (code) return code;
    }
    return CLI_OK;
}

static int run(const job *j) {
    const char *path = j->jsonl ? j->jsonl : j->file;
    char *bytes = NULL;
    size_t length = 0;
    spar_tokenizer *t;
    spar_status status = spar_tokenizer_open(j->tokenizer ? j->tokenizer : j->model, &t);
    if (status) return cli_report(status);
    int code = path ? cli_report(cli_read(path, &bytes, &length)) : CLI_OK;
    if (!code)
        code = j->text    ? one_text(t, j, j->text, strlen(j->text), false)
               : j->jsonl ? each_line(t, j, path, bytes, length)
                            : one_text(t, j, bytes, length, false);
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
        {"offsets", CLI_FLAG, &j.offsets, NULL, "also where each token stands, in bytes", false},
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
