/* Where the two differ: classes named by a letter, a property or [: :]; (?m), by which Oniguruma
 * means that . takes newlines; classes within classes and their intersection; the boundaries of
 * words; {,n}; \u, \v, \O. Lines begin and end at ^ and $ always. */
#include "token/oniguruma.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORD      "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WIDE_WORD WORD "\\xB2\\xB3\\xB9\\xBC-\\xBE" /* outside of a class: ² ³ ¹ ¼ ½ ¾, too */
#define GRAPH     "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}"

enum { MAX_NESTED = 16 };

/* What stands between [ and ] for a set, and for what is not in it (NULL: no such list). */
typedef struct set {
    const char *name, *within, *inverse;
} set;

static const set letters[] = {
    {"s", "\\p{White_Space}", "\\P{White_Space}"},
    {"w", WORD, NULL},
    {"h", "0-9a-fA-F", NULL},
    {"v", "\\x0B", NULL},
};

/* [:name:] and \p{name}. */
static const set names[] = {
    {"alpha", "\\p{Alphabetic}", "\\P{Alphabetic}"},
    {"alnum", "\\p{Alphabetic}\\p{Nd}", NULL},
    {"upper", "\\p{Uppercase}", "\\P{Uppercase}"},
    {"lower", "\\p{Lowercase}", "\\P{Lowercase}"},
    {"space", "\\p{White_Space}", "\\P{White_Space}"},
    {"digit", "\\p{Nd}", "\\P{Nd}"},
    {"xdigit", "0-9a-fA-F", NULL},
    {"word", WORD, NULL},
    {"cntrl", "\\p{Cc}", "\\P{Cc}"},
    {"graph", GRAPH, NULL},
    {"print", GRAPH "\\p{Z}", NULL},
    {"blank", "\\p{Zs}\\t", NULL},
    {"ascii", "\\x{0}-\\x{7F}", "\\x{80}-\\x{10FFFF}"},
    {"punct", "\\p{P}\\p{S}", NULL}, /* as \p{Punct} it has no symbols, see below */
    {"punctuation", "\\p{P}", "\\P{P}"},
    {"letter", "\\p{L}", "\\P{L}"},
    {"uppercase_letter", "\\p{Lu}", "\\P{Lu}"},
    {"lowercase_letter", "\\p{Ll}", "\\P{Ll}"},
    {"titlecase_letter", "\\p{Lt}", "\\P{Lt}"},
    {"modifier_letter", "\\p{Lm}", "\\P{Lm}"},
    {"other_letter", "\\p{Lo}", "\\P{Lo}"},
    {"mark", "\\p{M}", "\\P{M}"},
    {"nonspacing_mark", "\\p{Mn}", "\\P{Mn}"},
    {"number", "\\p{N}", "\\P{N}"},
    {"decimal_number", "\\p{Nd}", "\\P{Nd}"},
    {"letter_number", "\\p{Nl}", "\\P{Nl}"},
    {"other_number", "\\p{No}", "\\P{No}"},
    {"symbol", "\\p{S}", "\\P{S}"},
    {"math_symbol", "\\p{Sm}", "\\P{Sm}"},
    {"currency_symbol", "\\p{Sc}", "\\P{Sc}"},
    {"separator", "\\p{Z}", "\\P{Z}"},
    {"space_separator", "\\p{Zs}", "\\P{Zs}"},
    {"other", "\\p{C}", "\\P{C}"},
    {"control", "\\p{Cc}", "\\P{Cc}"},
    {"lc", "\\p{L&}", "\\P{L&}"},
};

static const set *named(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && !strncasecmp(names[i].name, name, length))
            return &names[i];
    return NULL;
}

/* The set at p, if one of ours stands there: its length, and whether it is inverted. `within`: in a
 * class, where [:name:] may stand. */
static const set *set_at(const char *p, bool within, size_t *length, bool *inverse) {
    static const set punctuation = {"", "\\p{P}", "\\P{P}"};
    if (within && p[0] == '[' && p[1] == ':') {
        const char *end = strstr(p, ":]");
        if (!end) return NULL;
        *inverse = p[2] == '^';
        *length = (size_t)(end - p) + 2;
        return named(p + 2 + *inverse, (size_t)(end - p) - 2 - *inverse);
    }
    if (p[0] != '\\') return NULL;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        char letter = letters[i].name[0];
        if (p[1] != letter && (p[1] != letter - 32 || letter == 'v')) continue;
        *inverse = p[1] != letter;
        *length = 2;
        return &letters[i];
    }
    const char *end = (p[1] == 'p' || p[1] == 'P') && p[2] == '{' ? strchr(p, '}') : NULL;
    if (!end) return NULL;
    bool not = p[3] == '^';
    const char *name = p + 3 + not;
    *inverse = not != (p[1] == 'P');
    *length = (size_t)(end - p) + 1;
    const set *found = named(name, (size_t)(end - name));
    return found && !strcmp(found->name, "punct") ? &punctuation : found;
}

/* Whether \p{name} is a script, which PCRE2 would also give to characters that several use. */
static bool is_script(const char *name, size_t length) {
    char text[64];
    int error, n = snprintf(text, sizeof text, "\\p{sc:%.*s}", (int)length, name);
    PCRE2_SIZE at;
    if (length > 40 || n >= (int)sizeof text) return false;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)n, PCRE2_UTF, &error, &at, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

/* \p{…} at p, of which no set above says anything. */
static spar_status add_property(const char *p, size_t n, spar__buffer *out) {
    bool not = p[3] == '^';
    const char *name = p + 3 + not;
    size_t length = n - 4 - not;
    const char *script = is_script(name, length) ? "sc:" : "";
    return spar__buffer_print(out, "\\%c{%s%.*s}", not == (p[1] == 'P') ? 'p' : 'P', script,
                              (int)length, name);
}

/* The bracket that opens at p and its ^, and a ] at once after them, which is no end. */
static const char *class_begin(const char *p) {
    p += 1 + (p[1] == '^');
    return p + (*p == ']');
}

/* The end of the class [ … ] at p, which may hold further ones; NULL where it has none. */
static const char *class_end(const char *p) {
    int depth = 0;
    do {
        if (*p == '[' && p[1] == ':' && depth && strstr(p, ":]")) {
            p = strstr(p, ":]") + 2;
        } else if (*p == '[') {
            depth++;
            p = class_begin(p);
        } else {
            depth -= *p == ']';
            p += *p == '\\' && p[1] ? 2 : 1;
        }
    } while (*p && depth);
    return depth ? NULL : p;
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
    bool inverse = p[1] == '^', bare = both[2] != '[' || class_end(both + 2) != end - 1;
    spar__buffer left = spar__buffer_make(SIZE_MAX), right = spar__buffer_make(SIZE_MAX);
    const char *begin = p + 1 + inverse;
    spar_status status = spar__buffer_print(&left, "[%.*s]", (int)(both - begin), begin);
    if (!status)
        status = spar__buffer_print(&right, "%s%.*s%s", bare ? "[" : "", (int)(end - 1 - both - 2),
                                    both + 2, bare ? "]" : "");
    if (!status) status = spar__buffer_print(out, inverse ? "(?:(?!(?=" : "(?:(?=");
    if (!status) status = translate(left.bytes, left.bytes + left.length, out);
    if (!status) status = spar__buffer_print(out, ")");
    if (!status) status = translate(right.bytes, right.bytes + right.length, out);
    if (!status) status = spar__buffer_print(out, inverse ? ")(?s:.))" : ")");
    spar__buffer_free(&left);
    spar__buffer_free(&right);
    return status;
}

/* What stands in a class, without the brackets of classes in it: the whole is what any of them
 * has. Inverted sets that no list says go to `apart`, as alternatives. */
static spar_status add_members(const char *p, const char *last, spar__buffer *out,
                               spar__buffer *apart) {
    while (p < last) {
        size_t n = *p == '\\' && p + 1 < last ? 2 : 1;
        bool inverse = false;
        const set *found = set_at(p, true, &n, &inverse);
        if (found && inverse && !found->inverse) {
            SPAR_TRY(spar__buffer_print(apart, "|[^%s]", found->within));
        } else if (found) {
            SPAR_TRY(spar__buffer_print(out, "%s", inverse ? found->inverse : found->within));
        } else if (*p == '[') {
            if (p[1] == '^')
                return spar__fail(SPAR_ERR_UNSUPPORTED, "expression with a class '%.40s' in a "
                                  "class", p);
            n = (size_t)(class_end(p) - p); /* it ends before the class that it is in */
            SPAR_TRY(add_members(p + 1, p + n - 1, out, apart));
        } else if (n == 2 && p[1] == 'u' && last - p >= 6) {
            SPAR_TRY(spar__buffer_print(out, "\\x{%.4s}", p + 2));
            n = 6;
        } else if (n == 2 && (p[1] | 32) == 'p' && p[2] == '{' && p[3] != '}' && strchr(p, '}')) {
            n = (size_t)(strchr(p, '}') + 1 - p);
            SPAR_TRY(add_property(p, n, out));
        } else {
            SPAR_TRY(spar__buffer_add(out, p, n));
        }
        p += n;
    }
    return SPAR_OK;
}

static spar_status translate_class(const char *p, const char *end, spar__buffer *out) {
    bool done, inverse = p[1] == '^';
    SPAR_TRY(intersect(p, end, out, &done));
    if (done) return SPAR_OK;
    spar__buffer members = spar__buffer_make(SIZE_MAX), apart = spar__buffer_make(SIZE_MAX);
    const char *begin = class_begin(p), *first = p + 1 + inverse;
    spar_status status = spar__buffer_add(&members, first, (size_t)(begin - first));
    if (!status) status = add_members(begin, end - 1, &members, &apart);
    const char *list = members.length ? members.bytes : "";
    int n = (int)members.length, m = (int)apart.length;
    if (status) {
    } else if (!apart.length) {
        status = spar__buffer_print(out, "[%s%.*s]", inverse ? "^" : "", n, list);
    } else {
        /* Without members the first alternative, |, falls away. */
        status = spar__buffer_print(out, inverse ? "(?:(?!" : "(?:");
        if (!status && n) status = spar__buffer_print(out, "[%.*s]", n, list);
        if (!status)
            status = spar__buffer_print(out, "%.*s%s", m - !n, apart.bytes + !n,
                                        inverse ? ")(?s:.))" : ")");
    }
    spar__buffer_free(&members);
    spar__buffer_free(&apart);
    return status;
}

/* What begins at p and is no class: *n bytes of it are taken. */
static spar_status translate_other(const char *p, const char *end, spar__buffer *out, size_t *n) {
#define BOUND "(?<=[" WIDE_WORD "])", "(?![" WIDE_WORD "])", "(?<![" WIDE_WORD "])", "(?=[" WIDE_WORD "])"
    bool inverse = false;
    const set *found = set_at(p, false, n, &inverse);
    if (found) {
        const char *list = found->name[0] == 'w' && *n == 2 ? WIDE_WORD : found->within;
        return spar__buffer_print(out, "[%s%s]", inverse ? "^" : "", list);
    }
    *n = *p == '\\' && p + 1 < end ? 2 : 1;
    char after = *n == 2 ? p[1] : 0;
    if (after && strchr("pPxgk", after) && p[2] == '{' && strchr(p, '}')) {
        *n = (size_t)(strchr(p, '}') + 1 - p);
        return (after | 32) == 'p' && *n > 4 ? add_property(p, *n, out)
                                             : spar__buffer_add(out, p, *n);
    }
    if (after == 'b') return spar__buffer_print(out, "(?:%s%s|%s%s)", BOUND);
    if (after == 'B') return spar__buffer_print(out, "(?!%s%s|%s%s)", BOUND);
#undef BOUND
    if (after == 'O') return spar__buffer_print(out, "(?s:.)");
    if (after == 'u' && end - p >= 6) {
        *n = 6;
        return spar__buffer_print(out, "\\x{%.4s}", p + 2);
    }
    if (*p == '{' && p[1] == ',') {
        *n = 2;
        return spar__buffer_print(out, "{0,");
    }
    if (*p == '}' && p[1] == '+')
        return spar__fail(SPAR_ERR_UNSUPPORTED, "expression with '}+' ('%.40s'): a repeated "
                          "repetition", p);
    size_t flags = *p == '(' && p[1] == '?' ? strspn(p + 2, "imx-") : 0;
    if (flags && (p[2 + flags] == ')' || p[2 + flags] == ':')) {
        SPAR_TRY(spar__buffer_print(out, "(?"));
        for (size_t i = 0; i < flags; i++)
            SPAR_TRY(spar__buffer_add(out, p[2 + i] == 'm' ? "s" : p + 2 + i, 1));
        *n = 2 + flags;
        return SPAR_OK;
    }
    return spar__buffer_add(out, p, *n);
}

static spar_status translate(const char *p, const char *end, spar__buffer *out) {
    while (p < end) {
        size_t n;
        if (*p == '[') {
            const char *stop = class_end(p);
            if (!stop || stop > end)
                return spar__fail(SPAR_ERR_FORMAT, "expression: '[' without ']' in '%.40s'", p);
            SPAR_TRY(translate_class(p, stop, out));
            p = stop;
        } else {
            SPAR_TRY(translate_other(p, end, out, &n));
            p += n;
        }
    }
    return SPAR_OK;
}

spar_status spar__oniguruma_translate(const char *expression, spar__buffer *out) {
    size_t depth = 0, intersections = 0;
    for (const char *p = expression; *p; p++) {
        if (*p == '\\' && p[1]) p++;
        else if (*p == '[') depth++;
        else if (*p == ']') depth -= depth > 0;
        else if (p[0] == '&' && p[1] == '&') intersections++;
        if (depth > MAX_NESTED || intersections > MAX_NESTED)
            return spar__fail(SPAR_ERR_LIMIT, "expression with more than %d classes within a class "
                              "in '%.40s'", MAX_NESTED, expression);
    }
    return translate(expression, expression + strlen(expression), out);
}
