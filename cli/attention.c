/* spar attention: where the heads of a model look, as a page, a picture or numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spar/look.h"
#include "tasks.h"

typedef struct job {
    const char *model, *text, *tokens, *source, *segments, *output;
    spar_attention_options which;
    const spar_model *opened;
    cli_sequence s;
} job;

/* Ids as they are written, or a text's. */
static int read_ids(const job *j, const char *option, const char *text, bool ids, unsigned flags, int32_t **out,
                    size_t *count) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    if (!ids && !t) return cli_fail("%s: the model has no tokenizer: give ids, not text, to %s", j->model, option);
    spar_status status = ids ? cli_ids(text, out, count) : spar_tokenizer_encode(t, text, strlen(text), flags, out, count);
    return status ? cli_report(status) : -1;
}

/* A decoder that reads a source begins with the model's start token. */
static int add_start(job *j) {
    int32_t start = spar_model_start(j->opened);
    size_t n = j->s.input.n_tokens;
    if (j->tokens || start < 0) return -1;
    int32_t *ids = calloc(n + 1, sizeof *ids);
    if (!ids) return cli_fail("out of memory");
    ids[0] = start;
    if (n) memcpy(ids + 1, j->s.tokens, n * sizeof *ids);
    spar_free(j->s.tokens);
    j->s.tokens = ids;
    j->s.input.n_tokens = n + 1;
    return -1;
}

/* Of an encoder–decoder a text alone is the source. */
static int read_input(job *j) {
    cli_sequence *s = &j->s;
    bool two = strcmp(spar_model_architecture(j->opened), "encoder-decoder") == 0;
    const char *source = j->source, *text = j->text;
    if (two && !source && text) source = text, text = NULL;
    if (two && !source) return cli_misuse("attention: %s needs --source: it is an encoder–decoder", j->model);
    bool ids = source == j->source && source && source[strspn(source, "0123456789, ")] == 0;
    int code = source ? read_ids(j, "--source", source, ids, SPAR_TOKENIZE_SPECIAL, &s->source, &s->input.n_source) : -1;
    if (code < 0 && (j->tokens || text))
        code = read_ids(j, "--tokens", j->tokens ? j->tokens : text, j->tokens != NULL,
                        two ? 0 : SPAR_TOKENIZE_SPECIAL, &s->tokens, &s->input.n_tokens);
    if (code < 0 && two) code = add_start(j);
    size_t n_segments = s->input.n_tokens;
    if (code < 0 && j->segments) code = read_ids(j, "--segments", j->segments, true, 0, &s->segments, &n_segments);
    if (code < 0 && n_segments != s->input.n_tokens)
        code = cli_misuse("attention: --segments: found %zu, expected as many as tokens, %zu", n_segments, s->input.n_tokens);
    s->input.tokens = s->tokens;
    s->input.source = s->source;
    s->input.segments = s->segments;
    return code;
}

/* The bytes of each token, or its number where there is no tokenizer, in one block of memory. */
static char **texts_of(const job *j, const int32_t *ids, size_t n) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    size_t bytes = 0, length;
    for (size_t i = 0; i < n; i++) bytes += 12 + (t ? (spar_tokenizer_piece(t, ids[i], &length), length) : 0);
    char **texts = malloc(n * sizeof *texts + bytes + 1), *at = (char *)(texts ? texts + n : NULL);
    for (size_t i = 0; texts && i < n; i++) {
        const char *piece = t ? spar_tokenizer_piece(t, ids[i], &length) : "";
        texts[i] = at;
        if (t && length) memcpy(at, piece, length), at[length] = 0;
        else snprintf(at, 12, "%d", ids[i]);
        at += strlen(at) + 1;
    }
    return texts;
}

static int give(const job *j, const spar_attention *a, const spar_attention_labels *labels) {
    spar_status status = j->output ? spar_attention_write(a, labels, j->output) : SPAR_OK;
    if (status) return cli_report(status);
    if (cli.json) {
        char *text;
        if ((status = spar_attention_json(a, labels, &text))) return cli_report(status);
        bool good = puts(text) >= 0 && fflush(stdout) == 0;
        spar_free(text);
        return good ? CLI_OK : cli_fail("standard output: cannot be written");
    }
    if (!cli.quiet)
        printf("%s: %zu heads, %zu tokens\n", j->output, a->n_heads, labels->n_tokens + labels->n_source);
    return CLI_OK;
}

static int look(job *j) {
    spar_attention found = {0};
    int code = read_input(j);
    if (code >= 0) return code;
    const spar_input *in = &j->s.input;
    spar_status status = spar_attention_find(j->opened, in, &j->which, &found);
    if (status) return cli_report(status);
    char **tokens = texts_of(j, in->tokens, in->n_tokens), **source = texts_of(j, in->source, in->n_source);
    spar_attention_labels labels = {.title = j->text ? j->text : j->model,
                                    .tokens = (const char *const *)tokens,
                                    .n_tokens = in->n_tokens,
                                    .source = (const char *const *)source,
                                    .n_source = in->n_source};
    code = tokens && source ? give(j, &found, &labels) : cli_fail("out of memory");
    free(tokens);
    free(source);
    spar_attention_free(&found);
    return code;
}

int cmd_attention(int argc, char **argv) {
    job j = {.which = SPAR_ATTENTION_OPTIONS_INIT};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "the model", true},
        {"text", CLI_TEXT, &j.text, "S", "the text; of an encoder–decoder without --source its source", false},
        {"tokens", CLI_TEXT, &j.tokens, "IDS", "the same as token ids, 1,2,3", false},
        {"source", CLI_TEXT, &j.source, "S", "encoder–decoders: text or ids for the encoder", false},
        {"segments", CLI_TEXT, &j.segments, "IDS", "token types, 0,0,1 (all 0)", false},
        {"layer", CLI_INT, &j.which.layer, "L", "only this one, from 0 (all)", false},
        {"head", CLI_INT, &j.which.head, "H", "only this one, from 0 (all)", false},
        {"output", CLI_TEXT, &j.output, "X", "X.html, a page; X.png, a picture; X.json", false},
        {0},
    };
    const cli_usage usage = {"attention", "where the heads look: weights of every layer and head", options,
                             "spar attention --model run/model.gguf --text \"The cat sat.\" --output heads.html"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if ((j.text && j.tokens) || (!j.text && !j.tokens && !j.source))
        return cli_misuse("attention: expected one of --text and --tokens");
    if (!j.output && !cli.json) return cli_misuse("attention: expected --output or --json");
    if (j.which.layer < -1 || j.which.head < -1) return cli_misuse("attention: layers and heads count from 0");
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    j.opened = model;
    code = look(&j);
    cli_sequence_free(&j.s);
    spar_model_free(model);
    return code;
}
