/* Source to tokens, with Jinja's rules for white space around tags: a minus sign takes all of it
 * away, trim_blocks the newline after a block, lstrip_blocks the blanks before one on its line. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "chat/node.h"

typedef struct lexer {
    const char *name, *source;
    size_t length, at;
    int line;
    spar__tokens *out;
} lexer;

static spar_status add(lexer *x, spar__token_type type, const char *text, size_t length,
                       json_t *value) {
    spar__tokens *t = x->out;
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 256;
        spar__token *at = spar__resize(t->at, capacity, sizeof *at);
        if (!at) return json_decref(value), SPAR_ERR_MEMORY;
        t->at = at;
        t->capacity = capacity;
    }
    t->at[t->count++] = (spar__token){type, x->line, text, length, value};
    return SPAR_OK;
}

static spar_status failed(const lexer *x, const char *what) {
    return spar__fail(SPAR_ERR_FORMAT, "%s: line %d: %s", x->name, x->line, what);
}

static bool starts(const lexer *x, size_t at, const char *text) {
    size_t n = strlen(text);
    return x->length - at >= n && !memcmp(x->source + at, text, n);
}

/* ---- Inside tags ---- */

static spar_status escape(lexer *x, spar__buffer *out) {
    char c = x->source[x->at++];
    static const char from[] = "ntrabfv0", to[] = "\n\t\r\a\b\f\v\0";
    const char *known = strchr(from, c);
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (known && c) return spar__buffer_add(out, &to[known - from], 1);
    if (!digits) {
        if (c != '\\' && c != '\'' && c != '"' && c != '\n') SPAR_TRY(spar__buffer_add(out, "\\", 1));
        return c == '\n' ? SPAR_OK : spar__buffer_add(out, &c, 1);
    }
    char hex[9] = "", utf8[4], *end;
    if (x->length - x->at < (size_t)digits) return failed(x, "a string ends in an escape");
    memcpy(hex, x->source + x->at, (size_t)digits);
    unsigned long code = strtoul(hex, &end, 16);
    if (*end || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return failed(x, "an escape that is no character");
    x->at += (size_t)digits;
    return spar__buffer_add(out, utf8, (size_t)spar__utf8_encode((uint32_t)code, utf8));
}

static spar_status string(lexer *x) {
    char quote = x->source[x->at++];
    spar__buffer text = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    while (!status && x->at < x->length && x->source[x->at] != quote) {
        char c = x->source[x->at++];
        if (c == '\n') x->line++;
        if (c == '\\' && x->at < x->length) status = escape(x, &text);
        else status = spar__buffer_add(&text, &c, 1);
    }
    if (!status && x->at == x->length) status = failed(x, "a string has no end");
    x->at++;
    if (!status) {
        json_t *value = json_stringn(text.length ? text.bytes : "", text.length);
        status = value ? add(x, TOKEN_STRING, "", 0, value) : failed(x, "a string is not UTF-8");
    }
    spar__buffer_free(&text);
    return status;
}

static spar_status number(lexer *x) {
    char text[64];
    size_t n = 0, begin = x->at;
    bool real = false;
    while (x->at < x->length && n + 1 < sizeof text) {
        char c = x->source[x->at];
        bool dot = c == '.' && x->at + 1 < x->length && isdigit((unsigned char)x->source[x->at + 1]);
        bool power = (c == 'e' || c == 'E') && x->at + 1 < x->length &&
                     (isdigit((unsigned char)x->source[x->at + 1]) || x->source[x->at + 1] == '-');
        if (!isdigit((unsigned char)c) && c != '_' && !dot && !power) break;
        if (c != '_') text[n++] = c;
        x->at++;
        if (power) text[n++] = x->source[x->at++];
        real = real || dot || power;
    }
    text[n] = 0;
    errno = 0;
    json_t *value = real ? json_real(strtod(text, NULL)) : json_integer(strtoll(text, NULL, 10));
    if (errno || !value) return json_decref(value), failed(x, "a number is too large");
    return add(x, real ? TOKEN_REAL : TOKEN_INTEGER, x->source + begin, x->at - begin, value);
}

static spar_status operator_(lexer *x, int *braces) {
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (starts(x, x->at, two[i])) {
            x->at += 2;
            return add(x, TOKEN_OPERATOR, x->source + x->at - 2, 2, NULL);
        }
    char c = x->source[x->at];
    if (!strchr("+-*/%~|()[]{}.,:=<>", c) || !c) {
        char what[48];
        snprintf(what, sizeof what, "character '%c' (%d) in a tag", isprint((unsigned char)c) ? c : '?',
                 (unsigned char)c);
        return failed(x, what);
    }
    if (strchr("([{", c)) ++*braces;
    if (strchr(")]}", c) && *braces) --*braces;
    x->at++;
    return add(x, TOKEN_OPERATOR, x->source + x->at - 1, 1, NULL);
}

/* The tokens up to the tag's end; *strip: whether it takes the white space after it away (1) or
 * leaves all of it (−1). */
static spar_status inside(lexer *x, const char *end, int *strip) {
    int braces = 0;
    for (;;) {
        while (x->at < x->length && isspace((unsigned char)x->source[x->at]))
            x->line += x->source[x->at++] == '\n';
        if (x->at == x->length) return failed(x, "a tag has no end");
        char c = x->source[x->at];
        bool sign = (c == '-' || c == '+') && starts(x, x->at + 1, end);
        if (!braces && (sign || starts(x, x->at, end))) {
            *strip = !sign ? 0 : c == '-' ? 1 : -1;
            x->at += (size_t)sign + 2;
            return SPAR_OK;
        }
        if (c == '"' || c == '\'') SPAR_TRY(string(x));
        else if (isdigit((unsigned char)c)) SPAR_TRY(number(x));
        else if (isalpha((unsigned char)c) || c == '_') {
            size_t begin = x->at;
            while (x->at < x->length &&
                   (isalnum((unsigned char)x->source[x->at]) || x->source[x->at] == '_'))
                x->at++;
            SPAR_TRY(add(x, TOKEN_NAME, x->source + begin, x->at - begin, NULL));
        } else SPAR_TRY(operator_(x, &braces));
    }
}

/* ---- Between tags ---- */

static void skip_space(lexer *x) {
    while (x->at < x->length && isspace((unsigned char)x->source[x->at]))
        x->line += x->source[x->at++] == '\n';
}

static void after_tag(lexer *x, int strip, bool block) {
    if (strip > 0) skip_space(x);
    else if (!strip && block) {
        if (starts(x, x->at, "\r\n")) x->at += 2, x->line++;
        else if (starts(x, x->at, "\n")) x->at++, x->line++;
    }
}

/* The data from `begin` to the tag at `end`, less the white space that the tag takes. */
static spar_status data(lexer *x, size_t begin, size_t end, bool line_start) {
    const char *s = x->source;
    size_t stop = end;
    bool tag = end < x->length;
    char sign = tag && end + 2 < x->length ? s[end + 2] : 0;
    if (tag && sign == '-') {
        while (stop > begin && isspace((unsigned char)s[stop - 1])) stop--;
    } else if (tag && sign != '+' && s[end + 1] != '{') {
        size_t blank = end;
        while (blank > begin && (s[blank - 1] == ' ' || s[blank - 1] == '\t')) blank--;
        if (blank > begin ? s[blank - 1] == '\n' : line_start) stop = blank;
    }
    if (!tag && stop > begin && s[stop - 1] == '\n') stop--; /* the last newline of the file */
    spar_status status = stop > begin ? add(x, TOKEN_DATA, s + begin, stop - begin, NULL) : SPAR_OK;
    for (size_t i = begin; i < end; i++) x->line += s[i] == '\n';
    return status;
}

/* {% raw %} … {% endraw %} at x->at, which is behind the opening tag. */
static spar_status raw(lexer *x, int strip) {
    after_tag(x, strip, true);
    for (size_t at = x->at; at < x->length; at++) {
        if (!starts(x, at, "{%")) continue;
        size_t word = at + 2;
        while (word < x->length && (isspace((unsigned char)x->source[word]) || x->source[word] == '-'))
            word++;
        if (!starts(x, word, "endraw")) continue;
        SPAR_TRY(data(x, x->at, at, false));
        x->at = word + 6;
        SPAR_TRY(inside(x, "%}", &strip));
        after_tag(x, strip, true);
        return SPAR_OK;
    }
    return failed(x, "raw has no endraw");
}

static spar_status tag(lexer *x) {
    char kind = x->source[x->at + 1];
    int strip = 0;
    x->at += 2;
    if (kind == '#') {
        const char *end = memmem(x->source + x->at, x->length - x->at, "#}", 2);
        if (!end) return failed(x, "a comment has no end");
        size_t stop = (size_t)(end - x->source);
        strip = end[-1] == '-' ? 1 : end[-1] == '+' ? -1 : 0;
        for (; x->at < stop; x->at++) x->line += x->source[x->at] == '\n';
        x->at += 2;
        after_tag(x, strip, true);
        return SPAR_OK;
    }
    bool block = kind == '%';
    if (x->at < x->length && (x->source[x->at] == '-' || x->source[x->at] == '+')) x->at++;
    size_t first = x->out->count;
    SPAR_TRY(add(x, block ? TOKEN_BLOCK : TOKEN_VARIABLE, "", 0, NULL));
    SPAR_TRY(inside(x, block ? "%}" : "}}", &strip));
    const spar__token *word = &x->out->at[first + 1];
    if (block && x->out->count == first + 2 && word->length == 3 && !memcmp(word->text, "raw", 3)) {
        x->out->count = first;
        return raw(x, strip);
    }
    SPAR_TRY(add(x, block ? TOKEN_BLOCK_END : TOKEN_VARIABLE_END, "", 0, NULL));
    after_tag(x, strip, block);
    return SPAR_OK;
}

spar_status spar__chat_lex(const char *name, const char *source, size_t length, spar__tokens *out) {
    lexer x = {name, source, length, 0, 1, out};
    while (x.at < length) {
        size_t begin = x.at, end = begin;
        while (end < length && !(source[end] == '{' && end + 1 < length && source[end + 1] &&
                                 strchr("{%#", source[end + 1])))
            end++;
        bool line_start = !begin || source[begin - 1] == '\n';
        SPAR_TRY(data(&x, begin, end, line_start));
        x.at = end;
        if (end < length) SPAR_TRY(tag(&x));
    }
    return add(&x, TOKEN_END, "", 0, NULL);
}

void spar__tokens_free(spar__tokens *t) {
    for (size_t i = 0; i < t->count; i++) json_decref(t->at[i].value);
    spar__free(t->at);
    *t = (spar__tokens){0};
}
