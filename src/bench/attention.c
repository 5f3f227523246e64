/* Attention by itself: each different pattern of a model, forward and backward. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "model/model.h"

typedef struct attention {
    spar__attend_options options;
    spar__arena *arena;
    spar__tensor qkv[3];
    spar__sequence sequence;
    spar__rows rows;
    spar__pass pass;
    spar__tensor *y;
    bool recording;
} attention;

static spar_status forward(void *context) {
    attention *a = context;
    spar__arena_rewind(a->arena, (spar__arena_mark){0});
    a->pass = (spar__pass){.arena = a->arena, .rows = &a->rows, .recording = a->recording};
    for (int i = 0; i < 3; i++) {
        a->qkv[i].needs_grad = a->recording;
        a->qkv[i].grad = NULL;
        a->qkv[i].grad_started = false;
    }
    a->y = spar__attend(&a->pass, &a->qkv[0], &a->qkv[1], &a->qkv[2], &a->options);
    return a->pass.status;
}

/* A forward pass whose result has a gradient. */
static spar_status prepare(void *context) {
    attention *a = context;
    SPAR_TRY(forward(a));
    bool add;
    real *grad = spar__grad(&a->pass, a->y, &add);
    if (grad) memcpy(grad, a->qkv[0].data, (size_t)(a->y->rows * a->y->cols) * sizeof *grad);
    return a->pass.status;
}

static spar_status backward(void *context) {
    attention *a = context;
    spar__run_backward(&a->pass, NULL);
    return a->pass.status;
}

static void describe(const spar__attend_options *o, const char *what, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%s", o->kind->name);
    for (const spar_option *k = o->kind->options; k && k->key && n < size; k++) {
        const char *at = (const char *)o->pattern + k->offset;
        if (k->type != SPAR_OPTION_INT) continue;
        int64_t value;
        memcpy(&value, at, sizeof value);
        n += (size_t)snprintf(out + n, size - n, " %s %lld", k->key, (long long)value);
    }
    if (n < size) snprintf(out + n, size - n, ", %s", what);
}

static bool same(const spar__attend_options *a, const spar__attend_options *b) {
    return a->kind == b->kind &&
           (!a->kind->options_size || memcmp(a->pattern, b->pattern, a->kind->options_size) == 0);
}

/* How many layers from `layer` on have the same pattern; 0 when an earlier one has it. */
static int64_t count_layers(const spar_model *model, int64_t layer) {
    spar__attend_options mine = spar__model_attention(model, layer);
    int64_t count = 0;
    for (int64_t i = 0; i < spar__model_shape(model)->n_layers; i++) {
        spar__attend_options other = spar__model_attention(model, i);
        if (!same(&mine, &other)) continue;
        if (i < layer) return 0;
        count++;
    }
    return count;
}

static spar_status measure_layer(attention *a, const spar_bench_options *o, int64_t count,
                                 spar_bench_part parts[2], spar__timing *sum) {
    double width = (double)(a->options.n_heads * a->options.head_dim);
    double flops = 4 * width * a->options.kind->seen(a->options.pattern, o->prompt);
    spar__timing t[2];
    a->recording = false;
    SPAR_TRY(spar__bench_time(forward, a, o, a->options.kind->name, &t[0]));
    a->recording = true;
    SPAR_TRY(spar__bench_time_prepared(prepare, backward, a, o, a->options.kind->name, &t[1]));
    parts[0] = (spar_bench_part){.count = count, .seconds = t[0].median, .flops = flops};
    /* Five products of tiles against two. */
    parts[1] = (spar_bench_part){.count = count, .seconds = t[1].median, .flops = 2.5 * flops};
    describe(&a->options, "forward", parts[0].name, sizeof parts[0].name);
    describe(&a->options, "backward", parts[1].name, sizeof parts[1].name);
    for (int i = 0; i < 2; i++) {
        sum->median += (double)count * t[i].median;
        sum->least += (double)count * t[i].least;
        sum->most += (double)count * t[i].most;
    }
    return SPAR_OK;
}

static spar_status make_inputs(attention *a, const spar__shape *s, int64_t rows) {
    a->arena = spar__arena_create(0);
    a->sequence = (spar__sequence){.count = rows};
    a->rows = (spar__rows){rows, 1, &a->sequence, NULL, NULL};
    if (!a->arena) return SPAR_ERR_MEMORY;
    for (int i = 0; i < 3; i++) {
        int64_t cols = (i ? s->n_kv_heads : s->n_heads) * s->head_dim;
        real *values = spar__array((size_t)rows, (size_t)cols * sizeof(real));
        if (!values) return SPAR_ERR_MEMORY;
        spar__bench_fill(values, (size_t)(rows * cols), (uint64_t)i);
        a->qkv[i] = (spar__tensor){.data = values, .rows = rows, .cols = cols};
    }
    return SPAR_OK;
}

static spar_status measure_all(attention *a, const spar_model *model, const spar_bench_options *o,
                               spar_bench_result *out) {
    const spar__shape *s = spar__model_shape(model);
    spar__timing sum = {0};
    double flops = 0;
    size_t n = 0;
    spar_bench_part *parts = out->parts;
    for (int64_t i = 0; i < s->n_layers; i++) {
        int64_t count = count_layers(model, i);
        if (!count) continue;
        a->options = spar__model_attention(model, i);
        SPAR_TRY(measure_layer(a, o, count, parts + n, &sum));
        flops += (double)count * (parts[n].flops + parts[n + 1].flops);
        n += 2;
    }
    *out = spar__bench_speed(&sum, (double)o->prompt);
    out->parts = parts;
    out->n_parts = n;
    out->flops_per_token = flops / (double)o->prompt;
    /* Forward: q, k, v read, the result written; backward: these, and the gradient of each. */
    out->bytes_per_token =
        (double)(s->n_layers * s->head_dim * 6 * (s->n_heads + s->n_kv_heads)) * sizeof(real);
    return SPAR_OK;
}

spar_status spar_bench_attention(const spar_model *model, const spar_bench_options *o,
                                 spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    const spar__shape *s = spar__model_shape(model);
    attention a = {0};
    spar_bench_result result = {0};
    result.parts = spar__array(2 * (size_t)s->n_layers, sizeof *result.parts);
    spar_status status = result.parts ? make_inputs(&a, s, o->prompt) : SPAR_ERR_MEMORY;
    if (!status) status = measure_all(&a, model, o, &result);
    for (int i = 0; i < 3; i++) spar__free(a.qkv[i].data);
    spar__arena_free(a.arena);
    if (status)
        spar__free(result.parts);
    else
        *out = result;
    return status;
}
