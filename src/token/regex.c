#include "token/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/buffer.h"

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 262144, MAX_EXPRESSION = 65536 };

struct spar__regex {
    pcre2_code *code;
    pcre2_match_context *context;
};

/* The classes of Oniguruma, in which tokenizer.json is written, where PCRE2's differ: \s without
 * U+180E, \w with all marks and what is alphabetic, \h for hexadecimal digits. */
static const struct {
    char name;
    const char *within, *alone; /* in a class [ … ], and by itself */
} classes[] = {
    {'s', "\\p{White_Space}", "\\p{White_Space}"},
    {'S', "\\P{White_Space}", "\\P{White_Space}"},
    {'w', "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]"},
    {'W', NULL, "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]"},
    {'h', "0-9a-fA-F", "[0-9a-fA-F]"},
    {'H', NULL, "[^0-9a-fA-F]"},
};

/* The bracket that opens at p and its ^, and a ] at once after them, which is no end. */
static const char *class_begin(const char *p) {
    p += 1 + (p[1] == '^');
    return p + (*p == ']');
}

/* The end of the class [ … ] at p, which may hold further ones. */
static const char *class_end(const char *p) {
    p = class_begin(p);
    while (*p && *p != ']') {
        if (*p == '[' && p[1] == ':' && strstr(p, ":]")) p = strstr(p, ":]") + 2;
        else if (*p == '[') p = class_end(p);
        else p += *p == '\\' && p[1] ? 2 : 1;
    }
    return p + (*p != 0);
}

static spar_status translate(const char *p, const char *end, spar__buffer *out);

/* [A&&B] is what both have: (?:(?=[A])[B]). False when the class has no &&. */
static spar_status intersect(const char *p, const char *end, spar__buffer *out, bool *done) {
    int depth = 0;
    const char *both = NULL;
    for (const char *q = p; q < end && !both; q++) {
        if (*q == '\\') q++;
        else if (*q == '[') depth++;
        else if (*q == ']') depth--;
        else if (depth == 1 && q[0] == '&' && q[1] == '&') both = q;
    }
    *done = both != NULL;
    if (!both) return SPAR_OK;
    bool inverse = p[1] == '^', bare = both[2] != '[';
    const char *left = p + 1 + inverse, *right = both + 2;
    SPAR_TRY(spar__buffer_print(out, inverse ? "(?!(?=[" : "(?:(?=["));
    SPAR_TRY(spar__buffer_add(out, left, (size_t)(both - left)));
    SPAR_TRY(spar__buffer_print(out, "])%s", bare ? "[" : ""));
    SPAR_TRY(translate(right, end - 1, out));
    return spar__buffer_print(out, "%s%s)%s", bare ? "]" : "", "", inverse ? "(?s:.)" : "");
}

/* Of classes in a class the brackets go: the whole is what any of them has. */
static spar_status translate_class(const char *p, const char *end, bool inner, spar__buffer *out) {
    bool done;
    if (!inner) SPAR_TRY(intersect(p, end, out, &done));
    if (!inner && done) return SPAR_OK;
    const char *begin = class_begin(p), *last = end - 1;
    if (inner && p[1] == '^')
        return spar__fail(SPAR_ERR_UNSUPPORTED, "expression with a class '%.40s' in a class", p);
    if (inner) p++;
    SPAR_TRY(spar__buffer_add(out, p, (size_t)(begin - p)));
    for (p = begin; p < last;) {
        bool posix = *p == '[' && p[1] == ':';
        if (*p == '[' && !posix) {
            const char *stop = class_end(p);
            SPAR_TRY(translate_class(p, stop, true, out));
            p = stop;
            continue;
        }
        const char *within = NULL;
        for (size_t i = 0; *p == '\\' && i < sizeof classes / sizeof *classes; i++)
            if (classes[i].name == p[1]) within = classes[i].within;
        size_t n = *p == '\\' ? 2 : posix && strstr(p, ":]") ? (size_t)(strstr(p, ":]") + 2 - p) : 1;
        if (within) SPAR_TRY(spar__buffer_add(out, within, strlen(within)));
        else SPAR_TRY(spar__buffer_add(out, p, n));
        p += n;
    }
    return inner ? SPAR_OK : spar__buffer_add(out, "]", 1);
}

static spar_status translate(const char *p, const char *end, spar__buffer *out) {
    while (p < end) {
        if (*p == '[') {
            const char *stop = class_end(p);
            if (stop > end || stop[-1] != ']')
                return spar__fail(SPAR_ERR_FORMAT, "expression: '[' without ']' in '%.40s'", p);
            SPAR_TRY(translate_class(p, stop, false, out));
            p = stop;
            continue;
        }
        const char *alone = NULL;
        for (size_t i = 0; *p == '\\' && i < sizeof classes / sizeof *classes; i++)
            if (classes[i].name == p[1]) alone = classes[i].alone;
        size_t n = *p == '\\' && p + 1 < end ? 2 : 1;
        SPAR_TRY(alone ? spar__buffer_add(out, alone, strlen(alone)) : spar__buffer_add(out, p, n));
        p += n;
    }
    return SPAR_OK;
}

spar_status spar__regex_compile(const char *expression, bool literal, spar__regex **out) {
    spar__buffer text = spar__buffer_make(MAX_EXPRESSION);
    spar__regex *regex = spar__alloc(sizeof *regex);
    spar_status status = regex ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status)
        status = literal ? spar__buffer_add(&text, expression, strlen(expression))
                         : translate(expression, expression + strlen(expression), &text);
    if (status) goto failed;
    uint32_t flags = literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP;
    int error;
    PCRE2_SIZE at;
    regex->code = pcre2_compile((PCRE2_SPTR)text.bytes, text.length, flags, &error, &at, NULL);
    if (!regex->code) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(error, message, sizeof message);
        status = spar__fail(SPAR_ERR_FORMAT, "expression '%.200s': %s", expression, message);
        goto failed;
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* slower, but right, where it fails */
    regex->context = pcre2_match_context_create(NULL);
    if (!regex->context) {
        status = spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
        goto failed;
    }
    pcre2_set_match_limit(regex->context, MATCH_LIMIT);
    pcre2_set_heap_limit(regex->context, HEAP_LIMIT_KIB);
    spar__buffer_free(&text);
    *out = regex;
    return SPAR_OK;
failed:
    spar__buffer_free(&text);
    spar__regex_free(regex);
    return status;
}

void spar__regex_free(spar__regex *regex) {
    if (!regex) return;
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
    spar__free(regex);
}

spar_status spar__regex_find(const spar__regex *regex, const char *text, size_t from, size_t length,
                             size_t *begin, size_t *end) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data) return spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
    uint32_t flags = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, flags, data,
                            regex->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its frames on the heap */
        found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, flags | PCRE2_NO_JIT, data,
                            regex->context);
    spar_status status = SPAR_OK;
    if (found == PCRE2_ERROR_NOMATCH) {
        *begin = *end = length;
    } else if (found < 0) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(found, message, sizeof message);
        status = spar__fail(SPAR_ERR_LIMIT, "text at byte %zu: the tokenizer's expression: %s",
                            from, message);
    } else {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
        *begin = at[0];
        *end = at[1] > at[0] ? at[1] : at[0] + 1;
    }
    pcre2_match_data_free(data);
    return status;
}
