/* Reading safetensors, one file or several with an index. */
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum {
    MAX_HEADER = 100000000, /* the reference's own limit */
    MAX_VALUES = 1 << 19,   /* keeps the parsed header below 64 MB */
    MAX_FILES = 1 << 10
};

typedef struct part {
    char *path;
    spar__map map;
    json_t *header; /* owns the names of the tensors */
    const unsigned char *data;
    size_t data_length;
} part;

struct spar__st {
    char *path;
    part *parts;
    size_t n_parts, n_tensors;
    spar__st_tensor *tensors; /* sorted by name once all is read */
};

static const struct {
    const char *name;
    size_t size;
} types[SPAR__ST_N_TYPES] = {
#define ROW(NAME, size) {#NAME, size},
    SPAR__ST_TYPE_MAP(ROW)
#undef ROW
};

const char *spar__st_type_name(spar__st_type type) {
    return types[type].name;
}
size_t spar__st_type_size(spar__st_type type) {
    return types[type].size;
}

/* ---- One tensor ---------------------------------------------------------------------------- */

static spar_status read_type(const json_t *about, const char *where, spar__st_type *out) {
    const char *name;
    SPAR_TRY(spar__json_string(about, where, "dtype", &name));
    for (int i = 0; i < SPAR__ST_N_TYPES; i++)
        if (!strcmp(types[i].name, name)) return *out = (spar__st_type)i, SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: dtype '%s' is not read", where, name);
}

/* A non-negative integer of an array. */
static spar_status read_size(const json_t *array, size_t i, const char *where, const char *key,
                             int64_t *out) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': expected integers of at least 0", where,
                          key);
    *out = json_integer_value(value);
    return SPAR_OK;
}

static spar_status read_shape(const json_t *about, const char *where, spar__st_tensor *t) {
    json_t *shape;
    size_t n = 1;
    SPAR_TRY(spar__json_array(about, where, "shape", &shape));
    if (json_array_size(shape) > SPAR__ST_DIMS)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: %zu dimensions, at most %d are read", where,
                          json_array_size(shape), SPAR__ST_DIMS);
    t->n_dims = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dims; i++) {
        SPAR_TRY(read_size(shape, (size_t)i, where, "shape", &t->shape[i]));
        if (!spar__mul(n, (size_t)t->shape[i], &n))
            return spar__fail(SPAR_ERR_FORMAT, "%s: more elements than can be counted", where);
    }
    t->elements = n;
    if (!spar__mul(n, types[t->type].size, &t->bytes))
        return spar__fail(SPAR_ERR_FORMAT, "%s: more bytes than can be counted", where);
    return SPAR_OK;
}

static spar_status read_tensor(const json_t *about, const char *where, spar__st_tensor *t,
                               const unsigned char *data, size_t data_length) {
    json_t *offsets;
    int64_t begin, end;
    SPAR_TRY(read_type(about, where, &t->type));
    SPAR_TRY(read_shape(about, where, t));
    SPAR_TRY(spar__json_array(about, where, "data_offsets", &offsets));
    if (json_array_size(offsets) != 2)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key 'data_offsets': %zu numbers, expected 2", where,
                          json_array_size(offsets));
    SPAR_TRY(read_size(offsets, 0, where, "data_offsets", &begin));
    SPAR_TRY(read_size(offsets, 1, where, "data_offsets", &end));
    if (begin > end || (uint64_t)end > data_length)
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: key 'data_offsets': %lld to %lld, the data have %zu bytes", where,
                          (long long)begin, (long long)end, data_length);
    if ((uint64_t)(end - begin) != t->bytes)
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: key 'data_offsets': %lld bytes, type and shape need %zu", where,
                          (long long)(end - begin), t->bytes);
    t->data = data + begin;
    return SPAR_OK;
}

/* ---- One file ------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b) {
    const spar__st_tensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data > (const char *)y->data ? 1 : -1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

/* The tensors fill the data: each begins where the one before ends. */
static spar_status check_filled(const part *p, spar__st_tensor *tensors, size_t count) {
    qsort(tensors, count, sizeof *tensors, by_place);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t begin = (size_t)((const unsigned char *)tensors[i].data - p->data);
        if (begin != at)
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': begins at %zu, expected %zu: %s",
                              p->path, tensors[i].name, begin, at,
                              begin < at ? "tensors overlap" : "a hole in the data");
        at += tensors[i].bytes; /* inside the file: no overflow */
    }
    if (at == p->data_length) return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes of data, the tensors have %zu", p->path,
                      p->data_length, at);
}

static spar_status check_metadata(const char *path, const json_t *metadata) {
    const char *key;
    json_t *value;
    if (!metadata) return SPAR_OK;
    if (!json_is_object(metadata))
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '__metadata__': found %s, expected an object",
                          path, spar__json_kind(metadata));
    json_object_foreach((json_t *)metadata, key, value) {
        if (!json_is_string(value))
            return spar__fail(SPAR_ERR_FORMAT,
                              "%s: __metadata__: key '%s': found %s, expected a "
                              "string",
                              path, key, spar__json_kind(value));
    }
    return SPAR_OK;
}

static spar_status read_header(part *p) {
    uint64_t length;
    if (p->map.length < 8)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes, not a safetensors file", p->path,
                          p->map.length);
    memcpy(&length, p->map.bytes, 8);
    if (length > MAX_HEADER || length > p->map.length - 8)
        return spar__fail(SPAR_ERR_FORMAT, "%s: header of %llu bytes, at most %zu fit", p->path,
                          (unsigned long long)length,
                          p->map.length - 8 < MAX_HEADER ? p->map.length - 8 : (size_t)MAX_HEADER);
    const char *text = (const char *)p->map.bytes + 8;
    SPAR_TRY(spar__json_parse(p->path, text, length, MAX_VALUES, &p->header));
    if (!json_is_object(p->header))
        return spar__fail(SPAR_ERR_FORMAT, "%s: header is %s, expected an object", p->path,
                          spar__json_kind(p->header));
    p->data = p->map.bytes + 8 + length;
    p->data_length = p->map.length - 8 - length;
    return check_metadata(p->path, json_object_get(p->header, "__metadata__"));
}

static spar_status read_part(spar__st *st, const char *path) {
    part *parts = spar__resize(st->parts, st->n_parts + 1, sizeof *parts);
    if (!parts) return SPAR_ERR_MEMORY;
    st->parts = parts;
    part *p = &parts[st->n_parts];
    *p = (part){0};
    st->n_parts++;
    if (!(p->path = spar__copy_string(path))) return SPAR_ERR_MEMORY;
    SPAR_TRY(spar__map_open(path, &p->map));
    size_t first = st->n_tensors, room;
    SPAR_TRY(read_header(p));
    if (!spar__add(first, json_object_size(p->header), &room)) return SPAR_ERR_MEMORY;
    spar__st_tensor *tensors = spar__resize(st->tensors, room, sizeof *tensors);
    if (!tensors) return SPAR_ERR_MEMORY;
    st->tensors = tensors;
    const char *name;
    json_t *about;
    json_object_foreach(p->header, name, about) {
        if (!strcmp(name, "__metadata__")) continue;
        spar__st_tensor t = {.name = name};
        char where[512];
        snprintf(where, sizeof where, "%s: tensor '%.200s'", path, name);
        SPAR_TRY(read_tensor(about, where, &t, p->data, p->data_length));
        tensors[st->n_tensors++] = t;
    }
    return check_filled(p, tensors + first, st->n_tensors - first);
}

/* ---- Several files ------------------------------------------------------------------------- */

/* Shards lie beside the index: a name that leads elsewhere is refused. */
static bool plain_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    if (!slash) return spar__copy_string(name);
    char *folder = spar__copy_bytes(path, (size_t)(slash + 1 - path));
    char *joined = folder ? spar__path_join(folder, name) : NULL;
    spar__free(folder);
    return joined;
}

/* Opens the shard that the index names for a tensor unless it is open, and finds the tensor. */
static spar_status read_shard(spar__st *st, const char *tensor, const json_t *file,
                              json_t *opened) {
    const char *name = json_string_value(file);
    if (!name || !plain_name(name))
        return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': expected the name of a file beside it",
                          st->path, tensor);
    const json_t *known = json_object_get(opened, name);
    if (!known) {
        if (st->n_parts == MAX_FILES)
            return spar__fail(SPAR_ERR_LIMIT, "%s: more than %d files", st->path, MAX_FILES);
        char *path = beside(st->path, name);
        if (!path) return SPAR_ERR_MEMORY;
        spar_status status = read_part(st, path);
        spar__free(path);
        SPAR_TRY(status);
        if (json_object_set_new(opened, name, json_integer((json_int_t)st->n_parts - 1)))
            return spar__fail(SPAR_ERR_MEMORY, "%s: out of memory", st->path);
        known = json_object_get(opened, name);
    }
    if (json_object_get(st->parts[json_integer_value(known)].header, tensor)) return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': is not in '%s'", st->path, tensor, name);
}

static spar_status read_index(spar__st *st) {
    json_t *index = NULL, *map = NULL, *file, *opened = json_object();
    const char *tensor;
    spar_status status = opened ? spar__json_read(st->path, &index) : SPAR_ERR_MEMORY;
    if (!status) status = spar__json_object(index, st->path, "weight_map", &map);
    if (!status) {
        json_object_foreach(map, tensor, file) {
            if ((status = read_shard(st, tensor, file, opened))) break;
        }
    }
    json_decref(opened);
    json_decref(index);
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const spar__st_tensor *)a)->name, ((const spar__st_tensor *)b)->name);
}

/* The file that a path means: itself, or what a folder holds under a usual name. */
static char *resolve(const char *path) {
    if (!spar__folder_exists(path)) return spar__copy_string(path);
    char *single = spar__path_join(path, "model.safetensors");
    if (!single || spar__file_exists(single)) return single;
    char *index = spar__path_join(path, "model.safetensors.index.json");
    if (index && !spar__file_exists(index)) {
        spar__free(index);
        return single; /* so that the failure names the file that is most likely missing */
    }
    spar__free(single);
    return index;
}

static spar_status read_all(spar__st *st, const char *path) {
    if (!(st->path = resolve(path))) return SPAR_ERR_MEMORY;
    size_t n = strlen(st->path);
    bool indexed = n > 5 && !strcmp(st->path + n - 5, ".json");
    SPAR_TRY(indexed ? read_index(st) : read_part(st, st->path));
    qsort(st->tensors, st->n_tensors, sizeof *st->tensors, by_name);
    for (size_t i = 1; i < st->n_tensors; i++)
        if (!by_name(&st->tensors[i - 1], &st->tensors[i]))
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': stands there twice", st->path,
                              st->tensors[i].name);
    return SPAR_OK;
}

spar_status spar__st_open(const char *path, spar__st **out) {
    spar__st *st = spar__alloc(sizeof *st);
    if (!st) return SPAR_ERR_MEMORY;
    spar_status status = read_all(st, path);
    if (status)
        spar__st_free(st);
    else
        *out = st;
    return status;
}

void spar__st_free(spar__st *st) {
    if (!st) return;
    for (size_t i = 0; i < st->n_parts; i++) {
        spar__map_close(&st->parts[i].map);
        json_decref(st->parts[i].header);
        spar__free(st->parts[i].path);
    }
    spar__free(st->parts);
    spar__free(st->tensors);
    spar__free(st->path);
    spar__free(st);
}

const char *spar__st_path(const spar__st *st) {
    return st->path;
}
size_t spar__st_n_tensors(const spar__st *st) {
    return st->n_tensors;
}
const spar__st_tensor *spar__st_tensor_at(const spar__st *st, size_t i) {
    return &st->tensors[i];
}

const spar__st_tensor *spar__st_find(const spar__st *st, const char *name) {
    const spar__st_tensor wanted = {.name = name};
    if (!st->n_tensors) return NULL;
    return bsearch(&wanted, st->tensors, st->n_tensors, sizeof wanted, by_name);
}

spar_status spar__st_get(const spar__st *st, const char *name, const spar__st_tensor **out) {
    const spar__st_tensor *t = spar__st_find(st, name);
    if (!t) return spar__fail(SPAR_ERR_NOT_FOUND, "%s: tensor '%s': is not there", st->path, name);
    *out = t;
    return SPAR_OK;
}

const char *spar__st_metadata(const spar__st *st, const char *key) {
    if (!st->n_parts) return NULL;
    const json_t *metadata = json_object_get(st->parts[0].header, "__metadata__");
    return json_string_value(json_object_get(metadata, key));
}
