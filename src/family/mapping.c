/* Binding parameters to the tensors of a file. */
#include "family/mapping.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 192 };

/* ---- The tensors of a file ---- */

static const struct {
    spar__st_type theirs;
    spar__type ours;
} st_types[] = {{SPAR__ST_F32, SPAR__F32}, {SPAR__ST_F16, SPAR__F16}, {SPAR__ST_BF16, SPAR__BF16}};

static void from_st(const spar__st_tensor *t, spar__foreign *out) {
    *out = (spar__foreign){.name = t->name,
                           .data = t->data,
                           .n_dims = t->n_dims,
                           .bytes = t->bytes,
                           .type_name = spar__st_type_name(t->type)};
    memcpy(out->shape, t->shape, sizeof out->shape);
    for (size_t i = 0; i < sizeof st_types / sizeof *st_types; i++)
        if (st_types[i].theirs == t->type) {
            out->typed = true;
            out->type = st_types[i].ours;
        }
}

static void from_gguf(const spar__gguf_tensor *t, spar__foreign *out) {
    *out = (spar__foreign){.name = t->name,
                           .data = t->data,
                           .n_dims = t->n_dims,
                           .bytes = t->bytes,
                           .type_name = spar__gguf_traits_of(t->type)->name};
    for (int d = 0; d < t->n_dims; d++) out->shape[d] = t->ne[t->n_dims - 1 - d];
    out->typed = spar__model_type_of_gguf((int)t->type, &out->type);
}

static bool find_as(const spar__binding *b, const char *name, spar__foreign *out) {
    const spar__st_tensor *st = b->tensors ? spar__st_find(b->tensors, name) : NULL;
    const spar__gguf_tensor *gguf = b->file ? spar__gguf_tensor_find(b->file, name) : NULL;
    if (st) from_st(st, out);
    if (gguf) from_gguf(gguf, out);
    return st || gguf;
}

/* Old checkpoints call the weight and bias of norms gamma and beta. */
static bool find_exact(const spar__binding *b, const char *name, spar__foreign *out) {
    static const char *const spellings[][2] = {{"LayerNorm.weight", "gamma"}, {"LayerNorm.bias", "beta"}};
    if (find_as(b, name, out)) return true;
    size_t n = strlen(name);
    for (int i = 0; i < 2; i++) {
        size_t end = strlen(spellings[i][0]), keep = n - end + strlen("LayerNorm.");
        if (n < end || n >= NAME || strcmp(name + n - end, spellings[i][0]) != 0) continue;
        char other[NAME];
        snprintf(other, sizeof other, "%.*s%s", (int)keep, name, spellings[i][1]);
        return find_as(b, other, out);
    }
    return false;
}

bool spar__foreign_find(const spar__binding *b, const char *name, spar__foreign *out) {
    char full[NAME + 32];
    const char *bar = strchr(name, '|');
    if (bar) {
        snprintf(full, sizeof full, "%.*s", (int)(bar - name), name);
        return spar__foreign_find(b, full, out) || spar__foreign_find(b, bar + 1, out);
    }
    if (name[0] == '/') return find_exact(b, name + 1, out);
    for (int i = 0; b->prefixes && b->prefixes[i]; i++) {
        snprintf(full, sizeof full, "%s%s", b->prefixes[i], name);
        if (find_exact(b, full, out)) return true;
    }
    return !b->prefixes && find_exact(b, name, out);
}

/* ---- Checks ---- */

static spar_status wrong_shape(const spar__binding *b, const spar__foreign *t, const spar__place *place,
                               bool turned) {
    char found[160] = "";
    for (int d = 0; d < t->n_dims; d++) {
        size_t n = strlen(found);
        snprintf(found + n, sizeof found - n, "%s%lld", d ? ", " : "", (long long)t->shape[d]);
    }
    int64_t rows = place->all;
    return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s': shape [%s], expected %lld %s of %lld", b->path,
                      t->name, found, (long long)rows, turned ? "columns" : "rows", (long long)place->cols);
}

/* Rows and columns of theirs, or of its transpose; higher ranks are rows of their last dimension. Columns may be
 * all but the first dimension, or the last alone. */
static bool shape_fits(const spar__foreign *t, const spar__place *place, const spar__param *p, bool turned) {
    int64_t all = 1, last = t->n_dims > 0 ? t->shape[t->n_dims - 1] : 0, first = t->n_dims > 0 ? t->shape[0] : 0;
    for (int d = 0; d < t->n_dims; d++)
        if (t->shape[d] < 1 || __builtin_mul_overflow(all, t->shape[d], &all)) return false;
    if (t->n_dims < 1) return false;
    if (p->n_dims == 1) return all == place->all;
    /* Kernels of convolutions: the same dimensions, of which we take all but the first for columns. */
    if (p->n_dims > 2 && t->n_dims == p->n_dims && place->all == p->value.rows && !turned &&
        memcmp(t->shape, p->shape, (size_t)p->n_dims * sizeof *p->shape) == 0)
        return true;
    if (turned)
        return t->n_dims > 1 && all / place->cols == place->all && all % place->cols == 0 &&
               (place->slabs ? first == place->slabs && t->shape[1] == place->cols
                             : first == place->cols || last == place->all);
    return last == place->cols && all / last == place->all;
}

static spar_status find(const spar__binding *b, const spar__place *place, const spar__param *p,
                        int64_t expert, spar__foreign *out) {
    char name[NAME];
    spar__place_name(place, p, expert, name, sizeof name);
    if (!spar__foreign_find(b, name, out))
        return spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s%s' is missing", b->path,
                          name[0] != '/' && b->prefixes ? b->prefixes[0] : "", name + (name[0] == '/'));
    if (!out->typed)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor '%s': weights of type %s are not computed with",
                          b->path, out->name, out->type_name);
    bool turned = spar__place_turned(place, expert);
    if (!shape_fits(out, place, p, turned)) return wrong_shape(b, out, place, turned);
    if (turned && spar__type_of(out->type)->block > 1)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor '%s': type %s cannot be transposed", b->path,
                          out->name, out->type_name);
    return SPAR_OK;
}

/* ---- Binding ---- */

enum { FILE_REAL = 4 }; /* bytes of an f32 in files; our real is double in one variant of the build */

static spar__type type_for(const spar__param *p, const spar__foreign *t) {
    return p->vector ? SPAR__F32 : t->type;
}

static size_t alignment_of(spar__type type) {
    size_t block = spar__type_of(type)->block_bytes;
    return block == 4 ? 4 : block % 2 ? 1 : 2;
}

/* Whether our rows lie there in their order and in a type that is taken as it is. */
static bool can_view(const spar__param *p, const spar__place *place, const spar__foreign *t) {
    spar__type type = type_for(p, t);
    return type == t->type && !(type == SPAR__F32 && sizeof(real) != FILE_REAL) && place->experts == 1 &&
           !place->transposed && !place->halves && !place->turned &&
           (!place->rule || place->rule->form != SPAR__PER_HEAD) &&
           (uintptr_t)t->data % alignment_of(type) == 0;
}

static size_t row_bytes(spar__type type, int64_t cols) {
    size_t bytes = 0;
    spar__row_bytes(type, (size_t)cols, &bytes);
    return bytes;
}

static size_t file_row_bytes(spar__type type, int64_t cols) {
    return type == SPAR__F32 ? (size_t)cols * FILE_REAL : row_bytes(type, cols);
}

/* `n` elements of a file's row into one of ours. Decoders may want aligned input. */
static void copy_row(void *to, spar__type to_type, const void *from, spar__type from_type, int64_t n,
                     void *aligned) {
    if (from_type == SPAR__F32) {
        for (int64_t i = 0; i < n; i++) {
            float f;
            memcpy(&f, (const char *)from + i * FILE_REAL, sizeof f);
            ((real *)to)[i] = (real)f;
        }
    } else if (to_type == from_type) {
        memcpy(to, from, row_bytes(from_type, n));
    } else {
        memcpy(aligned, from, row_bytes(from_type, n));
        spar__k()->decode[from_type](to, aligned, n);
    }
}

/* Our [rows, cols] out of columns of theirs, in squares that both sides' caches like. */
static void copy_transposed(char *to, const spar__foreign *t, const spar__place *place) {
    enum { BLOCK = 32 };
    int64_t cols = place->cols, each = place->all / (place->slabs ? place->slabs : 1); /* columns of a slab */
    size_t size = t->type == SPAR__F32 ? FILE_REAL : spar__type_of(t->type)->block_bytes;
    size_t ours = t->type == SPAR__F32 ? sizeof(real) : size;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < place->rows; r += BLOCK)
        for (int64_t c = 0; c < cols; c += BLOCK)
            for (int64_t i = r; i < r + BLOCK && i < place->rows; i++)
                for (int64_t j = c; j < c + BLOCK && j < cols; j++) {
                    int64_t row = spar__place_row(place, i);
                    int64_t at = (row / each * cols + j) * each + row % each;
                    const char *from = (const char *)t->data + (size_t)at * size;
                    copy_row(to + (size_t)(i * place->stride + j) * ours, t->type, from, t->type, 1, NULL);
                }
}

static spar_status copy_rows(char *to, spar__type type, const spar__foreign *t, const spar__place *place) {
    int64_t rows = place->rows, cols = place->cols;
    size_t from_bytes = file_row_bytes(t->type, cols), to_bytes = row_bytes(type, place->stride);
    char *aligned = spar__alloc(from_bytes);
    if (!aligned) return SPAR_ERR_MEMORY;
    for (int64_t r = 0; r < rows; r++)
        copy_row(to + (size_t)r * to_bytes, type,
                 (const char *)t->data + (size_t)spar__place_row(place, r) * from_bytes, t->type, cols,
                 aligned);
    spar__free(aligned);
    return SPAR_OK;
}

/* Copies the parameter to value.data, which has room for it. */
static spar_status fill(const spar__binding *b, const spar__place *place, spar__param *p) {
    size_t each = place->halves ? row_bytes(p->value.type, place->cols)
                                : (size_t)place->rows * row_bytes(p->value.type, place->stride);
    for (int64_t e = 0; e < place->experts; e++) {
        spar__foreign t;
        char *to = (char *)p->value.data + (size_t)e * each;
        SPAR_TRY(find(b, place, p, e, &t));
        if (type_for(p, &t) != p->value.type)
            return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor '%s': type %s, expected that of its neighbours, %s",
                              b->path, t.name, t.type_name, spar__type_of(p->value.type)->name);
        if (spar__place_turned(place, e)) copy_transposed(to, &t, place);
        else SPAR_TRY(copy_rows(to, p->value.type, &t, place));
    }
    return SPAR_OK;
}

/* Views where they can be had; *room is what the others take. */
static spar_status plan(const spar__binding *b, spar_model *m, spar__place *places, size_t *room) {
    *room = 0;
    for (int i = 0, n = spar__model_n_params(m); i < n; i++) {
        spar__param *p = spar__model_param(m, i);
        spar__foreign t;
        size_t bytes;
        SPAR_TRY(spar__place_of(m, b->rules, p, &places[i]));
        SPAR_TRY(find(b, &places[i], p, 0, &t));
        p->value.type = type_for(p, &t);
        if (can_view(p, &places[i], &t)) {
            size_t row = p->n_dims == 1 ? FILE_REAL : row_bytes(t.type, p->value.cols);
            p->value.data = (char *)t.data + (size_t)places[i].before * row;
            continue;
        }
        if (!spar__row_bytes(p->value.type, (size_t)p->value.cols, &bytes) ||
            !spar__mul(bytes, (size_t)p->value.rows, &bytes) || !spar__align(bytes, 64, &bytes) ||
            !spar__add(*room, bytes, room))
            return spar__fail(SPAR_ERR_LIMIT, "%s: tensor '%s' is too large", b->path, t.name);
    }
    return SPAR_OK;
}

/* ---- Tensors that nothing takes ---- */

static bool matches(const char *pattern, const char *name) {
    for (; *pattern; pattern++, name++) {
        if (*pattern == '*') {
            for (const char *at = name;; at++) {
                if (matches(pattern + 1, at)) return true;
                if (!*at) return false;
            }
        }
        if (*pattern != *name) return false;
    }
    return !*name;
}

static bool is_ignored(const spar__binding *b, const char *name) {
    for (int i = 0; b->ignored && b->ignored[i]; i++)
        if (matches(b->ignored[i], name)) return true;
    return false;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of all tensors that the parameters take, sorted; they live in the file. */
static spar_status list_taken(const spar__binding *b, spar_model *m, const spar__place *places,
                              const char ***out, size_t *count) {
    size_t room = 0, n = 0;
    for (int i = 0; i < spar__model_n_params(m); i++) room += (size_t)places[i].experts;
    const char **taken = spar__array(room + 1, sizeof *taken);
    if (!taken) return SPAR_ERR_MEMORY;
    for (int i = 0; i < spar__model_n_params(m); i++)
        for (int64_t e = 0; e < places[i].experts; e++) {
            spar__foreign t;
            spar_status status = find(b, &places[i], spar__model_param(m, i), e, &t);
            if (status) return spar__free(taken), status;
            taken[n++] = t.name;
        }
    qsort(taken, n, sizeof *taken, by_text);
    *out = taken;
    *count = n;
    return SPAR_OK;
}

static spar_status refuse_others(const spar__binding *b, spar_model *m, const spar__place *places) {
    const char **taken;
    size_t n_taken, n = b->tensors ? spar__st_n_tensors(b->tensors) : spar__gguf_n_tensors(b->file);
    SPAR_TRY(list_taken(b, m, places, &taken, &n_taken));
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < n; i++) {
        const char *name = b->tensors ? spar__st_tensor_at(b->tensors, i)->name
                                      : spar__gguf_tensor_at(b->file, i)->name;
        if (!bsearch(&name, taken, n_taken, sizeof *taken, by_text) && !is_ignored(b, name))
            status = spar__fail(SPAR_ERR_FORMAT, "%s: tensor '%s' has no place in a %s model of this configuration",
                                b->path, name, b->family->name);
    }
    spar__free(taken);
    return status;
}

spar_status spar__bind(const spar__binding *b, spar_model *m) {
    int n = spar__model_n_params(m);
    size_t room, at = 0;
    spar__place *places = spar__array((size_t)n + 1, sizeof *places);
    if (!places) return SPAR_ERR_MEMORY;
    spar_status status;
    SPAR_TRY_GOTO(done, plan(b, m, places, &room));
    SPAR_TRY_GOTO(done, refuse_others(b, m, places));
    char *memory = room ? spar__model_room(m, room) : NULL;
    if (room && !memory) SPAR_TRY_GOTO(done, SPAR_ERR_MEMORY);
    for (int i = 0; i < n; i++) {
        spar__param *p = spar__model_param(m, i);
        size_t bytes = row_bytes(p->value.type, p->value.cols) * (size_t)p->value.rows;
        if (p->value.data) continue;
        p->value.data = memory + at;
        spar__align(at + bytes, 64, &at);
        SPAR_TRY_GOTO(done, fill(b, &places[i], p));
    }
done:
    spar__free(places);
    return status;
}
