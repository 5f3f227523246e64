/* Published models: what transformers computes with small random ones, from their files; the same
 * after a way through every form; training from their weights, step by step; and files that are
 * wrong, each refused with a message that names what is. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "base/json.h"
#include "format/safetensors.h"
#include "spar/eval.h"
#include "spar/memory.h"
#include "spar/model.h"
#include "spar/session.h"
#include "spar/train.h"

enum { PATH = 1024 };

typedef struct example {
    char folder[PATH], model[PATH];
    json_t *json;
    int32_t *tokens;
    size_t n_tokens;
    double tolerance;
} example;

static int32_t *ids(const json_t *list, size_t *count) {
    *count = json_array_size(list);
    int32_t *out = calloc(*count + 1, sizeof *out);
    for (size_t i = 0; i < *count; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return out;
}

static bool read_case(const char *folder, example *out) {
    char path[PATH + 16];
    memset(out, 0, sizeof *out);
    snprintf(out->folder, sizeof out->folder, "%s", folder);
    snprintf(path, sizeof path, "%s/case.json", folder);
    if (!spar__file_exists(path)) return false;
    assert_int_equal(spar__json_read(path, &out->json), SPAR_OK);
    const char *file = json_string_value(json_object_get(out->json, "file"));
    snprintf(out->model, sizeof out->model, "%.900s/%s", folder, file ? file : "model");
    out->tokens = ids(json_object_get(out->json, "tokens"), &out->n_tokens);
    const json_t *tolerance = json_object_get(out->json, "tolerance");
    out->tolerance = tolerance ? json_number_value(tolerance) : 1e-4;
    return true;
}

static void free_case(example *c) {
    json_decref(c->json);
    free(c->tokens);
}

/* Runs `check` on every case below a folder; returns how many there were. */
static int each_case(const char *root, void (*check)(const example *)) {
    DIR *d = opendir(root);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char folder[PATH];
        example c;
        snprintf(folder, sizeof folder, "%.700s/%.255s", root, e->d_name);
        if (e->d_name[0] == '.' || !read_case(folder, &c)) continue;
        check(&c);
        free_case(&c);
        n++;
    }
    if (d) closedir(d);
    return n;
}

static void expect_ok(spar_status status, const char *what) {
    if (status) fail_msg("%s: %s", what, spar_error());
}

/* ---- Equal to the reference ---- */

static float *logits_of(const spar_model *m, const int32_t *tokens, size_t count) {
    float *out = calloc(count * (size_t)spar_model_vocab_size(m), sizeof *out);
    expect_ok(spar_model_logits(m, tokens, count, out), "logits");
    return out;
}

static void expect_logits(const spar_model *m, const char *folder, const int32_t *tokens, size_t count,
                          double tolerance) {
    char path[PATH + 32];
    spar__st *st;
    const spar__st_tensor *want;
    snprintf(path, sizeof path, "%s/expected.safetensors", folder);
    expect_ok(spar__st_open(path, &st), path);
    expect_ok(spar__st_get(st, "logits", &want), path);
    size_t n = count * (size_t)spar_model_vocab_size(m);
    assert_int_equal(want->elements, n);
    float *got = logits_of(m, tokens, count);
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        float w;
        memcpy(&w, (const char *)want->data + i * sizeof w, sizeof w);
        most = fmax(most, fabs((double)got[i] - (double)w));
    }
    if (!(most <= tolerance)) fail_msg("%s: logits differ by %g, at most %g", folder, most, tolerance);
    free(got);
    spar__st_free(st);
}

static void expect_greedy(const spar_model *m, const example *c) {
    size_t n;
    int32_t *want = ids(json_object_get(c->json, "greedy"), &n);
    spar_session *session;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation got;
    o.sampler.temperature = 0;
    o.max_tokens = (int64_t)n;
    o.ignore_eos = 1;
    if (n) {
        expect_ok(spar_session_create(m, &so, &session), c->model);
        expect_ok(spar_generate(session, c->tokens, c->n_tokens, &o, &got), c->model);
        if (got.n_tokens != n || memcmp(got.tokens, want, n * sizeof *want) != 0)
            fail_msg("%s: another continuation", c->model);
        spar_generation_free(&got);
        spar_session_free(session);
    }
    free(want);
}

static void equals_reference(const example *c) {
    spar_model *m;
    const char *task = json_string_value(json_object_get(c->json, "task"));
    if (!task || strcmp(task, "causal-lm") != 0) return;
    expect_ok(spar_model_open(c->model, &m), c->model);
    expect_logits(m, c->folder, c->tokens, c->n_tokens, c->tolerance);
    expect_greedy(m, c);
    const json_t *loss = json_object_get(c->json, "loss");
    if (loss) {
        spar_eval_options o = SPAR_EVAL_OPTIONS_INIT;
        spar_evaluation e;
        expect_ok(spar_eval_tokens(m, c->tokens, c->n_tokens, 0, &o, &e), c->model);
        assert_true(fabs(e.nll - json_number_value(loss)) <= fmax(c->tolerance, 1e-4));
    }
    spar_model_free(m);
}

static void test_reference(void **state) {
    (void)state;
    assert_true(each_case("tests/golden/data/hf", equals_reference) >= 18);
}

static void test_reference_gguf(void **state) {
    (void)state;
    char path[PATH];
    const char *golden = getenv("SPAR_GOLDEN");
    if (!golden) skip();
    snprintf(path, sizeof path, "%.900s/gguf", golden);
    assert_true(each_case(path, equals_reference) >= 6);
}

/* ---- Through every form ---- */

static int rounds;

static void convert(const char *from, const char *to, const char *format) {
    spar_model *m;
    spar_export_options o = SPAR_EXPORT_OPTIONS_INIT;
    o.format = format;
    expect_ok(spar_model_open(from, &m), from);
    expect_ok(spar_model_export(m, &o, to, NULL), to);
    spar_model_free(m);
}

/* "transformer.h.0" and "h.0" are the same tensor; the bias of Reformer's head has two names. */
static const spar__st_tensor *find_in(const spar__st *st, const char *name) {
    static const char *const prefixes[] = {"", "transformer.", "model.decoder.", "bert.", "deberta."};
    char full[256];
    if (strcmp(name, "lm_head.bias") == 0 && !spar__st_find(st, name)) name = "lm_head.decoder.bias";
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(full, sizeof full, "%s%s", prefixes[i], name);
        const spar__st_tensor *t = spar__st_find(st, full);
        if (t) return t;
    }
    return NULL;
}

static void expect_same_tensors(const char *a, const char *b) {
    spar__st *first, *second;
    expect_ok(spar__st_open(a, &first), a);
    expect_ok(spar__st_open(b, &second), b);
    assert_int_equal(spar__st_n_tensors(first), spar__st_n_tensors(second));
    for (size_t i = 0; i < spar__st_n_tensors(first); i++) {
        const spar__st_tensor *t = spar__st_tensor_at(first, i), *u = find_in(second, t->name);
        if (!u || u->type != t->type || u->bytes != t->bytes || memcmp(u->data, t->data, t->bytes) != 0 ||
            u->n_dims != t->n_dims || memcmp(u->shape, t->shape, (size_t)t->n_dims * sizeof *t->shape) != 0)
            fail_msg("%s: tensor %s is not what it was", b, t->name);
    }
    spar__st_free(first);
    spar__st_free(second);
}

/* Logits, or an encoder's states. */
static float *results(const char *path, const example *c, size_t *count) {
    spar_model *m;
    size_t n_source, rows, columns;
    int32_t *source = ids(json_object_get(c->json, "source"), &n_source);
    const char *task = json_string_value(json_object_get(c->json, "task"));
    spar_input input = {.tokens = c->tokens, .n_tokens = c->n_tokens, .source = n_source ? source : NULL, .n_source = n_source};
    float *out;
    expect_ok(spar_model_open(path, &m), path);
    expect_ok(spar_model_run(m, &input, 1, strcmp(task, "encoder") ? SPAR_OUTPUT_LOGITS : SPAR_OUTPUT_STATES,
                             SPAR_POOLING_OWN, &out, &rows, &columns), path);
    spar_model_free(m);
    free(source);
    *count = rows * columns;
    return out;
}

static void goes_round(const example *c) {
    char own[PATH], gguf[PATH], name[32];
    if (!json_object_get(c->json, "task")) return;
    snprintf(name, sizeof name, "own%d.gguf", rounds);
    snprintf(own, sizeof own, "%s", scratch(name));
    snprintf(name, sizeof name, "published%d.gguf", rounds);
    snprintf(gguf, sizeof gguf, "%s", scratch(name));
    snprintf(name, sizeof name, "folder%d", rounds++);
    const char *folder = scratch(name);
    convert(c->model, own, "spar");
    convert(own, gguf, NULL); /* published, where the family has such a form */
    convert(gguf, folder, "folder");
    expect_same_tensors(c->model, folder);
    size_t n, also;
    float *want = results(c->model, c, &n), *got = results(gguf, c, &also);
    assert_int_equal(n, also);
    for (size_t i = 0; i < n; i++) assert_true(fabsf(want[i] - got[i]) <= 2e-5f);
    spar_free(want);
    spar_free(got);
}

static void test_round_trip(void **state) {
    (void)state;
    assert_true(each_case("tests/golden/data/hf", goes_round) >= 28);
    assert_true(each_case("tests/golden/data/reformer", goes_round) >= 3);
    assert_true(each_case("tests/golden/data/terraformer", goes_round) >= 1);
    assert_true(each_case("tests/golden/data/scaling", goes_round) >= 1);
}

/* ---- Keys of published configurations that change nothing ---- */

static void knows_keys(const example *c) {
    char name[32], folder[PATH], path[PATH + 32], weights[PATH + 32], file[PATH];
    json_t *config, *keys;
    snprintf(path, sizeof path, "%s/config.json", c->model);
    if (!spar__file_exists(path)) return;
    assert_int_equal(spar__json_read(path, &config), SPAR_OK);
    assert_int_equal(spar__json_read("tests/golden/data/hf/published_keys.json", &keys), SPAR_OK);
    json_t *more = json_object_get(keys, json_string_value(json_object_get(config, "model_type")));
    if (!more) fail_msg("%s: no keys", c->model);
    int64_t heads = json_integer_value(json_object_get(config, "num_attention_heads"));
    if (json_object_get(more, "attention_head_size") && heads)
        json_object_set_new(more, "attention_head_size",
                            json_integer(json_integer_value(json_object_get(config, "hidden_size")) / heads));
    json_object_update_missing(config, more);
    snprintf(name, sizeof name, "keys%d", rounds++);
    snprintf(folder, sizeof folder, "%s", scratch(name));
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    snprintf(weights, sizeof weights, "%s/model.safetensors", c->model);
    assert_non_null(realpath(weights, file));
    assert_int_equal(symlink(file, path), 0);
    spar_model *m;
    expect_ok(spar_model_open(folder, &m), c->model);
    spar_model_free(m);
    json_decref(config);
    json_decref(keys);
}

static void test_published_keys(void **state) {
    (void)state;
    assert_true(each_case("tests/golden/data/hf", knows_keys) >= 28);
}

/* ---- Training from published weights ---- */

static void set(spar_config *config, const char *key, const json_t *value) {
    char setting[256], *text = json_dumps(value, JSON_ENCODE_ANY);
    snprintf(setting, sizeof setting, "%s=%s", key, text);
    expect_ok(spar_config_set(config, setting), setting);
    free(text);
}

static spar_config *settings_of(const json_t *c) {
    static const char *const keys[] = {"steps", "batch", "length", "accumulation", "label_smoothing", NULL};
    spar_config *config;
    const char *key;
    json_t *value;
    char path[64];
    expect_ok(spar_config_open(NULL, (const char *[]){"train.precision=f32", "train.clip=0"}, 2, &config), "config");
    for (int i = 0; keys[i]; i++) {
        snprintf(path, sizeof path, "train.%s", keys[i]);
        if ((value = json_object_get(c, keys[i]))) set(config, path, value);
    }
    if ((value = json_object_get(c, "clip"))) set(config, "train.clip", value);
    json_object_foreach(json_object_get(c, "optimizer"), key, value) {
        snprintf(path, sizeof path, "train.optimizer.%s", key);
        set(config, path, value);
    }
    json_object_foreach(json_object_get(c, "schedule"), key, value) {
        snprintf(path, sizeof path, "train.schedule.%s", key);
        set(config, path, value);
    }
    return config;
}

static void expect_close(const example *c, const char *key, const json_t *line, const char *list, size_t step,
                         double tolerance) {
    double want = json_number_value(json_array_get(json_object_get(c->json, list), step));
    double got = json_number_value(json_object_get(line, key));
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want)) + 1e-9))
        fail_msg("%s: step %zu: %s is %.8g, expected %.8g", c->folder, step, key, got, want);
}

static void trains(const example *c) {
    char log[PATH], run[PATH], file[PATH + 32];
    char name[32];
    snprintf(name, sizeof name, "log%d.jsonl", rounds);
    snprintf(log, sizeof log, "%s", scratch(name));
    snprintf(name, sizeof name, "trained%d", rounds++);
    snprintf(run, sizeof run, "%s", scratch(name));
    snprintf(file, sizeof file, "%s/tokens.npy", c->folder);
    spar_config *config = settings_of(c->json);
    spar_train_options o = SPAR_TRAIN_OPTIONS_INIT;
    o.output = run;
    o.tokens_file = file;
    o.order = SPAR_ORDER_SEQUENTIAL;
    o.init = c->model;
    o.log = log;
    expect_ok(spar_train(config, &o, NULL), c->folder);
    spar_config_free(config);
    FILE *lines = fopen(log, "r");
    char line[1024];
    size_t step = 0;
    for (; fgets(line, sizeof line, lines); step++) {
        json_t *row = json_loads(line, 0, NULL);
        expect_close(c, "loss", row, "losses", step, c->tolerance);
        expect_close(c, "grad_norm", row, "grad_norms", step, 50 * c->tolerance);
        expect_close(c, "lr", row, "learning_rates", step, 1e-9);
        json_decref(row);
    }
    fclose(lines);
    assert_int_equal(step, json_integer_value(json_object_get(c->json, "steps")));
    size_t n;
    int32_t *probe = ids(json_object_get(c->json, "probe"), &n);
    spar_model *m;
    snprintf(file, sizeof file, "%s/model.gguf", run);
    expect_ok(spar_model_open(file, &m), file);
    expect_logits(m, c->folder, probe, n, json_number_value(json_object_get(c->json, "logits_tolerance")));
    spar_model_free(m);
    free(probe);
}

static void test_training(void **state) {
    (void)state;
    assert_true(each_case("tests/golden/data/training", trains) >= 4);
}

/* ---- Folders that are wrong ---- */

static const char from[] = "tests/golden/data/hf/llama-mha/model";

/* A copy of the folder with one key of config.json set to a value (NULL: taken away). */
static const char *changed(const char *key, const char *value) {
    static int n;
    char path[PATH], name[32];
    json_t *config;
    char *text, *bytes;
    size_t length;
    snprintf(name, sizeof name, "wrong%d", n++);
    static char folder[PATH];
    snprintf(folder, sizeof folder, "%s", scratch(name));
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/config.json", from);
    expect_ok(spar__json_read(path, &config), path);
    if (value) json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else if (key) json_object_del(config, key);
    expect_ok(spar__json_text(config, 0, &text), "config");
    snprintf(path, sizeof path, "%.900s/config.json", folder);
    expect_ok(spar__write_file(path, text, strlen(text)), path);
    spar__free(text);
    json_decref(config);
    snprintf(path, sizeof path, "%s/model.safetensors", from);
    expect_ok(spar__read_file(path, 1 << 24, &bytes, &length), path);
    snprintf(path, sizeof path, "%.900s/model.safetensors", folder);
    expect_ok(spar__write_file(path, bytes, length), path);
    spar__free(bytes);
    return folder;
}

static void expect_refused(const char *folder, const char *named) {
    spar_model *m;
    assert_int_not_equal(spar_model_open(folder, &m), SPAR_OK);
    if (!strstr(spar_error(), named)) fail_msg("'%s' does not name '%s'", spar_error(), named);
}

static void test_refused(void **state) {
    (void)state;
    expect_refused(changed("model_type", "\"nothing\""), "model_type");
    expect_refused(changed("hidden_size", NULL), "hidden_size");
    expect_refused(changed("hidden_size", "-1"), "hidden_size");
    expect_refused(changed("hidden_size", "\"48\""), "hidden_size");
    expect_refused(changed("hidden_act", "\"xielu\""), "hidden_act");
    expect_refused(changed("num_key_value_heads", "5"), "n_kv_heads");
    expect_refused(changed("num_key_value_heads", "2"), "k_proj");
    expect_refused(changed("num_hidden_layers", "1"), "model.layers.1");
    expect_refused(changed("num_hidden_layers", "3"), "model.layers.2");
    expect_refused(changed("vocab_size", "9"), "embed_tokens");
    expect_refused(changed("num_hidden_layers", "2147483648"), "n_layers");
    expect_refused(changed("rope_scaling", "{\"rope_type\": \"longrope\"}"), "rope_scaling");
    expect_refused(changed("rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 2, \"odd\": 1}"), "odd");
    expect_refused(changed("logit_softcap", "30.0"), "logit_softcap");
    expect_refused(changed("attention_bias", "true"), "q_proj.bias");
}

/* ---- Special tokens ---- */

static spar_generation continued(const char *folder, const example *c, int64_t most) {
    spar_model *m;
    spar_session *session;
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options o = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation out;
    o.sampler.temperature = 0;
    o.max_tokens = most;
    expect_ok(spar_model_open(folder, &m), folder);
    expect_ok(spar_session_create(m, &so, &session), folder);
    expect_ok(spar_generate(session, c->tokens, c->n_tokens, &o, &out), folder);
    spar_session_free(session);
    spar_model_free(m);
    return out;
}

/* One of several ends, tokens that may not come, and the one that must come last. */
static void test_special_tokens(void **state) {
    (void)state;
    example c;
    size_t n;
    char list[64];
    assert_true(read_case("tests/golden/data/hf/llama-mha", &c));
    int32_t *greedy = ids(json_object_get(c.json, "greedy"), &n);
    size_t at = 1;
    while (at < n && greedy[at] == greedy[0]) at++;
    assert_true(at < n);
    snprintf(list, sizeof list, "[1000000, %d]", greedy[at]);
    spar_generation g = continued(changed("eos_token_id", list), &c, 16);
    assert_string_equal(g.finish, "eos");
    assert_int_equal(g.n_tokens, at);
    spar_generation_free(&g);
    snprintf(list, sizeof list, "[[%d]]", greedy[0]);
    g = continued(changed("bad_words_ids", list), &c, 4);
    for (size_t i = 0; i < g.n_tokens; i++) assert_int_not_equal(g.tokens[i], greedy[0]);
    spar_generation_free(&g);
    g = continued(changed("forced_eos_token_id", "7"), &c, 3);
    assert_int_equal(g.tokens[2], 7);
    assert_int_equal(g.tokens[0], greedy[0]);
    spar_generation_free(&g);
    free(greedy);
    free_case(&c);
}

/* ---- Chat templates ---- */

static void write_beside(const char *folder, const char *name, const char *text) {
    char path[PATH + 32];
    snprintf(path, sizeof path, "%.900s/%s", folder, name);
    expect_ok(spar__write_file(path, text, strlen(text)), path);
}

static void expect_template(const char *path, const char *want) {
    spar_model *m;
    expect_ok(spar_model_open(path, &m), path);
    assert_non_null(spar_model_chat_template(m));
    assert_string_equal(spar_model_chat_template(m), want);
    spar_model_free(m);
}

/* Wherever it stands in a folder, it goes through published GGUF files and Spar's own, and back. */
static void test_chat_template(void **state) {
    (void)state;
    static const char tokenizer[] =
        "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}], \"model\": {\"type\": \"BPE\", "
        "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"<s>\": 3}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": \"ByteLevel\"}}";
    static const struct {
        const char *file, *text, *want;
    } forms[] = {{"chat_template.jinja", "{{ messages[0].content }}\nä", "{{ messages[0].content }}\nä"},
                 {"tokenizer_config.json", "{\"chat_template\": \"{{ 'x' }}\"}", "{{ 'x' }}"},
                 {"tokenizer_config.json",
                  "{\"chat_template\": [{\"name\": \"tool\", \"template\": \"t\"}, {\"name\": \"default\", \"template\": \"d\"}]}",
                  "d"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char folder[PATH], gguf[PATH], own[PATH], name[32];
        snprintf(folder, sizeof folder, "%s", changed(NULL, NULL));
        write_beside(folder, "tokenizer.json", tokenizer);
        write_beside(folder, forms[i].file, forms[i].text);
        snprintf(name, sizeof name, "chat%d.gguf", rounds);
        snprintf(gguf, sizeof gguf, "%s", scratch(name));
        snprintf(name, sizeof name, "chatown%d.gguf", rounds);
        snprintf(own, sizeof own, "%s", scratch(name));
        snprintf(name, sizeof name, "chat%d", rounds++);
        expect_template(folder, forms[i].want);
        convert(folder, gguf, NULL);
        expect_template(gguf, forms[i].want);
        convert(gguf, own, "spar");
        expect_template(own, forms[i].want);
        snprintf(folder, sizeof folder, "%s", scratch(name));
        convert(own, folder, "folder");
        expect_template(folder, forms[i].want);
    }
}

static void test_written_whole(void **state) {
    (void)state;
    spar_model *m;
    spar_export_options o = SPAR_EXPORT_OPTIONS_INIT;
    char folder[PATH];
    snprintf(folder, sizeof folder, "%s", changed(NULL, NULL));
    expect_ok(spar_model_open(from, &m), from);
    o.format = "folder";
    /* A folder with something in it is left alone. */
    assert_int_not_equal(spar_model_export(m, &o, folder, NULL), SPAR_OK);
    o.family = "bloom";
    assert_int_equal(spar_model_export(m, &o, scratch("bloom"), NULL), SPAR_ERR_UNSUPPORTED);
    o.family = NULL;
    for (size_t n = 1; n < 6; n++) {
        const char *path = scratch("full");
        spar__write_fail_at(n, true);
        spar_status status = spar_model_export(m, &o, path, NULL);
        spar__write_fail_at(0, false);
        assert_int_not_equal(status, SPAR_OK);
        assert_false(spar__folder_exists(path));
    }
    spar_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference),  cmocka_unit_test(test_reference_gguf),
                                       cmocka_unit_test(test_round_trip), cmocka_unit_test(test_published_keys),
                                       cmocka_unit_test(test_training), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_chat_template),
                                       cmocka_unit_test(test_written_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
