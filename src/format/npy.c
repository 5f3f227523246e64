#include "format/npy.h"

#include <string.h>

#include "base/file.h"

/* ---- Reading ------------------------------------------------------------------------------- */

/* The header's text, and where the elements begin. */
typedef struct header {
    const char *path, *text;
    size_t length, data;
} header;

static spar_status read_frame(const char *path, const spar__map *map, header *out) {
    const unsigned char *b = map->bytes;
    if (map->length < 12 || memcmp(b, "\x93NUMPY", 6))
        return spar__fail(SPAR_ERR_FORMAT, "%s: not an .npy file", path);
    if (b[6] < 1 || b[6] > 3)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: version %d, expected 1 to 3", path, b[6]);
    size_t start = b[6] == 1 ? 10 : 12, length = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (length > map->length - start)
        return spar__fail(SPAR_ERR_FORMAT, "%s: header of %zu bytes, the file has %zu", path,
                          length, map->length - start);
    *out = (header){path, (const char *)b + start, length, start + length};
    return SPAR_OK;
}

/* What stands behind `'key':` in the header, NULL when it is not there. */
static const char *value_of(const header *h, const char *key) {
    const char *p = memmem(h->text, h->length, key, strlen(key)), *end = h->text + h->length;
    if (!p) return NULL;
    p += strlen(key);
    while (p < end && (*p == ' ' || *p == ':')) p++;
    return p < end ? p : NULL;
}

static bool begins(const header *h, const char *p, const char *text) {
    size_t n = strlen(text);
    return p && n <= (size_t)(h->text + h->length - p) && !memcmp(p, text, n);
}

/* A tuple of one or two sizes: "(4, 256)", "(256,)". */
static spar_status read_shape(const header *h, int64_t shape[2], int *n_dims) {
    const char *p = value_of(h, "'shape'"), *end = h->text + h->length;
    int n = 0;
    bool inside = false; /* of a number */
    if (!begins(h, p, "(")) goto malformed;
    for (p++; p < end && *p != ')'; p++) {
        if (*p >= '0' && *p <= '9') {
            if (!inside && n == 2)
                return spar__fail(SPAR_ERR_FORMAT, "%s: more than 2 dimensions", h->path);
            if (!inside) shape[n++] = 0;
            inside = true;
            if (__builtin_mul_overflow(shape[n - 1], 10, &shape[n - 1]) ||
                __builtin_add_overflow(shape[n - 1], *p - '0', &shape[n - 1]))
                goto malformed;
        } else if (*p == ',' || *p == ' ') {
            inside = false;
        } else {
            goto malformed;
        }
    }
    if (p == end) goto malformed;
    *n_dims = n;
    return SPAR_OK;
malformed:
    return spar__fail(SPAR_ERR_FORMAT, "%s: key 'shape': expected a tuple of sizes", h->path);
}

static spar_status check_type(const header *h) {
    const char *type = value_of(h, "'descr'");
    if (!begins(h, value_of(h, "'fortran_order'"), "False"))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key 'fortran_order': expected False", h->path);
    if (begins(h, type, "'<i4'")) return SPAR_OK;
    int n = type ? (int)strnlen(type, (size_t)(h->text + h->length - type)) : 0;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key 'descr': found %.*s, expected '<i4' (int32)",
                      h->path, n < 5 ? n : 5, type ? type : "");
}

static spar_status read_elements(const char *path, const spar__map *map, int64_t *rows,
                                 int64_t *cols, int32_t **values) {
    header h = {0};
    int64_t shape[2] = {1, 1};
    int n_dims = 0;
    size_t count, bytes;
    SPAR_TRY(read_frame(path, map, &h));
    SPAR_TRY(check_type(&h));
    SPAR_TRY(read_shape(&h, shape, &n_dims));
    if (n_dims < 1 || shape[0] < 1 || shape[1] < 1)
        return spar__fail(SPAR_ERR_FORMAT,
                          "%s: key 'shape': expected one or two sizes of at least 1", path);
    if (n_dims == 1) shape[1] = shape[0], shape[0] = 1;
    if (!spar__mul((size_t)shape[0], (size_t)shape[1], &count) ||
        !spar__mul(count, sizeof(int32_t), &bytes) || bytes != map->length - h.data)
        return spar__fail(SPAR_ERR_FORMAT, "%s: %zu bytes of elements, not those of [%lld, %lld]",
                          path, map->length - h.data, (long long)shape[0], (long long)shape[1]);
    int32_t *copy = spar__alloc(bytes);
    if (!copy) return SPAR_ERR_MEMORY;
    memcpy(copy, map->bytes + h.data, bytes);
    *rows = shape[0];
    *cols = shape[1];
    *values = copy;
    return SPAR_OK;
}

spar_status spar__npy_read_i32(const char *path, int64_t *rows, int64_t *cols, int32_t **values) {
    spar__map map;
    SPAR_TRY(spar__map_open(path, &map));
    spar_status status = read_elements(path, &map, rows, cols, values);
    spar__map_close(&map);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------- */

struct spar__npy_writer {
    spar__writer *file;
    size_t left; /* elements still to come */
};

enum { HEADER = 192 }; /* bytes before the elements: room for four sizes, a multiple of 64 */

static spar_status write_header(spar__writer *file, int n_dims, const int64_t *shape) {
    char sizes[96] = "", bytes[HEADER];
    for (int i = 0, n = 0; i < n_dims; i++)
        n += snprintf(sizes + n, sizeof sizes - (size_t)n, "%lld,%s", (long long)shape[i],
                      i + 1 < n_dims ? " " : "");
    memset(bytes, ' ', sizeof bytes);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (char)(HEADER - 10);
    bytes[9] = 0;
    int n = snprintf(bytes + 10, sizeof bytes - 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", sizes);
    bytes[10 + n] = ' '; /* over the terminator */
    bytes[HEADER - 1] = '\n';
    return spar__writer_write(file, bytes, sizeof bytes);
}

spar_status spar__npy_create(const char *path, int n_dims, const int64_t *shape,
                             spar__npy_writer **out) {
    size_t count = 1, bytes;
    bool right = n_dims >= 1 && n_dims <= 4;
    for (int i = 0; right && i < n_dims; i++)
        right = shape[i] >= 0 && spar__mul(count, (size_t)shape[i], &count);
    if (!right || !spar__mul(count, sizeof(float), &bytes))
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: %d dimensions, or sizes that are too large", path,
                          n_dims);
    spar__npy_writer *w = spar__alloc(sizeof *w);
    if (!w) return SPAR_ERR_MEMORY;
    w->left = count;
    spar_status status = spar__writer_open(path, &w->file);
    if (!status) status = write_header(w->file, n_dims, shape);
    if (status)
        spar__npy_abandon(w);
    else
        *out = w;
    return status;
}

spar_status spar__npy_write(spar__npy_writer *w, const float *values, size_t count) {
    if (count > w->left)
        return spar__fail(SPAR_ERR_ARGUMENT, "npy: %zu elements beyond the array", count - w->left);
    w->left -= count;
    return spar__writer_write(w->file, values, count * sizeof *values);
}

spar_status spar__npy_commit(spar__npy_writer *w) {
    spar_status status = SPAR_OK;
    if (w->left) {
        status = spar__fail(SPAR_ERR_ARGUMENT, "npy: %zu elements are missing", w->left);
    } else {
        spar__writer *file = w->file;
        w->file = NULL; /* the commit ends it in either case */
        status = spar__writer_commit(file);
    }
    spar__npy_abandon(w);
    return status;
}

void spar__npy_abandon(spar__npy_writer *w) {
    if (!w) return;
    spar__writer_abandon(w->file);
    spar__free(w);
}
