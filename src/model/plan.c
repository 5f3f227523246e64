/* What a model takes, from its description alone; and what `spar inspect` shows. */
#include <stdlib.h>
#include <string.h>

#include "model/inside.h"

enum { PLAN_CHUNK = 512 };

static size_t stored_bytes(const spar__param *p, spar__type type) {
    size_t row = 0;
    spar__row_bytes(spar__stored_type(p, type), (size_t)p->value.cols, &row);
    return row * (size_t)p->value.rows;
}

/* Elements of weights that so many tokens read together: the head, a row of the embedding for each, norms, and
 * what each layer's kinds say. */
static double read_of_stack(const spar__stack *stack, int64_t tokens) {
    const spar__shape *s = &stack->shape;
    double n = 0;
    for (int64_t i = 0; i < s->n_layers; i++) {
        const spar__block *b = &stack->blocks[i];
        n += (double)((const spar__projection_kind *)b->projection.kind)
                 ->read_per_token(s, b->projection.options);
        n += (double)((const spar__feedforward_kind *)b->feedforward.kind)
                 ->read(s, b->feedforward.options, tokens);
        n += (double)spar__recurrent_read(&b->recurrent, s);
        n += 4.0 * (double)s->d_model;
    }
    return n;
}

static double read_by(const spar_model *m, int64_t tokens) {
    const spar__stack *last = spar__model_last(m);
    const spar__head_kind *head = (const spar__head_kind *)m->head.kind;
    return (double)head->read_per_token(&last->shape, m->head.options) + (double)(tokens + 1) * (double)last->shape.d_model +
           read_of_stack(last, tokens);
}

/* The weights of the smallest piece that tokens choose; 0: all is read in order. */
static double piece_of(const spar_model *m) {
    const spar__stack *s = spar__model_last(m);
    int64_t least = 0;
    for (int64_t i = 0; i < s->shape.n_layers; i++) {
        const spar__choice *choice = &s->blocks[i].feedforward;
        const spar__feedforward_kind *kind = (const spar__feedforward_kind *)choice->kind;
        int64_t n = kind->piece ? kind->piece(&s->shape, choice->options) : 0;
        if (n && (!least || n < least)) least = n;
    }
    return (double)least;
}

static double attention_flops(const spar__stack *s) {
    double flops = 0, width = (double)(s->shape.n_heads * s->shape.head_dim);
    for (int64_t i = 0; i < s->shape.n_layers; i++) {
        const spar__block *b = &s->blocks[i];
        const spar_pattern_kind *kind = (const spar_pattern_kind *)b->pattern.kind;
        flops += 4 * width * kind->seen(b->pattern.options, s->shape.context) / (double)s->shape.context;
    }
    return flops;
}

/* For each token and layer some twenty vectors of width d_model that the backward pass needs. A reversible stack
 * has those of one layer at a time, beside its streams and their gradients; one that is run again, beside the
 * layers' inputs. */
static double activations(const spar_model *m, double rows, bool recompute) {
    double n = 0;
    for (int i = 0; i < m->n_stacks; i++) {
        const spar__stack *s = &m->stacks[i];
        double layers = (double)s->shape.n_layers, vectors = 20 * layers;
        if (layers > 0 && s->blocks[0].residual->reversible) vectors = 20 + 6;
        else if (layers > 0 && recompute) vectors = 20 + layers;
        n += rows * vectors * (double)s->shape.d_model;
    }
    return n;
}

static void plan(const spar_model *m, spar__type type, const json_t *train, spar_plan *out) {
    spar_plan p = {0};
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *q = m->params.params[i];
        p.parameters += (uint64_t)(q->value.rows * q->value.cols);
        p.weight_bytes += stored_bytes(q, type);
    }
    double read = read_by(m, 1);
    double size = (double)p.weight_bytes / (double)(p.parameters ? p.parameters : 1);
    p.bytes_per_token = (uint64_t)(read * size);
    p.piece_bytes = (uint64_t)(piece_of(m) * size);
    int64_t context = spar_model_context(m), length = context < 1024 ? context : 1024;
    p.cache_bytes_per_1k = spar__model_cache_bytes(m, 1, length, PLAN_CHUNK, SPAR__F32);
    p.flops_per_token = 2 * read + attention_flops(spar__model_last(m));
    /* Weights, gradients and two moments, and activations. */
    double rows = (double)json_integer_value(json_object_get(train, "batch")) *
                  (double)json_integer_value(json_object_get(train, "length"));
    p.train_bytes = p.parameters * 16 + 4 * (uint64_t)activations(m, rows, json_is_true(json_object_get(train, "recompute")));
    *out = p;
}

double spar__model_read_bytes(const spar_model *m, int64_t tokens) {
    double bytes = 0, parameters = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__tensor *v = &m->params.params[i]->value;
        size_t row = 0;
        spar__row_bytes(v->type, (size_t)v->cols, &row);
        bytes += (double)row * (double)v->rows;
        parameters += (double)v->rows * (double)v->cols;
    }
    return parameters > 0 ? read_by(m, tokens) * bytes / parameters : 0;
}

spar_status spar_config_plan(const spar_config *config, const char *type, spar_plan *out) {
    spar__type stored = SPAR__F32;
    if (type && !spar__type_find(type, &stored))
        return spar__fail(SPAR_ERR_ARGUMENT, "type '%s': expected one of %s", type,
                          spar__type_names());
    spar_model *m;
    SPAR_TRY(spar__model_build(json_object_get(config->root, "model"), &m));
    plan(m, stored, json_object_get(config->root, "train"), out);
    spar_model_free(m);
    return SPAR_OK;
}

/* ---- Description ---- */

static json_t *describe_layer(const spar_model *m, const spar__stack *s, int64_t i) {
    const spar__block *b = &s->blocks[i];
    json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s}", "layer", (json_int_t)i, "residual", b->residual->name,
                          "attention", b->pattern.kind->name, "projection", b->projection.kind->name,
                          "feedforward", b->feedforward.kind->name);
    if (m->n_stacks > 1) json_object_set_new(o, "stack", json_string(s->name));
    char prefix[40];
    snprintf(prefix, sizeof prefix, "%sblk.%lld.", s->prefix, (long long)i);
    double parameters = 0;
    json_t *tensors = json_array();
    for (int k = 0; k < m->params.n_params; k++) {
        const spar__param *p = m->params.params[k];
        if (strncmp(p->name, prefix, strlen(prefix)) != 0) continue;
        parameters += (double)(p->value.rows * p->value.cols);
        json_t *shape = json_array();
        for (int d = 0; d < p->n_dims; d++) json_array_append_new(shape, json_integer(p->shape[d]));
        json_array_append_new(tensors, json_pack("{s:s, s:o, s:s}", "name", p->name, "shape", shape, "type",
                                                 spar__type_of(p->value.type)->name));
    }
    json_object_set_new(o, "parameters", json_integer((json_int_t)parameters));
    json_object_set_new(o, "tensors", tensors);
    return o;
}

spar_status spar_model_describe(const spar_model *m, char **json) {
    spar_plan p;
    plan(m, SPAR__F32, NULL, &p);
    double bytes = 0;
    for (int i = 0; i < m->params.n_params; i++) {
        size_t row = 0;
        const spar__tensor *v = &m->params.params[i]->value;
        spar__row_bytes(v->type, (size_t)v->cols, &row);
        bytes += (double)row * (double)v->rows;
    }
    json_t *layers = json_array();
    for (int k = 0; k < m->n_stacks; k++)
        for (int64_t i = 0; i < m->stacks[k].shape.n_layers; i++)
            json_array_append_new(layers, describe_layer(m, &m->stacks[k], i));
    double share = bytes / (double)(p.weight_bytes ? p.weight_bytes : 1);
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:O}", "architecture", m->architecture, "parameters",
        (json_int_t)p.parameters, "bytes", (json_int_t)bytes, "bytes_per_token",
        (json_int_t)((double)p.bytes_per_token * share), "piece_bytes", (json_int_t)((double)p.piece_bytes * share),
        "cache_bytes_per_1k", (json_int_t)p.cache_bytes_per_1k, "flops_per_token", p.flops_per_token,
        "layers", layers, "config", m->config);
    if (o) spar__model_about(m, bytes, o);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    *json = text ? spar__copy_string(text) : NULL;
    free(text);
    return *json ? SPAR_OK : spar__fail(SPAR_ERR_MEMORY, "out of memory: description");
}
