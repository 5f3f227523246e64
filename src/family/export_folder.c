/* Writing Hugging Face folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "family/export.h"
#include "token/save.h"

static const struct {
    spar__type ours;
    spar__st_type theirs;
    const char *name; /* in config.json */
} types[] = {{SPAR__F32, SPAR__ST_F32, "float32"},
             {SPAR__F16, SPAR__ST_F16, "float16"},
             {SPAR__BF16, SPAR__ST_BF16, "bfloat16"}};
enum { N_TYPES = sizeof types / sizeof *types };

static int type_index(spar__type type) {
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].ours == type) return i;
    return -1;
}

/* Files have all weights in one type: vectors too, where that loses nothing. */
static bool exact(const spar__param *p, spar__type type) {
    const real *values = p->value.data;
    for (int64_t i = 0; i < p->value.rows * p->value.cols; i++) {
        uint32_t coded = 0;
        real back;
        spar__k()->encode[type](&coded, &values[i], 1);
        spar__k()->decode[type](&back, &coded, 1);
        if (back != values[i]) return false;
    }
    return true;
}

static void narrow_vectors(spar__outgoing *o, spar__type type) {
    for (int i = 0; i < o->n_tensors; i++) {
        spar__outgoing_tensor *t = &o->tensors[i];
        bool all = t->n_dims == 1 && type != SPAR__F32;
        for (int k = 0; all && k < t->n_parts; k++) all = exact(o->parts[t->first + k].param, type);
        if (all) t->type = type;
    }
}

typedef struct sink {
    spar__export *e;
    spar__st_writer *writer;
} sink;

static spar_status take(void *context, const void *bytes, size_t length) {
    sink *s = context;
    s->e->out.done += length;
    SPAR_TRY(spar__progress(s->e->progress, "write", s->e->out.done, s->e->out.bytes, ""));
    return spar__st_writer_data(s->writer, bytes, length);
}

static spar_status write_tensors(spar__export *e, const char *path) {
    const spar__outgoing *o = &e->out;
    spar__st_writer *w;
    SPAR_TRY(spar__st_writer_create(&w));
    spar_status status = spar__st_add_metadata(w, "format", "pt");
    for (int i = 0; !status && i < o->n_tensors; i++) {
        const spar__outgoing_tensor *t = &o->tensors[i];
        int k = type_index(t->type);
        status = k < 0 ? spar__fail(SPAR_ERR_UNSUPPORTED,
                                    "tensor '%s': folders hold no weights of type %s; give type f32, f16 or bf16",
                                    t->name, spar__type_of(t->type)->name)
                       : spar__st_add_tensor(w, t->name, types[k].theirs, t->n_dims, t->shape);
    }
    if (!status) status = spar__st_writer_begin(w, path);
    for (int i = 0; !status && i < o->n_tensors; i++)
        status = spar__outgoing_write(o, &o->tensors[i], take, &(sink){e, w});
    if (!status) status = spar__st_writer_commit(w);
    spar__st_writer_free(w);
    return status;
}

static spar_status write_json(const char *folder, const char *name, const json_t *value) {
    char *path = spar__path_join(folder, name), *text = NULL;
    spar_status status = path ? spar__json_text(value, 2, &text) : SPAR_ERR_MEMORY;
    if (!status) status = spar__write_file(path, text, strlen(text));
    spar__free(text);
    spar__free(path);
    return status;
}

static spar_status write_config(spar__export *e, const char *folder, spar__type type) {
    json_t *config = spar__published_config(e->model, e->family);
    if (!config) return spar__fail(SPAR_ERR_UNSUPPORTED, "%s cannot describe this model", e->family->name);
    int k = type_index(type);
    const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
    if (k >= 0) json_object_set_new(config, key, json_string(types[k].name));
    spar_status status = write_json(folder, "config.json", config);
    json_decref(config);
    const json_t *source = spar__model_source(e->model), *generation = json_object_get(source, "generation_config");
    if (!status && generation) status = write_json(folder, "generation_config.json", generation);
    return status;
}

/* Folders that a folder may have in it, with the one file of each. */
static const char *const inner[][2] = {{"1_Pooling", "1_Pooling/config.json"}, {"2_Normalize", NULL}};

static spar_status write_modules(spar__export *e, const char *folder) {
    static const char limits[] = "sentence_bert_config.json";
    json_t *modules = spar__embedding_file(e->model, "modules.json"), *most = spar__embedding_file(e->model, limits);
    spar_status status = modules ? write_json(folder, "modules.json", modules) : SPAR_OK;
    if (!status && most) status = write_json(folder, limits, most);
    json_decref(most);
    for (size_t i = 0; !status && i + 1 < json_array_size(modules); i++) {
        json_t *options = inner[i][1] ? spar__embedding_file(e->model, inner[i][1]) : NULL;
        char *path = spar__path_join(folder, inner[i][0]);
        status = path ? spar__make_folder(path) : SPAR_ERR_MEMORY;
        spar__free(path);
        if (!status && options) status = write_json(folder, inner[i][1], options);
        json_decref(options);
    }
    json_decref(modules);
    return status;
}

static spar_status write_tokenizer(spar__export *e, const char *folder) {
    const spar_tokenizer *tokenizer = spar_model_tokenizer(e->model);
    const json_t *source = spar__model_source(e->model);
    const json_t *map = json_object_get(source, "special_tokens_map");
    if (!tokenizer) return SPAR_OK;
    SPAR_TRY(spar__tokenizer_save_folder(tokenizer, json_object_get(source, "tokenizer_config"),
                                         spar_model_chat_template(e->model), folder));
    if (map) SPAR_TRY(write_json(folder, "special_tokens_map.json", map));
    const char *chat = json_string_value(json_object_get(source, "chat_template"));
    if (!chat || !json_object_get(source, "tokenizer_config")) return SPAR_OK;
    char *path = spar__path_join(folder, "chat_template.jinja");
    spar_status status = path ? spar__write_file(path, chat, strlen(chat)) : SPAR_ERR_MEMORY;
    spar__free(path);
    return status;
}

static spar_status write_all(spar__export *e, const char *folder) {
    const spar__outgoing *o = &e->out;
    spar__type type = o->n_tensors ? o->tensors[0].type : SPAR__F32;
    if (type_index(type) >= 0) narrow_vectors(&e->out, type);
    char *path = spar__path_join(folder, "model.safetensors");
    spar_status status = path ? write_tensors(e, path) : SPAR_ERR_MEMORY;
    spar__free(path);
    if (!status) status = write_tokenizer(e, folder);
    if (!status) status = write_modules(e, folder);
    return status ? status : write_config(e, folder, type);
}

/* Removes what write_all may have left. */
static void remove_folder(const char *folder) {
    static const char *const names[] = {"model.safetensors", "config.json",         "generation_config.json",
                                        "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja",   "modules.json",
                                        "sentence_bert_config.json",
                                        "1_Pooling/config.json",   "1_Pooling",             "2_Normalize", NULL};
    for (int i = 0; names[i]; i++) {
        char *path = spar__path_join(folder, names[i]);
        if (path) remove(path);
        spar__free(path);
    }
    rmdir(folder);
}

spar_status spar__export_folder(spar__export *e) {
    const char *prefix = e->family->prefixes ? e->family->prefixes[0] : "";
    size_t n = strlen(e->path), room = n + 32;
    while (n > 1 && e->path[n - 1] == '/') n--;
    SPAR_TRY(spar__outgoing_list(e->model, e->family->tensors, prefix, e->type, &e->out));
    char *beside = spar__alloc(room), *path = spar__copy_bytes(e->path, n);
    if (!beside || !path) {
        spar__free(beside);
        spar__free(path);
        return SPAR_ERR_MEMORY;
    }
    snprintf(beside, room, "%s.tmp-%ld", path, (long)getpid());
    spar_status status = spar__make_folder(beside);
    if (!status) status = write_all(e, beside);
    /* An empty folder may be there; one with something in it is not ours to replace. */
    if (!status && rename(beside, path))
        status = spar__fail(SPAR_ERR_IO, "%s: exists and is not an empty folder, or its parent cannot be written", path);
    if (status) remove_folder(beside);
    spar__free(beside);
    spar__free(path);
    return status;
}
