/* GGUF: the tables of types and kinds, and metadata values as typed values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/gguf.h"

static const spar__gguf_traits traits[] = {
#define ROW(NAME, number, name, block, bytes) {SPAR__GGUF_##NAME, name, block, bytes},
    SPAR__GGUF_TYPE_MAP(ROW)
#undef ROW
};
enum { N_TRAITS = sizeof traits / sizeof *traits };

const spar__gguf_traits *spar__gguf_traits_of(uint32_t number) {
    for (int i = 0; i < N_TRAITS; i++)
        if ((uint32_t)traits[i].type == number) return &traits[i];
    return NULL;
}

const spar__gguf_traits *spar__gguf_traits_named(const char *name) {
    for (int i = 0; i < N_TRAITS; i++)
        if (!strcmp(traits[i].name, name)) return &traits[i];
    return NULL;
}

const char *spar__gguf_foreign_name(uint32_t number) {
    static const struct {
        uint32_t number;
        const char *name;
    } foreign[] = {{4, "q4_2"},        {5, "q4_3"},      {9, "q8_1"},        {15, "q8_k"},
                   {16, "iq2_xxs"},    {17, "iq2_xs"},   {18, "iq3_xxs"},    {19, "iq1_s"},
                   {21, "iq3_s"},      {22, "iq2_s"},    {29, "iq1_m"},      {31, "q4_0_4_4"},
                   {32, "q4_0_4_8"},   {33, "q4_0_8_8"}, {36, "iq4_nl_4_4"}, {37, "iq4_nl_4_8"},
                   {38, "iq4_nl_8_8"}, {39, "mxfp4"},    {40, "nvfp4"}};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (foreign[i].number == number) return foreign[i].name;
    return NULL;
}

const char *spar__gguf_kind_name(spar__gguf_kind kind) {
    static const char *const names[SPAR__GGUF_N_KINDS] = {
        "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
        "bool",  "string", "array",  "uint64", "int64",  "float64"};
    return (unsigned)kind < SPAR__GGUF_N_KINDS ? names[kind] : "unknown kind";
}

spar_status spar__gguf_size(const char *what, const spar__gguf_traits *type, int n_dims,
                            const int64_t *ne, size_t *elements, size_t *bytes) {
    size_t n = 1, size;
    if (n_dims < 1 || n_dims > 4)
        return spar__fail(SPAR_ERR_FORMAT, "'%s': %d dimensions, expected 1 to 4", what, n_dims);
    for (int i = 0; i < n_dims; i++) {
        if (ne[i] < 1)
            return spar__fail(SPAR_ERR_FORMAT, "'%s': ne[%d] is %lld, expected at least 1", what, i,
                              (long long)ne[i]);
        if (!spar__mul(n, (size_t)ne[i], &n))
            return spar__fail(SPAR_ERR_FORMAT, "'%s': more elements than can be counted", what);
    }
    if ((size_t)ne[0] % type->block)
        return spar__fail(SPAR_ERR_FORMAT,
                          "'%s': rows of %lld elements, %s needs a multiple of %zu", what,
                          (long long)ne[0], type->name, type->block);
    if (!spar__mul(n / type->block, type->block_bytes, &size) || size > PTRDIFF_MAX)
        return spar__fail(SPAR_ERR_FORMAT, "'%s': more bytes than can be counted", what);
    *elements = n;
    *bytes = size;
    return SPAR_OK;
}

/* ---- One value ----------------------------------------------------------------------------- */

static bool is_integer(spar__gguf_kind kind) {
    return kind <= SPAR__GGUF_INT32 || kind == SPAR__GGUF_UINT64 || kind == SPAR__GGUF_INT64;
}
static bool is_number(spar__gguf_kind kind) {
    return is_integer(kind) || kind == SPAR__GGUF_FLOAT32 || kind == SPAR__GGUF_FLOAT64;
}

static spar_status absent(const spar__gguf *g, const char *key) {
    return spar__fail(SPAR_ERR_NOT_FOUND, "%s: key '%s': is not there", spar__gguf_path(g), key);
}

static spar_status wrong_kind(const spar__gguf *g, const char *key, const spar__gguf_value *v,
                              const char *expected) {
    bool array = v->kind == SPAR__GGUF_ARRAY;
    return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %s%s, expected %s", spar__gguf_path(g),
                      key, array ? "array of " : "", spar__gguf_kind_name(v->element), expected);
}

#define READ(type)                                                                                 \
    type x;                                                                                        \
    memcpy(&x, v->bytes + i * sizeof x, sizeof x)

static int64_t of_real(double x) {
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : x < 0 ? INT64_MIN : x > 0 ? INT64_MAX : 0;
}

int64_t spar__gguf_integer_at(const spar__gguf_value *v, size_t i) {
    switch (v->element) {
    case SPAR__GGUF_BOOL:
    case SPAR__GGUF_UINT8:
        return v->bytes[i];
    case SPAR__GGUF_INT8:
        return (signed char)v->bytes[i];
    case SPAR__GGUF_UINT16: {
        READ(uint16_t);
        return x;
    }
    case SPAR__GGUF_INT16: {
        READ(int16_t);
        return x;
    }
    case SPAR__GGUF_UINT32: {
        READ(uint32_t);
        return x;
    }
    case SPAR__GGUF_INT32: {
        READ(int32_t);
        return x;
    }
    case SPAR__GGUF_UINT64: {
        READ(uint64_t);
        return x > INT64_MAX ? INT64_MAX : (int64_t)x;
    }
    case SPAR__GGUF_INT64: {
        READ(int64_t);
        return x;
    }
    case SPAR__GGUF_FLOAT32:
    case SPAR__GGUF_FLOAT64:
        return of_real(spar__gguf_real_at(v, i));
    default:
        return 0;
    }
}

double spar__gguf_real_at(const spar__gguf_value *v, size_t i) {
    if (v->element == SPAR__GGUF_FLOAT32) {
        READ(float);
        return x;
    }
    if (v->element == SPAR__GGUF_FLOAT64) {
        READ(double);
        return x;
    }
    if (v->element == SPAR__GGUF_UINT64) {
        READ(uint64_t);
        return (double)x;
    }
    return (double)spar__gguf_integer_at(v, i);
}

static spar_status as_integer(const spar__gguf *g, const char *key, const spar__gguf_value *v,
                              int64_t low, int64_t high, int64_t *out) {
    if (!is_integer(v->kind)) return wrong_kind(g, key, v, "an integer");
    int64_t n = spar__gguf_integer_at(v, 0);
    bool huge = v->kind == SPAR__GGUF_UINT64 && n == INT64_MAX;
    if (n < low || n > high || huge)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %.0f, expected %lld to %lld",
                          spar__gguf_path(g), key, spar__gguf_real_at(v, 0), (long long)low,
                          (long long)high);
    *out = n;
    return SPAR_OK;
}

spar_status spar__gguf_integer(const spar__gguf *g, const char *key, int64_t low, int64_t high,
                               int64_t *out) {
    spar__gguf_value v;
    return spar__gguf_find(g, key, &v) ? as_integer(g, key, &v, low, high, out) : absent(g, key);
}

spar_status spar__gguf_integer_or(const spar__gguf *g, const char *key, int64_t low, int64_t high,
                                  int64_t fallback, int64_t *out) {
    spar__gguf_value v;
    if (spar__gguf_find(g, key, &v)) return as_integer(g, key, &v, low, high, out);
    *out = fallback;
    return SPAR_OK;
}

static spar_status as_real(const spar__gguf *g, const char *key, const spar__gguf_value *v,
                           double *out) {
    if (!is_number(v->kind)) return wrong_kind(g, key, v, "a number");
    double x = spar__gguf_real_at(v, 0);
    if (!isfinite(x))
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %f, expected a finite number",
                          spar__gguf_path(g), key, x);
    *out = x;
    return SPAR_OK;
}

spar_status spar__gguf_real(const spar__gguf *g, const char *key, double *out) {
    spar__gguf_value v;
    return spar__gguf_find(g, key, &v) ? as_real(g, key, &v, out) : absent(g, key);
}

spar_status spar__gguf_real_or(const spar__gguf *g, const char *key, double fallback, double *out) {
    spar__gguf_value v;
    if (spar__gguf_find(g, key, &v)) return as_real(g, key, &v, out);
    *out = fallback;
    return SPAR_OK;
}

spar_status spar__gguf_bool(const spar__gguf *g, const char *key, bool *out) {
    spar__gguf_value v;
    if (!spar__gguf_find(g, key, &v)) return absent(g, key);
    if (v.kind != SPAR__GGUF_BOOL) return wrong_kind(g, key, &v, "a bool");
    *out = v.bytes[0] != 0;
    return SPAR_OK;
}

spar_status spar__gguf_bool_or(const spar__gguf *g, const char *key, bool fallback, bool *out) {
    if (spar__gguf_find(g, key, NULL)) return spar__gguf_bool(g, key, out);
    *out = fallback;
    return SPAR_OK;
}

spar_status spar__gguf_text(const spar__gguf *g, const char *key, spar__gguf_string *out) {
    spar__gguf_value v;
    if (!spar__gguf_find(g, key, &v)) return absent(g, key);
    if (v.kind != SPAR__GGUF_STRING) return wrong_kind(g, key, &v, "a string");
    *out = (spar__gguf_string){(const char *)v.bytes, v.length};
    return SPAR_OK;
}

spar_status spar__gguf_text_copy(const spar__gguf *g, const char *key, char **out) {
    spar__gguf_string s;
    SPAR_TRY(spar__gguf_text(g, key, &s));
    if (memchr(s.bytes, 0, s.length))
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found a 0 byte, expected text",
                          spar__gguf_path(g), key);
    char *copy = spar__copy_bytes(s.bytes, s.length);
    if (!copy) return SPAR_ERR_MEMORY;
    *out = copy;
    return SPAR_OK;
}

bool spar__gguf_text_is(const spar__gguf *g, const char *key, const char *text) {
    spar__gguf_value v;
    return spar__gguf_find(g, key, &v) && v.kind == SPAR__GGUF_STRING && v.length == strlen(text) &&
           !memcmp(v.bytes, text, v.length);
}

/* ---- Arrays -------------------------------------------------------------------------------- */

static spar_status array_of(const spar__gguf *g, const char *key, bool texts, size_t least,
                            size_t most, spar__gguf_value *out) {
    spar__gguf_value v;
    if (!spar__gguf_find(g, key, &v)) return absent(g, key);
    bool right = texts ? v.element == SPAR__GGUF_STRING
                       : is_number(v.element) || v.element == SPAR__GGUF_BOOL;
    if (v.kind != SPAR__GGUF_ARRAY || !right)
        return wrong_kind(g, key, &v, texts ? "an array of strings" : "an array of numbers");
    if (v.count < least || v.count > most)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %zu elements, expected %zu to %zu",
                          spar__gguf_path(g), key, v.count, least, most);
    *out = v;
    return SPAR_OK;
}

spar_status spar__gguf_texts(const spar__gguf *g, const char *key, size_t least, size_t most,
                             spar__gguf_value *out) {
    return array_of(g, key, true, least, most, out);
}

spar_status spar__gguf_numbers(const spar__gguf *g, const char *key, size_t least, size_t most,
                               spar__gguf_value *out) {
    return array_of(g, key, false, least, most, out);
}

bool spar__gguf_next_text(spar__gguf_value *texts, spar__gguf_string *out) {
    if (!texts->count) return false;
    uint64_t length; /* checked when the file was opened */
    memcpy(&length, texts->bytes, 8);
    *out = (spar__gguf_string){(const char *)texts->bytes + 8, length};
    texts->bytes += 8 + length;
    texts->length -= 8 + length;
    texts->count--;
    return true;
}
