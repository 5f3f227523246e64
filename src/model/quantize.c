/* Quantising a model: which type each tensor gets, and the importance of its columns. */
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "model/inside.h"
#include "spar/quantize.h"

typedef struct job {
    const spar_model *model;
    const spar_quantize_options *options;
    spar__type wanted;
    spar__type *rule_types; /* [n_rules] */
    bool *used;             /* [n_rules] */
    spar__gguf *importance;
    float *columns; /* of the tensor at hand */
    int64_t done;
    spar_quantized total;
    double error, size;
} job;

static bool fits(const spar_model *m, const char *rule, size_t length, const char *name) {
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%.*s", (int)length, rule);
    if (!strcmp(pattern, "embedding")) return !strncmp(name, "token_embd.", 11);
    if (!strcmp(pattern, "head")) {
        bool own = false;
        for (int i = 0; i < m->params.n_params; i++)
            own = own || !strncmp(m->params.params[i]->name, "output.", 7);
        return !strncmp(name, own ? "output." : "token_embd.", own ? 7 : 11);
    }
    return strpbrk(pattern, "*?[") ? fnmatch(pattern, name, 0) == 0 : strstr(name, pattern) != NULL;
}

static spar_status read_rules(job *j) {
    const spar_quantize_options *o = j->options;
    for (size_t i = 0; i < o->n_rules; i++) {
        const char *sign = strrchr(o->rules[i], '=');
        if (!sign || sign == o->rules[i] || sign - o->rules[i] > 127)
            return spar__fail(SPAR_ERR_ARGUMENT, "rule '%s': expected PATTERN=TYPE", o->rules[i]);
        if (!spar__type_find(sign + 1, &j->rule_types[i]))
            return spar__fail(SPAR_ERR_ARGUMENT, "rule '%s': type '%s': expected one of %s", o->rules[i],
                              sign + 1, spar__type_names());
    }
    return SPAR_OK;
}

static spar__type choose_type(void *context, const spar__param *p) {
    job *j = context;
    spar__type type = j->wanted;
    for (size_t i = 0; i < j->options->n_rules; i++) {
        const char *rule = j->options->rules[i];
        if (!fits(j->model, rule, (size_t)(strrchr(rule, '=') - rule), p->name)) continue;
        j->used[i] = true;
        type = j->rule_types[i];
    }
    return spar__stored_type(p, type);
}

/* Mean squares of the columns; NULL where the calibration did not meet the tensor. */
static spar_status find_importance(void *context, const spar__param *p, const float **out) {
    job *j = context;
    char name[160];
    *out = NULL;
    if (!j->importance) return SPAR_OK;
    snprintf(name, sizeof name, "%s.in_sum2", p->name);
    const spar__gguf_tensor *sums = spar__gguf_tensor_find(j->importance, name);
    if (!sums) return SPAR_OK;
    if (sums->type != SPAR__GGUF_F32 || sums->ne[0] != p->value.cols)
        return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': %lld columns, expected %lld in f32",
                          spar__gguf_path(j->importance), name, (long long)sums->ne[0],
                          (long long)p->value.cols);
    float *columns = spar__resize(j->columns, (size_t)p->value.cols, sizeof *columns);
    if (!columns) return SPAR_ERR_MEMORY;
    j->columns = columns;
    memcpy(columns, sums->data, (size_t)p->value.cols * sizeof *columns);
    double mean = 0;
    for (int64_t i = 0; i < p->value.cols; i++) {
        if (!(columns[i] >= 0 && columns[i] <= 3e38f))
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': column %lld is no sum of squares",
                              spar__gguf_path(j->importance), name, (long long)i);
        mean += (double)columns[i] / (double)p->value.cols;
    }
    /* Columns that were never used still count a little. */
    for (int64_t i = 0; i < p->value.cols; i++)
        columns[i] = mean > 0 ? (float)((double)columns[i] / mean + 1e-3) : 1;
    *out = columns;
    return SPAR_OK;
}

static spar_status tell(void *context, const spar__param *p, spar__type type, double error, double size) {
    job *j = context;
    size_t row = 0;
    spar__row_bytes(type, (size_t)p->value.cols, &row);
    spar_quantized_tensor t = {.name = p->name,
                               .from = spar__type_of(p->value.type)->name,
                               .to = spar__type_of(type)->name,
                               .elements = (uint64_t)(p->value.rows * p->value.cols),
                               .bytes = row * (uint64_t)p->value.rows,
                               .error = size > 0 ? sqrt(error / size) : 0};
    j->total.parameters += t.elements;
    j->total.bytes += t.bytes;
    j->error += error;
    j->size += size;
    j->done++;
    if (j->options->on_tensor) j->options->on_tensor(j->options->context, &t);
    return spar__progress(j->options->progress, "quantize", (uint64_t)j->done,
                          (uint64_t)j->model->params.n_params, "");
}

static spar_status check_used(const job *j) {
    for (size_t i = 0; i < j->options->n_rules; i++)
        if (!j->used[i])
            return spar__fail(SPAR_ERR_ARGUMENT, "rule '%s': no tensor fits it", j->options->rules[i]);
    return SPAR_OK;
}

spar_status spar_quantize(const spar_model *model, const char *path, const spar_quantize_options *options,
                          spar_quantized *out) {
    job j = {.model = model, .options = options};
    if (!options->type || !spar__type_find(options->type, &j.wanted))
        return spar__fail(SPAR_ERR_ARGUMENT, "type '%s': expected one of %s",
                          options->type ? options->type : "", spar__type_names());
    j.rule_types = spar__array(options->n_rules + 1, sizeof *j.rule_types);
    j.used = spar__array(options->n_rules + 1, sizeof *j.used);
    spar_status status = j.rule_types && j.used ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = read_rules(&j);
    for (int i = 0; !status && i < model->params.n_params; i++) choose_type(&j, model->params.params[i]);
    if (!status) status = check_used(&j);
    if (!status && options->importance) status = spar__gguf_open(options->importance, &j.importance);
    spar__model_writing w = {choose_type, find_importance, tell, &j};
    if (!status) status = spar__model_write(model, model->tokenizer, &w, path);
    j.total.error = j.size > 0 ? sqrt(j.error / j.size) : 0;
    if (!status) *out = j.total;
    spar__gguf_free(j.importance);
    spar__free(j.columns);
    spar__free(j.rule_types);
    spar__free(j.used);
    return status;
}
