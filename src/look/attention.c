/* The attention of a model over one sequence: finding it, and writing it as numbers. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "look/look.h"
#include "model/model.h"
#include "op/tape.h"

enum { MOST_WEIGHTS = 1 << 28, MOST_BYTES = 1 << 29 };

/* ---- Finding ---- */

typedef struct finding {
    spar_attention_options wanted;
    spar_attention *found;
    const char *single; /* the name of the only stack; NULL: there are two */
    size_t room, total;
} finding;

static bool wants(void *context, const spar__pass *pass, const spar__look *look) {
    (void)pass;
    const finding *f = context;
    return (f->wanted.layer < 0 || f->wanted.layer == look->layer) &&
           (f->wanted.head < 0 || f->wanted.head == look->head);
}

static spar_status too_many(void) {
    return spar__fail(SPAR_ERR_LIMIT, "attention: more than %d weights: ask for one layer or head", MOST_WEIGHTS);
}

static spar_status add_head(finding *f, const char *stack, const spar__look *look) {
    size_t n = (size_t)look->n_queries * (size_t)look->n_keys; /* both within SPAR_LOOK_TOKENS */
    f->total += n;
    if (f->total > MOST_WEIGHTS) return too_many();
    if (f->found->n_heads == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        spar_attention_head *heads = spar__array(room, sizeof *heads);
        if (!heads) return SPAR_ERR_MEMORY;
        if (f->room) memcpy(heads, f->found->heads, f->room * sizeof *heads);
        spar__free(f->found->heads);
        f->found->heads = heads;
        f->room = room;
    }
    float *weights = spar__array(n, sizeof *weights);
    if (!weights) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) weights[i] = (float)look->weights[i];
    f->found->heads[f->found->n_heads++] = (spar_attention_head){.stack = stack,
                                                                 .cross = look->cross,
                                                                 .layer = look->layer,
                                                                 .head = look->head,
                                                                 .n_queries = (size_t)look->n_queries,
                                                                 .n_keys = (size_t)look->n_keys,
                                                                 .weights = weights};
    return SPAR_OK;
}

/* Of two stacks, the decoder is the one that has the encoder's output before it. */
static void see(void *context, spar__pass *pass, const spar__look *look) {
    finding *f = context;
    const char *stack = f->single ? f->single : pass->shared && pass->shared->memory ? "decoder" : "encoder";
    spar_status status = add_head(f, stack, look);
    if (status) spar__stop(pass, status);
}

/* The last stack's own attention alone tells most of what is too much before anything is computed. */
static spar_status check(const spar_model *model, const spar_input *input, const spar_attention_options *wanted) {
    if (!input->n_tokens) return spar__fail(SPAR_ERR_ARGUMENT, "attention: no tokens");
    if (input->n_tokens > SPAR_LOOK_TOKENS || input->n_source > SPAR_LOOK_TOKENS)
        return spar__fail(SPAR_ERR_LIMIT, "attention: found %zu tokens, at most %d",
                          input->n_tokens > input->n_source ? input->n_tokens : input->n_source, SPAR_LOOK_TOKENS);
    const spar__shape *shape = spar__model_shape(model);
    double heads = (wanted->layer < 0 ? (double)shape->n_layers : 1) * (wanted->head < 0 ? (double)shape->n_heads : 1);
    if (heads * (double)input->n_tokens * (double)input->n_tokens > MOST_WEIGHTS) return too_many();
    return SPAR_OK;
}

spar_status spar_attention_find(const spar_model *model, const spar_input *input,
                                const spar_attention_options *options, spar_attention *out) {
    spar_attention_options wanted = options ? *options : (spar_attention_options)SPAR_ATTENTION_OPTIONS_INIT;
    SPAR_TRY(check(model, input, &wanted));
    spar_attention found = {0};
    const char *architecture = spar_model_architecture(model);
    finding f = {.wanted = wanted,
                 .found = &found,
                 .single = strcmp(architecture, "encoder-decoder") ? architecture : NULL};
    spar__looker looker = {wants, see, &f};
    float *states = NULL;
    size_t rows, columns;
    spar_status status = spar__model_run_looking(model, input, 1, &looker, SPAR_OUTPUT_STATES, SPAR_POOLING_OWN,
                                                 &states, &rows, &columns);
    spar__free(states);
    if (!status && !found.n_heads)
        status = spar__fail(SPAR_ERR_ARGUMENT, "attention: found no layer %lld with a head %lld (both count from 0, "
                            "−1 = all)", (long long)f.wanted.layer, (long long)f.wanted.head);
    if (status) spar_attention_free(&found);
    else *out = found;
    return status;
}

void spar_attention_free(spar_attention *a) {
    if (!a) return;
    for (size_t i = 0; i < a->n_heads; i++) spar__free(a->heads[i].weights);
    spar__free(a->heads);
    *a = (spar_attention){0};
}

/* ---- Names ---- */

spar_status spar__look_text(spar__buffer *out, const char *text) {
    size_t left = strlen(text);
    while (left) {
        uint32_t code = 0;
        int n = spar__utf8_decode((const unsigned char *)text, left, &code);
        if (!n || code < 32 || code == 127) {
            n = 1;
            SPAR_TRY(*text == '\n' ? spar__buffer_print(out, "\\n") : spar__buffer_print(out, "\\x%02X", (unsigned char)*text));
        } else SPAR_TRY(spar__buffer_add(out, text, (size_t)n));
        text += n;
        left -= (size_t)n;
    }
    return SPAR_OK;
}

bool spar__look_new_row(const spar_attention *a, size_t i) {
    if (!i) return true;
    const spar_attention_head *h = &a->heads[i], *before = h - 1;
    return h->head <= before->head || h->layer != before->layer || h->cross != before->cross || strcmp(h->stack, before->stack);
}

void spar__look_row_name(const spar_attention_head *h, char out[64]) {
    snprintf(out, 64, "%s %lld%s", h->stack, (long long)h->layer, h->cross ? " cross" : "");
}

/* ---- Numbers ---- */

static spar_status add_string(spar__buffer *out, const char *text) {
    spar__buffer safe = spar__buffer_make(1 << 20);
    spar_status status = spar__look_text(&safe, text);
    json_t *value = status ? NULL : json_stringn(safe.length ? safe.bytes : "", safe.length);
    char *dumped = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (!status) status = dumped ? spar__buffer_add(out, dumped, strlen(dumped)) : SPAR_ERR_MEMORY;
    spar_free(dumped);
    json_decref(value);
    spar__buffer_free(&safe);
    return status;
}

static spar_status add_strings(spar__buffer *out, const char *key, const char *const *texts, size_t n) {
    SPAR_TRY(spar__buffer_print(out, "\"%s\": [", key));
    for (size_t i = 0; i < n; i++) {
        if (i) SPAR_TRY(spar__buffer_print(out, ", "));
        SPAR_TRY(add_string(out, texts[i]));
    }
    return spar__buffer_print(out, "], ");
}

static spar_status add_numbers(spar__buffer *out, const spar_attention_head *h) {
    for (size_t i = 0; i < h->n_queries; i++) {
        SPAR_TRY(spar__buffer_print(out, i ? ", [" : "["));
        for (size_t j = 0; j < h->n_keys; j++)
            SPAR_TRY(spar__buffer_print(out, j ? ", %.7g" : "%.7g", (double)h->weights[i * h->n_keys + j]));
        SPAR_TRY(spar__buffer_print(out, "]"));
    }
    return SPAR_OK;
}

static spar_status write_json(const spar_attention *a, const spar_attention_labels *labels, spar__buffer *out) {
    static const spar_attention_labels none;
    if (!labels) labels = &none;
    SPAR_TRY(spar__buffer_print(out, "{"));
    SPAR_TRY(add_strings(out, "tokens", labels->tokens, labels->n_tokens));
    SPAR_TRY(add_strings(out, "source", labels->source, labels->n_source));
    SPAR_TRY(spar__buffer_print(out, "\"heads\": ["));
    for (size_t i = 0; i < a->n_heads; i++) {
        const spar_attention_head *h = &a->heads[i];
        SPAR_TRY(spar__buffer_print(out, "%s{\"stack\": \"%s\", \"cross\": %s, \"layer\": %lld, \"head\": %lld, "
                                         "\"weights\": [", i ? ", " : "", h->stack, h->cross ? "true" : "false",
                                    (long long)h->layer, (long long)h->head));
        SPAR_TRY(add_numbers(out, h));
        SPAR_TRY(spar__buffer_print(out, "]}"));
    }
    return spar__buffer_print(out, "]}");
}

spar_status spar_attention_json(const spar_attention *a, const spar_attention_labels *labels, char **text) {
    spar__buffer out = spar__buffer_make(MOST_BYTES);
    spar_status status = write_json(a, labels, &out);
    if (!status && !spar__buffer_text(&out)) status = SPAR_ERR_MEMORY;
    if (status) spar__buffer_free(&out);
    else *text = out.bytes;
    return status;
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

spar_status spar_attention_write(const spar_attention *a, const spar_attention_labels *labels, const char *path) {
    static const spar_attention_labels none;
    if (!labels) labels = &none;
    spar__buffer out = spar__buffer_make(MOST_BYTES);
    spar_status status;
    if (ends_in(path, ".html")) status = spar__look_page(a, labels, &out);
    else if (ends_in(path, ".png")) status = spar__look_picture(a, labels, path, &out);
    else if (ends_in(path, ".json")) status = write_json(a, labels, &out);
    else status = spar__fail(SPAR_ERR_ARGUMENT, "%s: expected a name that ends in .html, .png or .json", path);
    if (!status) status = spar__write_file(path, out.bytes, out.length);
    spar__buffer_free(&out);
    return status;
}
