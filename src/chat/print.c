/* Values as text: Python's str() and repr(), and JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "chat/run.h"

static spar_status print_real(double value, spar__buffer *out) {
    char text[40];
    if (isnan(value)) return spar__buffer_print(out, "nan");
    if (isinf(value)) return spar__buffer_print(out, value < 0 ? "-inf" : "inf");
    for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back */
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    double size = fabs(value);
    if (strchr(text, 'e') && size >= 1e-4 && size < 1e16)
        snprintf(text, sizeof text, "%.0f", value);
    bool whole = !strpbrk(text, ".e");
    return spar__buffer_print(out, whole ? "%s.0" : "%s", text);
}

static spar_status quote_python(const char *text, size_t length, spar__buffer *out) {
    char quote = memchr(text, '\'', length) && !memchr(text, '"', length) ? '"' : '\'';
    SPAR_TRY(spar__buffer_add(out, &quote, 1));
    for (size_t i = 0; i < length; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (ch == (unsigned char)quote || ch == '\\') SPAR_TRY(spar__buffer_print(out, "\\%c", ch));
        else if (ch == '\n') SPAR_TRY(spar__buffer_add(out, "\\n", 2));
        else if (ch == '\r') SPAR_TRY(spar__buffer_add(out, "\\r", 2));
        else if (ch == '\t') SPAR_TRY(spar__buffer_add(out, "\\t", 2));
        else if (ch < 0x20 || ch == 0x7F) SPAR_TRY(spar__buffer_print(out, "\\x%02x", ch));
        else SPAR_TRY(spar__buffer_add(out, text + i, 1));
    }
    return spar__buffer_add(out, &quote, 1);
}

static spar_status print_members(spar__chat *c, const json_t *value, spar__buffer *out) {
    const char *key;
    json_t *member;
    bool first = true;
    SPAR_TRY(spar__buffer_add(out, "{", 1));
    json_object_foreach((json_t *)value, key, member) {
        if (key[0] == '\x01') continue;
        if (!first) SPAR_TRY(spar__buffer_add(out, ", ", 2));
        first = false;
        SPAR_TRY(quote_python(key, strlen(key), out));
        SPAR_TRY(spar__buffer_add(out, ": ", 2));
        SPAR_TRY(spar__chat_print(c, member, true, out));
    }
    return spar__buffer_add(out, "}", 1);
}

spar_status spar__chat_print(spar__chat *c, const json_t *value, bool quoted, spar__buffer *out) {
    SPAR_TRY(spar__chat_step(c, 1));
    if (value == c->undefined) return quoted ? spar__buffer_print(out, "Undefined") : SPAR_OK;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return quoted ? quote_python(json_string_value(value), json_string_length(value), out)
                      : spar__buffer_add(out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return spar__buffer_print(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL: return print_real(json_real_value(value), out);
    case JSON_TRUE: return spar__buffer_add(out, "True", 4);
    case JSON_FALSE: return spar__buffer_add(out, "False", 5);
    case JSON_NULL: return spar__buffer_add(out, "None", 4);
    case JSON_OBJECT: return print_members(c, value, out);
    case JSON_ARRAY: break;
    }
    SPAR_TRY(spar__buffer_add(out, "[", 1));
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i) SPAR_TRY(spar__buffer_add(out, ", ", 2));
        SPAR_TRY(spar__chat_print(c, json_array_get(value, i), true, out));
    }
    return spar__buffer_add(out, "]", 1);
}

/* ---- JSON ---- */

static spar_status quote_json(const char *text, size_t length, bool ascii, spar__buffer *out) {
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    SPAR_TRY(spar__buffer_add(out, "\"", 1));
    for (size_t i = 0; i < length;) {
        unsigned char ch = (unsigned char)text[i];
        const char *known = ch ? strchr(from, ch) : NULL;
        uint32_t code = ch;
        int n = ch < 0x80 ? 1 : spar__utf8_decode((const unsigned char *)text + i, length - i, &code);
        if (known) SPAR_TRY(spar__buffer_print(out, "\\%c", to[known - from]));
        else if (ch < 0x20 || (ch >= 0x80 && ascii && code < 0x10000))
            SPAR_TRY(spar__buffer_print(out, "\\u%04x", code));
        else if (ch >= 0x80 && ascii)
            SPAR_TRY(spar__buffer_print(out, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                                        0xDC00 + ((code - 0x10000) & 0x3FF)));
        else SPAR_TRY(spar__buffer_add(out, text + i, (size_t)n));
        i += (size_t)n;
    }
    return spar__buffer_add(out, "\"", 1);
}

static spar_status new_line(const spar__json_style *style, int depth, spar__buffer *out) {
    if (style->indent < 0) return SPAR_OK;
    return spar__buffer_print(out, "\n%*s", style->indent * depth, "");
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static spar_status json_members(spar__chat *c, const json_t *value, const spar__json_style *style,
                                int depth, spar__buffer *out) {
    size_t n = 0;
    const char **keys = spar__array(json_object_size(value) + 1, sizeof *keys), *key;
    json_t *member;
    if (!keys) return SPAR_ERR_MEMORY;
    json_object_foreach((json_t *)value, key, member) if (key[0] != '\x01') keys[n++] = key;
    if (style->sort) qsort(keys, n, sizeof *keys, by_text);
    spar_status status = spar__buffer_add(out, "{", 1);
    for (size_t i = 0; !status && i < n; i++) {
        if (i) status = spar__buffer_add(out, style->comma, strlen(style->comma));
        if (!status) status = new_line(style, depth + 1, out);
        if (!status) status = quote_json(keys[i], strlen(keys[i]), style->ascii, out);
        if (!status) status = spar__buffer_add(out, style->colon, strlen(style->colon));
        if (!status)
            status = spar__chat_json(c, json_object_get(value, keys[i]), style, depth + 1, out);
    }
    if (!status && n) status = new_line(style, depth, out);
    spar__free(keys);
    return status ? status : spar__buffer_add(out, "}", 1);
}

spar_status spar__chat_json(spar__chat *c, const json_t *value, const spar__json_style *style,
                            int depth, spar__buffer *out) {
    SPAR_TRY(spar__chat_step(c, 1));
    if (value == c->undefined) return spar__chat_failed(c, "tojson of what is undefined");
    if (json_is_string(value))
        return quote_json(json_string_value(value), json_string_length(value), style->ascii, out);
    if (json_is_true(value)) return spar__buffer_add(out, "true", 4);
    if (json_is_false(value)) return spar__buffer_add(out, "false", 5);
    if (json_is_null(value)) return spar__buffer_add(out, "null", 4);
    if (json_is_object(value)) return json_members(c, value, style, depth, out);
    if (!json_is_array(value)) return spar__chat_print(c, value, false, out);
    size_t n = json_array_size(value);
    SPAR_TRY(spar__buffer_add(out, "[", 1));
    for (size_t i = 0; i < n; i++) {
        if (i) SPAR_TRY(spar__buffer_add(out, style->comma, strlen(style->comma)));
        SPAR_TRY(new_line(style, depth + 1, out));
        SPAR_TRY(spar__chat_json(c, json_array_get(value, i), style, depth + 1, out));
    }
    if (n) SPAR_TRY(new_line(style, depth, out));
    return spar__buffer_add(out, "]", 1);
}
