/* spar data: text to packed shards, and what is in them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "spar/data.h"
#include "spar/tokenizer.h"

/* ---- data pack ---------------------------------------------------------------------------- */

static struct {
    const char *tokenizer, *output, *split, *format, *separator;
    cli_list files;
    int64_t shard_tokens;
    spar_corpus_options corpus;
    spar_pack_options pack;
} pack;

static const cli_option pack_options[] = {
    {"tokenizer", CLI_TEXT, &pack.tokenizer, "T", "tokenizer.json, a folder or a model", true},
    {"output", CLI_TEXT, &pack.output, "D", "folder for the shards", true},
    {"valid", CLI_REAL, &pack.pack.valid, "X", "fraction kept for validation (0.01)"},
    {"split", CLI_TEXT, &pack.split, "KIND",
     "document: whole ones; tail: each one's end; auto: tail when documents are few"},
    {"format", CLI_TEXT, &pack.format, "KIND", "text, jsonl; auto: by the files' names"},
    {"key", CLI_TEXT, &pack.corpus.key, "KEY", "JSONL: the key of the text (text)"},
    {"separator", CLI_TEXT, &pack.separator, "S",
     "text: what stands between documents, \\n and \\t understood"},
    {"replace-invalid", CLI_FLAG, &pack.corpus.replace_invalid, NULL,
     "invalid UTF-8 becomes U+FFFD"},
    {"no-eos", CLI_FLAG, &pack.pack.no_eos, NULL, "no end-of-document tokens"},
    {"shard-tokens", CLI_INT, &pack.shard_tokens, "N", "most tokens in a shard (134217728)"},
    {"FILE", CLI_REST, &pack.files, NULL,
     "text, JSONL, also .gz and .zst; folders; - for standard input", true},
    {0},
};

static const cli_usage pack_usage = {
    "data pack",
    "text to packed, checksummed token shards with a train/valid split",
    pack_options,
    "spar data pack --tokenizer tokenizer.json --output data book.txt more/*.jsonl.zst",
};

/* The place of `text` among 0-terminated names; −1 when it is none of them. */
static int choose(const char *text, const char *const names[]) {
    for (int i = 0; names[i]; i++)
        if (!strcmp(text, names[i])) return i;
    return -1;
}

/* \n, \t, \r and \\ stand for what they do in C; the caller frees. NULL for another backslash. */
static char *unescape(const char *text) {
    static const char from[] = "ntr\\", to[] = "\n\t\r\\";
    char *out = malloc(strlen(text) + 1), *p = out;
    for (; out && *text; text++) {
        if (*text != '\\') {
            *p++ = *text;
            continue;
        }
        const char *at = text[1] ? strchr(from, *++text) : NULL;
        if (!at) {
            free(out);
            return NULL;
        }
        *p++ = to[at - from];
    }
    if (out) *p = 0;
    return out;
}

static int read_choices(void) {
    int n = choose(pack.split, (const char *[]){"auto", "document", "tail", NULL});
    if (n < 0)
        return cli_misuse("data pack: --split: found '%s', expected auto, document or tail",
                          pack.split);
    pack.pack.split = (spar_pack_split)n;
    n = choose(pack.format, (const char *[]){"auto", "text", "jsonl", NULL});
    if (n < 0)
        return cli_misuse("data pack: --format: found '%s', expected auto, text or jsonl",
                          pack.format);
    pack.corpus.format = (spar_corpus_format)n;
    if (!(pack.pack.valid >= 0 && pack.pack.valid < 1))
        return cli_misuse("data pack: --valid: found %g, expected 0 to below 1", pack.pack.valid);
    if (pack.shard_tokens < 0)
        return cli_misuse("data pack: --shard-tokens: found %" PRId64 ", expected 1 or more",
                          pack.shard_tokens);
    pack.pack.shard_tokens = (uint64_t)pack.shard_tokens;
    pack.pack.seed = cli.seed < 0 ? 0 : (uint64_t)cli.seed;
    return -1;
}

static json_t *describe(const spar_data_info *info) {
    static const char *const names[SPAR_DATA_SPLITS] = {"train", "valid"};
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, info->tokenizer_hash);
    uint64_t tokens = 0, bytes = 0;
    json_t *object = json_object();
    for (int i = 0; i < SPAR_DATA_SPLITS; i++) {
        const spar_data_counts *c = &info->split[i];
        tokens += c->tokens;
        bytes += c->bytes;
        json_object_set_new(object, names[i],
                            json_pack("{s:I, s:I, s:I, s:I}", "tokens", (json_int_t)c->tokens,
                                      "documents", (json_int_t)c->documents, "bytes",
                                      (json_int_t)c->bytes, "shards", (json_int_t)c->shards));
    }
    json_object_set_new(object, "tokens", json_integer((json_int_t)tokens));
    json_object_set_new(object, "documents", json_integer((json_int_t)info->documents));
    json_object_set_new(object, "bytes", json_integer((json_int_t)bytes));
    json_object_set_new(object, "vocab_size", json_integer((json_int_t)info->vocab_size));
    json_object_set_new(object, "token_bytes", json_integer(info->token_bytes));
    json_object_set_new(object, "eos", info->eos < 0 ? json_null() : json_integer(info->eos));
    json_object_set_new(object, "tokenizer_hash", json_string(hash));
    return object;
}

static int print_info(const spar_data_info *info) {
    if (cli.json) return cli_print_json(describe(info));
    static const char *const names[SPAR_DATA_SPLITS] = {"train", "valid"};
    printf("%-6s %14s %12s %14s %7s\n", "", "tokens", "documents", "bytes", "shards");
    for (int i = 0; i < SPAR_DATA_SPLITS; i++) {
        const spar_data_counts *c = &info->split[i];
        printf("%-6s %14" PRIu64 " %12" PRIu64 " %14" PRIu64 " %7" PRIu64 "\n", names[i], c->tokens,
               c->documents, c->bytes, c->shards);
    }
    double tokens = (double)(info->split[0].tokens + info->split[1].tokens);
    double bytes = (double)(info->split[0].bytes + info->split[1].bytes);
    printf("vocabulary of %" PRIu64 ", %d bytes a token, %.3f bytes of text a token\n",
           info->vocab_size, info->token_bytes, tokens > 0 ? bytes / tokens : 0.0);
    return CLI_OK;
}

static spar_status run_pack(spar_data_info *info) {
    spar_tokenizer *tokenizer = NULL;
    spar_corpus *corpus = NULL;
    spar_status status = spar_tokenizer_open(pack.tokenizer, &tokenizer);
    if (!status)
        status =
            spar_corpus_open(pack.files.items, (size_t)pack.files.count, &pack.corpus, &corpus);
    if (!status) {
        spar_progress progress = cli_progress();
        pack.pack.progress = &progress;
        cli_catch_interrupt();
        status = spar_data_pack(tokenizer, corpus, pack.output, &pack.pack, info);
        cli_progress_end();
    }
    spar_corpus_free(corpus);
    spar_tokenizer_free(tokenizer);
    return status;
}

static int cmd_pack(int argc, char **argv) {
    pack.corpus = SPAR_CORPUS_OPTIONS;
    pack.pack = SPAR_PACK_OPTIONS;
    pack.split = pack.format = "auto";
    int code = cli_parse(&pack_usage, argc, argv);
    if (code < 0) code = read_choices();
    if (code >= 0) return code;
    char *separator = NULL;
    if (pack.separator) {
        if (!(separator = unescape(pack.separator)) || !*separator) {
            free(separator);
            return cli_misuse("data pack: --separator: found '%s', expected text, with \\n, \\t, "
                              "\\r and \\\\",
                              pack.separator);
        }
        pack.corpus.separator = separator;
    }
    spar_data_info info;
    spar_status status = run_pack(&info);
    free(separator);
    return status ? cli_report(status) : print_info(&info);
}

/* ---- data info ---------------------------------------------------------------------------- */

static const char *info_folder;

static const cli_option info_options[] = {
    {"D", CLI_POSITIONAL, &info_folder, NULL, "folder that data pack wrote", true},
    {0},
};

static const cli_usage info_usage = {
    "data info",
    "what is in a folder of shards, after checking all of it",
    info_options,
    "spar data info data",
};

static int cmd_info(int argc, char **argv) {
    int code = cli_parse(&info_usage, argc, argv);
    if (code >= 0) return code;
    spar_data *data;
    spar_status status = spar_data_open(info_folder, 0, &data);
    if (status) return cli_report(status);
    code = print_info(spar_data_get_info(data));
    spar_data_free(data);
    return code;
}

int cmd_data(int argc, char **argv) {
    static const cli_command commands[] = {
        {"pack", "text to packed shards", cmd_pack},
        {"info", "what is in a folder of shards", cmd_info},
        {0},
    };
    return cli_dispatch("data", commands, argc, argv);
}
