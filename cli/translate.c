/* spar translate: texts through an encoder–decoder, by beam search. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spar/memory.h"
#include "spar/session.h"
#include "tasks.h"

typedef struct job {
    const char *model, *text, *file, *jsonl, *prefix;
    int64_t n_beams, most;
    double length_penalty;
    spar_beam_options beams;
    const spar_model *opened;
} job;

static int interrupted(void *context, int64_t step) {
    (void)context;
    (void)step;
    return cli_interrupted();
}

/* The text of a beam without its special tokens. */
static spar_status spell(const job *j, const spar_beam *beam, char **text, size_t *length) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    int32_t *plain = calloc(beam->n_tokens + 1, sizeof *plain);
    size_t n = 0;
    if (!plain) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < beam->n_tokens; i++)
        if (!spar_tokenizer_is_special(t, beam->tokens[i])) plain[n++] = beam->tokens[i];
    spar_status status = spar_tokenizer_decode(t, plain, n, text, length);
    free(plain);
    return status;
}

static spar_status translate(const job *j, const char *source, json_t **out) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    size_t room = strlen(source) + (j->prefix ? strlen(j->prefix) : 0) + 1, n, length;
    char *whole = malloc(room), *text;
    int32_t *ids, start = spar_model_start(j->opened);
    if (!whole) return SPAR_ERR_MEMORY;
    snprintf(whole, room, "%s%s", j->prefix ? j->prefix : "", source);
    spar_status status = spar_tokenizer_encode(t, whole, strlen(whole), SPAR_TOKENIZE_SPECIAL, &ids, &n);
    free(whole);
    if (status) return status;
    spar_beam_options o = j->beams;
    o.source = ids;
    o.n_source = n;
    o.on_step = interrupted;
    spar_beam *beams;
    status = spar_beam_search(j->opened, &start, 1, &o, &beams);
    spar_free(ids);
    if (status) return status;
    status = spell(j, &beams[0], &text, &length);
    if (!status) {
        json_t *string = json_stringn(text, length);
        *out = json_pack("{s:o, s:f}", "text", string ? string : json_null(), "score", beams[0].score);
        spar_free(text);
    }
    spar_beams_free(beams, o.beams);
    return status;
}

static int run(const job *j) {
    cli_texts texts;
    if (strcmp(spar_model_architecture(j->opened), "encoder-decoder") != 0)
        return cli_fail("%s: the model is a %s, expected an encoder-decoder", j->model, spar_model_architecture(j->opened));
    if (!spar_model_tokenizer(j->opened)) return cli_fail("%s: the model has no tokenizer", j->model);
    if (spar_model_start(j->opened) < 0) return cli_fail("%s: the token that a decoder starts with is not known", j->model);
    int code = cli_texts_read(j->text, j->file, j->jsonl, &texts);
    if (code >= 0) return code;
    json_t *list = json_array();
    for (size_t i = 0; code < 0 && i < texts.count; i++) {
        json_t *one = NULL;
        spar_status status = translate(j, texts.items[i], &one);
        if (status) {
            code = cli_report(status);
            break;
        }
        const char *text = json_string_value(json_object_get(one, "text"));
        if (!cli.json) puts(text ? text : "");
        json_array_append_new(list, one);
    }
    cli_texts_free(&texts);
    if (code >= 0 || !cli.json) return json_decref(list), code >= 0 ? code : CLI_OK;
    json_t *object = j->text ? json_incref(json_array_get(list, 0)) : json_pack("{s:O}", "results", list);
    json_decref(list);
    return cli_print_json(object);
}

int cmd_translate(int argc, char **argv) {
    job j = {.n_beams = -1, .most = -1, .length_penalty = NAN, .beams = SPAR_BEAM_OPTIONS_INIT};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "an encoder–decoder", true},
        {"text", CLI_TEXT, &j.text, "S", "a text", false},
        {"file", CLI_TEXT, &j.file, "F", "texts, one a line (- is standard input)", false},
        {"jsonl", CLI_TEXT, &j.jsonl, "F", "the same as JSON: strings or {\"text\"}", false},
        {"prefix", CLI_TEXT, &j.prefix, "S", "put before each text: the task, for T5", false},
        {"beams", CLI_INT, &j.n_beams, "B", "of the search (the model's own, else 4)", false},
        {"length-penalty", CLI_REAL, &j.length_penalty, "X", "above 1 for longer texts (the model's own, else 1)", false},
        {"max-tokens", CLI_INT, &j.most, "N", "new tokens at most (the model's own, else 128)", false},
        {0},
    };
    const cli_usage usage = {"translate", "texts through an encoder–decoder", options,
                             "spar translate --model opus-mt-en-de --text \"Good morning.\""};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    cli_catch_interrupt();
    spar_beam_options_read(model, &j.beams);
    if (j.n_beams != -1) j.beams.beams = j.n_beams;
    if (j.most != -1) j.beams.max_tokens = j.most;
    if (!isnan(j.length_penalty)) j.beams.length_penalty = j.length_penalty;
    j.opened = model;
    code = run(&j);
    spar_model_free(model);
    return code;
}
