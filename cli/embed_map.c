/* spar embed-map: which tokens are near in the embedding matrix, arithmetic with words, and a map of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "spar/look.h"

typedef struct job {
    const char *model, *near, *output;
    cli_list plus, minus, words;
    int64_t top;
    const spar_model *opened;
    spar_embedding_word *all; /* near, plus, minus, words */
    const char **labels;
    int32_t **ids;
    size_t n_all, n_sum; /* the first n_sum are added up */
} job;

/* A word's ids, as it stands in a text (" king") or at its beginning ("king"): those that are fewer. Without a
 * tokenizer words are ids. */
static int add_word(job *j, const char *text, double weight) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    int32_t *ids = NULL, *within = NULL;
    size_t n = 0, n_within = 0, length = strlen(text);
    char *spaced = malloc(length + 2);
    if (!spaced) return cli_fail("out of memory");
    spaced[0] = ' ';
    memcpy(spaced + 1, text, length + 1);
    spar_status status = t ? spar_tokenizer_encode(t, text, length, 0, &ids, &n) : cli_ids(text, &ids, &n);
    if (!status && t) status = spar_tokenizer_encode(t, spaced, length + 1, 0, &within, &n_within);
    free(spaced);
    if (!status && n_within && n_within <= n) {
        spar_free(ids);
        ids = within, n = n_within, within = NULL;
    }
    spar_free(within);
    if (status) return cli_report(status);
    j->ids[j->n_all] = ids;
    if (!n) return cli_misuse("embed-map: '%s': expected a word that has tokens", text);
    j->labels[j->n_all] = text;
    j->all[j->n_all++] = (spar_embedding_word){ids, n, weight};
    return -1;
}

static int add_words(job *j, const cli_list *list, double weight) {
    int code = -1;
    for (int i = 0; code < 0 && i < list->count; i++) code = add_word(j, list->items[i], weight);
    return code;
}

/* A token's text; what is not UTF-8 is replaced. The caller frees it with spar_free. */
static char *token_text(const job *j, int32_t id) {
    const spar_tokenizer *t = spar_model_tokenizer(j->opened);
    char *text = NULL, *copy;
    size_t length;
    const char *piece = t ? spar_tokenizer_piece(t, id, &length) : "";
    json_t *valid = t && length ? json_stringn(piece, length) : NULL;
    if (valid && (copy = malloc(length + 1))) {
        memcpy(copy, piece, length);
        copy[length] = 0;
        text = copy;
    } else if (!(text = malloc(32))) return NULL;
    else snprintf(text, 32, "#%d", id);
    json_decref(valid);
    return text;
}

static int tell(const job *j, const spar_embedding_neighbour *near, size_t found) {
    json_t *list = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < found && code == CLI_OK; i++) {
        char *text = token_text(j, near[i].token);
        if (!text) code = cli_fail("out of memory");
        else if (cli.json)
            json_array_append_new(list, json_pack("{s:s, s:i, s:f}", "text", text, "token", near[i].token, "cosine",
                                                  near[i].cosine));
        else printf("%8.4f  %6d  %s\n", near[i].cosine, near[i].token, text);
        free(text);
    }
    if (code == CLI_OK && cli.json) return cli_print_json(json_pack("{s:o}", "neighbours", list));
    json_decref(list);
    return code;
}

static int find_near(const job *j) {
    spar_embedding_neighbour *near = calloc((size_t)j->top, sizeof *near);
    if (!near) return cli_fail("out of memory");
    size_t found;
    spar_status status = spar_embedding_near(j->opened, j->all, j->n_sum, (size_t)j->top, near, &found);
    int code = status ? cli_report(status) : tell(j, near, found);
    free(near);
    return code;
}

static int draw(const job *j) {
    double(*places)[2] = calloc(j->n_all, sizeof *places), share[2];
    if (!places) return cli_fail("out of memory");
    spar_status status = spar_embedding_map(j->opened, j->all, j->n_all, places, share);
    if (!status)
        status = spar_embedding_map_write((const double(*)[2])places, j->labels, j->n_all, share, j->output);
    free(places);
    if (status) return cli_report(status);
    if (!cli.quiet && !cli.json && !j->near) printf("%s: %zu words\n", j->output, j->n_all);
    return CLI_OK;
}

static int work(job *j) {
    size_t n = 1 + (size_t)(j->plus.count + j->minus.count + j->words.count);
    j->all = calloc(n, sizeof *j->all);
    j->labels = calloc(n, sizeof *j->labels);
    j->ids = calloc(n, sizeof *j->ids);
    int code = j->all && j->labels && j->ids ? -1 : cli_fail("out of memory");
    if (code < 0 && j->near) code = add_word(j, j->near, 1);
    if (code < 0) code = add_words(j, &j->plus, 1);
    if (code < 0) code = add_words(j, &j->minus, -1);
    j->n_sum = j->n_all;
    if (code < 0) code = add_words(j, &j->words, 0);
    if (code < 0 && j->output) code = draw(j) == CLI_OK ? -1 : CLI_FAILED;
    if (code < 0) code = j->near ? find_near(j) : CLI_OK;
    for (size_t i = 0; j->ids && i < n; i++) spar_free(j->ids[i]);
    free(j->ids);
    free(j->labels);
    free(j->all);
    return code;
}

int cmd_embed_map(int argc, char **argv) {
    job j = {.top = 10};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "the model", true},
        {"near", CLI_TEXT, &j.near, "WORD", "tells the tokens whose vectors are nearest, by cosine", false},
        {"plus", CLI_LIST, &j.plus, "WORD", "added to it", false},
        {"minus", CLI_LIST, &j.minus, "WORD", "taken from it", false},
        {"top", CLI_INT, &j.top, "N", "neighbours (10)", false},
        {"output", CLI_TEXT, &j.output, "X", "X.png or X.html: a map of all words given", false},
        {"WORD", CLI_REST, &j.words, NULL, "further words of the map", false},
        {0},
    };
    const cli_usage usage = {"embed-map", "nearest tokens in the embedding matrix, and a map of words", options,
                             "spar embed-map --model M --near king --minus man --plus woman"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!j.near && (!j.output || !j.words.count)) return cli_misuse("embed-map: expected --near, or --output and words");
    if (j.words.count && !j.output) return cli_misuse("embed-map: words to map, but no --output");
    if (j.top < 1 || j.top > 1000000)
        return cli_misuse("embed-map: --top: found %lld, expected 1 to 1000000", (long long)j.top);
    if (!j.near && (j.plus.count || j.minus.count)) return cli_misuse("embed-map: --plus and --minus need --near");
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    j.opened = model;
    code = work(&j);
    spar_model_free(model);
    return code;
}
