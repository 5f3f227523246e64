/* Properties that every model must have, whatever it is made of. The tables of kinds are walked: a new
 * pattern, position, residual or feed-forward is covered by being in its table.
 *
 * In the f64 variant gradients are compared with finite differences; elsewhere cached decoding with
 * the full pass, one thread with several, and a saved model with the one that was saved. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cpu.h"
#include "block/block.h"
#include "model/model.h"
#include "op/cache.h"
#include "op/observe.h"

enum { VOCABULARY = 23, LENGTH = 19, SEQUENCES = 2, ROWS = LENGTH * SEQUENCES };
enum { SOURCE = 11, SOURCE_ROWS = SOURCE + SOURCE - 4 }; /* the second source is shorter */

/* {"kind": NAME, …} with a value for each option that has no default. */
static void add_kind(spar__buffer *b, const char *key, const char *name, const spar_option *options) {
    spar__buffer_print(b, ", \"%s\": {\"kind\": \"%s\"", key, name);
    for (const spar_option *o = options; o && o->key; o++)
        if (isnan(o->fallback)) spar__buffer_print(b, ", \"%s\": %g", o->key, o->least + 4);
    spar__buffer_print(b, "}");
}

/* Patterns of several kinds, and options that matter. */
static const char *const patterns[] = {
    "[[\"band:3\", {\"kind\": \"strided\", \"stride\": 4}], \"causal\"]",
    "[[{\"kind\": \"fixed\", \"block\": 4, \"summary\": 1}, \"band:6\"], {\"kind\": \"strided\", \"stride\": 3, "
    "\"heads\": \"split\"}]",
    "{\"kind\": \"fixed\", \"block\": 4, \"summary\": 2, \"heads\": \"sub-blocks\"}",
    "{\"kind\": \"block\", \"block\": 3, \"window\": 2, \"global\": 1}",
    "{\"kind\": \"block\", \"block\": 2, \"window\": 1, \"global\": 1, \"random\": 2}",
    "{\"kind\": \"lsh\", \"chunk\": 2, \"rounds\": 3, \"buckets\": [2, 4]}",
    "{\"kind\": \"lsh\", \"chunk\": 1, \"before\": 0, \"rounds\": 1, \"rotations\": \"stored\"}",
    "{\"kind\": \"lsh\", \"chunk\": 4, \"buckets\": 4, \"lookup\": \"sorted\", \"multiple\": 8}",
    NULL};

/* Models of other architectures, each with the options of its attention apart: encoders with their heads,
 * encoder–decoders, and trained relative positions in decoders. */
static const char *const architectures[][2] = {
    {"\"architecture\": \"encoder\", \"head\": \"masked\", \"residual\": \"post-norm\", "
     "\"embedding\": {\"norm\": true, \"segments\": 3}",
     ""},
    {"\"architecture\": \"encoder\", \"head\": {\"kind\": \"masked\", \"tied\": false}, "
     "\"position\": {\"kind\": \"disentangled\", \"buckets\": 6, \"shared\": true, "
     "\"norm\": \"layer\"}, \"convolution\": {\"width\": 3}, \"embedding\": {\"width\": "
     "12, \"project\": \"sum\", \"segments\": 2}",
     ""},
    {"\"architecture\": \"encoder\", \"head\": {\"kind\": \"classifier\", \"classes\": "
     "23}, \"position\": {\"kind\": \"disentangled\", \"span\": 5, \"key_bias\": false, "
     "\"absolute\": true}",
     ""},
    {"\"architecture\": \"encoder\", \"head\": {\"kind\": \"classifier\", \"classes\": 23, "
     "\"pooling\": \"mean\", \"pooler\": false}, \"position\": \"relative\"",
     ", \"pattern\": \"band:4\""},
    {"\"architecture\": \"encoder-decoder\", \"norm\": {\"kind\": \"rms\"}, \"position\": "
     "{\"kind\": \"relative\", \"buckets\": 8, \"max_distance\": 12}, \"head\": {\"kind\": "
     "\"tied\", \"scale\": 0.25}",
     ""},
    {"\"architecture\": \"encoder-decoder\", \"residual\": \"post-norm\", \"position\": "
     "\"sinusoidal\", \"head\": {\"kind\": \"tied\", \"bias\": true}, \"encoder\": "
     "{\"n_layers\": 1, \"attention\": {\"n_heads\": 2, \"n_kv_heads\": 2}}, \"decoder\": "
     "{\"feedforward\": \"gated\", \"embedding\": {\"shared\": false}}",
     ""},
    {"\"architecture\": \"encoder-decoder\", \"residual\": \"parallel\", \"position\": "
     "{\"kind\": \"disentangled\", \"p2c\": false}, \"embedding\": {\"width\": 12}, "
     "\"decoder\": {\"attention\": {\"pattern\": \"band:5\"}}",
     ""},
    {"\"architecture\": \"encoder-decoder\", \"memory\": \"joined\", \"decoder\": {\"attention\": {\"pattern\": \"band:5\"}}",
     ""},
    {"\"architecture\": \"encoder-decoder\", \"memory\": \"joined\", \"recurrent\": {\"width\": 3, \"layers\": 2}, "
     "\"position\": \"sinusoidal\", \"encoder\": {\"residual\": \"reversible-joined\", \"norm\": {\"final\": false}}, "
     "\"decoder\": {\"residual\": \"reversible\", \"feedforward\": [\"none\", \"sparse\"], \"n_layers\": 4, "
     "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4}}",
     ""},
    {"\"architecture\": \"encoder-decoder\", \"memory\": {\"kind\": \"joined\", \"project\": true}, \"head\": \"separate\", "
     "\"encoder\": {\"residual\": \"reversible-once\"}, \"decoder\": {\"residual\": \"reversible-once-joined\"}",
     ""},
    {"\"position\": {\"kind\": \"disentangled\", \"c2p\": false, \"shared\": true, "
     "\"span\": 4}",
     ", \"pattern\": \"band:5\""},
    {"\"position\": {\"kind\": \"relative\", \"direction\": \"both\", \"buckets\": 8, "
     "\"max_distance\": 6}",
     ", \"pattern\": {\"kind\": \"prefix\", \"length\": 4}"},
    {NULL, NULL}};

static spar_model *make_architecture(const char *const text[2]) {
    char json[2048];
    snprintf(json, sizeof json,
             "{\"model\": {\"vocab_size\": %d, \"context\": %d, \"d_model\": 16, \"n_layers\": 2, \"init_std\": 0.3, "
             "\"attention\": {\"n_heads\": 4, \"n_kv_heads\": 2%s}, %s}}",
             VOCABULARY, LENGTH + 4, text[1], text[0]);
    spar_config *config;
    spar_model *model;
    if (spar_config_parse(json, strlen(json), &config) || spar_model_create(config, 7, &model))
        fail_msg("%s: %s", json, spar_error());
    spar_config_free(config);
    return model;
}

static bool has_source(const spar_model *m) {
    return strcmp(spar_model_architecture(m), "encoder-decoder") == 0;
}

static spar_model *make(const spar_pattern_kind *pattern, const char *patterns_text, const spar__kind *position,
                        const spar__residual_kind *residual, const spar__kind *feedforward) {
    spar__buffer b = spar__buffer_make(1 << 16);
    spar__buffer_print(&b, "{\"model\": {\"vocab_size\": %d, \"context\": %d, \"d_model\": 16, \"n_layers\": 2, "
                           "\"init_std\": 0.3, \"residual\": \"%s\", \"attention\": {\"n_heads\": 4, "
                           "\"n_kv_heads\": %d",
                       VOCABULARY, LENGTH + 4, residual->name, (pattern && pattern->content) || (patterns_text && strstr(patterns_text, "lsh")) ? 4 : 2);
    if (patterns_text) spar__buffer_print(&b, ", \"pattern\": %s", patterns_text);
    else add_kind(&b, "pattern", pattern->name, pattern->options);
    spar__buffer_print(&b, "}");
    if (residual->joined) spar__buffer_print(&b, ", \"head\": \"separate\"");
    add_kind(&b, "position", position->name, position->options);
    add_kind(&b, "feedforward", feedforward->name, feedforward->options);
    spar__buffer_print(&b, "}}");
    spar_config *config;
    spar_model *model;
    if (spar_config_parse(b.bytes, b.length, &config) || spar_model_create(config, 7, &model))
        fail_msg("%.*s: %s", (int)b.length, b.bytes, spar_error());
    spar_config_free(config);
    spar__buffer_free(&b);
    return model;
}

/* Two sequences of tokens side by side, with their targets; the second begins a document at 6. Their
 * sources have other lengths. */
typedef struct batch {
    int32_t source_tokens[SOURCE_ROWS], source_positions[SOURCE_ROWS];
    int32_t segments[ROWS];
    spar__sequence source_sequences[SEQUENCES];
    spar__rows sources;
    int32_t tokens[ROWS], targets[ROWS], positions[ROWS], first[ROWS];
    spar__sequence sequences[SEQUENCES];
    spar__rows rows;
} batch;

static void fill(batch *b, const spar_model *m) {
    memset(b, 0, sizeof *b);
    for (int i = 0; i < ROWS; i++) {
        b->tokens[i] = (i * 7 + i / 5) % VOCABULARY;
        b->targets[i] = i % 9 == 4 ? -1 : (i * 5 + 3) % VOCABULARY;
        b->positions[i] = i % LENGTH;
        b->first[i] = i >= LENGTH + 6 ? 6 : 0;
    }
    for (int s = 0; s < SEQUENCES; s++)
        b->sequences[s] = (spar__sequence){.begin = s * LENGTH, .count = LENGTH, .slot = s};
    for (int i = 0; i < ROWS; i++) b->segments[i] = i % LENGTH > 8;
    for (int i = 0; i < SOURCE_ROWS; i++) {
        b->source_tokens[i] = (i * 3 + 1) % VOCABULARY;
        b->source_positions[i] = i % SOURCE;
    }
    b->source_sequences[0] = (spar__sequence){.count = SOURCE, .slot = 1};
    b->source_sequences[1] = (spar__sequence){.begin = SOURCE, .count = SOURCE - 4, .slot = 0};
    b->sources = (spar__rows){SOURCE_ROWS, SEQUENCES, b->source_sequences, b->source_positions, NULL};
    /* Where the source stands in the rows before, each has one document. */
    bool joined = json_object_get(spar__model_config(m), "memory");
    b->rows = (spar__rows){ROWS, SEQUENCES, b->sequences, b->positions, joined ? NULL : b->first};
}

static double loss_of(const spar_model *m, const batch *b, spar__arena *arena, bool record) {
    spar__arena_rewind(arena, (spar__arena_mark){0});
    spar__observer *observer = spar__observer_create();
    spar__observer_begin(observer);
    spar__pass pass = {.arena = arena, .rows = &b->rows, .recording = record, .training = record};
    pass.observer = observer;
    pass.segments = b->segments;
    if (has_source(m)) spar__model_encode(&pass, m, &b->sources, b->source_tokens);
    spar__loss_options o = {.smoothing = 0.1, .logit_scale = 1, .scale = 1};
    double sum = 0;
    int64_t count = 1;
    spar__model_loss(&pass, m, spar__model_hidden(&pass, m, b->tokens), b->targets, &o, &sum, &count);
    if (record) spar__run_backward(&pass, NULL);
    if (pass.status) fail_msg("%s", spar_error());
    double loss = sum / (double)count + spar__observer_loss(observer);
    spar__observer_free(observer);
    return loss;
}

static void clear_gradients(spar_model *m) {
    for (int i = 0; i < spar__model_n_params(m); i++) spar__model_param(m, i)->value.grad_started = false;
}

/* Kinds with options that matter: members of the model's configuration. */
static const char *const variants[] = {
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 4, \"rank\": 5, \"kernel_scaling\": true, \"balance\": 0.1}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 64, \"chunk\": 5, \"d_ff\": 192}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 1}",
    "\"feedforward\": {\"kind\": \"sparse\", \"block\": 4, \"shared\": 8}",
    "\"projection\": {\"kind\": \"low-rank\", \"rank\": 3}, \"position\": \"rotary\"",
    "\"projection\": {\"kind\": \"multiplicative\", \"modules\": 4}",
    "\"projection\": {\"kind\": \"multiplicative\", \"modules\": 1}",
    "\"projection\": {\"kind\": \"modular\", \"modules\": 2}, \"attention\": {\"n_heads\": 2, \"n_kv_heads\": 1}",
    "\"projection\": {\"kind\": \"conv\", \"modules\": 4, \"length\": 4}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4}, \"position\": \"rotary\"",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4, \"length\": 7, \"output\": \"none\"}, "
    "\"attention\": {\"n_heads\": 2, \"bias\": false, \"pattern\": \"band:3\"}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 2, \"length\": 2, \"share_qk\": true, \"width\": 1, "
    "\"value_width\": 3, \"v_concat\": \"fixed\", \"output\": \"multconv\"}, "
    "\"position\": \"rotary\", \"attention\": {\"n_heads\": 2}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4, \"v_concat\": \"original\", \"output\": \"conv\"}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 1, \"output\": \"multconv\"}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4}, \"feedforward\": {\"kind\": \"sparse\"}",
    "\"projection\": {\"kind\": \"multiplicative-conv\", \"modules\": 4, \"output\": \"dense\"}",
    "\"recurrent\": {\"width\": 5}, \"residual\": \"reversible\"",
    "\"recurrent\": [{\"width\": 20, \"layers\": 3, \"activation\": \"tanh\"}, null], \"feedforward\": \"gated\"",
    "\"recurrent\": {\"layers\": 2, \"width\": 3}, \"residual\": \"post-norm\", \"projection\": {\"kind\": \"conv\", \"modules\": 4}",
    "\"recurrent\": {\"width\": 4}, \"residual\": \"parallel\", \"feedforward\": {\"kind\": \"experts\", \"n_experts\": 3}",
    "\"feedforward\": [\"none\", \"dense\"], \"residual\": \"reversible\", \"recurrent\": {\"width\": 6}",
    "\"head\": {\"kind\": \"sparse\", \"modules\": 4, \"scale\": 1.5}",
    "\"head\": {\"kind\": \"sparse\", \"modules\": 1, \"bias\": false, \"dense_probability\": 1e-9, \"tied\": false}",
    NULL};

static spar_model *make_variant(const char *members) {
    spar__buffer b = spar__buffer_make(1 << 16);
    spar__buffer_print(&b, "{\"model\": {\"vocab_size\": %d, \"context\": %d, \"d_model\": 16, \"n_layers\": 2, "
                           "\"init_std\": 0.3, %s%s}}",
                       VOCABULARY, LENGTH + 4, members,
                       strstr(members, "\"attention\"") ? "" : ", \"attention\": {\"n_heads\": 4, \"n_kv_heads\": 2}");
    spar_config *config;
    spar_model *model;
    if (spar_config_parse(b.bytes, b.length, &config) || spar_model_create(config, 7, &model))
        fail_msg("%s: %s", members, spar_error());
    spar_config_free(config);
    spar__buffer_free(&b);
    return model;
}

/* Every pattern with every position, and both with every residual and feed-forward in turn; all combinations
 * only where SPAR_TEST_ALL is set (make test-long): there are many. */
static bool wanted(int pattern, int position, int residual, int feedforward, int n_residuals, int n_feedforwards) {
    static int all = -1;
    if (all < 0) all = getenv("SPAR_TEST_ALL") != NULL;
    return all || (residual == (pattern + position) % n_residuals &&
                   feedforward == (2 * pattern + position + pattern / n_residuals) % n_feedforwards);
}

/* Calls `check` for combinations of the tables, and for the variants. */
static void each(void (*check)(spar_model *, const char *)) {
    const spar_pattern_kind *pattern;
    const spar__kind *position, *feedforward;
    const spar__residual_kind *residual;
    int n_residuals = 0, n_feedforwards = 0;
    while (spar__residual_at(n_residuals)) n_residuals++;
    while (spar__feedforward_at(n_feedforwards)) n_feedforwards++;
    for (int i = 0; (pattern = spar_pattern_at(i)); i++)
        for (int j = 0; (position = spar__position_at(j)); j++)
            for (int k = 0; (residual = spar__residual_at(k)); k++)
                for (int l = 0; (feedforward = spar__feedforward_at(l)); l++) {
                    if (!wanted(i, j, k, l, n_residuals, n_feedforwards)) continue;
                    char name[128];
                    snprintf(name, sizeof name, "%s, %s, %s, %s", pattern->name, position->name,
                             residual->name, feedforward->name);
                    spar_model *m = make(pattern, NULL, position, residual, feedforward);
                    check(m, name);
                    spar_model_free(m);
                }
    for (int i = 0; patterns[i]; i++) {
        spar_model *m = make(NULL, patterns[i], spar__position_at(0), spar__residual_at(0), spar__feedforward_at(0));
        check(m, patterns[i]);
        spar_model_free(m);
    }
    for (int i = 0; variants[i]; i++) {
        spar_model *m = make_variant(variants[i]);
        check(m, variants[i]);
        spar_model_free(m);
    }
    for (int i = 0; architectures[i][0]; i++) {
        spar_model *m = make_architecture(architectures[i]);
        check(m, architectures[i][0]);
        spar_model_free(m);
    }
}

#ifndef SPAR_REAL_DOUBLE
/* One sequence and its source, as a call. */
static float *outputs_of(const spar_model *m, const batch *b, size_t *count) {
    spar_input input = {.tokens = b->tokens, .n_tokens = LENGTH, .segments = b->segments};
    if (has_source(m)) input.source = b->source_tokens, input.n_source = SOURCE;
    float *out;
    size_t rows, columns;
    if (spar_model_run(m, &input, 1, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &out, &rows, &columns))
        fail_msg("%s", spar_error());
    *count = rows * columns;
    return out;
}
#endif

/* ---- Looking at attention: rows of weights sum to 1, and give the layer's output ---- */

typedef struct seen {
    const char *name;
    int looks;
} seen;

static bool want_all(void *context, const spar__pass *pass, const spar__look *look) {
    (void)context, (void)pass, (void)look;
    return true;
}

static void compare_look(void *context, spar__pass *pass, const spar__look *k) {
    (void)pass;
    seen *s = context;
    s->looks++;
    for (int64_t i = 0; i < k->n_queries; i++) {
        const real *w = k->weights + i * k->n_keys;
        double sum = 0;
        for (int64_t j = 0; j < k->n_keys; j++) {
            if (!(w[j] >= 0)) fail_msg("%s: a weight is %g", s->name, (double)w[j]);
            sum += (double)w[j];
        }
        if (fabs(sum - 1) > 1e-5) fail_msg("%s: weights of query %d sum to %.9g", s->name, (int)i, sum);
        for (int64_t c = 0; c < k->head_dim; c++) {
            double y = 0, size = 1;
            for (int64_t j = 0; j < k->n_keys; j++) {
                y += (double)w[j] * (double)k->v[j * k->v_stride + c];
                size += fabs((double)w[j] * (double)k->v[j * k->v_stride + c]);
            }
            double off = fabs(y - (double)k->out[i * k->out_stride + c]) / size;
            if (!(off <= 1e-5)) fail_msg("%s: layer %d, head %d, query %d: off by %g", s->name, k->layer, k->head, (int)i, off);
        }
    }
}

static void check_looks(spar_model *m, const char *name) {
    spar__arena *arena = spar__arena_create(0);
    batch b;
    fill(&b, m);
    seen s = {.name = name};
    spar__looker looker = {want_all, compare_look, &s};
    spar__pass pass = {.arena = arena, .rows = &b.rows, .segments = b.segments, .looker = &looker};
    if (has_source(m)) spar__model_encode(&pass, m, &b.sources, b.source_tokens);
    spar__tensor *looked = spar__model_hidden(&pass, m, b.tokens);
    if (pass.status) fail_msg("%s: %s", name, spar_error());
    if (s.looks < SEQUENCES * 2 * (int)spar__model_shape(m)->n_heads) fail_msg("%s: %d looks", name, s.looks);
    /* Looking changes nothing. */
    spar__pass plain = {.arena = arena, .rows = &b.rows, .segments = b.segments};
    if (has_source(m)) spar__model_encode(&plain, m, &b.sources, b.source_tokens);
    spar__tensor *same = spar__model_hidden(&plain, m, b.tokens);
    size_t bytes = (size_t)(looked->rows * looked->cols) * sizeof(real);
    if (memcmp(looked->data, same->data, bytes)) fail_msg("%s: looking changes the result", name);
    spar__arena_free(arena);
}

static void test_looks(void **state) {
    (void)state;
    each(check_looks);
}

#ifdef SPAR_REAL_DOUBLE

static double by_differences(spar_model *m, spar__tensor *v, const spar__rng *rng, double step, const batch *b,
                             spar__arena *arena) {
    double loss[2];
    int64_t n = v->rows * v->cols;
    for (int side = 0; side < 2; side++) {
        double h = side ? -step : step;
        for (int64_t j = 0; j < n; j++) spar__data(v)[j] += h * (double)spar__rng_normal(rng, (uint64_t)j);
        loss[side] = loss_of(m, b, arena, false);
        for (int64_t j = 0; j < n; j++) spar__data(v)[j] -= h * (double)spar__rng_normal(rng, (uint64_t)j);
    }
    return (loss[0] - loss[1]) / (2 * step);
}

/* Along a random direction of each parameter, and with the blocks recomputed as well. */
static void check_gradients(spar_model *m, const char *name) {
    spar__arena *arena = spar__arena_create(0);
    batch b;
    fill(&b, m);
    assert_int_equal(spar__model_make_trainable(m), SPAR_OK);
    for (int recompute = 0; recompute < 2; recompute++) {
        spar__model_set_recompute(m, recompute);
        clear_gradients(m);
        loss_of(m, &b, arena, true);
        for (int i = 0; i < spar__model_n_params(m); i++) {
            spar__param *p = spar__model_param(m, i);
            spar__tensor *v = &p->value;
            int64_t n = v->rows * v->cols;
            spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, (uint64_t)i, 0);
            double analytic = 0, numeric = 0;
            for (int64_t j = 0; j < n; j++) analytic += v->grad[j] * (double)spar__rng_normal(&rng, (uint64_t)j);
            /* A bend (of a ReLU) or a jump (of a choice) between the two points is not met by shorter steps. */
            for (double step = 1e-5; step > 5e-8; step /= 10) {
                numeric = by_differences(m, v, &rng, step, &b, arena);
                if (fabs(numeric - analytic) <= 1e-6 * (1 + fabs(numeric))) break;
            }
            if (fabs(numeric - analytic) > 1e-6 * (1 + fabs(numeric)))
                fail_msg("%s: %s: gradient %.9g, by differences %.9g", name, p->name, analytic, numeric);
        }
    }
    spar__arena_free(arena);
}

static void test_gradients(void **state) {
    (void)state;
    each(check_gradients);
}

#else

/* Patterns that look ahead see a key that a cache does not hold yet, or are arranged by what comes later. */
static bool looks_back_only(const char *name) {
    return strncmp(name, "full,", 5) != 0 && !strstr(name, "sorted");
}

static void check_cache(spar_model *m, const char *name) {
    if (!looks_back_only(name) || strcmp(spar_model_architecture(m), "encoder") == 0) return;
    batch b;
    size_t count;
    fill(&b, m);
    float *full = outputs_of(m, &b, &count);
    struct spar__cache *cache;
    assert_int_equal(spar__model_cache_create(m, 2, LENGTH, 4, SPAR__F32, &cache), SPAR_OK);
    spar__arena *arena = spar__arena_create(0);
    if (has_source(m)) {
        spar__pass pass = {.arena = arena, .rows = &b.rows, .cache = cache};
        spar__model_encode(&pass, m, &b.sources, b.source_tokens);
        if (pass.status) fail_msg("%s: %s", name, spar_error());
    }
    for (int at = 0, n; at < LENGTH; at += n) {
        n = at == 4 || LENGTH - at < 4 ? 1 : 4;
        spar__sequence s = {.count = n, .past = at, .slot = 1, .source = has_source(m) ? SOURCE : 0};
        spar__rows rows = {n, 1, &s, b.positions + at, NULL};
        spar__pass pass = {.arena = arena, .rows = &rows, .cache = cache};
        spar__tensor *logits = spar__model_logits_of(&pass, m, spar__model_hidden(&pass, m, b.tokens + at));
        if (!logits) fail_msg("%s: %s", name, spar_error());
        for (int i = 0; i < n * VOCABULARY; i++) {
            float got = spar__data(logits)[i], want = full[at * VOCABULARY + i];
            if (!(fabsf(got - want) <= 1e-5f * fmaxf(1, fabsf(want))))
                fail_msg("%s: position %d: %g with a cache, %g without", name, at, (double)got, (double)want);
        }
        spar__arena_rewind(arena, (spar__arena_mark){0});
    }
    spar__arena_free(arena);
    spar__cache_free(cache);
    spar_free(full);
}

static void test_cache(void **state) {
    (void)state;
    each(check_cache);
}

static void *gradients_at(spar_model *m, int threads, size_t *bytes, double *loss) {
    spar__threads_set(threads);
    spar__arena *arena = spar__arena_create(0);
    batch b;
    fill(&b, m);
    clear_gradients(m);
    *loss = loss_of(m, &b, arena, true);
    spar__arena_free(arena);
    char *all = NULL;
    *bytes = 0;
    for (int i = 0; i < spar__model_n_params(m); i++) {
        spar__tensor *v = &spar__model_param(m, i)->value;
        size_t n = (size_t)(v->rows * v->cols) * sizeof(real);
        all = realloc(all, *bytes + n);
        memcpy(all + *bytes, v->grad, n);
        *bytes += n;
    }
    spar__threads_set(0);
    return all;
}

static void check_threads(spar_model *m, const char *name) {
    size_t n, same;
    double one, two, three;
    assert_int_equal(spar__model_make_trainable(m), SPAR_OK);
    spar__model_set_dropout(m, 0.3);
    void *a = gradients_at(m, 1, &n, &one), *b = gradients_at(m, 2, &same, &two);
    if (one != two || memcmp(a, b, n) != 0) fail_msg("%s: 1 and 2 threads differ", name);
    spar__model_set_recompute(m, true);
    void *c = gradients_at(m, 3, &same, &three);
    if (one != three || memcmp(a, c, n) != 0) fail_msg("%s: recomputed blocks differ", name);
    free(a);
    free(b);
    free(c);
}

static void test_threads(void **state) {
    (void)state;
    each(check_threads);
}

static void check_file(spar_model *m, const char *name) {
    char path[] = "/tmp/spar-model-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    batch b;
    fill(&b, m);
    spar_model *read = NULL;
    if (spar_model_save(m, NULL, NULL, path) || spar_model_open(path, &read))
        fail_msg("%s: %s", name, spar_error());
    size_t n, same;
    float *before = outputs_of(m, &b, &n), *after = outputs_of(read, &b, &same);
    unlink(path);
    if (n != same || memcmp(before, after, n * sizeof *before) != 0) fail_msg("%s: a saved model differs", name);
    spar_free(before);
    spar_free(after);
    spar_model_free(read);
}

static void test_file(void **state) {
    (void)state;
    each(check_file);
}

#endif

int main(void) {
#ifdef SPAR_REAL_DOUBLE
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_looks), cmocka_unit_test(test_gradients)};
#else
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_looks), cmocka_unit_test(test_cache),
                                       cmocka_unit_test(test_threads), cmocka_unit_test(test_file)};
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
