#include "family/outgoing.h"

#include <stdio.h>
#include <string.h>

/* ---- Listing ---- */

static int64_t cols_of(const spar__param *p) {
    return p->n_dims == 1 ? 1 : p->n_dims == 4 ? p->value.rows / p->shape[0] * p->value.cols : p->value.cols;
}

/* Elements of a row as a file has them, where an f32 is always of four bytes. */
static size_t row_bytes(spar__type type, int64_t cols) {
    size_t bytes = 0;
    if (type == SPAR__F32) return (size_t)cols * sizeof(float);
    spar__row_bytes(type, (size_t)cols, &bytes);
    return bytes;
}

static size_t own_row_bytes(const spar__param *p) {
    size_t bytes = 0;
    spar__row_bytes(p->value.type, (size_t)cols_of(p), &bytes);
    return bytes;
}

/* The sizes that a rule's letters stand for; false where they are not those of the tensor. */
static bool spell(const spar__place *place, int64_t expert, spar__outgoing_tensor *t) {
    const char *letters = place->rule && place->rule->shape ? place->rule->shape : "";
    if (place->halves && expert && strchr(letters, '|')) letters = strchr(letters, '|') + 1;
    int64_t all = place->all * place->cols, known = 1;
    int rest = -1, n = (int)strcspn(letters, "|");
    if (n < 1 || n > 4) return false;
    for (int d = 0; d < n; d++) {
        switch (letters[d]) {
        case 'r': t->shape[d] = place->all; break;
        case 'c': t->shape[d] = place->cols; break;
        case 'H': t->shape[d] = place->heads; break;
        case 'N': t->shape[d] = place->neurons; break;
        case 'R': t->shape[d] = place->rounds; break;
        case 'f': rest = d; /* fall through */
        default: t->shape[d] = 1;
        }
        if (t->shape[d] < 1 || all % t->shape[d]) return false;
        known *= t->shape[d];
    }
    if (rest >= 0 && known > 0) t->shape[rest] = all / known;
    t->n_dims = n;
    return rest >= 0 ? all % known == 0 : known == all;
}

static void describe(const spar__param *p, const spar__place *place, spar__type type, int64_t expert,
                     spar__outgoing_tensor *t) {
    bool turned = spar__place_turned(place, expert);
    bool whole = place->experts == 1 && place->all == place->rows && !turned;
    t->type = p->vector ? SPAR__F32 : type;
    if (spell(place, expert, t)) return;
    if (turned && p->n_dims == 4) {
        t->n_dims = 4;
        for (int d = 0; d < 4; d++) t->shape[d] = p->shape[(d + 1) % 4];
    } else if (whole) {
        t->n_dims = p->n_dims;
        memcpy(t->shape, p->shape, sizeof t->shape);
    } else {
        t->n_dims = p->vector ? 1 : 2; /* one of a stack of vectors is a row of it */
        t->shape[0] = turned || (p->vector && p->n_dims > 1) ? place->cols : place->all;
        t->shape[1] = turned ? place->all : place->cols;
    }
}

static spar_status check(const spar__outgoing_tensor *t, const spar__place *place, spar__type type) {
    if (t->type != type && t->n_dims > 1)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "tensor '%s': its parts are of types %s and %s; give one type", t->name,
                          spar__type_of(t->type)->name, spar__type_of(type)->name);
    if ((place->transposed || place->halves) && spar__type_of(type)->block > 1)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "tensor '%s': type %s cannot be transposed; give type f32, f16 or bf16",
                          t->name, spar__type_of(type)->name);
    return SPAR_OK;
}

/* Of alternatives, the first is written. */
static void name_of(const spar__outgoing_part *part, const char *prefix, char out[224]) {
    char name[192];
    spar__place_name(part->place, part->param, part->expert, name, sizeof name);
    name[strcspn(name, "|")] = 0;
    snprintf(out, 224, "%s%s", name[0] == '/' ? "" : prefix, name + (name[0] == '/'));
}

static spar_status add(spar__outgoing *o, const spar__param *p, const spar__place *place, const char *prefix,
                       spar__type type, int64_t expert) {
    char full[224];
    spar__outgoing_tensor *t = NULL;
    const spar__outgoing_part part = {p, place, expert};
    name_of(&part, prefix, full);
    /* Parts of one tensor are declared within one layer: not far from each other. */
    for (int i = o->n_tensors; place->all != place->rows && i-- > 0 && !t;)
        if (strcmp(o->tensors[i].name, full) == 0) t = &o->tensors[i];
    if (!t) {
        t = &o->tensors[o->n_tensors++];
        snprintf(t->name, sizeof t->name, "%s", full);
        describe(p, place, type, expert, t);
    }
    SPAR_TRY(check(t, place, type));
    o->parts[o->n_parts++] = part;
    t->n_parts++;
    return SPAR_OK;
}

/* Parts were listed in the order of parameters; here each tensor's come together. */
static spar_status sort_parts(spar__outgoing *o, const char *prefix) {
    spar__outgoing_part *sorted = spar__array((size_t)o->n_parts + 1, sizeof *sorted);
    if (!sorted) return SPAR_ERR_MEMORY;
    int at = 0;
    for (int i = 0; i < o->n_tensors; i++) {
        spar__outgoing_tensor *t = &o->tensors[i];
        t->first = at;
        at += t->n_parts;
        t->n_parts = 0;
    }
    for (int i = 0, next = 0; i < o->n_parts; i++) {
        char full[224];
        const spar__outgoing_part *part = &o->parts[i];
        name_of(part, prefix, full);
        int k = next < o->n_tensors && strcmp(o->tensors[next].name, full) == 0 ? next++ : next - 1;
        while (k >= 0 && strcmp(o->tensors[k].name, full) != 0) k--;
        spar__outgoing_tensor *t = &o->tensors[k];
        sorted[t->first + t->n_parts++] = *part;
    }
    spar__free(o->parts);
    o->parts = sorted;
    return SPAR_OK;
}

size_t spar__outgoing_bytes(const spar__outgoing_tensor *t) {
    size_t rows = 1;
    for (int d = 0; d + 1 < t->n_dims; d++) rows *= (size_t)t->shape[d];
    return rows * row_bytes(t->type, t->shape[t->n_dims - 1]);
}

spar_status spar__outgoing_list(spar_model *m, const spar__tensor_rule *rules, const char *prefix,
                                const spar__type *type, spar__outgoing *out) {
    size_t n = (size_t)spar__model_n_params(m), room = 0;
    *out = (spar__outgoing){.places = spar__array(n + 1, sizeof *out->places)};
    if (!out->places) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        SPAR_TRY(spar__place_of(m, rules, spar__model_param(m, (int)i), &out->places[i]));
        room += (size_t)out->places[i].experts;
    }
    out->tensors = spar__array(room + 1, sizeof *out->tensors);
    out->parts = spar__array(room + 1, sizeof *out->parts);
    if (!out->tensors || !out->parts) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const spar__param *p = spar__model_param(m, (int)i);
        spar__type stored = type ? spar__stored_type(p, *type) : p->value.type;
        for (int64_t e = 0; e < out->places[i].experts; e++)
            SPAR_TRY(add(out, p, &out->places[i], prefix, stored, e));
    }
    for (int i = 0; i < out->n_tensors; i++) out->bytes += spar__outgoing_bytes(&out->tensors[i]);
    return sort_parts(out, prefix);
}

void spar__outgoing_free(spar__outgoing *o) {
    spar__free(o->tensors);
    spar__free(o->parts);
    spar__free(o->places);
}

/* ---- Writing ---- */

/* `n` elements of ours, which begin a block, in the type of a file. */
static void convert(void *to, spar__type to_type, const void *from, spar__type from_type, int64_t n, real *row) {
    const real *values = from_type == SPAR__F32 ? from : row;
    if (to_type == from_type && !(to_type == SPAR__F32 && sizeof(real) != sizeof(float))) {
        memcpy(to, from, row_bytes(to_type, n));
        return;
    }
    if (from_type != SPAR__F32) spar__k()->decode[from_type](row, from, n);
    if (to_type != SPAR__F32) {
        spar__k()->encode[to_type](to, values, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) ((float *)to)[i] = (float)values[i];
}

/* Row r of a part as the file has it, or half a row; `coded` and `row` have room for one. */
static void convert_row(const spar__outgoing_part *part, spar__type type, int64_t r, void *coded, real *row) {
    const spar__param *p = part->param;
    const spar__place *place = part->place;
    size_t each = own_row_bytes(p);
    const char *from = (const char *)p->value.data + (size_t)(place->halves ? r : part->expert * place->rows + r) * each;
    convert(coded, type, place->halves && part->expert ? from + each / 2 : from, p->value.type, place->cols, row);
}

static void put_part(const spar__outgoing_part *part, const spar__outgoing_tensor *t, char *out, void *coded,
                     real *row) {
    const spar__place *place = part->place;
    int64_t cols = place->cols, each = place->all / (place->slabs ? place->slabs : 1);
    size_t bytes = row_bytes(t->type, cols);
    bool turned = spar__place_turned(place, part->expert);
    size_t size = turned ? bytes / (size_t)cols : 0;
    for (int64_t r = 0; r < place->rows; r++) {
        int64_t at = spar__place_row(place, r);
        convert_row(part, t->type, r, coded, row);
        if (!turned) {
            memcpy(out + (size_t)at * bytes, coded, bytes);
            continue;
        }
        for (int64_t c = 0; c < cols; c++)
            memcpy(out + (size_t)((at / each * cols + c) * each + at % each) * size, (char *)coded + (size_t)c * size, size);
    }
}

static bool in_order(const spar__outgoing_part *part) {
    const spar__place *place = part->place;
    return !place->transposed && !place->turned && !place->halves && place->all == place->rows;
}

/* Row by row without a copy of the whole, where our order is theirs. */
static spar_status stream(const spar__outgoing_part *part, spar__type type, void *coded, real *row, spar__sink sink,
                          void *context) {
    int64_t rows = part->place->rows;
    size_t bytes = row_bytes(type, cols_of(part->param));
    if (type == part->param->value.type && (type != SPAR__F32 || sizeof(real) == sizeof(float)))
        return sink(context, (const char *)part->param->value.data + (size_t)(part->expert * rows) * bytes,
                    (size_t)rows * bytes);
    for (int64_t r = 0; r < rows; r++) {
        convert_row(part, type, r, coded, row);
        SPAR_TRY(sink(context, coded, bytes));
    }
    return SPAR_OK;
}

spar_status spar__outgoing_write(const spar__outgoing *o, const spar__outgoing_tensor *t, spar__sink sink,
                                 void *context) {
    const spar__outgoing_part *parts = o->parts + t->first;
    int64_t cols = cols_of(parts->param);
    void *coded = spar__alloc(row_bytes(t->type, cols));
    real *row = spar__array((size_t)cols, sizeof *row);
    char *whole = NULL;
    spar_status status = coded && row ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status && t->n_parts == 1 && in_order(parts)) {
        status = stream(parts, t->type, coded, row, sink, context);
    } else if (!status) {
        whole = spar__alloc(spar__outgoing_bytes(t));
        if (!whole) status = SPAR_ERR_MEMORY;
        for (int i = 0; !status && i < t->n_parts; i++) put_part(&parts[i], t, whole, coded, row);
        if (!status) status = sink(context, whole, spar__outgoing_bytes(t));
    }
    spar__free(whole);
    spar__free(row);
    spar__free(coded);
    return status;
}
