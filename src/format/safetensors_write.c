/* Writing safetensors: the header is built in JSON, the tensors' bytes are streamed. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "format/safetensors.h"

struct spar__st_writer {
    spar_status failed; /* the first failure */
    json_t *tensors, *metadata;
    size_t total, done; /* bytes of data described and written */
    spar__writer *file; /* while begun */
    bool begun;
};

spar_status spar__st_writer_create(spar__st_writer **out) {
    spar__st_writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    w->tensors = json_object();
    w->metadata = json_object();
    if (!w->tensors || !w->metadata) {
        spar__st_writer_free(w);
        return spar__fail(SPAR_ERR_MEMORY, "safetensors: out of memory");
    }
    *out = w;
    return SPAR_OK;
}

void spar__st_writer_free(spar__st_writer *w) {
    if (!w) return;
    spar__writer_abandon(w->file);
    json_decref(w->tensors);
    json_decref(w->metadata);
    spar__free(w);
}

static spar_status keep(spar__st_writer *w, spar_status status) {
    if (!w->failed) w->failed = status;
    return status;
}

static spar_status not_text(const char *what) {
    return spar__fail(SPAR_ERR_ARGUMENT, "safetensors: '%s': not UTF-8, or out of memory", what);
}

spar_status spar__st_add_metadata(spar__st_writer *w, const char *key, const char *value) {
    if (w->failed) return w->failed;
    bool failed = json_object_set_new(w->metadata, key, json_string(value)) != 0;
    return failed ? keep(w, not_text(key)) : SPAR_OK;
}

static spar_status refuse(const char *name, const char *why) {
    return spar__fail(SPAR_ERR_ARGUMENT, "safetensors: tensor '%s': %s", name, why);
}

static json_t *describe(spar__st_type type, int n_dims, const int64_t *shape, size_t begin,
                        size_t end) {
    json_t *sizes = json_array();
    for (int i = 0; i < n_dims; i++)
        if (json_array_append_new(sizes, json_integer(shape[i]))) {
            json_decref(sizes);
            return NULL;
        }
    return json_pack("{s:s,s:o,s:[I,I]}", "dtype", spar__st_type_name(type), "shape", sizes,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static spar_status add_tensor(spar__st_writer *w, const char *name, spar__st_type type, int n_dims,
                              const int64_t *shape) {
    size_t bytes = spar__st_type_size(type), end;
    if (w->begun) return refuse(name, "after the data have begun");
    if (n_dims < 0 || n_dims > SPAR__ST_DIMS) return refuse(name, "too many dimensions");
    if (json_object_get(w->tensors, name) || !strcmp(name, "__metadata__"))
        return refuse(name, "the name is taken");
    for (int i = 0; i < n_dims; i++)
        if (shape[i] < 0 || !spar__mul(bytes, (size_t)shape[i], &bytes))
            return refuse(name, "a size is negative, or all are too large");
    if (!spar__add(w->total, bytes, &end) || end > INT64_MAX) return refuse(name, "too large");
    json_t *about = describe(type, n_dims, shape, w->total, end);
    if (json_object_set_new(w->tensors, name, about)) return not_text(name);
    w->total = end;
    return SPAR_OK;
}

spar_status spar__st_add_tensor(spar__st_writer *w, const char *name, spar__st_type type,
                                int n_dims, const int64_t *shape) {
    if (w->failed) return w->failed;
    return keep(w, add_tensor(w, name, type, n_dims, shape));
}

/* The header, padded with spaces so that the data begin at a multiple of 8. */
static spar_status write_header(spar__st_writer *w) {
    char *text;
    SPAR_TRY(spar__json_text(w->tensors, 0, &text));
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    spar_status status = spar__writer_write(w->file, &padded, 8);
    if (!status) status = spar__writer_write(w->file, text, length);
    if (!status) status = spar__writer_write(w->file, "        ", padded - length);
    spar__free(text);
    return status;
}

static spar_status begin(spar__st_writer *w, const char *path) {
    if (w->begun) return spar__fail(SPAR_ERR_ARGUMENT, "%s: the data have begun already", path);
    if (json_object_size(w->metadata) && json_object_set(w->tensors, "__metadata__", w->metadata))
        return spar__fail(SPAR_ERR_MEMORY, "%s: out of memory", path);
    SPAR_TRY(spar__writer_open(path, &w->file));
    w->begun = true;
    return write_header(w);
}

spar_status spar__st_writer_begin(spar__st_writer *w, const char *path) {
    if (w->failed) return w->failed;
    return keep(w, begin(w, path));
}

static spar_status write_data(spar__st_writer *w, const void *bytes, size_t length) {
    if (!w->file) return spar__fail(SPAR_ERR_ARGUMENT, "safetensors: data before the beginning");
    if (length > w->total - w->done)
        return spar__fail(SPAR_ERR_ARGUMENT, "safetensors: bytes beyond the last tensor");
    w->done += length;
    return spar__writer_write(w->file, bytes, length);
}

spar_status spar__st_writer_data(spar__st_writer *w, const void *bytes, size_t length) {
    if (w->failed) return w->failed;
    return keep(w, write_data(w, bytes, length));
}

static spar_status commit(spar__st_writer *w) {
    if (!w->file || w->done != w->total)
        return spar__fail(SPAR_ERR_ARGUMENT, "safetensors: %zu bytes written, expected %zu",
                          w->done, w->total);
    spar__writer *file = w->file;
    w->file = NULL; /* the commit ends it in either case */
    return spar__writer_commit(file);
}

spar_status spar__st_writer_commit(spar__st_writer *w) {
    if (w->failed) return w->failed;
    return keep(w, commit(w));
}
