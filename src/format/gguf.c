/* Reading GGUF: header, keys, tensor descriptions, and where the tensors' bytes lie.
 *
 * file: "GGUF", u32 version, u64 tensors, u64 keys, the keys, the descriptions, padding, the data
 * key: string name, u32 kind, value         string: u64 length, bytes
 * array: u32 kind, u64 count, elements      description: string name, u32 n_dims, u64 ne[n_dims],
 *                                                        u32 type, u64 offset in the data
 * Sizes are checked in this order: bounds of each number, product, padding, length of the file. */
#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are mapped as they are, which needs a little-endian machine"
#endif

enum {
    MAX_KEYS = 1 << 16,
    MAX_TENSORS = 1 << 18,
    MAX_PARTS = 1 << 10,
    MAX_NAME = 65535,
    MAX_DEPTH = 4,             /* of arrays in arrays */
    LEAST_KEY = 8 + 1 + 4 + 1, /* bytes of the smallest key and description, which bound counts */
    LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8
};

typedef struct key {
    char *name;
    spar__gguf_value value;
} key;

typedef struct key_list {
    key *items;
    size_t count;
} key_list;

struct spar__gguf {
    char *path;
    spar__map *maps; /* one for each part */
    size_t n_maps;
    key_list keys;
    spar__gguf_tensor *tensors;
    size_t n_tensors, tensor_room;
    const key *
        *key_order; /* sorted by name: a crafted file cannot make it slow, as it can a hash */
    const spar__gguf_tensor **tensor_order;
};

/* What remains of a part's header. */
typedef struct cursor {
    const char *path;
    const unsigned char *bytes;
    size_t at, length;
} cursor;

static spar_status take(cursor *c, size_t n, const char *what, const unsigned char **out) {
    if (n > c->length - c->at) {
        spar__fail(SPAR_ERR_FORMAT, "%s: %s at byte %zu: needs %zu bytes, the file has %zu",
                   c->path, what, c->at, n, c->length - c->at);
        return SPAR_ERR_FORMAT;
    }
    *out = c->bytes + c->at;
    c->at += n;
    return SPAR_OK;
}

static spar_status take_u32(cursor *c, const char *what, uint32_t *out) {
    const unsigned char *p;
    SPAR_TRY(take(c, 4, what, &p));
    memcpy(out, p, 4);
    return SPAR_OK;
}

static spar_status take_u64(cursor *c, const char *what, uint64_t *out) {
    const unsigned char *p;
    SPAR_TRY(take(c, 8, what, &p));
    memcpy(out, p, 8);
    return SPAR_OK;
}

static spar_status take_string(cursor *c, const char *what, spar__gguf_string *out) {
    uint64_t length;
    const unsigned char *p;
    SPAR_TRY(take_u64(c, what, &length));
    SPAR_TRY(take(c, length, what, &p));
    *out = (spar__gguf_string){(const char *)p, length};
    return SPAR_OK;
}

/* A name in memory of its own, 0-terminated. */
static spar_status take_name(cursor *c, const char *what, char **out) {
    spar__gguf_string s;
    size_t at = c->at;
    SPAR_TRY(take_string(c, what, &s));
    if (!s.length || s.length > MAX_NAME || memchr(s.bytes, 0, s.length))
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: %s at byte %zu: %zu bytes, expected 1 to %d without a 0 byte",
                          c->path, what, at, s.length, MAX_NAME);
    char *name = spar__copy_bytes(s.bytes, s.length);
    if (!name) return SPAR_ERR_MEMORY;
    *out = name;
    return SPAR_OK;
}

static const unsigned char kind_bytes[SPAR__GGUF_N_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static spar_status skip_array(cursor *c, const char *name, int depth, spar__gguf_value *value);

/* Passes over `count` values of a kind. */
static spar_status skip_values(cursor *c, const char *name, uint32_t kind, uint64_t count,
                               int depth) {
    const unsigned char *p;
    size_t bytes, remain = c->length - c->at;
    size_t least = kind == SPAR__GGUF_STRING ? 8 : kind == SPAR__GGUF_ARRAY ? 12 : kind_bytes[kind];
    if (!spar__mul(count, least, &bytes) || bytes > remain)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': %llu values, the file has room for %zu",
                          c->path, name, (unsigned long long)count, remain / least);
    if (kind == SPAR__GGUF_STRING) {
        spar__gguf_string s;
        for (uint64_t i = 0; i < count; i++) SPAR_TRY(take_string(c, name, &s));
    } else if (kind == SPAR__GGUF_ARRAY) {
        spar__gguf_value inner;
        for (uint64_t i = 0; i < count; i++) SPAR_TRY(skip_array(c, name, depth + 1, &inner));
    } else {
        SPAR_TRY(take(c, bytes, name, &p));
        for (size_t i = 0; kind == SPAR__GGUF_BOOL && i < bytes; i++)
            if (p[i] > 1)
                return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': bool %d, expected 0 or 1",
                                  c->path, name, p[i]);
    }
    return SPAR_OK;
}

static spar_status take_kind(cursor *c, const char *name, uint32_t *kind) {
    SPAR_TRY(take_u32(c, name, kind));
    if (*kind < SPAR__GGUF_N_KINDS) return SPAR_OK;
    return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': kind of value %u, expected 0 to %d", c->path,
                      name, *kind, SPAR__GGUF_N_KINDS - 1);
}

static spar_status skip_array(cursor *c, const char *name, int depth, spar__gguf_value *value) {
    uint32_t element;
    uint64_t count;
    if (depth > MAX_DEPTH)
        return spar__fail(SPAR_ERR_LIMIT, "%s: key '%s': arrays nested deeper than %d", c->path,
                          name, MAX_DEPTH);
    SPAR_TRY(take_kind(c, name, &element));
    SPAR_TRY(take_u64(c, name, &count));
    size_t at = c->at;
    SPAR_TRY(skip_values(c, name, element, count, depth));
    *value = (spar__gguf_value){SPAR__GGUF_ARRAY, (spar__gguf_kind)element, count, c->bytes + at,
                                c->at - at};
    return SPAR_OK;
}

static spar_status take_value(cursor *c, const char *name, spar__gguf_value *value) {
    uint32_t kind;
    SPAR_TRY(take_kind(c, name, &kind));
    if (kind == SPAR__GGUF_ARRAY) return skip_array(c, name, 1, value);
    size_t at = c->at;
    SPAR_TRY(skip_values(c, name, kind, 1, 1));
    if (kind == SPAR__GGUF_STRING) at += 8;
    *value = (spar__gguf_value){(spar__gguf_kind)kind, (spar__gguf_kind)kind, 1, c->bytes + at,
                                c->at - at};
    return SPAR_OK;
}

/* A count is believed only as far as the smallest items would fit into what remains. */
static spar_status check_count(const cursor *c, const char *what, uint64_t count, size_t limit,
                               size_t least) {
    size_t fit = (c->length - c->at) / least;
    if (count > fit)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %llu %s, at most %zu fit into the file", c->path,
                          (unsigned long long)count, what, fit);
    if (count > limit)
        return spar__fail(SPAR_ERR_LIMIT, "%s: %llu %s, at most %zu are read", c->path,
                          (unsigned long long)count, what, limit);
    return SPAR_OK;
}

static void free_keys(key_list *keys) {
    for (size_t i = 0; i < keys->count; i++) spar__free(keys->items[i].name);
    spar__free(keys->items);
    *keys = (key_list){NULL, 0};
}

static spar_status take_keys(cursor *c, uint64_t count, key_list *keys) {
    SPAR_TRY(check_count(c, "keys", count, MAX_KEYS, LEAST_KEY));
    keys->items = spar__array(count, sizeof *keys->items);
    if (!keys->items) return SPAR_ERR_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        key *k = &keys->items[i];
        SPAR_TRY(take_name(c, "name of a key", &k->name));
        keys->count++;
        SPAR_TRY(take_value(c, k->name, &k->value));
    }
    return SPAR_OK;
}

static const spar__gguf_value *find(const key_list *keys, const char *name) {
    for (size_t i = 0; i < keys->count; i++)
        if (!strcmp(keys->items[i].name, name)) return &keys->items[i].value;
    return NULL;
}

/* An integer among the keys of one part; *out is left alone when the key is absent. */
static spar_status part_number(const char *path, const key_list *keys, const char *name,
                               int64_t high, int64_t *out) {
    const spar__gguf_value *v = find(keys, name);
    if (!v) return SPAR_OK;
    int64_t n = v->kind == SPAR__GGUF_ARRAY || v->kind == SPAR__GGUF_STRING
                    ? -1
                    : spar__gguf_integer_at(v, 0);
    if (n < 0 || n > high)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': expected an integer from 0 to %lld", path,
                          name, (long long)high);
    *out = n;
    return SPAR_OK;
}

/* ---- Tensors ------------------------------------------------------------------------------ */

static spar_status take_type(cursor *c, const char *name, const spar__gguf_traits **out) {
    uint32_t number;
    SPAR_TRY(take_u32(c, name, &number));
    const char *foreign = spar__gguf_foreign_name(number);
    if ((*out = spar__gguf_traits_of(number))) return SPAR_OK;
    if (foreign)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor '%s': type %s is not read", c->path,
                          name, foreign);
    return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': unknown type %u", c->path, name, number);
}

/* One description; `data` holds the offset until the start of the data is known. */
static spar_status take_tensor(cursor *c, spar__gguf_tensor *t, size_t *offset) {
    uint32_t n_dims;
    uint64_t where;
    const spar__gguf_traits *traits;
    SPAR_TRY(take_u32(c, t->name, &n_dims));
    if (n_dims < 1 || n_dims > 4)
        return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': %u dimensions, expected 1 to 4",
                          c->path, t->name, n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t n = 1;
        if (i < n_dims) SPAR_TRY(take_u64(c, t->name, &n));
        if (n < 1 || n > INT64_MAX)
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': ne[%u] is %llu", c->path, t->name,
                              i, (unsigned long long)n);
        t->ne[i] = (int64_t)n;
    }
    SPAR_TRY(take_type(c, t->name, &traits));
    SPAR_TRY(take_u64(c, t->name, &where));
    t->n_dims = (int)n_dims;
    t->type = traits->type;
    *offset = where;
    spar_status status =
        spar__gguf_size(t->name, traits, t->n_dims, t->ne, &t->elements, &t->bytes);
    return status ? spar__fail_within(status, "%s: tensor", c->path) : SPAR_OK;
}

typedef struct extent {
    size_t offset;
    spar__gguf_tensor *tensor;
} extent;

static int by_offset(const void *a, const void *b) {
    size_t x = ((const extent *)a)->offset, y = ((const extent *)b)->offset;
    return (x > y) - (x < y);
}

/* Places a part's tensors: aligned, inside the file, apart. */
static spar_status place(cursor *c, size_t alignment, extent *extents, size_t count) {
    size_t start, padded, end, previous = 0;
    if (!count) return SPAR_OK;
    if (!spar__align(c->at, alignment, &start) || start > c->length)
        return spar__fail(SPAR_ERR_FORMAT, "%s: ends before the tensors' data", c->path);
    qsort(extents, count, sizeof *extents, by_offset);
    for (size_t i = 0; i < count; i++) {
        spar__gguf_tensor *t = extents[i].tensor;
        size_t offset = extents[i].offset;
        if (offset & (alignment - 1))
            return spar__fail(SPAR_ERR_FORMAT,
                              "%s: tensor '%s': offset %zu, expected a multiple of %zu", c->path,
                              t->name, offset, alignment);
        if (!spar__align(t->bytes, alignment, &padded) || !spar__add(offset, padded, &end) ||
            !spar__add(offset, t->bytes, &end) || end > c->length - start)
            return spar__fail(SPAR_ERR_FORMAT,
                              "%s: tensor '%s': %zu bytes at offset %zu, the data have %zu bytes",
                              c->path, t->name, t->bytes, offset, c->length - start);
        if (offset < previous)
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': overlaps tensor '%s'", c->path,
                              t->name, extents[i - 1].tensor->name);
        previous = end;
        t->data = c->bytes + start + offset;
    }
    return SPAR_OK;
}

static spar_status take_tensors(cursor *c, spar__gguf *g, uint64_t count, size_t alignment) {
    SPAR_TRY(check_count(c, "tensors", count, MAX_TENSORS - g->n_tensors, LEAST_TENSOR));
    size_t need = g->n_tensors + count, first = g->n_tensors;
    spar__gguf_tensor *more = spar__resize(g->tensors, need, sizeof *more);
    if (!more) return SPAR_ERR_MEMORY;
    g->tensors = more;
    extent *extents = spar__array(count, sizeof *extents);
    if (!extents) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    for (size_t i = 0; i < count; i++) {
        char *name;
        SPAR_TRY_GOTO(done, take_name(c, "name of a tensor", &name));
        spar__gguf_tensor *t = extents[i].tensor = &g->tensors[first + i];
        *t = (spar__gguf_tensor){.name = name};
        g->n_tensors++;
        SPAR_TRY_GOTO(done, take_tensor(c, t, &extents[i].offset));
    }
    status = place(c, alignment, extents, count);
done:
    spar__free(extents);
    return status;
}

/* ---- Parts -------------------------------------------------------------------------------- */

static spar_status check_version(const char *path, uint32_t version) {
    if (version == 2 || version == 3) return SPAR_OK;
    if (version && !(version & 0xFFFF))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: GGUF in big-endian order is not read", path);
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: GGUF version %u, expected 2 or 3", path, version);
}

static spar_status read_part(spar__gguf *g, const char *path, key_list *keys) {
    spar__map *maps = spar__resize(g->maps, g->n_maps + 1, sizeof *maps);
    if (!maps) return SPAR_ERR_MEMORY;
    g->maps = maps;
    SPAR_TRY(spar__map_open(path, &maps[g->n_maps]));
    spar__map *map = &maps[g->n_maps++];
    cursor c = {path, map->bytes, 0, map->length};
    uint32_t version;
    uint64_t n_tensors, n_keys;
    const unsigned char *magic;
    if (map->length < 4 || memcmp(map->bytes, "GGUF", 4))
        return spar__fail(SPAR_ERR_FORMAT, "%s: not a GGUF file: it does not begin with 'GGUF'",
                          path);
    SPAR_TRY(take(&c, 4, "header", &magic));
    SPAR_TRY(take_u32(&c, "version", &version));
    SPAR_TRY(check_version(path, version));
    SPAR_TRY(take_u64(&c, "count of tensors", &n_tensors));
    SPAR_TRY(take_u64(&c, "count of keys", &n_keys));
    SPAR_TRY(take_keys(&c, n_keys, keys));
    int64_t alignment = 32;
    SPAR_TRY(part_number(path, keys, "general.alignment", INT64_MAX, &alignment));
    if (alignment < 8 || alignment > 65536 || alignment & (alignment - 1))
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: key 'general.alignment': %lld, expected a power of two from 8 to "
                          "65536",
                          path, (long long)alignment);
    return take_tensors(&c, g, n_tensors, (size_t)alignment);
}

/* What a part says about the split it belongs to; count 0 in a file that is whole. */
typedef struct split {
    int64_t number, count, tensors;
} split;

static spar_status read_split(const char *path, const key_list *keys, split *out) {
    split s = {0, 0, -1};
    SPAR_TRY(part_number(path, keys, "split.no", MAX_PARTS - 1, &s.number));
    SPAR_TRY(part_number(path, keys, "split.count", MAX_PARTS, &s.count));
    SPAR_TRY(part_number(path, keys, "split.tensors.count", MAX_TENSORS, &s.tensors));
    *out = s;
    return SPAR_OK;
}

static spar_status read_other_parts(spar__gguf *g, const split *whole) {
    char tail[32];
    snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", 1, (int)whole->count);
    size_t n = strlen(g->path), t = strlen(tail);
    if (whole->number)
        return spar__fail(SPAR_ERR_FORMAT, "%s: is part %d of %d of a model: open the first part",
                          g->path, (int)whole->number + 1, (int)whole->count);
    if (n < t || strcmp(g->path + n - t, tail))
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: first part of a split model, expected a name ending "
                          "in '%s'",
                          g->path, tail);
    char *path = spar__copy_string(g->path);
    if (!path) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    key_list keys = {NULL, 0};
    for (int i = 1; i < whole->count; i++) {
        split part;
        snprintf(path + n - t, t + 1, "-%05d-of-%05d.gguf", i + 1, (int)whole->count);
        SPAR_TRY_GOTO(done, read_part(g, path, &keys));
        SPAR_TRY_GOTO(done, read_split(path, &keys, &part));
        if (part.number != i || part.count != whole->count)
            SPAR_TRY_GOTO(done, spar__fail(SPAR_ERR_FORMAT,
                                           "%s: says it is part %d of %d, expected %d of %d", path,
                                           (int)part.number + 1, (int)part.count, i + 1,
                                           (int)whole->count));
        free_keys(&keys);
    }
    if (whole->tensors >= 0 && (size_t)whole->tensors != g->n_tensors)
        status = spar__fail(SPAR_ERR_FORMAT,
                            "%s: key 'split.tensors.count': %lld, the parts have %zu tensors",
                            g->path, (long long)whole->tensors, g->n_tensors);
done:
    free_keys(&keys);
    spar__free(path);
    return status;
}

/* ---- Finding by name ----------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    return strcmp((*(const key *const *)a)->name, (*(const key *const *)b)->name);
}

static int by_tensor(const void *a, const void *b) {
    return strcmp((*(const spar__gguf_tensor *const *)a)->name,
                  (*(const spar__gguf_tensor *const *)b)->name);
}

static spar_status sort_names(spar__gguf *g) {
    g->key_order = spar__array(g->keys.count, sizeof *g->key_order);
    g->tensor_order = spar__array(g->n_tensors, sizeof *g->tensor_order);
    if (!g->key_order || !g->tensor_order) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < g->keys.count; i++) g->key_order[i] = &g->keys.items[i];
    for (size_t i = 0; i < g->n_tensors; i++) g->tensor_order[i] = &g->tensors[i];
    qsort(g->key_order, g->keys.count, sizeof *g->key_order, by_key);
    qsort(g->tensor_order, g->n_tensors, sizeof *g->tensor_order, by_tensor);
    for (size_t i = 1; i < g->keys.count; i++)
        if (!by_key(&g->key_order[i - 1], &g->key_order[i]))
            return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': stands there twice", g->path,
                              g->key_order[i]->name);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (!by_tensor(&g->tensor_order[i - 1], &g->tensor_order[i]))
            return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': stands there twice", g->path,
                              g->tensor_order[i]->name);
    return SPAR_OK;
}

spar_status spar__gguf_open(const char *path, spar__gguf **out) {
    spar__gguf *g = spar__alloc(sizeof *g);
    if (!g) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    split whole;
    g->path = spar__copy_string(path);
    if (!g->path) SPAR_TRY_GOTO(fail, SPAR_ERR_MEMORY);
    SPAR_TRY_GOTO(fail, read_part(g, path, &g->keys));
    SPAR_TRY_GOTO(fail, read_split(path, &g->keys, &whole));
    if (whole.count > 1) SPAR_TRY_GOTO(fail, read_other_parts(g, &whole));
    SPAR_TRY_GOTO(fail, sort_names(g));
    *out = g;
    return SPAR_OK;
fail:
    spar__gguf_free(g);
    return status;
}

void spar__gguf_free(spar__gguf *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n_tensors; i++) spar__free((char *)g->tensors[i].name);
    for (size_t i = 0; i < g->n_maps; i++) spar__map_close(&g->maps[i]);
    free_keys(&g->keys);
    spar__free(g->tensors);
    spar__free(g->maps);
    spar__free(g->key_order);
    spar__free(g->tensor_order);
    spar__free(g->path);
    spar__free(g);
}

const char *spar__gguf_path(const spar__gguf *g) {
    return g->path;
}

size_t spar__gguf_n_keys(const spar__gguf *g) {
    return g->keys.count;
}

const char *spar__gguf_key(const spar__gguf *g, size_t i, spar__gguf_value *value) {
    if (value) *value = g->keys.items[i].value;
    return g->keys.items[i].name;
}

bool spar__gguf_find(const spar__gguf *g, const char *name, spar__gguf_value *value) {
    const key wanted = {.name = (char *)name}, *p = &wanted;
    const key **found = bsearch(&p, g->key_order, g->keys.count, sizeof *g->key_order, by_key);
    if (found && value) *value = (*found)->value;
    return found != NULL;
}

size_t spar__gguf_n_tensors(const spar__gguf *g) {
    return g->n_tensors;
}

const spar__gguf_tensor *spar__gguf_tensor_at(const spar__gguf *g, size_t i) {
    return &g->tensors[i];
}

const spar__gguf_tensor *spar__gguf_tensor_find(const spar__gguf *g, const char *name) {
    const spar__gguf_tensor wanted = {.name = name}, *p = &wanted;
    const spar__gguf_tensor **found =
        bsearch(&p, g->tensor_order, g->n_tensors, sizeof *g->tensor_order, by_tensor);
    return found ? *found : NULL;
}

spar_status spar__gguf_tensor_get(const spar__gguf *g, const char *name,
                                  const spar__gguf_tensor **out) {
    const spar__gguf_tensor *t = spar__gguf_tensor_find(g, name);
    if (!t) return spar__fail(SPAR_ERR_NOT_FOUND, "%s: tensor '%s': is not there", g->path, name);
    *out = t;
    return SPAR_OK;
}
