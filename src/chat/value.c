/* What values are to each other: truth, equality, order, membership, items. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chat/run.h"

spar_status spar__chat_failed(const spar__chat *c, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return spar__fail(SPAR_ERR_FORMAT, "%s: line %d: %s", c->name, c->line, text);
}

spar_status spar__chat_step(spar__chat *c, size_t steps) {
    c->steps += steps;
    if (c->steps <= SPAR__CHAT_STEPS) return SPAR_OK;
    return spar__fail(SPAR_ERR_LIMIT, "%s: line %d: more than %d steps", c->name, c->line,
                      SPAR__CHAT_STEPS);
}

spar_status spar__chat_text(spar__chat *c, const char *bytes, size_t length, json_t **out) {
    if (length > SPAR__CHAT_TEXT)
        return spar__fail(SPAR_ERR_LIMIT, "%s: line %d: text of more than %d bytes", c->name, c->line,
                          SPAR__CHAT_TEXT);
    SPAR_TRY(spar__chat_step(c, 1 + length / 64));
    *out = json_stringn(length ? bytes : "", length);
    return *out ? SPAR_OK : spar__chat_failed(c, "text that is not UTF-8");
}

bool spar__chat_true(const spar__chat *c, const json_t *v) {
    if (v == c->undefined) return false;
    switch (json_typeof(v)) {
    case JSON_STRING: return json_string_length(v) > 0;
    case JSON_INTEGER: return json_integer_value(v) != 0;
    case JSON_REAL: return json_real_value(v) != 0;
    case JSON_TRUE: return true;
    case JSON_ARRAY: return json_array_size(v) > 0;
    case JSON_OBJECT: return json_object_size(v) > 0;
    default: return false;
    }
}

static bool numeric(const json_t *v, double *out) {
    if (!json_is_number(v) && !json_is_boolean(v)) return false;
    *out = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    return true;
}

spar_status spar__chat_equal(spar__chat *c, const json_t *a, const json_t *b, bool *out) {
    double x, y;
    SPAR_TRY(spar__chat_step(c, 1));
    *out = a == b;
    if (*out || a == c->undefined || b == c->undefined) return SPAR_OK;
    if (json_is_integer(a) && json_is_integer(b))
        return *out = json_integer_value(a) == json_integer_value(b), SPAR_OK;
    if (numeric(a, &x) && numeric(b, &y)) return *out = x == y, SPAR_OK;
    if (json_typeof(a) != json_typeof(b)) return SPAR_OK;
    if (json_is_string(a)) {
        size_t n = json_string_length(a);
        *out = n == json_string_length(b) && !memcmp(json_string_value(a), json_string_value(b), n);
    } else if (json_is_array(a) && json_array_size(a) == json_array_size(b)) {
        *out = true;
        for (size_t i = 0; *out && i < json_array_size(a); i++)
            SPAR_TRY(spar__chat_equal(c, json_array_get(a, i), json_array_get(b, i), out));
    } else if (json_is_object(a) && json_object_size(a) == json_object_size(b)) {
        const char *key;
        json_t *member;
        *out = true;
        json_object_foreach((json_t *)a, key, member) {
            const json_t *other = json_object_get(b, key);
            if (!other) return *out = false, SPAR_OK;
            SPAR_TRY(spar__chat_equal(c, member, other, out));
            if (!*out) break;
        }
    }
    return SPAR_OK;
}

spar_status spar__chat_order(spar__chat *c, const json_t *a, const json_t *b, int *out) {
    double x, y;
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t i = json_integer_value(a), k = json_integer_value(b);
        return *out = (i > k) - (i < k), SPAR_OK;
    }
    if (numeric(a, &x) && numeric(b, &y)) return *out = (x > y) - (x < y), SPAR_OK;
    if (!json_is_string(a) || !json_is_string(b))
        return spar__chat_failed(c, "values of different kinds have no order");
    size_t n = json_string_length(a), m = json_string_length(b);
    int order = memcmp(json_string_value(a), json_string_value(b), n < m ? n : m);
    *out = order ? order : (n > m) - (n < m);
    return SPAR_OK;
}

spar_status spar__chat_contains(spar__chat *c, const json_t *value, const json_t *in, bool *out) {
    *out = false;
    if (in == c->undefined) return SPAR_OK;
    if (json_is_string(in)) {
        if (!json_is_string(value)) return spar__chat_failed(c, "'in' a text: expected a text before it");
        *out = memmem(json_string_value(in), json_string_length(in), json_string_value(value),
                      json_string_length(value)) != NULL;
        return spar__chat_step(c, 1 + json_string_length(in) / 64);
    }
    if (json_is_object(in)) {
        *out = json_is_string(value) && json_object_get(in, json_string_value(value)) != NULL;
        return SPAR_OK;
    }
    if (!json_is_array(in)) return spar__chat_failed(c, "'in' what holds no items");
    for (size_t i = 0; !*out && i < json_array_size(in); i++)
        SPAR_TRY(spar__chat_equal(c, value, json_array_get(in, i), out));
    return SPAR_OK;
}

static size_t width_of(const char *at) {
    unsigned char ch = (unsigned char)*at;
    return ch < 0x80 ? 1 : ch < 0xE0 ? 2 : ch < 0xF0 ? 3 : 4;
}

static spar_status characters(spar__chat *c, json_t *value, json_t **out) {
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (length > SPAR__CHAT_LIST) return spar__chat_failed(c, "a text of %zu bytes as a list", length);
    SPAR_TRY(spar__chat_step(c, length));
    *out = json_array();
    for (size_t at = 0; at < length; at += width_of(text + at))
        json_array_append_new(*out, json_stringn(text + at, width_of(text + at)));
    return SPAR_OK;
}

spar_status spar__chat_list(spar__chat *c, json_t *value, json_t **out) {
    if (value == c->undefined) return *out = json_array(), SPAR_OK;
    if (json_is_array(value)) return *out = json_incref(value), SPAR_OK;
    if (json_is_string(value)) return characters(c, value, out);
    if (!json_is_object(value)) return spar__chat_failed(c, "what is iterated is no list");
    const char *key;
    json_t *member;
    *out = json_array();
    json_object_foreach(value, key, member) if (key[0] != '\x01')
        json_array_append_new(*out, json_string(key));
    return spar__chat_step(c, json_object_size(value));
}

spar_status spar__chat_item(spar__chat *c, json_t *of, json_t *key, json_t **out) {
    json_t *found = NULL, *list = NULL;
    if (of == c->undefined) {
        spar__buffer text = spar__buffer_make(256);
        if (spar__chat_print(c, key, true, &text)) text.length = 0;
        spar_status status = spar__chat_failed(c, "%.*s of what is undefined", (int)text.length,
                                               text.length ? text.bytes : "");
        spar__buffer_free(&text);
        return status;
    }
    if (json_is_object(of) && json_is_string(key)) found = json_object_get(of, json_string_value(key));
    else if ((json_is_array(of) || json_is_string(of)) && json_is_integer(key)) {
        SPAR_TRY(spar__chat_list(c, of, &list));
        json_int_t i = json_integer_value(key), n = (json_int_t)json_array_size(list);
        if (i < 0) i += n;
        if (i >= 0 && i < n) found = json_array_get(list, (size_t)i);
    }
    *out = json_incref(found ? found : c->undefined);
    json_decref(list);
    return SPAR_OK;
}

spar_status spar__chat_check(spar__chat *c, const json_t *value, const json_t *forbidden, int depth) {
    SPAR_TRY(spar__chat_step(c, 1));
    if (value == forbidden) return spar__chat_failed(c, "a namespace cannot hold itself");
    if (depth > 2 * SPAR__CHAT_DEPTH) return spar__chat_failed(c, "values are nested too deeply");
    for (size_t i = 0; i < json_array_size(value); i++)
        SPAR_TRY(spar__chat_check(c, json_array_get(value, i), forbidden, depth + 1));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
        SPAR_TRY(spar__chat_check(c, member, forbidden, depth + 1));
    return SPAR_OK;
}

json_t *spar__argument(const spar__arguments *a, int index, const char *name) {
    if (index >= 0 && index < a->count) return a->at[index];
    return name && a->named ? json_object_get(a->named, name) : NULL;
}

spar_status spar__argument_int(spar__chat *c, const spar__arguments *a, int index, const char *name,
                               int64_t otherwise, int64_t *out) {
    const json_t *value = spar__argument(a, index, name);
    *out = otherwise;
    if (!value || json_is_null(value)) return SPAR_OK;
    if (json_is_boolean(value)) return *out = json_is_true(value), SPAR_OK;
    if (!json_is_integer(value)) return spar__chat_failed(c, "argument '%s': expected a whole number",
                                                          name ? name : "");
    *out = json_integer_value(value);
    return SPAR_OK;
}

void spar__arguments_free(spar__arguments *a) {
    for (int i = 0; i < a->count; i++) json_decref(a->at[i]);
    json_decref(a->named);
    *a = (spar__arguments){0};
}
