/* spar tokenizer train: learns a vocabulary from text. */
#include <stdio.h>

#include "cli.h"
#include "spar/data.h"
#include "spar/tokenizer.h"

static spar_status next_piece(void *context, const char **text, size_t *length) {
    spar_corpus_piece piece;
    spar_status status = spar_corpus_next(context, &piece);
    *text = status ? NULL : piece.text;
    *length = status ? 0 : piece.length;
    return status == SPAR_ERR_NOT_FOUND ? SPAR_OK : status;
}

/* How many bytes and tokens the corpus has. */
static spar_status measure(const spar_tokenizer *t, spar_corpus *corpus, uint64_t *bytes,
                           uint64_t *tokens) {
    const char *text;
    size_t length;
    *bytes = *tokens = 0;
    spar_status status = spar_corpus_rewind(corpus);
    while (!status && !(status = next_piece(corpus, &text, &length)) && text) {
        int32_t *ids;
        size_t count;
        status = spar_tokenizer_encode(t, text, length, 0, &ids, &count);
        if (status) break;
        spar_free(ids);
        *bytes += length;
        *tokens += count;
    }
    return status;
}

static int finish(const spar_tokenizer *t, spar_corpus *corpus, const char *output) {
    uint64_t bytes, tokens;
    spar_status status = measure(t, corpus, &bytes, &tokens);
    if (!status) status = spar_tokenizer_save(t, output);
    if (status) return cli_report(status);
    double ratio = tokens ? (double)bytes / (double)tokens : 0;
    if (cli.json)
        return cli_print_json(json_pack("{s:s, s:i, s:f, s:I, s:I}", "kind",
                                        spar_tokenizer_kind(t), "vocab_size",
                                        (int)spar_tokenizer_size(t), "bytes_per_token", ratio,
                                        "bytes", (json_int_t)bytes, "tokens", (json_int_t)tokens));
    printf("%s: %d tokens, %.3f bytes per token on the text it was trained on\n", output,
           spar_tokenizer_size(t), ratio);
    return CLI_OK;
}

static int train(const spar_tokenizer_options *options, const cli_list *files, const char *output) {
    spar_corpus *corpus;
    spar_tokenizer *t;
    spar_corpus_options corpus_options = SPAR_CORPUS_OPTIONS;
    spar_status status = spar_corpus_open(files->items, (size_t)files->count, &corpus_options,
                                          &corpus);
    if (status) return cli_report(status);
    spar_progress progress = cli_progress();
    spar_text_reader reader = {next_piece, corpus};
    status = spar_corpus_keep(corpus);
    if (!status) status = spar_tokenizer_train(options, &reader, &progress, &t);
    cli_progress_end();
    int code = cli_report(status);
    if (!code) {
        code = finish(t, corpus, output);
        spar_tokenizer_free(t);
    }
    spar_corpus_free(corpus);
    return code;
}

static int train_command(int argc, char **argv) {
    spar_tokenizer_options o = SPAR_TOKENIZER_OPTIONS_INIT;
    const char *output = NULL;
    int64_t vocab_size = o.vocab_size;
    cli_list files = {0}, special = {0};
    const cli_option options[] = {
        {"kind", CLI_TEXT, &o.kind, "K", "bpe, unigram, wordpiece, char", false},
        {"vocab-size", CLI_INT, &vocab_size, "N", "number of tokens in all", false},
        {"output", CLI_TEXT, &output, "T", "where the tokenizer.json goes", true},
        {"splitter", CLI_TEXT, &o.splitter, "S", "how text is cut into words: gpt2, llama3, qwen2",
         false},
        {"special", CLI_LIST, &special, "TEXT", "a special token (several: first gets id 0)",
         false},
        {"min-frequency", CLI_INT, &o.min_frequency, "N", "least count of a merge", false},
        {"character-coverage", CLI_REAL, &o.character_coverage, "X",
         "unigram, wordpiece: part of the text whose characters get pieces (1)", false},
        {"byte-fallback", CLI_FLAG, &o.byte_fallback, NULL,
         "unigram: characters without a piece become bytes", false},
        {"lowercase", CLI_FLAG, &o.lowercase, NULL, "wordpiece: lower case, accents off", false},
        {"FILE", CLI_REST, &files, NULL, "text, JSONL, folders; gzip and zstd are fine", true},
        {0},
    };
    const cli_usage usage = {"tokenizer train", "Learns a vocabulary from text.", options,
                             "spar tokenizer train --vocab-size 8192 --output t.json book.txt"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (vocab_size < 1 || vocab_size > INT32_MAX / 8)
        return cli_misuse("--vocab-size: found %lld, expected 1 to %d", (long long)vocab_size,
                          INT32_MAX / 8);
    o.vocab_size = (int32_t)vocab_size;
    if (special.count) o.special = special.items, o.n_special = special.count;
    return train(&o, &files, output);
}

int cmd_tokenizer(int argc, char **argv) {
    const cli_command commands[] = {{"train", "learn a vocabulary from text", train_command}, {0}};
    return cli_dispatch("tokenizer", commands, argc, argv);
}
