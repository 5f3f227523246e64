/* spar fill-mask: the tokens that fit the masked places of a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spar/memory.h"
#include "tasks.h"

enum { MOST_TOKENS = 4096 };

typedef struct job {
    const char *model, *text, *file, *jsonl;
    cli_sequence_options ids;
    int64_t mask, top;
    const spar_model *opened;
    json_t **results; /* [texts] a list of places each */
    size_t n_texts;
} job;

static int32_t mask_of(const job *j) {
    static const char *const names[] = {"[MASK]", "<mask>"};
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    int32_t id = (int32_t)j->mask;
    for (int i = 0; t && id < 0 && i < 2; i++) id = spar_tokenizer_find(t, names[i], strlen(names[i]));
    return id;
}

/* The `top` best of a row, with probabilities. */
static json_t *candidates(const job *j, const float *row, size_t n) {
    json_t *list = json_array();
    double sum = 0;
    float best = row[0], before = INFINITY;
    size_t last = 0;
    for (size_t i = 1; i < n; i++) best = row[i] > best ? row[i] : best;
    for (size_t i = 0; i < n; i++) sum += exp((double)(row[i] - best));
    for (int64_t k = 0; k < j->top && k < (int64_t)n; k++) {
        size_t at = n;
        for (size_t i = 0; i < n; i++) {
            bool later = row[i] < before || (row[i] == before && i > last);
            if (later && (at == n || row[i] > row[at])) at = i;
        }
        if (at == n) break;
        before = row[at];
        last = at;
        size_t length = 0;
        const spar_tokenizer *t = spar_model_tokenizer(j->opened);
        const char *piece = t ? spar_tokenizer_piece(t, (int32_t)at, &length) : "";
        json_t *text = json_stringn(piece, length);
        json_array_append_new(list, json_pack("{s:I, s:f, s:o}", "id", (json_int_t)at, "score",
                                              exp((double)(row[at] - best)) / sum, "token", text ? text : json_null()));
    }
    return list;
}

static spar_status run_batch(void *context, const spar_input *inputs, const size_t *indices, size_t count) {
    job *j = context;
    float *out;
    size_t rows, columns, at = 0;
    int32_t mask = mask_of(j);
    spar_status status =
        spar_model_run(j->opened, inputs, count, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &out, &rows, &columns);
    if (status) return status;
    for (size_t i = 0; i < count; at += inputs[i++].n_tokens) {
        json_t *places = json_array();
        for (size_t k = 0; k < inputs[i].n_tokens; k++)
            if (inputs[i].tokens[k] == mask)
                json_array_append_new(places, json_pack("{s:I, s:o}", "position", (json_int_t)k, "candidates",
                                                        candidates(j, out + (at + k) * columns, columns)));
        j->results[indices[i]] = places;
    }
    spar_free(out);
    return SPAR_OK;
}

static void print_places(const json_t *places) {
    size_t i, k;
    json_t *place, *c;
    json_array_foreach((json_t *)places, i, place) {
        json_array_foreach(json_object_get(place, "candidates"), k, c) {
            const char *token = json_string_value(json_object_get(c, "token"));
            printf("%s%lld %.4f %s\n", k ? "  " : "", (long long)json_integer_value(json_object_get(c, "id")),
                   json_real_value(json_object_get(c, "score")), token ? token : "");
        }
    }
}

static int print(job *j) {
    if (!cli.json) {
        for (size_t t = 0; t < j->n_texts; t++) print_places(j->results[t]);
        return CLI_OK;
    }
    if (!j->file && !j->jsonl) return cli_print_json(json_pack("{s:O}", "masks", j->results[0]));
    json_t *list = json_array();
    for (size_t t = 0; t < j->n_texts; t++) json_array_append(list, j->results[t]);
    return cli_print_json(json_pack("{s:o}", "results", list));
}

static int fill(job *j) {
    cli_texts texts = {0};
    cli_sequence s = {0};
    int code;
    if (strcmp(spar_model_head(j->opened), "masked") != 0)
        return cli_fail("%s: the model's head is '%s', expected one for masked tokens", j->model, spar_model_head(j->opened));
    if (mask_of(j) < 0) return cli_fail("%s: no token [MASK] or <mask> is known: give --mask ID", j->model);
    if (j->ids.tokens) code = cli_sequence_read(&j->ids, &s);
    else code = cli_texts_read(j->text, j->file, j->jsonl, &texts);
    if (code >= 0) return code;
    j->n_texts = j->ids.tokens ? 1 : texts.count;
    j->results = calloc(j->n_texts, sizeof *j->results);
    if (!j->results) return cli_fail("out of memory");
    if (j->ids.tokens) {
        size_t first = 0;
        spar_status status = run_batch(j, &s.input, &first, 1);
        if (status) code = cli_report(status);
    } else {
        code = cli_batches(j->opened, &texts, MOST_TOKENS, run_batch, j);
    }
    if (code < 0) code = print(j);
    for (size_t t = 0; t < j->n_texts; t++) json_decref(j->results[t]);
    free(j->results);
    cli_sequence_free(&s);
    cli_texts_free(&texts);
    return code;
}

int cmd_fill_mask(int argc, char **argv) {
    job j = {.mask = -1, .top = 5};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "a model of masked tokens", true},
        {"text", CLI_TEXT, &j.text, "S", "a text with [MASK] (or <mask>) in it", false},
        {"file", CLI_TEXT, &j.file, "F", "texts, one a line (- is standard input)", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "F", "the same as JSON: strings or {\"text\"}", false},
        {"tokens", CLI_TEXT, &j.ids.tokens, "IDS", "token ids, 1,2,3", false},
        {"segments", CLI_TEXT, &j.ids.segments, "IDS", "token types of --tokens (all 0)", false},
        {"mask", CLI_INT, &j.mask, "ID", "the id of the mask (the tokenizer's)", false},
        {"top", CLI_INT, &j.top, "K", "candidates for each place (5)", false},
        {0},
    };
    const cli_usage usage = {"fill-mask", "the tokens that fit a masked place", options,
                             "spar fill-mask --model bert --text \"Paris is the [MASK] of France.\""};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (j.top < 1) return cli_misuse("fill-mask: --top: found %lld, expected 1 or more", (long long)j.top);
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    j.opened = model;
    code = fill(&j);
    spar_model_free(model);
    return code;
}
