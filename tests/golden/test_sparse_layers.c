/* Layers against the authors' code (trax): every case of tests/golden/data/sparse with outputs, gradients and
 * choices, the random draws being those of the case. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "feedforward/feedforward.h"
#include "format/safetensors.h"
#include "head/head.h"
#include "model/inside.h"
#include "projection/parts.h"

#define FOLDER "tests/golden/data/sparse"
enum { MOST_PARAMS = 32, MOST_ROWS = 64 };

typedef struct golden {
    const char *name;
    json_t *about, *config;
    spar__st *tensors;
    double tolerance;
    spar__shape shape;
    spar__builder builder;
    spar_model *model; /* of cases of several layers: the builder is its own */
    spar__arena *arena, *kept;
    spar__pass pass;
    spar__rows rows;
    spar__sequence sequences[MOST_ROWS];
    int32_t positions[MOST_ROWS];
    spar__tensor *x, *y;
} golden;

static int64_t number(const golden *g, const char *key) {
    return json_integer_value(json_object_get(g->config, key));
}
static bool is_true(const golden *g, const char *key) { return json_is_true(json_object_get(g->config, key)); }

/* A tensor of the case as numbers; NULL when it is not there. */
static real *tensor(const golden *g, const char *prefix, const char *name, int64_t *n) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const spar__st_tensor *t = spar__st_find(g->tensors, full);
    if (!t) return NULL;
    real *out = calloc(t->elements + 1, sizeof *out);
    for (size_t i = 0; i < t->elements; i++) {
        float f;
        int32_t k;
        memcpy(&f, (const char *)t->data + 4 * i, 4);
        memcpy(&k, (const char *)t->data + 4 * i, 4);
        out[i] = t->type == SPAR__ST_I32 ? (real)k : (real)f;
    }
    if (n) *n = (int64_t)t->elements;
    return out;
}

static void compare(const golden *g, const char *what, const real *got, const real *want, int64_t n) {
    double top = 1, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - (double)want[i]);
        if (fabs((double)want[i]) > top) top = fabs((double)want[i]);
        if (!(off <= worst)) worst = off, at = i;
    }
    if (!(worst <= g->tolerance * top))
        fail_msg("%s: %s: element %lld is %.7g, expected %.7g", g->name, what, (long long)at, (double)got[at],
                 (double)want[at]);
}

/* ---- Parameters: ours hold [out, in] where the reference has [in, out] ---- */

typedef struct place {
    char golden[96];
    int64_t batch, rows, cols, stride, offset; /* of ours: batch matrices [rows, cols] within rows of stride */
    bool turned;
} place;

static bool ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* "attn_q_mix.weight" of a mult_attention is "q.E". */
static void golden_name(const golden *g, const char *ours, const char *layer_prefix, place *p) {
    static const char *const names[][3] = {/* ours, in the separate kinds, in mult_conv */
                                           {"attn_output_conv", "", "out.conv"}, {"attn_output", "o", "out.mult"},
                                           {"attn_shared", "", "mult"},          {"attn_qk", "", "conv_qk"},
                                           {"attn_q", "q", "conv_q"},            {"attn_k", "k", "conv_k"},
                                           {"attn_v", "v", "conv_v"},            {"part", "", ""}};
    static const struct {
        const char *ours, *golden;
        bool turned;
    } ends_of[] = {{"_scale.weight", "D", false},      {"_mix.weight", "E", true},
                   {"_modules.weight", "K", true},     {"_down.weight", "down.weight", true},
                   {"_down.bias", "down.bias", false}, {".weight", NULL, true},
                   {".bias", NULL, false}};
    const char *layer = json_string_value(json_object_get(g->about, "layer"));
    const char *attention = json_string_value(json_object_get(g->config, "attention"));
    bool conv = strcmp(layer, "mult_conv_attention") == 0 || (attention && strcmp(attention, "mult_conv") == 0);
    bool low = strcmp(layer, "low_rank_attention") == 0;
    const char *prefix = "", *rest = ours;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(ours, names[i][0], strlen(names[i][0])) == 0) {
            prefix = names[i][conv ? 2 : 1];
            rest = ours + strlen(names[i][0]);
            break;
        }
    const char *end = NULL;
    for (size_t i = 0; !end && i < sizeof ends_of / sizeof *ends_of; i++)
        if (strcmp(rest, ends_of[i].ours) == 0) {
            end = ends_of[i].golden;
            p->turned = ends_of[i].turned;
            if (!end) end = p->turned ? (low ? "up.weight" : "kernel") : low ? "up.bias" : "bias";
        }
    assert_non_null(end);
    const char *dot = *prefix ? "." : "";
    snprintf(p->golden, sizeof p->golden, "param.%s%s%s%s", layer_prefix, prefix, dot, end);
    if (!spar__st_find(g->tensors, p->golden) && strcmp(end, "kernel") == 0)
        snprintf(p->golden, sizeof p->golden, "param.%s%s%sweight", layer_prefix, prefix, dot);
}

/* "blk.3.attn_q.weight" → "attn_q.weight" with the prefix "layers.1.attention.1." where a block of the reference
 * has two attentions, each of which is a layer of ours. NULL: no part of the case. */
static const char *within_layer(const golden *g, const char *ours, char *prefix, size_t size) {
    int layer, skipped = 0, attentions = (int)number(g, "n_attention_layers");
    prefix[0] = 0;
    if (!g->model) return ours;
    if (sscanf(ours, "blk.%d.%n", &layer, &skipped) < 1 || !skipped) return NULL;
    ours += skipped;
    bool attention = strncmp(ours, "attn", 4) == 0;
    if (!attentions) return attention ? NULL : ours;
    snprintf(prefix, size, attention ? "layers.%d.attention.%d." : "layers.%d.ff.", layer / attentions,
             layer % attentions);
    return ours;
}

static int places_of(const golden *g, const spar__param *p, place out[2]) {
    const spar__tensor *v = &p->value;
    place whole = {.batch = 1, .rows = v->rows, .cols = v->cols, .stride = v->cols};
    if (p->n_dims == 3) whole.batch = p->shape[0], whole.rows = p->shape[1];
    if (p->n_dims == 4) whole.rows = p->shape[0], whole.cols = whole.stride = v->rows / p->shape[0] * v->cols;
    static const char *const direct[][2] = {
        {"ffn_controller_down.weight", "M1"}, {"ffn_controller_up.weight", "M2"}, {"ffn_controller_up.bias", "mb"},
        {"ffn_neurons.bias", "b2"},           {"output_scale.weight", "D"},       {"output_mix.weight", "E"},
        {"output.bias", "bias"},              {"ffn_up.weight", "W1"},            {"ffn_up.bias", "b1"},
        {"ffn_down.weight", "W2"},            {"ffn_down.bias", "b2"},            {"attn_norm.weight", "norm.weight"},
        {"attn_norm.bias", "norm.bias"},      {"ffn_norm.weight", "norm.weight"}, {"ffn_norm.bias", "norm.bias"},
        {"sru_norm.weight", "sru.norm.weight"}, {"sru_norm.bias", "sru.norm.bias"}, {"sru_in.weight", "sru.in.weight"},
        {"sru_in.bias", "sru.in.bias"},       {"sru_out.weight", "sru.out.weight"}, {"sru_out.bias", "sru.out.bias"},
        {"sru.0.weight", "sru.0.weight"},     {"sru.0.bias", "sru.0.bias"},       {"sru.1.weight", "sru.1.weight"},
        {"sru.1.bias", "sru.1.bias"}};
    char prefix[64];
    const char *name = within_layer(g, p->name, prefix, sizeof prefix);
    if (!name) return 0;
    if (strcmp(name, "ffn_neurons.weight") == 0) {
        whole.cols /= 2;
        out[0] = out[1] = whole;
        snprintf(out[0].golden, sizeof out[0].golden, "param.%sW1", prefix);
        snprintf(out[1].golden, sizeof out[1].golden, "param.%sW2", prefix);
        out[0].turned = true;
        out[1].offset = whole.cols;
        return 2;
    }
    out[0] = whole;
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++)
        if (strcmp(name, direct[i][0]) == 0) {
            snprintf(out[0].golden, sizeof out[0].golden, "param.%s%s", prefix, direct[i][1]);
            out[0].turned = ends(name, ".weight") && !ends(name, "_scale.weight") && p->n_dims > 1;
            return 1;
        }
    golden_name(g, name, prefix, &out[0]);
    return 1;
}

/* Element i, j of matrix b of ours, and where the reference has it. */
static int64_t ours_at(const place *p, int64_t b, int64_t i, int64_t j) {
    return (b * p->rows + i) * p->stride + p->offset + j;
}
static int64_t golden_at(const place *p, int64_t b, int64_t i, int64_t j) {
    return b * p->rows * p->cols + (p->turned ? j * p->rows + i : i * p->cols + j);
}

static void load_params(golden *g) {
    for (int k = 0; k < g->builder.n_params; k++) {
        spar__param *p = g->builder.params[k];
        spar__tensor *v = &p->value;
        v->data = calloc((size_t)(v->rows * v->cols), sizeof(real));
        v->grad = calloc((size_t)(v->rows * v->cols), sizeof(real));
        v->needs_grad = true;
        place places[2];
        for (int n = places_of(g, p, places), i = 0; i < n; i++) {
            const place *q = &places[i];
            int64_t count = 0;
            real *want = tensor(g, "", q->golden, &count);
            if (!want || count != q->batch * q->rows * q->cols) fail_msg("%s: %s: no %s", g->name, p->name, q->golden);
            for (int64_t b = 0; b < q->batch; b++)
                for (int64_t r = 0; r < q->rows; r++)
                    for (int64_t c = 0; c < q->cols; c++)
                        spar__data(v)[ours_at(q, b, r, c)] = want[golden_at(q, b, r, c)];
            free(want);
        }
    }
}

static void check_gradients(golden *g) {
    int compared = 0;
    for (int k = 0; k < g->builder.n_params; k++) {
        const spar__param *p = g->builder.params[k];
        place places[2];
        for (int n = places_of(g, p, places), i = 0; i < n; i++) {
            const place *q = &places[i];
            int64_t count = 0;
            real *want = tensor(g, "grad.", q->golden + strlen("param."), &count);
            if (!want) continue;
            real *got = calloc((size_t)count, sizeof *got);
            for (int64_t b = 0; p->value.grad_started && b < q->batch; b++)
                for (int64_t r = 0; r < q->rows; r++)
                    for (int64_t c = 0; c < q->cols; c++)
                        got[golden_at(q, b, r, c)] = p->value.grad[ours_at(q, b, r, c)];
            compare(g, q->golden, got, want, count);
            free(got);
            free(want);
            compared++;
        }
    }
    int64_t count = 0;
    real *want = tensor(g, "grad.", "x", &count);
    if (want) compare(g, "grad.x", g->x->grad, want, count);
    free(want);
    if (!compared || !want) fail_msg("%s: no gradients", g->name);
}

/* ---- A case ---- */

static void open_case(golden *g, const char *name) {
    char path[512];
    memset(g, 0, sizeof *g);
    g->name = name;
    snprintf(path, sizeof path, FOLDER "/%s/case.json", name);
    g->about = json_load_file(path, 0, NULL);
    if (!g->about) fail_msg("%s: cannot be read", path);
    g->config = json_object_get(g->about, "config");
    g->tolerance = json_number_value(json_object_get(g->about, "tolerance"));
    snprintf(path, sizeof path, FOLDER "/%s/case.safetensors", name);
    assert_int_equal(spar__st_open(path, &g->tensors), SPAR_OK);
    int64_t d = number(g, "d_model"), heads = number(g, "n_heads") ? number(g, "n_heads") : 1;
    g->shape = (spar__shape){.d_model = d, .n_layers = 1, .context = MOST_ROWS, .vocab_size = number(g, "d_out")};
    g->shape.n_heads = g->shape.n_kv_heads = (int)heads;
    g->shape.head_dim = d / heads;
    g->shape.bias = g->shape.output_bias = true;
    g->shape.std = g->shape.residual_std = 0.02;
    const spar__st_tensor *x = spar__st_find(g->tensors, "x");
    int64_t batch = x->shape[0], time = x->shape[1], rows = batch * time;
    assert_true(rows <= MOST_ROWS);
    for (int64_t b = 0; b < batch; b++)
        g->sequences[b] = (spar__sequence){.begin = b * time, .count = time, .slot = (int)b};
    for (int64_t r = 0; r < rows; r++) g->positions[r] = (int32_t)(r % time);
    g->rows = (spar__rows){rows, (int)batch, g->sequences, g->positions, NULL};
    g->arena = spar__arena_create(0);
    g->kept = spar__arena_create(0);
    bool training = strcmp(json_string_value(json_object_get(g->about, "mode")), "train") == 0;
    g->pass = (spar__pass){.arena = g->arena, .kept_arena = g->kept, .rows = &g->rows, .recording = true, .training = training};
    g->x = spar__new(&g->pass, rows, d, true);
    real *values = tensor(g, "", "x", NULL);
    memcpy(g->x->data, values, (size_t)(rows * d) * sizeof *values);
    free(values);
}

static void close_case(golden *g) {
    for (int k = 0; k < g->builder.n_params; k++) {
        free(g->builder.params[k]->value.data);
        free(g->builder.params[k]->value.grad);
        if (!g->model) spar__param_free(g->builder.params[k]);
    }
    if (g->model) spar_model_free(g->model);
    else spar__free(g->builder.params);
    spar__arena_free(g->arena);
    spar__arena_free(g->kept);
    spar__st_free(g->tensors);
    json_decref(g->about);
}

static void *read_options(const spar__kind *kind, json_t *given) {
    void *options = calloc(1, kind->options_size + 1);
    if (spar__options_read(given, kind->name, kind->options, NULL, options)) fail_msg("%s", spar_error());
    json_decref(given);
    return options;
}

static const spar__kind *kind_named(const spar__kind *(*at)(int), const char *name) {
    for (int i = 0; at(i); i++)
        if (strcmp(at(i)->name, name) == 0) return at(i);
    fail_msg("no kind '%s'", name);
    return NULL;
}

static void check_output(golden *g) {
    int64_t count = 0;
    real *want = tensor(g, "", "y", &count), *dy = tensor(g, "", "dy", NULL);
    if (!g->y) fail_msg("%s: %s", g->name, spar_error());
    assert_int_equal(count, g->y->rows * g->y->cols);
    compare(g, "y", spar__data(g->y), want, count);
    g->y->grad = dy;
    g->y->grad_started = true;
    spar__run_backward(&g->pass, NULL);
    assert_int_equal(g->pass.status, SPAR_OK);
    check_gradients(g);
    free(want);
    free(dy);
}

static void sparse_ff(golden *g) {
    const spar__feedforward_kind *kind = (const void *)kind_named(spar__feedforward_at, "sparse");
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:b, s:b, s:I}", "mode", "straight-through", "d_ff",
                          (json_int_t)number(g, "d_ff"), "block", (json_int_t)number(g, "N"), "rank",
                          (json_int_t)number(g, "rank"), "multiply_by_controller_output",
                          is_true(g, "multiply_by_controller_output"), "kernel_scaling", is_true(g, "kernel_scaling"),
                          "chunk", (json_int_t)number(g, "chunk"));
    json_object_set(o, "temperature", json_object_get(g->config, "temperature"));
    json_object_set(o, "quant_prob", json_object_get(g->config, "quant_prob"));
    void *options = read_options(&kind->kind, o), *self = calloc(1, kind->self_size);
    assert_int_equal(kind->declare(&g->builder, &g->shape, options, self), SPAR_OK);
    load_params(g);
    int64_t count = 0;
    real *gumbel = tensor(g, "", "gumbel", NULL), *quant = tensor(g, "", "quant", NULL);
    real *want = tensor(g, "", "choice", &count);
    int32_t hard = quant ? (int32_t)quant[0] : 1, *choice = calloc((size_t)count + 1, sizeof *choice);
    spar__draws draws = {.gumbel = (const real *const[]){gumbel}, .hard = &hard, .n = 1, .choices = &choice};
    if (!number(g, "chunk")) g->pass.draws = &draws;
    g->y = kind->run(&g->pass, options, self, g->x);
    for (int64_t i = 0; g->pass.draws && i < count; i++)
        if (choice[i] != (int32_t)want[i])
            fail_msg("%s: choice %lld is %d, expected %d", g->name, (long long)i, choice[i], (int)want[i]);
    check_output(g);
    free(gumbel), free(quant), free(want), free(choice), free(options), free(self);
}

static void attention(golden *g, const char *name, json_t *given) {
    const spar__projection_kind *kind = (const void *)kind_named(spar__projection_at, name);
    void *options = read_options(&kind->kind, given), *self = calloc(1, kind->self_size + 1);
    if (kind->declare(&g->builder, &g->shape, options, self)) fail_msg("%s: %s", g->name, spar_error());
    load_params(g);
    const spar_pattern_kind *causal = spar_pattern_find("causal");
    void *pattern = calloc(1, causal->options_size + 1);
    spar__attend_options o = {.n_heads = g->shape.n_heads, .n_kv_heads = g->shape.n_heads};
    o.head_dim = g->shape.head_dim;
    o.scale = 1 / sqrt((double)o.head_dim);
    o.kind = causal;
    o.pattern = pattern;
    spar__tensor *qkv[3] = {NULL, NULL, NULL};
    kind->inputs(&g->pass, options, self, g->x, qkv);
    g->y = kind->output(&g->pass, options, self, spar__attend(&g->pass, qkv[0], qkv[1], qkv[2], &o));
    check_output(g);
    free(options), free(self), free(pattern);
}

static json_t *modules_of(const golden *g) { return json_pack("{s:I}", "modules", (json_int_t)number(g, "S")); }

static json_t *mult_conv(const golden *g) {
    json_t *o = json_pack("{s:I, s:I, s:b}", "modules", (json_int_t)number(g, "S"), "length",
                          (json_int_t)number(g, "k_len"), "share_qk", is_true(g, "share_qk"));
    json_object_set(o, "v_concat", json_object_get(g->config, "v_concat_type"));
    json_object_set(o, "output", json_object_get(g->config, "output_layer_type"));
    return o;
}

static json_t *convolution(const golden *g) {
    json_t *o = modules_of(g);
    json_object_set(o, "width", json_object_get(g->config, "k_mod"));
    return o;
}

static void factored_dense(golden *g) {
    spar__factored l;
    spar__factored_declare(&g->builder, "part", g->shape.d_model, number(g, "d_out"), number(g, "S"), false,
                           is_true(g, "bias"), 1, &l);
    load_params(g);
    g->y = spar__factored_run(&g->pass, g->x, &l);
    check_output(g);
}

static void locally_conv_dense(golden *g) {
    spar__local l;
    int64_t s = number(g, "S");
    spar__local_declare(&g->builder, "part", g->shape.d_model, number(g, "units") * s, s, number(g, "k_len"),
                        number(g, "k_mod"), true, 1, &l);
    load_params(g);
    g->y = spar__local_run(&g->pass, g->x, &l, 0, false);
    check_output(g);
}

static void sparse_loss(golden *g) {
    const spar__head_kind *kind = (const void *)kind_named(spar__head_at, "sparse");
    void *options = read_options(&kind->kind, modules_of(g)), *self = calloc(1, kind->self_size);
    assert_int_equal(kind->declare(&g->builder, &g->shape, options, NULL, self), SPAR_OK);
    load_params(g);
    int64_t rows = g->rows.n_rows, n = 0, count = 0;
    real *targets = tensor(g, "", "targets", NULL), *weights = tensor(g, "", "weights", NULL);
    real *want = tensor(g, "", "logits", &n), *mean = tensor(g, "", "loss", NULL);
    int32_t labels[MOST_ROWS];
    for (int64_t r = 0; r < rows; r++) {
        assert_true(weights[r] == 0 || weights[r] == 1);
        labels[r] = weights[r] != 0 ? (int32_t)targets[r] : -1;
    }
    g->pass.recording = false;
    g->y = kind->logits(&g->pass, options, self, g->x);
    compare(g, "logits", spar__data(g->y), want, n);
    g->pass.recording = true;
    spar__loss_options o = {.logit_scale = 1, .scale = 1};
    double sum = 0;
    kind->loss(&g->pass, options, self, g->x, labels, &o, &sum, &count);
    real got = (real)(sum / (double)count);
    compare(g, "loss", &got, mean, 1);
    spar__run_backward(&g->pass, NULL);
    check_gradients(g);
    free(targets), free(weights), free(want), free(mean), free(options), free(self);
}

static void sru(golden *g) {
    const char *name = json_string_value(json_object_get(g->config, "activation"));
    int f = 0;
    while (spar__activation_names[f] && strcmp(spar__activation_names[f], name) != 0) f++;
    spar__param *w = spar__declare_matrix(&g->builder, "part.weight", 1, 3 * g->shape.d_model, g->shape.d_model);
    spar__param *b = spar__declare_vector(&g->builder, "part.bias", 0, 3 * g->shape.d_model);
    load_params(g);
    g->y = spar__recurrence(&g->pass, g->x, spar__linear(&g->pass, g->x, w, b), (spar__activation)f, 0);
    check_output(g);
}

/* A model with the case's layers; its parameters become the case's. */
static void build_model(golden *g, json_t *members) {
    json_t *model = json_pack("{s:i, s:I, s:i, s:I, s:{s:f}, s:{s:i}}", "vocab_size", 8, "d_model",
                              (json_int_t)g->shape.d_model, "context", MOST_ROWS, "n_layers",
                              (json_int_t)(number(g, "n_layers") ? number(g, "n_layers") * number(g, "n_attention_layers") : 1),
                              "norm", "eps", 1e-6, "attention", "n_heads", g->shape.n_heads);
    json_t *feedforward =
        number(g, "N") ? json_pack("{s:s, s:I, s:I, s:s}", "kind", "sparse", "block", (json_int_t)number(g, "N"),
                                   "rank", (json_int_t)number(g, "rank"), "mode", "straight-through")
                       : json_pack("{s:s, s:s}", "kind", "dense", "activation", "relu");
    json_object_set_new(feedforward, "d_ff", json_integer(number(g, "d_ff")));
    for (const char *const *key = (const char *const[]){"temperature", "quant_prob", NULL}; *key; key++)
        if (json_object_get(g->config, *key)) json_object_set(feedforward, *key, json_object_get(g->config, *key));
    json_t *all = json_array();
    for (int64_t i = 1; i < number(g, "n_attention_layers"); i++) json_array_append_new(all, json_string("none"));
    json_array_append_new(all, feedforward);
    json_object_set_new(model, "feedforward", all);
    json_object_update_new(model, members);
    if (spar__model_build(model, &g->model)) fail_msg("%s: %s", g->name, spar_error());
    json_decref(model);
    g->builder = g->model->params;
    load_params(g);
}

static void ff_sru(golden *g) {
    build_model(g, json_pack("{s:{s:I, s:I}}", "recurrent", "layers", (json_int_t)number(g, "sru_layers"), "width",
                             (json_int_t)number(g, "sru_units")));
    const spar__block *b = &g->model->stacks[0].blocks[0];
    g->y = spar__block_feedforward(&g->pass, b, spar__block_norm(&g->pass, &b->norm[1], g->x), g->x);
    check_output(g);
}

/* Both streams of the end, and their mean with its gradients; in training with the draws of the case. */
static void reversible_stack(golden *g) {
    enum { MOST = 16 };
    const char *attention = json_string_value(json_object_get(g->config, "attention"));
    json_t *members = json_pack("{s:s}", "residual", "reversible");
    if (strcmp(attention, "mult_conv") == 0)
        json_object_set_new(members, "projection",
                            json_pack("{s:s, s:I, s:I, s:s}", "kind", "multiplicative-conv", "modules",
                                      (json_int_t)number(g, "S"), "length", (json_int_t)number(g, "k_len"), "output",
                                      "none"));
    build_model(g, members);
    const spar__stack *s = &g->model->stacks[0];
    real *gumbel[MOST] = {NULL}, *quant = tensor(g, "", "quant", NULL), *want[2];
    int32_t hard[MOST] = {0};
    spar__draws draws = {.gumbel = (const real *const *)gumbel, .hard = hard, .n = (int)number(g, "n_layers")};
    char name[32];
    for (int i = 0; quant && i < draws.n; i++) {
        snprintf(name, sizeof name, "gumbel.%d", i);
        gumbel[i] = tensor(g, "", name, NULL);
        hard[i] = quant[i] != 0;
        /* The backward pass runs the layers again, from the last to the first. */
        gumbel[2 * draws.n - 1 - i] = gumbel[i];
        hard[2 * draws.n - 1 - i] = hard[i];
    }
    if (quant) g->pass.draws = &draws;
    bool recording = g->pass.recording;
    for (int joined = 1; joined >= 0; joined--) {
        draws.next = 0;
        g->pass.recording = recording && !joined;
        g->pass.site = 0;
        g->pass.kept = NULL;
        g->y = spar__reversible_run(&g->pass, s->blocks, s->shape.n_layers, joined, g->x);
        for (int k = 0; joined && g->y && k < 2; k++) {
            want[k] = tensor(g, "", k ? "x2" : "x1", NULL);
            for (int64_t r = 0; r < g->x->rows; r++)
                compare(g, k ? "x2" : "x1", spar__data(g->y) + (2 * r + k) * g->x->cols, want[k] + r * g->x->cols,
                        g->x->cols);
            free(want[k]);
        }
    }
    check_output(g);
    for (int i = 0; i < draws.n; i++) free(gumbel[i]);
    free(quant);
}

static bool run_case(golden *g) {
    const char *layer = json_string_value(json_object_get(g->about, "layer"));
    if (strcmp(layer, "sparse_ff") == 0) sparse_ff(g);
    else if (strcmp(layer, "factored_dense") == 0) factored_dense(g);
    else if (strcmp(layer, "locally_conv_dense") == 0) locally_conv_dense(g);
    else if (strcmp(layer, "causal_attention") == 0) attention(g, "dense", json_object());
    else if (strcmp(layer, "mult_attention") == 0) attention(g, "multiplicative", modules_of(g));
    else if (strcmp(layer, "mult_modular_attention") == 0) attention(g, "modular", modules_of(g));
    else if (strcmp(layer, "low_rank_attention") == 0)
        attention(g, "low-rank", json_pack("{s:I}", "rank", (json_int_t)number(g, "rank")));
    else if (strcmp(layer, "conv_attention") == 0) attention(g, "conv", convolution(g));
    else if (strcmp(layer, "mult_conv_attention") == 0) attention(g, "multiplicative-conv", mult_conv(g));
    else if (strcmp(layer, "sparse_loss") == 0) sparse_loss(g);
    else if (strcmp(layer, "sru") == 0) sru(g);
    else if (strcmp(layer, "ff_sru") == 0) ff_sru(g);
    else if (strcmp(layer, "reversible_stack") == 0) reversible_stack(g);
    else return false;
    return true;
}

static void test_cases(void **state) {
    (void)state;
    DIR *folder = opendir(FOLDER);
    if (!folder) fail_msg(FOLDER ": not there; tests run in the project's folder");
    int n = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        golden g;
        open_case(&g, e->d_name);
        n += run_case(&g);
        close_case(&g);
    }
    closedir(folder);
    if (n < 36) fail_msg("%d cases, expected 36 or more", n);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
