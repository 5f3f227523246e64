#include "base/json.h"

#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

/* What a look over the text finds before anything is built from it. */
typedef struct survey {
    size_t values;        /* at most one more than separators and brackets */
    size_t long_integers; /* beyond 64 bits */
    size_t deep;          /* position of the first bracket that is too deep, or SIZE_MAX */
} survey;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Length of the string literal at `text`, quotes included; to the end when it is not closed. */
static size_t string_length(const char *text, size_t length) {
    size_t i = 1;
    while (i < length && text[i] != '"') i += text[i] == '\\' && i + 1 < length ? 2 : 1;
    return i < length ? i + 1 : length;
}

/* Length of the run of digits at `text`; *is_long when they are an integer beyond 64 bits. */
static size_t digits_length(const char *text, size_t length, bool *is_long) {
    static const char largest[] = "9223372036854775807";
    size_t i = 0;
    while (i < length && is_digit(text[i])) i++;
    bool integer = i == length || (text[i] != '.' && text[i] != 'e' && text[i] != 'E');
    *is_long = integer && (i > 19 || (i == 19 && memcmp(text, largest, 19) > 0));
    return i;
}

/* Surveys the text; with `copy`, also copies it with ".0" put behind long integers. */
static spar_status look_over(const char *text, size_t length, survey *out, spar__buffer *copy) {
    survey s = {1, 0, SIZE_MAX};
    size_t depth = 0;
    bool fraction = false; /* the digits ahead belong to a fraction or an exponent */
    for (size_t i = 0, n; i < length; i += n) {
        char c = text[i];
        bool is_long = false;
        n = c == '"' ? string_length(text + i, length - i) : 1;
        if (is_digit(c)) n = digits_length(text + i, length - i, &is_long);
        is_long = is_long && !fraction;
        if (copy) {
            SPAR_TRY(spar__buffer_add(copy, text + i, n));
            if (is_long) SPAR_TRY(spar__buffer_add(copy, ".0", 2));
        }
        s.long_integers += is_long;
        s.values += c == ',' || c == ':' || c == '[' || c == '{';
        if ((c == '[' || c == '{') && ++depth > SPAR__JSON_DEPTH && s.deep == SIZE_MAX) s.deep = i;
        if ((c == ']' || c == '}') && depth) depth--;
        fraction = c == '.' || c == 'e' || c == 'E' || (fraction && (c == '+' || c == '-'));
    }
    *out = s;
    return SPAR_OK;
}

static spar_status too_deep(const char *name, const char *text, size_t at) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return spar__fail(SPAR_ERR_LIMIT, "%s:%zu:%zu: nested deeper than %d", name, line, column,
                      SPAR__JSON_DEPTH);
}

static spar_status load(const char *name, const char *text, size_t length, json_t **out) {
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return spar__fail(SPAR_ERR_MEMORY, "%s: out of memory", name);
    if (!root)
        return spar__fail(SPAR_ERR_FORMAT, "%s:%d:%d: %s", name, error.line, error.column,
                          error.text);
    *out = root;
    return SPAR_OK;
}

spar_status spar__json_parse(const char *name, const char *text, size_t length, size_t most_values,
                             json_t **out) {
    survey s;
    SPAR_TRY(look_over(text, length, &s, NULL));
    if (s.deep != SIZE_MAX) return too_deep(name, text, s.deep);
    if (s.values > most_values)
        return spar__fail(SPAR_ERR_LIMIT, "%s: JSON of more than %zu values", name, most_values);
    if (!s.long_integers) return load(name, text, length, out);
    spar__buffer copy = spar__buffer_make(SIZE_MAX / 2);
    spar_status status = look_over(text, length, &s, &copy);
    if (!status) status = load(name, copy.bytes, copy.length, out);
    spar__buffer_free(&copy);
    return status;
}

spar_status spar__json_read(const char *path, json_t **out) {
    char *text;
    size_t length;
    SPAR_TRY(spar__read_file(path, SPAR__JSON_BYTES, &text, &length));
    spar_status status = spar__json_parse(path, text, length, SPAR__JSON_VALUES, out);
    spar__free(text);
    return status;
}

static int add_to_buffer(const char *text, size_t length, void *buffer) {
    return spar__buffer_add(buffer, text, length) ? -1 : 0;
}

spar_status spar__json_text(const json_t *value, int indent, char **out) {
    spar__buffer text = spar__buffer_make(SPAR__JSON_BYTES);
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) | JSON_INDENT((size_t)indent);
    if (json_dump_callback(value, add_to_buffer, &text, flags) || !spar__buffer_text(&text)) {
        spar__buffer_free(&text);
        return spar__fail(SPAR_ERR_MEMORY, "cannot write JSON: out of memory");
    }
    *out = text.bytes;
    return SPAR_OK;
}

const char *spar__json_kind(const json_t *value) {
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_NULL:
        return "null";
    default:
        return "a bool";
    }
}

/* ---- Members ------------------------------------------------------------------------------- */

static spar_status wrong_kind(const char *where, const char *key, const json_t *value,
                              const char *expected) {
    return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %s, expected %s", where, key,
                      spar__json_kind(value), expected);
}

spar_status spar__json_get(const json_t *object, const char *where, const char *key, json_t **out) {
    if (!json_is_object(object))
        return spar__fail(SPAR_ERR_FORMAT, "%s: found %s, expected an object with key '%s'", where,
                          spar__json_kind(object), key);
    json_t *value = json_object_get(object, key);
    if (!value) {
        spar__fail(SPAR_ERR_NOT_FOUND, "%s: key '%s': is not there", where, key);
        return SPAR_ERR_NOT_FOUND;
    }
    *out = value;
    return SPAR_OK;
}

static bool is_absent(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_object(object) && (!value || json_is_null(value));
}

spar_status spar__json_object(const json_t *object, const char *where, const char *key,
                              json_t **out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_object(value)) return wrong_kind(where, key, value, "an object");
    *out = value;
    return SPAR_OK;
}

spar_status spar__json_array(const json_t *object, const char *where, const char *key,
                             json_t **out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_array(value)) return wrong_kind(where, key, value, "an array");
    *out = value;
    return SPAR_OK;
}

spar_status spar__json_string(const json_t *object, const char *where, const char *key,
                              const char **out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_string(value)) return wrong_kind(where, key, value, "a string");
    *out = json_string_value(value);
    return SPAR_OK;
}

spar_status spar__json_string_or(const json_t *object, const char *where, const char *key,
                                 const char *fallback, const char **out) {
    if (!is_absent(object, key)) return spar__json_string(object, where, key, out);
    *out = fallback;
    return SPAR_OK;
}

spar_status spar__json_integer(const json_t *object, const char *where, const char *key,
                               int64_t low, int64_t high, int64_t *out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_integer(value)) return wrong_kind(where, key, value, "an integer");
    int64_t n = json_integer_value(value);
    if (n < low || n > high)
        return spar__fail(SPAR_ERR_FORMAT, "%s: key '%s': found %lld, expected %lld to %lld", where,
                          key, (long long)n, (long long)low, (long long)high);
    *out = n;
    return SPAR_OK;
}

spar_status spar__json_integer_or(const json_t *object, const char *where, const char *key,
                                  int64_t low, int64_t high, int64_t fallback, int64_t *out) {
    if (!is_absent(object, key)) return spar__json_integer(object, where, key, low, high, out);
    *out = fallback;
    return SPAR_OK;
}

spar_status spar__json_real(const json_t *object, const char *where, const char *key, double *out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_number(value)) return wrong_kind(where, key, value, "a number");
    *out = json_number_value(value);
    return SPAR_OK;
}

spar_status spar__json_real_or(const json_t *object, const char *where, const char *key,
                               double fallback, double *out) {
    if (!is_absent(object, key)) return spar__json_real(object, where, key, out);
    *out = fallback;
    return SPAR_OK;
}

spar_status spar__json_bool(const json_t *object, const char *where, const char *key, bool *out) {
    json_t *value;
    SPAR_TRY(spar__json_get(object, where, key, &value));
    if (!json_is_boolean(value)) return wrong_kind(where, key, value, "true or false");
    *out = json_is_true(value);
    return SPAR_OK;
}

spar_status spar__json_bool_or(const json_t *object, const char *where, const char *key,
                               bool fallback, bool *out) {
    if (!is_absent(object, key)) return spar__json_bool(object, where, key, out);
    *out = fallback;
    return SPAR_OK;
}
