/* Writing GGUF version 3: the header is collected in memory, the tensors' bytes are streamed. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "format/gguf.h"

enum { HEADER_LIMIT = 1 << 30 };

typedef struct entry {
    char *name;
    size_t bytes; /* of a tensor */
} entry;

typedef struct entry_list {
    entry *items;
    size_t count, room;
} entry_list;

struct spar__gguf_writer {
    spar_status failed; /* the first failure */
    uint32_t alignment;
    spar__buffer header, descriptions; /* keys; tensors */
    entry_list keys, tensors;
    size_t data_offset; /* of the next tensor to describe */
    spar__writer *file; /* while begun */
    bool begun;
    size_t current, done; /* the tensor being written, and its bytes so far */
};

spar_status spar__gguf_writer_create(spar__gguf_writer **out) {
    spar__gguf_writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    w->alignment = 32;
    w->header = spar__buffer_make(HEADER_LIMIT);
    w->descriptions = spar__buffer_make(HEADER_LIMIT);
    *out = w;
    return SPAR_OK;
}

static void free_entries(entry_list *list) {
    for (size_t i = 0; i < list->count; i++) spar__free(list->items[i].name);
    spar__free(list->items);
}

void spar__gguf_writer_free(spar__gguf_writer *w) {
    if (!w) return;
    spar__writer_abandon(w->file);
    spar__buffer_free(&w->header);
    spar__buffer_free(&w->descriptions);
    free_entries(&w->keys);
    free_entries(&w->tensors);
    spar__free(w);
}

static spar_status keep(spar__gguf_writer *w, spar_status status) {
    if (!w->failed) w->failed = status;
    return status;
}

static spar_status add_entry(entry_list *list, const char *name, size_t bytes) {
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        entry *items = spar__resize(list->items, room, sizeof *items);
        if (!items) return SPAR_ERR_MEMORY;
        list->items = items;
        list->room = room;
    }
    char *copy = spar__copy_string(name);
    if (!copy) return SPAR_ERR_MEMORY;
    list->items[list->count++] = (entry){copy, bytes};
    return SPAR_OK;
}

static spar_status put_u32(spar__buffer *b, uint32_t n) {
    return spar__buffer_add(b, &n, 4);
}

static spar_status put_string(spar__buffer *b, const char *bytes, uint64_t length) {
    SPAR_TRY(spar__buffer_add(b, &length, 8));
    return spar__buffer_add(b, bytes, length);
}

static spar_status put_name(spar__buffer *b, const char *name) {
    size_t n = strlen(name);
    if (!n || n > 65535)
        return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: a name of %zu bytes, expected 1 to 65535", n);
    return put_string(b, name, n);
}

/* ---- Keys ---------------------------------------------------------------------------------- */

static spar_status begin_key(spar__gguf_writer *w, const char *key) {
    if (w->begun)
        return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: key '%s' after the data have begun", key);
    SPAR_TRY(put_name(&w->header, key));
    return add_entry(&w->keys, key, 0);
}

static spar_status add_raw(spar__gguf_writer *w, const char *key, uint32_t kind, const void *bytes,
                           size_t length) {
    SPAR_TRY(begin_key(w, key));
    SPAR_TRY(put_u32(&w->header, kind));
    return spar__buffer_add(&w->header, bytes, length);
}

static spar_status begin_array(spar__gguf_writer *w, const char *key, uint32_t element,
                               uint64_t count) {
    uint32_t kinds[2] = {SPAR__GGUF_ARRAY, element};
    SPAR_TRY(begin_key(w, key));
    SPAR_TRY(spar__buffer_add(&w->header, kinds, 8));
    return spar__buffer_add(&w->header, &count, 8);
}

static size_t size_of(spar__gguf_kind kind) {
    static const unsigned char sizes[SPAR__GGUF_N_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return (unsigned)kind < SPAR__GGUF_N_KINDS ? sizes[kind] : 0;
}

/* An integer fits a kind when it is the same after having been stored in it. */
static spar_status check_integer(const char *key, spar__gguf_kind kind, int64_t value) {
    spar__gguf_value v = {kind, kind, 1, (const unsigned char *)&value, size_of(kind)};
    bool number = size_of(kind) && kind != SPAR__GGUF_FLOAT32 && kind != SPAR__GGUF_FLOAT64 &&
                  kind != SPAR__GGUF_BOOL;
    bool fits =
        number && (kind == SPAR__GGUF_UINT64 ? value >= 0 : spar__gguf_integer_at(&v, 0) == value);
    if (fits) return SPAR_OK;
    return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: key '%s': %lld is no %s", key, (long long)value,
                      spar__gguf_kind_name(kind));
}

spar_status spar__gguf_add_integer(spar__gguf_writer *w, const char *key, spar__gguf_kind kind,
                                   int64_t value) {
    if (w->failed) return w->failed;
    spar_status status = check_integer(key, kind, value);
    return keep(w, status ? status : add_raw(w, key, kind, &value, size_of(kind)));
}

spar_status spar__gguf_add_u32(spar__gguf_writer *w, const char *key, uint32_t value) {
    return spar__gguf_add_integer(w, key, SPAR__GGUF_UINT32, value);
}

spar_status spar__gguf_add_f32(spar__gguf_writer *w, const char *key, float value) {
    if (w->failed) return w->failed;
    return keep(w, add_raw(w, key, SPAR__GGUF_FLOAT32, &value, 4));
}

spar_status spar__gguf_add_bool(spar__gguf_writer *w, const char *key, bool value) {
    if (w->failed) return w->failed;
    unsigned char byte = value;
    return keep(w, add_raw(w, key, SPAR__GGUF_BOOL, &byte, 1));
}

static spar_status add_text(spar__gguf_writer *w, const char *key, const char *bytes,
                            size_t length) {
    SPAR_TRY(begin_key(w, key));
    SPAR_TRY(put_u32(&w->header, SPAR__GGUF_STRING));
    return put_string(&w->header, bytes, length);
}

spar_status spar__gguf_add_text(spar__gguf_writer *w, const char *key, const char *bytes,
                                size_t length) {
    if (w->failed) return w->failed;
    return keep(w, add_text(w, key, bytes, length));
}

spar_status spar__gguf_add_texts(spar__gguf_writer *w, const char *key,
                                 const spar__gguf_string *texts, size_t count) {
    if (w->failed) return w->failed;
    spar_status status = begin_array(w, key, SPAR__GGUF_STRING, count);
    for (size_t i = 0; !status && i < count; i++)
        status = put_string(&w->header, texts[i].bytes, texts[i].length);
    return keep(w, status);
}

spar_status spar__gguf_add_numbers(spar__gguf_writer *w, const char *key, spar__gguf_kind kind,
                                   const void *values, size_t count) {
    if (w->failed) return w->failed;
    size_t bytes;
    if (!size_of(kind) || !spar__mul(count, size_of(kind), &bytes))
        return keep(w, spar__fail(SPAR_ERR_ARGUMENT, "GGUF: key '%s': no numbers of kind %s", key,
                                  spar__gguf_kind_name(kind)));
    spar_status status = begin_array(w, key, kind, count);
    return keep(w, status ? status : spar__buffer_add(&w->header, values, bytes));
}

spar_status spar__gguf_add_value(spar__gguf_writer *w, const char *key, const spar__gguf_value *v) {
    if (w->failed) return w->failed;
    if (v->kind == SPAR__GGUF_STRING)
        return spar__gguf_add_text(w, key, (const char *)v->bytes, v->length);
    if (v->kind != SPAR__GGUF_ARRAY) return keep(w, add_raw(w, key, v->kind, v->bytes, v->length));
    spar_status status = begin_array(w, key, v->element, v->count);
    return keep(w, status ? status : spar__buffer_add(&w->header, v->bytes, v->length));
}

/* ---- Tensors ------------------------------------------------------------------------------- */

spar_status spar__gguf_writer_align(spar__gguf_writer *w, uint32_t alignment) {
    if (w->failed) return w->failed;
    if (w->tensors.count || alignment < 8 || alignment > 65536 || alignment & (alignment - 1))
        return keep(w, spar__fail(SPAR_ERR_ARGUMENT,
                                  "GGUF: alignment %u, expected a power of two from 8 to 65536 "
                                  "before the first tensor",
                                  alignment));
    w->alignment = alignment;
    return spar__gguf_add_u32(w, "general.alignment", alignment);
}

static spar_status add_tensor(spar__gguf_writer *w, const char *name, spar__gguf_type type,
                              int n_dims, const int64_t *ne) {
    size_t elements, bytes, padded, next;
    uint64_t offset = w->data_offset;
    const spar__gguf_traits *traits = spar__gguf_traits_of(type);
    spar__buffer *b = &w->descriptions;
    if (w->begun || !traits)
        return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: tensor '%s': %s", name,
                          w->begun ? "after the data have begun" : "unknown type");
    SPAR_TRY(spar__gguf_size(name, traits, n_dims, ne, &elements, &bytes));
    if (!spar__align(bytes, w->alignment, &padded) || !spar__add(w->data_offset, padded, &next))
        return spar__fail(SPAR_ERR_LIMIT, "GGUF: tensor '%s': the file would be too large", name);
    SPAR_TRY(put_name(b, name));
    SPAR_TRY(put_u32(b, (uint32_t)n_dims));
    SPAR_TRY(spar__buffer_add(b, ne, 8 * (size_t)n_dims));
    SPAR_TRY(put_u32(b, type));
    SPAR_TRY(spar__buffer_add(b, &offset, 8));
    SPAR_TRY(add_entry(&w->tensors, name, bytes));
    w->data_offset = next;
    return SPAR_OK;
}

spar_status spar__gguf_add_tensor(spar__gguf_writer *w, const char *name, spar__gguf_type type,
                                  int n_dims, const int64_t *ne) {
    if (w->failed) return w->failed;
    return keep(w, add_tensor(w, name, type, n_dims, ne));
}

/* ---- The file ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b) {
    return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

static spar_status check_unique(const char *path, const char *what, const entry_list *list) {
    const entry **order = spar__array(list->count, sizeof *order);
    if (!order) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    for (size_t i = 0; i < list->count; i++) order[i] = &list->items[i];
    qsort(order, list->count, sizeof *order, by_name);
    for (size_t i = 1; !status && i < list->count; i++)
        if (!by_name(&order[i - 1], &order[i]))
            status = spar__fail(SPAR_ERR_ARGUMENT, "%s: %s '%s': given twice", path, what,
                                order[i]->name);
    spar__free(order);
    return status;
}

static spar_status pad(spar__gguf_writer *w) {
    static const char zeros[4096];
    size_t left = -(size_t)spar__writer_offset(w->file) & (w->alignment - 1);
    while (left) {
        size_t n = left < sizeof zeros ? left : sizeof zeros;
        SPAR_TRY(spar__writer_write(w->file, zeros, n));
        left -= n;
    }
    return SPAR_OK;
}

static spar_status begin(spar__gguf_writer *w, const char *path) {
    uint64_t counts[2] = {w->tensors.count, w->keys.count};
    uint32_t version = 3;
    if (w->begun) return spar__fail(SPAR_ERR_ARGUMENT, "%s: the data have begun already", path);
    SPAR_TRY(check_unique(path, "key", &w->keys));
    SPAR_TRY(check_unique(path, "tensor", &w->tensors));
    SPAR_TRY(spar__writer_open(path, &w->file));
    w->begun = true;
    SPAR_TRY(spar__writer_write(w->file, "GGUF", 4));
    SPAR_TRY(spar__writer_write(w->file, &version, 4));
    SPAR_TRY(spar__writer_write(w->file, counts, sizeof counts));
    SPAR_TRY(spar__writer_write(w->file, w->header.bytes, w->header.length));
    SPAR_TRY(spar__writer_write(w->file, w->descriptions.bytes, w->descriptions.length));
    return pad(w);
}

spar_status spar__gguf_writer_begin(spar__gguf_writer *w, const char *path) {
    if (w->failed) return w->failed;
    return keep(w, begin(w, path));
}

static spar_status write_data(spar__gguf_writer *w, const char *bytes, size_t length) {
    if (!w->file) return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: data before the beginning");
    while (length) {
        if (w->current == w->tensors.count)
            return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: %zu bytes beyond the last tensor", length);
        size_t left = w->tensors.items[w->current].bytes - w->done;
        size_t n = length < left ? length : left;
        SPAR_TRY(spar__writer_write(w->file, bytes, n));
        bytes += n;
        length -= n;
        w->done += n;
        if (n < left) break;
        SPAR_TRY(pad(w));
        w->current++;
        w->done = 0;
    }
    return SPAR_OK;
}

spar_status spar__gguf_writer_data(spar__gguf_writer *w, const void *bytes, size_t length) {
    if (w->failed) return w->failed;
    return keep(w, write_data(w, bytes, length));
}

static spar_status commit(spar__gguf_writer *w) {
    if (!w->file) return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: commit before the beginning");
    if (w->current < w->tensors.count)
        return spar__fail(SPAR_ERR_ARGUMENT, "GGUF: tensor '%s': %zu bytes written, expected %zu",
                          w->tensors.items[w->current].name, w->done,
                          w->tensors.items[w->current].bytes);
    spar__writer *file = w->file;
    w->file = NULL; /* the commit ends it in either case */
    return spar__writer_commit(file);
}

spar_status spar__gguf_writer_commit(spar__gguf_writer *w) {
    if (w->failed) return w->failed;
    return keep(w, commit(w));
}
