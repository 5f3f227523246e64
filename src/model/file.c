/* The native model file: one GGUF with general.architecture "spar", the configuration as JSON under
 * "spar.config", the tokenizer under the field's own keys, and the weights by their names. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "model/inside.h"
#include "token/gguf.h"

/* Types have the same names in files. */
bool spar__model_type_of_gguf(int stored, spar__type *out) {
    return spar__type_find(spar__gguf_traits_of((uint32_t)stored)->name, out);
}

int spar__model_gguf_type(spar__type type) {
    return (int)spar__gguf_traits_named(spar__type_of(type)->name)->type;
}

/* GGUF lists dimensions from the fastest. */
static void dimensions(const spar__param *p, int64_t ne[4]) {
    for (int d = 0; d < 4; d++) ne[d] = d < p->n_dims ? p->shape[p->n_dims - 1 - d] : 1;
}

/* ---- Reading ---- */

static spar_status check_shape(const char *path, const spar__gguf_tensor *t, const spar__param *p) {
    int64_t ne[4];
    dimensions(p, ne);
    for (int d = 0; d < 4; d++)
        if (t->ne[d] != ne[d])
            return spar__fail(SPAR_ERR_FORMAT,
                              "%s: tensor '%s': shape [%lld, %lld, %lld, %lld], expected [%lld, %lld, %lld, %lld]",
                              path, p->name, (long long)t->ne[0], (long long)t->ne[1], (long long)t->ne[2],
                              (long long)t->ne[3], (long long)ne[0], (long long)ne[1], (long long)ne[2],
                              (long long)ne[3]);
    return SPAR_OK;
}

static spar_status bind(spar_model *m, const char *path) {
    for (int i = 0; i < m->params.n_params; i++) {
        spar__param *p = m->params.params[i];
        const spar__gguf_tensor *t;
        SPAR_TRY(spar__gguf_tensor_get(m->file, p->name, &t));
        SPAR_TRY(check_shape(path, t, p));
        spar__type type;
        if (!spar__model_type_of_gguf((int)t->type, &type) || (p->vector && type != SPAR__F32))
            return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor '%s': type %s, expected %s", path, p->name,
                              spar__gguf_traits_of(t->type)->name,
                              p->vector ? "f32" : spar__type_names());
        p->value.data = (void *)t->data;
        p->value.type = type;
    }
    if (spar__gguf_n_tensors(m->file) != (size_t)m->params.n_params)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu tensors, expected %d", path,
                          spar__gguf_n_tensors(m->file), m->params.n_params);
    return SPAR_OK;
}

static spar_status read_config(const spar__gguf *file, const char *path, json_t **out, json_t **source) {
    spar__gguf_string text;
    SPAR_TRY(spar__gguf_text(file, "spar.config", &text));
    spar_config *config;
    spar_status status = spar_config_parse(text.bytes, text.length, &config);
    if (status) return spar__fail_within(status, "%s: spar.config", path);
    *out = json_incref(json_object_get(config->root, "model"));
    *source = json_incref(json_object_get(config->root, "source"));
    spar_config_free(config);
    return *out ? SPAR_OK : spar__fail(SPAR_ERR_FORMAT, "%s: spar.config: no \"model\" section", path);
}

spar_status spar__model_from_gguf(spar__gguf *file, const char *path, spar_model **out) {
    json_t *config = NULL, *source = NULL;
    spar_model *m = NULL;
    spar_status status = read_config(file, path, &config, &source);
    if (!status) status = spar__model_build(config, &m);
    json_decref(config);
    if (status) {
        json_decref(source);
        spar__gguf_free(file);
        return status;
    }
    m->file = file;
    m->source = source;
    SPAR_TRY_GOTO(fail, bind(m, path));
    SPAR_TRY_GOTO(fail, spar__model_prepare(m));
    if (spar__gguf_find(file, "tokenizer.ggml.model", NULL)) {
        SPAR_TRY_GOTO(fail, spar__tokenizer_from_gguf(file, &m->tokenizer));
        if (spar_tokenizer_size(m->tokenizer) > spar_model_vocab_size(m))
            SPAR_TRY_GOTO(fail, spar__fail(SPAR_ERR_FORMAT, "%s: tokenizer of %d ids, vocab_size is %lld",
                                           path, spar_tokenizer_size(m->tokenizer),
                                           (long long)spar_model_vocab_size(m)));
    }
    *out = m;
    return SPAR_OK;
fail:
    spar_model_free(m);
    return status;
}

/* ---- Writing ---- */

enum { PIECE = 1 << 22 }; /* bytes of rows in f32 that are coded at once */

typedef struct piece {
    const spar__param *param;
    spar__type type;
    const float *importance; /* of columns, or NULL */
    real *rows;              /* decoded, then what was written, decoded: one for each thread */
    char *coded;
    double *errors, *sizes; /* of each row */
} piece;

static void code_row(const piece *c, int64_t r, int64_t at) {
    const spar__kernels *k = spar__k();
    const spar__tensor *v = &c->param->value;
    size_t from = 0, to = 0;
    spar__row_bytes(v->type, (size_t)v->cols, &from);
    spar__row_bytes(c->type, (size_t)v->cols, &to);
    const char *stored = (const char *)v->data + (size_t)r * from;
    char *out = c->coded + (size_t)at * to;
    c->errors[at] = c->sizes[at] = 0;
    if (c->type == v->type) {
        memcpy(out, stored, to);
        return;
    }
    real *row = c->rows + 2 * v->cols * omp_get_thread_num(), *back = row + v->cols;
    k->decode[v->type](row, stored, v->cols);
    if (k->quantise[c->type]) k->quantise[c->type](out, row, c->importance, v->cols);
    else k->encode[c->type](out, row, v->cols);
    k->decode[c->type](back, out, v->cols);
    for (int64_t i = 0; i < v->cols; i++) {
        double e = (double)back[i] - (double)row[i];
        c->errors[at] += e * e;
        c->sizes[at] += (double)row[i] * (double)row[i];
    }
}

static spar_status write_param(spar__gguf_writer *w, const spar__param *p, spar__type type,
                               const float *importance, double *error, double *size) {
    const spar__tensor *v = &p->value;
    size_t to = 0;
    spar__row_bytes(type, (size_t)v->cols, &to);
    int64_t step = PIECE / ((int64_t)sizeof(real) * v->cols);
    step = step < 1 ? 1 : step > v->rows ? v->rows : step;
    piece c = {.param = p, .type = type, .importance = importance};
    c.rows = spar__array(2 * (size_t)v->cols, (size_t)spar__threads() * sizeof(real));
    c.coded = spar__array((size_t)step, to);
    c.errors = spar__array((size_t)step, sizeof(double));
    c.sizes = spar__array((size_t)step, sizeof(double));
    spar_status status = c.rows && c.coded && c.errors && c.sizes ? SPAR_OK : SPAR_ERR_MEMORY;
    for (int64_t r = 0; !status && r < v->rows; r += step) {
        int64_t n = v->rows - r < step ? v->rows - r : step;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) code_row(&c, r + i, i);
        for (int64_t i = 0; i < n; i++) *error += c.errors[i], *size += c.sizes[i];
        status = spar__gguf_writer_data(w, c.coded, (size_t)n * to);
    }
    spar__free(c.rows);
    spar__free(c.coded);
    spar__free(c.errors);
    spar__free(c.sizes);
    return status;
}

static spar_status write_keys(spar__gguf_writer *w, const spar_model *m, const spar_tokenizer *tokenizer) {
    json_t *root = json_pack("{s:O, s:O*}", "model", m->config, "source", m->source);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text) return spar__fail(SPAR_ERR_MEMORY, "out of memory: configuration");
    spar_status status = spar__gguf_add_text(w, "general.architecture", "spar", 4);
    if (!status) status = spar__gguf_add_text(w, "spar.config", text, strlen(text));
    free(text);
    if (!status && tokenizer) status = spar__tokenizer_to_gguf(tokenizer, w);
    return status;
}

static spar_status write_params(spar__gguf_writer *w, const spar_model *m, const spar__model_writing *how) {
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *p = m->params.params[i];
        spar__type type = how->type_for(how->context, p);
        const float *importance = NULL;
        double error = 0, size = 0;
        if (how->importance) SPAR_TRY(how->importance(how->context, p, &importance));
        SPAR_TRY(write_param(w, p, type, importance, &error, &size));
        if (how->wrote) SPAR_TRY(how->wrote(how->context, p, type, error, size));
    }
    return SPAR_OK;
}

spar_status spar__model_write(const spar_model *m, const spar_tokenizer *tokenizer,
                              const spar__model_writing *how, const char *path) {
    spar__gguf_writer *w;
    SPAR_TRY(spar__gguf_writer_create(&w));
    spar_status status;
    SPAR_TRY_GOTO(done, write_keys(w, m, tokenizer));
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *p = m->params.params[i];
        int64_t ne[4];
        dimensions(p, ne);
        SPAR_TRY_GOTO(done, spar__gguf_add_tensor(
                                w, p->name,
                                (spar__gguf_type)spar__model_gguf_type(how->type_for(how->context, p)),
                                p->n_dims, ne));
    }
    SPAR_TRY_GOTO(done, spar__gguf_writer_begin(w, path));
    SPAR_TRY_GOTO(done, write_params(w, m, how));
    status = spar__gguf_writer_commit(w);
done:
    spar__gguf_writer_free(w);
    return status;
}

/* One type for all, or as they are. */
static spar__type same_type(void *context, const spar__param *p) {
    const spar__type *wanted = context;
    return wanted ? spar__stored_type(p, *wanted) : p->value.type;
}

spar_status spar_model_save(const spar_model *m, const spar_tokenizer *tokenizer, const char *type,
                            const char *path) {
    spar__type wanted = SPAR__F32;
    if (type && !spar__type_find(type, &wanted))
        return spar__fail(SPAR_ERR_ARGUMENT, "type '%s': expected one of %s", type, spar__type_names());
    spar__model_writing how = {.type_for = same_type, .context = type ? &wanted : NULL};
    return spar__model_write(m, tokenizer ? tokenizer : m->tokenizer, &how, path);
}
