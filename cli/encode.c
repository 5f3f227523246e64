/* spar encode: texts as vectors, or the last state of every token. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "spar/memory.h"
#include "tasks.h"

enum { MOST_TOKENS = 512 }; /* their activations stay in the cache */

typedef struct job {
    const char *model, *text, *file, *jsonl, *pooling, *output;
    cli_sequence_options ids;
    const spar_model *opened;
    spar_pooling mode;
    bool states;
    float *vectors; /* [texts, width] */
    size_t width;
    size_t n_texts;
} job;

static spar_status run_batch(void *context, const spar_input *inputs, const size_t *indices, size_t count) {
    job *j = context;
    float *out;
    size_t rows, width;
    spar_input *own = calloc(count, sizeof *own);
    if (!own) return SPAR_ERR_MEMORY;
    memcpy(own, inputs, count * sizeof *own);
    if (strcmp(spar_model_architecture(j->opened), "encoder-decoder") == 0)
        for (size_t i = 0; i < count; i++)
            own[i] = (spar_input){.source = inputs[i].tokens, .n_source = inputs[i].n_tokens};
    spar_status status = spar_model_run(j->opened, own, count, SPAR_OUTPUT_EMBEDDING, j->mode, &out, &rows, &width);
    free(own);
    if (status) return status;
    if (!j->vectors) j->vectors = calloc(j->n_texts * width + 1, sizeof *j->vectors);
    if (!j->vectors) status = SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < count; i++)
        memcpy(j->vectors + indices[i] * width, out + i * width, width * sizeof *out);
    j->width = width;
    spar_free(out);
    return status;
}

static json_t *rows_of(const float *values, size_t rows, size_t width) {
    json_t *all = json_array();
    for (size_t r = 0; r < rows; r++) json_array_append_new(all, cli_numbers(values + r * width, width));
    return all;
}

/* One vector alone is told as one; several as a list. */
static int print(const job *j, const float *values, size_t rows, size_t width, bool one) {
    if (j->output) return cli_write_npy(j->output, values, one ? 0 : rows, width);
    if (cli.json)
        return cli_print_json(one ? json_pack("{s:o}", "embedding", cli_numbers(values, width))
                                  : json_pack("{s:o}", j->states ? "states" : "embeddings", rows_of(values, rows, width)));
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) printf(c + 1 < width ? "%.7g " : "%.7g\n", (double)values[r * width + c]);
    return CLI_OK;
}

static int encode_ids(job *j) {
    cli_sequence s;
    float *out;
    size_t rows, width;
    int code = cli_sequence_read(&j->ids, &s);
    if (code >= 0) return code;
    if (strcmp(spar_model_architecture(j->opened), "encoder-decoder") == 0 && !s.input.n_source) {
        s.input.source = s.input.tokens;
        s.input.n_source = s.input.n_tokens;
    }
    spar_status status = spar_model_run(j->opened, &s.input, 1, j->states ? SPAR_OUTPUT_STATES : SPAR_OUTPUT_EMBEDDING,
                                        j->mode, &out, &rows, &width);
    cli_sequence_free(&s);
    if (status) return cli_report(status);
    code = print(j, out, rows, width, !j->states);
    spar_free(out);
    return code;
}

static int encode_texts(job *j) {
    cli_texts texts;
    int code = cli_texts_read(j->text, j->file, j->jsonl, &texts);
    if (code >= 0) return code;
    j->n_texts = texts.count;
    if (j->states) {
        const spar_tokenizer *t = spar_model_tokenizer(j->opened);
        spar_input input = {0};
        int32_t *ids = NULL;
        float *out;
        size_t rows, width;
        spar_status status = SPAR_OK;
        if (!t) code = cli_fail("%s: the model has no tokenizer: give --tokens", j->model);
        else status = spar_tokenizer_encode(t, texts.items[0], strlen(texts.items[0]), SPAR_TOKENIZE_SPECIAL, &ids, &input.n_tokens);
        input.tokens = ids;
        if (code < 0 && !status) status = spar_model_run(j->opened, &input, 1, SPAR_OUTPUT_STATES, j->mode, &out, &rows, &width);
        if (status) code = cli_report(status);
        if (code < 0) {
            code = print(j, out, rows, width, false);
            spar_free(out);
        }
        spar_free(ids);
    } else {
        code = cli_batches(j->opened, &texts, MOST_TOKENS, run_batch, j);
        if (code < 0) code = print(j, j->vectors, texts.count, j->width, j->text != NULL);
    }
    free(j->vectors);
    cli_texts_free(&texts);
    return code;
}

static int read_pooling(job *j) {
    static const char *const names[] = {"", "mean", "cls", "last", "none"};
    if (!j->pooling) return -1;
    for (int i = 1; i < 5; i++)
        if (strcmp(names[i], j->pooling) == 0) {
            j->states = i == 4;
            j->mode = i == 4 ? SPAR_POOLING_OWN : (spar_pooling)i;
            return -1;
        }
    return cli_misuse("encode: --pooling: found '%s', expected mean, cls, last or none", j->pooling);
}

int cmd_encode(int argc, char **argv) {
    job j = {0};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "the model", true},
        {"text", CLI_TEXT, &j.text, "S", "a text", false},
        {"file", CLI_TEXT, &j.file, "F", "texts, one a line (- is standard input)", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "F", "the same as JSON: strings or {\"text\"}", false},
        {"tokens", CLI_TEXT, &j.ids.tokens, "IDS", "token ids, 1,2,3", false},
        {"segments", CLI_TEXT, &j.ids.segments, "IDS", "token types of --tokens (all 0)", false},
        {"pooling", CLI_TEXT, &j.pooling, "P", "mean, cls, last, or none: every token's state (the model's own)", false},
        {"output", CLI_TEXT, &j.output, "X.npy", "write float32 here", false},
        {0},
    };
    const cli_usage usage = {"encode", "texts as vectors, batched by length", options,
                             "spar encode --model MiniLM --file sentences.txt --output vectors.npy"};
    int code = cli_parse(&usage, argc, argv);
    if (code < 0) code = read_pooling(&j);
    if (code >= 0) return code;
    if (j.ids.tokens && (j.text || j.file || j.jsonl))
        return cli_misuse("encode: expected one of --text, --file, --jsonl and --tokens");
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    j.opened = model;
    code = j.ids.tokens ? encode_ids(&j) : encode_texts(&j);
    spar_model_free(model);
    return code;
}
