/* Sequences through a model in one call: logits, states, embeddings. */
#include <math.h>
#include <string.h>

#include "model/inside.h"

/* The rows of the pass and those of the sources. */
typedef struct side {
    int32_t *tokens, *positions, *segments;
    spar__sequence *sequences;
    spar__rows rows;
} side;

static void free_side(side *s) {
    spar__free(s->tokens);
    spar__free(s->positions);
    spar__free(s->segments);
    spar__free(s->sequences);
}

static spar_status fill_side(const spar_input *inputs, size_t n, bool sources, side *out) {
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        if (!spar__add(total, sources ? inputs[i].n_source : inputs[i].n_tokens, &total) || total > INT32_MAX)
            return spar__fail(SPAR_ERR_LIMIT, "%zu sequences: more tokens than one call takes", n);
    side s = {.tokens = spar__array(total + 1, sizeof(int32_t)),
              .positions = spar__array(total + 1, sizeof(int32_t)),
              .segments = spar__array(total + 1, sizeof(int32_t)),
              .sequences = spar__array(n, sizeof(spar__sequence))};
    *out = s;
    if (!s.tokens || !s.positions || !s.segments || !s.sequences) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const spar_input *in = &inputs[i];
        size_t count = sources ? in->n_source : in->n_tokens;
        s.sequences[i] = (spar__sequence){.begin = (int64_t)at, .count = (int64_t)count};
        for (size_t t = 0; t < count; t++) s.positions[at + t] = (int32_t)t;
        if (count) memcpy(s.tokens + at, sources ? in->source : in->tokens, count * sizeof(int32_t));
        if (count && !sources && in->segments) memcpy(s.segments + at, in->segments, count * sizeof(int32_t));
        at += count;
    }
    out->rows = (spar__rows){.n_rows = (int64_t)total,
                             .n_sequences = (int)n,
                             .sequences = s.sequences,
                             .positions = s.positions};
    return SPAR_OK;
}

/* What the head says of embeddings; otherwise the mean, of unit length. */
static void pooling_of(const spar_model *m, spar_pooling asked, spar__pooling *pooling, bool *unit) {
    const json_t *section = json_object_get(m->config, "head");
    bool says = strcmp(m->head.kind->name, "embedding") == 0;
    const char *own = says ? json_string_value(json_object_get(section, "pooling")) : NULL;
    *pooling = SPAR__POOL_MEAN;
    for (int i = 0; own && spar__pooling_names[i]; i++)
        if (strcmp(own, spar__pooling_names[i]) == 0) *pooling = (spar__pooling)i;
    if (asked != SPAR_POOLING_OWN) *pooling = (spar__pooling)(asked - SPAR_POOLING_MEAN);
    *unit = says ? !json_is_false(json_object_get(section, "normalise")) : *pooling == SPAR__POOL_MEAN;
}

static spar__tensor *embedding(spar__pass *pass, const spar_model *m, spar__tensor *hidden, spar_pooling asked) {
    spar__pooling pooling;
    bool unit;
    pooling_of(m, asked, &pooling, &unit);
    spar__tensor *y = spar__pool(pass, hidden, pooling);
    return y && unit ? spar__unit_rows(y) : y;
}

static spar__tensor *run(spar__pass *pass, const spar_model *m, const side *own, const side *source,
                         spar_output output, spar_pooling pooling) {
    if (source->rows.n_rows || m->n_stacks > 1) spar__model_encode(pass, m, &source->rows, source->tokens);
    /* An encoder–decoder's embedding is its encoder's. */
    if (m->n_stacks > 1 && output == SPAR_OUTPUT_EMBEDDING && pass->shared) {
        pass->rows = &source->rows;
        return embedding(pass, m, pass->shared->memory, pooling);
    }
    spar__tensor *hidden = spar__model_hidden(pass, m, own->tokens);
    if (output == SPAR_OUTPUT_STATES) return hidden;
    return output == SPAR_OUTPUT_LOGITS ? spar__model_logits_of(pass, m, hidden)
                                        : embedding(pass, m, hidden, pooling);
}

static spar_status give(const spar__tensor *t, float **out, size_t *rows, size_t *columns) {
    size_t n = (size_t)(t->rows * t->cols);
    float *values = spar__array(n ? n : 1, sizeof *values);
    if (!values) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) values[i] = (float)spar__data(t)[i];
    *out = values;
    *rows = (size_t)t->rows;
    *columns = (size_t)t->cols;
    return SPAR_OK;
}

spar_status spar__model_run_looking(const spar_model *m, const spar_input *inputs, size_t n_inputs,
                                    const spar__looker *looker, spar_output output, spar_pooling pooling,
                                    float **out, size_t *rows, size_t *columns) {
    if (!n_inputs) return spar__fail(SPAR_ERR_ARGUMENT, "no sequences to run");
    side own = {0}, source = {0};
    spar__arena *arena = spar__arena_create(0);
    spar_status status = arena ? fill_side(inputs, n_inputs, false, &own) : SPAR_ERR_MEMORY;
    if (!status) status = fill_side(inputs, n_inputs, true, &source);
    if (!status) {
        spar__pass pass = {.arena = arena, .rows = &own.rows, .segments = own.segments, .looker = looker};
        spar__tensor *result = run(&pass, m, &own, &source, output, pooling);
        status = pass.status;
        if (!status) status = give(result, out, rows, columns);
    }
    free_side(&own);
    free_side(&source);
    spar__arena_free(arena);
    return status;
}

spar_status spar_model_run(const spar_model *m, const spar_input *inputs, size_t n_inputs, spar_output output,
                           spar_pooling pooling, float **out, size_t *rows, size_t *columns) {
    return spar__model_run_looking(m, inputs, n_inputs, NULL, output, pooling, out, rows, columns);
}

spar_status spar_model_logits(const spar_model *m, const int32_t *tokens, size_t count, float *out) {
    if (count > (size_t)spar_model_context(m))
        return spar__fail(SPAR_ERR_LIMIT, "%zu tokens, the model's context is %lld", count,
                          (long long)spar_model_context(m));
    if (!count) return SPAR_OK;
    spar_input input = {.tokens = tokens, .n_tokens = count};
    float *values;
    size_t rows, columns;
    SPAR_TRY(spar_model_run(m, &input, 1, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &values, &rows, &columns));
    memcpy(out, values, rows * columns * sizeof *out);
    spar__free(values);
    return SPAR_OK;
}

spar__param *spar__model_embedding(const spar_model *m) { return m->stacks[0].embedding; }
const char *spar_model_architecture(const spar_model *m) { return m->architecture; }
const char *spar_model_head(const spar_model *m) { return m->head.kind->name; }

const char *spar_model_label(const spar_model *m, size_t index) {
    return json_string_value(json_array_get(json_object_get(m->config, "labels"), index));
}

int32_t spar_model_start(const spar_model *m) {
    const json_t *start = json_object_get(m->config, "start");
    return json_is_integer(start) ? (int32_t)json_integer_value(start) : -1;
}

const json_t *spar__model_generation(const spar_model *m, const char *key) {
    const json_t *source = spar__model_source(m), *own = json_object_get(source, "generation_config");
    const json_t *value = json_object_get(own ? own : json_object_get(source, "config"), key);
    return json_is_null(value) ? NULL : value;
}

size_t spar_model_special(const spar_model *m, const char *key, int32_t *ids, size_t most) {
    const json_t *value = spar__model_generation(m, key);
    bool ends = strcmp(key, "eos_token_id") == 0;
    size_t n = 0;
    /* Ends are in config.json too, where generation_config.json names none. */
    if (!value && ends) value = json_object_get(json_object_get(spar__model_source(m), "config"), key);
    if (json_is_integer(value) && most) ids[n++] = (int32_t)json_integer_value(value);
    for (size_t i = 0; i < json_array_size(value) && n < most; i++) {
        const json_t *item = json_array_get(value, i);
        if (json_array_size(item) == 1) item = json_array_get(item, 0);
        if (json_is_integer(item)) ids[n++] = (int32_t)json_integer_value(item);
    }
    int32_t end = m->tokenizer && ends ? spar_tokenizer_eos(m->tokenizer) : -1;
    if (!n && end >= 0 && most) ids[n++] = end;
    return n;
}
