/* spar classify: the classes of texts, with their probabilities. */
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
    const spar_model *opened;
    float *scores; /* [texts, classes] */
    size_t classes, n_texts;
} job;

static spar_status run_batch(void *context, const spar_input *inputs, const size_t *indices, size_t count) {
    job *j = context;
    float *out;
    size_t rows, classes;
    spar_status status =
        spar_model_run(j->opened, inputs, count, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &out, &rows, &classes);
    if (status) return status;
    if (!j->scores) j->scores = calloc(j->n_texts * classes + 1, sizeof *j->scores);
    if (!j->scores) status = SPAR_ERR_MEMORY;
    for (size_t i = 0; !status && i < count; i++)
        memcpy(j->scores + indices[i] * classes, out + i * classes, classes * sizeof *out);
    j->classes = classes;
    spar_free(out);
    return status;
}

/* Probabilities in place; returns the largest's index. One class alone is a yes or no. */
static size_t soften(float *scores, size_t n) {
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    float top = scores[best];
    if (n == 1) {
        scores[0] = 1 / (1 + expf(-scores[0]));
        return 0;
    }
    for (size_t i = 0; i < n; i++) sum += exp((double)(scores[i] - top));
    for (size_t i = 0; i < n; i++) scores[i] = (float)(exp((double)(scores[i] - top)) / sum);
    return best;
}

static const char *label(const job *j, size_t i, char room[24]) {
    const char *own = spar_model_label(j->opened, i);
    if (!own) snprintf(room, 24, "%zu", i);
    return own ? own : room;
}

static json_t *to_json(const job *j, const float *p, size_t best) {
    char room[24];
    json_t *scores = json_object();
    for (size_t i = 0; i < j->classes; i++) json_object_set_new(scores, label(j, i, room), json_real((double)p[i]));
    return json_pack("{s:I, s:s, s:f, s:o}", "class", (json_int_t)best, "label", label(j, best, room), "score",
                     (double)p[best], "scores", scores);
}

static int print(job *j) {
    json_t *list = json_array();
    char room[24];
    for (size_t t = 0; t < j->n_texts; t++) {
        float *p = j->scores + t * j->classes;
        size_t best = soften(p, j->classes);
        if (cli.json) json_array_append_new(list, to_json(j, p, best));
        else printf("%s %.4f\n", label(j, best, room), (double)p[best]);
    }
    if (!cli.json) return json_decref(list), CLI_OK;
    if (!j->file && !j->jsonl) {
        json_t *one = json_incref(json_array_get(list, 0));
        json_decref(list);
        return cli_print_json(one);
    }
    return cli_print_json(json_pack("{s:o}", "results", list));
}

static int classify(job *j) {
    if (strcmp(spar_model_head(j->opened), "classifier") != 0)
        return cli_fail("%s: the model's head is '%s', expected a classifier", j->model, spar_model_head(j->opened));
    cli_texts texts = {0};
    cli_sequence s = {0};
    int code;
    if (j->ids.tokens) {
        size_t first = 0;
        code = cli_sequence_read(&j->ids, &s);
        if (code >= 0) return code;
        j->n_texts = 1;
        spar_status status = run_batch(j, &s.input, &first, 1);
        if (status) code = cli_report(status);
    } else {
        code = cli_texts_read(j->text, j->file, j->jsonl, &texts);
        if (code >= 0) return code;
        j->n_texts = texts.count;
        code = cli_batches(j->opened, &texts, MOST_TOKENS, run_batch, j);
    }
    if (code < 0) code = print(j);
    cli_sequence_free(&s);
    cli_texts_free(&texts);
    free(j->scores);
    return code;
}

int cmd_classify(int argc, char **argv) {
    job j = {0};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "a model with a classifier", true},
        {"text", CLI_TEXT, &j.text, "S", "a text", false},
        {"file", CLI_TEXT, &j.file, "F", "texts, one a line (- is standard input)", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "F", "the same as JSON: strings or {\"text\"}", false},
        {"tokens", CLI_TEXT, &j.ids.tokens, "IDS", "token ids, 1,2,3", false},
        {"segments", CLI_TEXT, &j.ids.segments, "IDS", "token types of --tokens (all 0)", false},
        {0},
    };
    const cli_usage usage = {"classify", "the classes of texts, batched by length", options,
                             "spar classify --model sentiment --text \"What a fine day\""};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    j.opened = model;
    code = classify(&j);
    spar_model_free(model);
    return code;
}
