#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spar/memory.h"

/* ---- One sequence of ids ---- */

int cli_sequence_read(const cli_sequence_options *o, cli_sequence *out) {
    cli_sequence s = {0};
    size_t n_segments = 0;
    spar_status status = o->tokens ? cli_ids(o->tokens, &s.tokens, &s.input.n_tokens) : SPAR_OK;
    if (!status && o->source) status = cli_ids(o->source, &s.source, &s.input.n_source);
    if (!status && o->segments) status = cli_ids(o->segments, &s.segments, &n_segments);
    int code = status ? cli_report(status) : -1;
    if (!status && o->segments && n_segments != s.input.n_tokens)
        code = cli_misuse("--segments: found %zu, expected as many as tokens, %zu", n_segments, s.input.n_tokens);
    s.input.tokens = s.tokens;
    s.input.source = s.source;
    s.input.segments = s.segments;
    if (code >= 0) cli_sequence_free(&s);
    else *out = s;
    return code;
}

void cli_sequence_free(cli_sequence *s) {
    spar_free(s->tokens);
    spar_free(s->source);
    spar_free(s->segments);
}

json_t *cli_numbers(const float *values, size_t count) {
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(all, json_real((double)values[i]));
    return all;
}

/* ---- Texts ---- */

static int add_text(cli_texts *t, size_t *room, const char *bytes, size_t length) {
    if (t->count == *room) {
        *room = *room ? 2 * *room : 64;
        char **items = realloc(t->items, *room * sizeof *items);
        if (!items) return cli_fail("out of memory");
        t->items = items;
    }
    char *copy = malloc(length + 1);
    if (!copy) return cli_fail("out of memory");
    memcpy(copy, bytes, length);
    copy[length] = 0;
    t->items[t->count++] = copy;
    return -1;
}

static int add_line(cli_texts *t, size_t *room, const char *line, size_t length, bool json) {
    if (!json) return add_text(t, room, line, length);
    json_t *value = json_loadb(line, length, JSON_DECODE_ANY, NULL);
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "text") : value);
    int code = text ? add_text(t, room, text, strlen(text))
                    : cli_fail("--jsonl: line %zu: expected a JSON string or an object with \"text\"", t->count + 1);
    json_decref(value);
    return code;
}

static int split_lines(const char *path, bool json, cli_texts *out) {
    char *bytes;
    size_t length, room = 0;
    spar_status status = cli_read(path, &bytes, &length);
    if (status) return cli_report(status);
    int code = -1;
    for (size_t at = 0; code < 0 && at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t n = end ? (size_t)(end - bytes) - at : length - at, size = n;
        if (size && bytes[at + size - 1] == '\r') size--;
        if (size) code = add_line(out, &room, bytes + at, size, json);
        at += n + 1;
    }
    spar_free(bytes);
    return code;
}

int cli_texts_read(const char *text, const char *file, const char *jsonl, cli_texts *out) {
    cli_texts t = {0};
    size_t room = 0;
    if (!!text + !!file + !!jsonl != 1) return cli_misuse("expected one of --text, --file and --jsonl");
    int code = text ? add_text(&t, &room, text, strlen(text)) : split_lines(file ? file : jsonl, jsonl != NULL, &t);
    if (code < 0 && !t.count) code = cli_fail("no text to work on");
    if (code >= 0) cli_texts_free(&t);
    else *out = t;
    return code;
}

void cli_texts_free(cli_texts *t) {
    for (size_t i = 0; i < t->count; i++) free(t->items[i]);
    free(t->items);
}

/* ---- Batches ---- */

typedef struct tokens_of {
    int32_t *ids;
    size_t count, index;
} tokens_of;

static int by_length(const void *a, const void *b) {
    const tokens_of *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static spar_status tokenize(const spar_model *model, const cli_texts *texts, tokens_of *all) {
    const spar_tokenizer *t = spar_model_tokenizer(model);
    size_t limit = (size_t)spar_model_text_limit(model);
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i];
        all[i].index = i;
        spar_status status =
            spar_tokenizer_encode(t, text, strlen(text), SPAR_TOKENIZE_SPECIAL, &all[i].ids, &all[i].count);
        if (status) return status;
        if (limit && all[i].count > limit) {
            if (!cli.quiet)
                fprintf(stderr, "spar: warning: text %zu: %zu tokens, the first %zu are used\n", i + 1, all[i].count, limit);
            /* The last token closes the sequence. */
            all[i].ids[limit - 1] = all[i].ids[all[i].count - 1];
            all[i].count = limit;
        }
    }
    return SPAR_OK;
}

int cli_batches(const spar_model *model, const cli_texts *texts, size_t most, cli_batch run, void *context) {
    if (!spar_model_tokenizer(model)) return cli_fail("the model has no tokenizer: give --tokens");
    size_t n = texts->count;
    tokens_of *all = calloc(n + 1, sizeof *all);
    spar_input *inputs = calloc(n + 1, sizeof *inputs);
    size_t *indices = calloc(n + 1, sizeof *indices);
    int code = all && inputs && indices ? -1 : cli_fail("out of memory");
    spar_status status = code < 0 ? tokenize(model, texts, all) : SPAR_OK;
    if (code < 0 && !status) qsort(all, n, sizeof *all, by_length);
    for (size_t at = 0, k; code < 0 && !status && at < n; at += k) {
        size_t total = 0;
        for (k = 0; at + k < n && (k == 0 || total + all[at + k].count <= most); k++) {
            total += all[at + k].count;
            inputs[k] = (spar_input){.tokens = all[at + k].ids, .n_tokens = all[at + k].count};
            indices[k] = all[at + k].index;
        }
        status = run(context, inputs, indices, k);
    }
    for (size_t i = 0; all && i < n; i++) spar_free(all[i].ids);
    free(all);
    free(inputs);
    free(indices);
    return status ? cli_report(status) : code;
}
