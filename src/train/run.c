#include "train/run.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "format/npy.h"
#include "train/merge.h"
#include "train/state.h"

/* ---- Configuration -------------------------------------------------------------------------- */

/* The configuration in force: that of the checkpoint, or of the initial model, or none, changed by
 * the one given. */
static spar_status make_config(spar__run *run, const json_t *given, const spar__state *state) {
    if (state) return spar__merge(spar__state_config(state), given, &run->config);
    SPAR_TRY(spar__merge(NULL, given, &run->config));
    json_t *section = NULL;
    if (run->model)
        SPAR_TRY(
            spar__merge(spar__model_config(run->model), json_object_get(given, "model"), &section));
    if (section && json_object_set_new(run->config, "model", section)) return SPAR_ERR_MEMORY;
    section = json_object_get(run->config, "model");
    const spar_data *data = run->options->data;
    if (data && json_is_object(section) && !json_object_get(section, "vocab_size")) {
        uint64_t size = spar_data_get_info(data)->vocab_size;
        if (json_object_set_new(section, "vocab_size", json_integer((json_int_t)size)))
            return SPAR_ERR_MEMORY;
    }
    return SPAR_OK;
}

static spar_status check_sections(const json_t *config) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value) {
        if (strcmp(key, "model") && strcmp(key, "train"))
            return spar__fail(SPAR_ERR_CONFIG,
                              "unknown section '%s'; expected \"model\" and \"train\"", key);
    }
    return SPAR_OK;
}

/* ---- Model ---------------------------------------------------------------------------------- */

static spar__param *find_param(spar_model *model, const char *name) {
    for (int i = 0; i < spar__model_n_params(model); i++) {
        spar__param *param = spar__model_param(model, i);
        if (strcmp(param->name, name) == 0) return param;
    }
    return NULL;
}

static spar_status copy_weights(spar_model *from, spar_model *to, const char *path) {
    SPAR_TRY(spar__model_make_trainable(from));
    SPAR_TRY(spar__model_make_trainable(to));
    for (int i = 0; i < spar__model_n_params(to); i++) {
        spar__param *p = spar__model_param(to, i), *q = find_param(from, p->name);
        if (!q) return spar__fail(SPAR_ERR_CONFIG, "%s: no parameter '%s'", path, p->name);
        if (p->value.rows != q->value.rows || p->value.cols != q->value.cols)
            return spar__fail(SPAR_ERR_CONFIG,
                              "%s: parameter '%s': found %lld × %lld, expected %lld × %lld", path,
                              p->name, (long long)q->value.rows, (long long)q->value.cols,
                              (long long)p->value.rows, (long long)p->value.cols);
        memcpy(p->value.data, q->value.data,
               (size_t)(p->value.rows * p->value.cols) * sizeof(real));
    }
    return SPAR_OK;
}

/* Random weights, unless the initial model is already the one that the configuration describes. */
static spar_status make_model(spar__run *run, uint64_t seed) {
    const json_t *section = json_object_get(run->config, "model");
    if (!section) return spar__fail(SPAR_ERR_CONFIG, "no section \"model\" in the configuration");
    spar_model *init = run->model;
    if (init && json_equal(section, spar__model_config(init))) return SPAR_OK;
    run->model = NULL;
    spar_config config = {run->config};
    spar_status status = spar_model_create(&config, seed, &run->model);
    if (init && !status) status = copy_weights(init, run->model, run->options->init);
    spar_model_free(init);
    return status;
}

/* A model carries the tokenizer of the data that its token ids come from. */
static spar_status take_tokenizer(spar__run *run) {
    if (!run->options->data) return SPAR_OK;
    spar_tokenizer *tokenizer;
    SPAR_TRY(spar_tokenizer_open(spar_data_tokenizer(run->options->data), &tokenizer));
    spar__model_set_tokenizer(run->model, tokenizer);
    return SPAR_OK;
}

/* ---- Data ----------------------------------------------------------------------------------- */

static spar_status find_tokens(spar__run *run) {
    const spar_train_options *o = run->options;
    run->tokens = o->tokens;
    run->n_rows = o->n_rows;
    run->n_columns = o->n_columns;
    if (o->data || o->tokens) return SPAR_OK;
    int64_t rows, columns;
    SPAR_TRY(spar__npy_read_i32(o->tokens_file, &rows, &columns, &run->file_tokens));
    run->tokens = run->file_tokens;
    run->n_rows = (uint64_t)rows;
    run->n_columns = (uint64_t)columns;
    return SPAR_OK;
}

static spar_status check_length(const spar__run *run, spar__train_settings *set) {
    int64_t context = spar_model_context(run->model);
    if (!set->length && !run->options->data) set->length = (int64_t)run->n_columns - 1;
    if (!set->length) set->length = context;
    if (set->length < 1) return spar__fail(SPAR_ERR_CONFIG, "train.length: missing");
    if (context && set->length > context)
        return spar__fail(SPAR_ERR_CONFIG,
                          "train.length: found %lld, expected at most %lld, the "
                          "model's context",
                          (long long)set->length, (long long)context);
    if (!run->options->data && (uint64_t)set->length + 1 != run->n_columns)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "rows of %llu tokens, expected train.length + 1 = %lld",
                          (unsigned long long)run->n_columns, (long long)set->length + 1);
    return SPAR_OK;
}

static spar_status check_tokens(const spar__run *run) {
    int32_t vocabulary = spar_model_vocab_size(run->model);
    const spar_train_options *o = run->options;
    if (o->data) {
        uint64_t size = spar_data_get_info(o->data)->vocab_size;
        if (size > (uint64_t)vocabulary)
            return spar__fail(SPAR_ERR_CONFIG,
                              "model.vocab_size: found %d, expected at least %llu, "
                              "the data's",
                              vocabulary, (unsigned long long)size);
        return SPAR_OK;
    }
    for (uint64_t i = 0; i < run->n_rows * run->n_columns; i++)
        if (run->tokens[i] < 0 || run->tokens[i] >= vocabulary)
            return spar__fail(SPAR_ERR_ARGUMENT, "row %llu: token %d, expected 0 to %d",
                              (unsigned long long)(i / run->n_columns), run->tokens[i],
                              vocabulary - 1);
    return SPAR_OK;
}

/* Decoders predict the next token, encoders masked ones, and encoder–decoders what was taken out of the source. */
static spar_status choose_objective(const spar__run *run, const spar__train_settings *set, spar_batches_options *b) {
    const char *architecture = spar_model_architecture(run->model);
    const char *wanted = strcmp(architecture, "encoder") == 0           ? "masked"
                         : strcmp(architecture, "encoder-decoder") == 0 ? "denoise"
                                                                        : "causal";
    b->objective = set->objective ? set->objective : wanted;
    bool denoise = strcmp(b->objective, "denoise") == 0, prefix = strcmp(b->objective, "prefix") == 0;
    if (denoise != (strcmp(wanted, "denoise") == 0) || (prefix && strcmp(wanted, "causal") != 0))
        return spar__fail(SPAR_ERR_CONFIG, "train.objective: found '%s', expected '%s' for model.architecture '%s'",
                          b->objective, wanted, architecture);
    b->vocab_size = spar_model_vocab_size(run->model);
    b->noise = set->noise;
    b->span = set->span;
    b->prefix = set->prefix;
    int32_t start = spar_model_start(run->model), last = b->vocab_size - 1;
    b->special = strcmp(b->objective, "denoise") == 0 ? (start < 0 ? 0 : start)
                 : set->mask_id < 0                   ? last
                                                      : (int32_t)set->mask_id;
    return SPAR_OK;
}

static spar_status make_batches(spar__run *run, const spar__train_settings *set) {
    const spar_train_options *o = run->options;
    spar_batches_options b = SPAR_BATCHES_OPTIONS;
    b.length = (size_t)set->length;
    b.batch = (size_t)set->batch;
    b.seed = (uint64_t)set->seed;
    b.order = o->order;
    SPAR_TRY(choose_objective(run, set, &b));
    if (!o->data) return spar_batches_from_rows(run->tokens, run->n_rows, &b, &run->train);
    SPAR_TRY(spar_batches_create(o->data, &b, &run->train));
    b.split = SPAR_DATA_VALID;
    b.order = SPAR_ORDER_SEQUENTIAL;
    if (!set->eval_batches ||
        spar_data_get_info(o->data)->split[SPAR_DATA_VALID].tokens < (uint64_t)set->length + 1)
        return SPAR_OK;
    return spar_batches_create(o->data, &b, &run->valid);
}

/* ---- Run ------------------------------------------------------------------------------------ */

/* Opens the newest checkpoint when resuming; *state stays NULL where there is none. */
static spar_status find_state(spar__run *run, spar__state **state) {
    const char *output = run->options->output;
    if (!(run->checkpoints = spar__path_join(output, "checkpoints"))) return SPAR_ERR_MEMORY;
    if (run->options->resume) {
        spar_status status = spar__state_open(run->checkpoints, state);
        if (status != SPAR_ERR_NOT_FOUND) return status;
        spar__log(SPAR_LOG_INFO, "%s: no checkpoint to resume from; the run starts anew", output);
        return SPAR_OK;
    }
    char *model = spar__path_join(output, "model.gguf");
    if (!model) return SPAR_ERR_MEMORY;
    bool taken = spar__file_exists(model) || spar__folder_exists(run->checkpoints);
    spar__free(model);
    if (taken)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "%s: holds a run already; resume it, or choose another folder", output);
    return SPAR_OK;
}

static spar_status resume(spar__run *run, const spar__state *state) {
    SPAR_TRY(spar__state_load(state, &run->trainer));
    run->saved = run->first_step = run->trainer.step = spar__state_step(state);
    run->seconds_before = spar__state_seconds(state);
    return SPAR_OK;
}

static spar_status open_records(spar__run *run) {
    char *text = json_dumps(run->config, JSON_COMPACT);
    if (!text) return spar__fail(SPAR_ERR_MEMORY, "out of memory: configuration");
    spar_status status = spar__records_open(run->options->output, run->options->log,
                                            run->trainer.step, text, &run->records);
    free(text);
    return status;
}

static spar_status set_up(spar__run *run, const json_t *given, const spar__state *state) {
    spar__train_settings set;
    SPAR_TRY(check_sections(given));
    if (run->options->init && !state) SPAR_TRY(spar_model_open(run->options->init, &run->model));
    SPAR_TRY(make_config(run, given, state));
    const json_t *section = json_object_get(run->config, "train");
    SPAR_TRY(spar__train_settings_read(section, &set));
    SPAR_TRY(make_model(run, (uint64_t)set.seed));
    if (state && !json_equal(json_object_get(run->config, "model"),
                             json_object_get(spar__state_config(state), "model")))
        return spar__fail(SPAR_ERR_CONFIG, "model: differs from that of the checkpoint in %s",
                          run->options->output);
    SPAR_TRY(take_tokenizer(run));
    SPAR_TRY(check_length(run, &set));
    SPAR_TRY(check_tokens(run));
    SPAR_TRY(make_batches(run, &set));
    SPAR_TRY(
        spar__trainer_create(&run->trainer, &set, section, run->model, run->train, run->valid));
    if (state) SPAR_TRY(resume(run, state));
    return open_records(run);
}

spar_status spar__run_open(spar__run *run, const spar_config *config) {
    const spar_train_options *o = run->options;
    if (!o->output || !!o->data + !!o->tokens + !!o->tokens_file != 1)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "training needs a folder for its output, and one kind of data");
    spar__state *state = NULL;
    SPAR_TRY(find_tokens(run));
    SPAR_TRY(spar__make_folder(o->output));
    SPAR_TRY(find_state(run, &state));
    spar_status status = set_up(run, config ? config->root : NULL, state);
    spar__state_free(state);
    return status;
}

void spar__run_close(spar__run *run) {
    spar__records_free(run->records);
    spar__trainer_free(&run->trainer);
    spar_batches_free(run->train);
    spar_batches_free(run->valid);
    spar_model_free(run->model);
    spar__free(run->checkpoints);
    spar__free(run->file_tokens);
    json_decref(run->config);
}
