/* Writing GGUF files of published architectures. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "family/export.h"
#include "token/gguf.h"

/* general.file_type, by the type of most weights. */
static const struct {
    const char *name;
    uint32_t number;
} file_types[] = {{"f32", 0},   {"f16", 1},   {"q4_0", 2},  {"q4_1", 3},    {"q8_0", 7},    {"q5_0", 8},
                  {"q5_1", 9},  {"q2_k", 10}, {"q3_k", 12}, {"q4_k", 15},   {"q5_k", 17},   {"q6_k", 18},
                  {"iq4_nl", 25}, {"iq4_xs", 30}, {"bf16", 32}, {"tq1_0", 36}, {"tq2_0", 37}};

static spar_status write_general(spar__gguf_writer *w, const spar__export *e) {
    const json_t *general = json_object_get(spar__model_source(e->model), "general");
    const char *key, *file_type = "f32";
    json_t *value;
    size_t most = 0;
    SPAR_TRY(spar__gguf_add_text(w, "general.architecture", e->family->gguf, strlen(e->family->gguf)));
    SPAR_TRY(spar__gguf_add_text(w, "general.type", "model", 5));
    json_object_foreach((json_t *)general, key, value) {
        char name[128];
        snprintf(name, sizeof name, "general.%s", key);
        if (json_is_string(value))
            SPAR_TRY(spar__gguf_add_text(w, name, json_string_value(value), json_string_length(value)));
    }
    for (int i = 0; i < e->out.n_tensors; i++) {
        size_t bytes = spar__outgoing_bytes(&e->out.tensors[i]);
        if (bytes > most) file_type = spar__type_of(e->out.tensors[i].type)->name;
        most = bytes > most ? bytes : most;
    }
    for (size_t i = 0; i < sizeof file_types / sizeof *file_types; i++)
        if (strcmp(file_types[i].name, file_type) == 0)
            SPAR_TRY(spar__gguf_add_u32(w, "general.file_type", file_types[i].number));
    return spar__gguf_add_u32(w, "general.quantization_version", 2);
}

/* What only Spar reads: everything, so that nothing is lost on the way back. */
static spar_status write_own(spar__gguf_writer *w, const spar__export *e) {
    json_t *section = json_deep_copy(spar__model_config(e->model));
    json_t *fixed = json_loads(e->family->gguf_model, 0, NULL), *position = json_object_get(section, "position");
    const json_t *pairs = spar__model_value(fixed, "position.pairs");
    if (strcmp(spar__model_kind(section, "position", ""), "rotary") == 0) {
        if (!json_is_object(position)) {
            position = json_pack("{s:s}", "kind", "rotary");
            json_object_set_new(section, "position", position);
        }
        json_object_set_new(position, "pairs", json_string(pairs ? json_string_value(pairs) : "halves"));
    }
    json_t *root = json_pack("{s:o, s:O*}", "model", section, "source", spar__model_source(e->model));
    char *text = root && fixed ? json_dumps(root, JSON_COMPACT) : NULL;
    spar_status status = text ? spar__gguf_add_text(w, "spar.config", text, strlen(text))
                              : spar__fail(SPAR_ERR_MEMORY, "out of memory: configuration");
    free(text);
    json_decref(root);
    json_decref(fixed);
    return status;
}

static spar_status write_tokenizer(spar__gguf_writer *w, const spar__export *e) {
    const spar_tokenizer *tokenizer = spar_model_tokenizer(e->model);
    const char *chat = spar_model_chat_template(e->model);
    if (!tokenizer) return spar__gguf_add_text(w, "tokenizer.ggml.model", "none", 4);
    SPAR_TRY(spar__tokenizer_to_gguf(tokenizer, w));
    return chat ? spar__gguf_add_text(w, "tokenizer.chat_template", chat, strlen(chat)) : SPAR_OK;
}

typedef struct sink {
    spar__export *e;
    spar__gguf_writer *writer;
} sink;

static spar_status take(void *context, const void *bytes, size_t length) {
    sink *s = context;
    s->e->out.done += length;
    SPAR_TRY(spar__progress(s->e->progress, "write", s->e->out.done, s->e->out.bytes, ""));
    return spar__gguf_writer_data(s->writer, bytes, length);
}

static spar_status describe(spar__gguf_writer *w, const spar__outgoing *o, int64_t n_factors) {
    if (n_factors)
        SPAR_TRY(spar__gguf_add_tensor(w, "rope_freqs.weight", SPAR__GGUF_F32, 1, &n_factors));
    for (int i = 0; i < o->n_tensors; i++) {
        const spar__outgoing_tensor *t = &o->tensors[i];
        int64_t ne[4];
        for (int d = 0; d < t->n_dims; d++) ne[d] = t->shape[t->n_dims - 1 - d];
        SPAR_TRY(spar__gguf_add_tensor(w, t->name, (spar__gguf_type)spar__model_gguf_type(t->type), t->n_dims, ne));
    }
    return SPAR_OK;
}

static spar_status write_file(spar__export *e, spar__gguf_writer *w, const float *factors, int64_t n_factors) {
    SPAR_TRY(write_general(w, e));
    SPAR_TRY(spar__gguf_write_keys(w, e->model, e->family));
    SPAR_TRY(write_tokenizer(w, e));
    SPAR_TRY(write_own(w, e));
    SPAR_TRY(describe(w, &e->out, n_factors));
    SPAR_TRY(spar__gguf_writer_begin(w, e->path));
    if (n_factors) SPAR_TRY(spar__gguf_writer_data(w, factors, (size_t)n_factors * sizeof *factors));
    for (int i = 0; i < e->out.n_tensors; i++)
        SPAR_TRY(spar__outgoing_write(&e->out, &e->out.tensors[i], take, &(sink){e, w}));
    return spar__gguf_writer_commit(w);
}

spar_status spar__export_gguf(spar__export *e) {
    spar__gguf_writer *w = NULL;
    float *factors = NULL;
    int64_t n_factors = 0;
    spar_status status = spar__outgoing_list(e->model, e->family->gguf_tensors, "", e->type, &e->out);
    if (!status) status = spar__gguf_rope_factors(e->model, &factors, &n_factors);
    if (!status) status = spar__gguf_writer_create(&w);
    if (!status) status = write_file(e, w, factors, n_factors);
    spar__gguf_writer_free(w);
    spar__free(factors);
    return status;
}
