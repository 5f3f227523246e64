/* Methods of text and dictionaries, as Python has them, and global functions. */
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include "base/text.h"
#include "chat/run.h"

typedef struct text {
    const char *at;
    size_t n;
} text;

static bool blank(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* The character at s[at], and its width. */
static size_t decode(text s, size_t at, uint32_t *code) {
    int n = spar__utf8_decode((const unsigned char *)s.at + at, s.n - at, code);
    return n ? (size_t)n : 1;
}

static bool one_of(uint32_t code, const text *set) {
    if (!set) return blank(code);
    uint32_t other;
    for (size_t at = 0; at < set->n; at += decode(*set, at, &other))
        if (decode(*set, at, &other) && other == code) return true;
    return false;
}

static text stripped(text s, const text *set, bool left, bool right) {
    uint32_t code;
    while (left && s.n) {
        size_t n = decode(s, 0, &code);
        if (!one_of(code, set)) break;
        s.at += n, s.n -= n;
    }
    while (right && s.n) {
        size_t begin = s.n - 1;
        while (begin && ((unsigned char)s.at[begin] & 0xC0) == 0x80) begin--;
        decode(s, begin, &code);
        if (!one_of(code, set)) break;
        s.n = begin;
    }
    return s;
}

/* TITLE is Python's str.title, WORDS Jinja's filter: its words begin after blanks and - ( { [ <. */
typedef enum casing { LOWER, UPPER, TITLE, WORDS, CAPITALIZE } casing;

static spar_status change_case(spar__chat *c, text s, casing how, json_t **out) {
    spar__buffer made = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    bool word = false;
    for (size_t at = 0; !status && at < s.n;) {
        uint32_t code = 0;
        utf8proc_uint8_t bytes[4];
        at += decode(s, at, &code);
        utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)code);
        bool letter = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
        bool up = how == UPPER || (how != LOWER && !word);
        utf8proc_int32_t made_code = up ? utf8proc_toupper((utf8proc_int32_t)code)
                                        : utf8proc_tolower((utf8proc_int32_t)code);
        bool parts = code < 0x80 ? code && strchr("-({[< \t\n\r\f\v", (int)code)
                                 : kind >= UTF8PROC_CATEGORY_ZS && kind <= UTF8PROC_CATEGORY_ZP;
        word = how == CAPITALIZE || (how == WORDS ? !parts : letter);
        status = spar__buffer_add(&made, bytes, (size_t)utf8proc_encode_char(made_code, bytes));
    }
    if (!status) status = spar__chat_text(c, made.bytes, made.length, out);
    spar__buffer_free(&made);
    return status;
}

static spar_status text_argument(spar__chat *c, const spar__arguments *a, int index, const char *name,
                                 text *out) {
    const json_t *value = spar__argument(a, index, name);
    if (!json_is_string(value))
        return spar__chat_failed(c, "argument %d ('%s'): expected a text", index + 1, name);
    *out = (text){json_string_value(value), json_string_length(value)};
    return SPAR_OK;
}

static void add_part(json_t *list, const char *at, size_t n) {
    json_array_append_new(list, json_stringn(n ? at : "", n));
}

/* split, rsplit (from the right), by blanks where no separator is given. */
static spar_status split(spar__chat *c, text s, spar__arguments *a, bool right, json_t **out) {
    json_t *list = json_array();
    text by = {NULL, 0};
    int64_t most = -1;
    const json_t *given = spar__argument(a, 0, "sep");
    spar_status status = spar__argument_int(c, a, 1, "maxsplit", -1, &most);
    if (!status && given && !json_is_null(given)) {
        status = text_argument(c, a, 0, "sep", &by);
        if (!status && !by.n) status = spar__chat_failed(c, "split by an empty text");
    }
    if (!status) status = spar__chat_step(c, s.n);
    if (status) return json_decref(list), status;
    if (!by.n) s = stripped(s, NULL, true, false);
    if (!by.n && right) s = stripped(s, NULL, true, true);
    while (by.n ? true : s.n > 0) {
        size_t found = s.n, width = 0;
        uint32_t code = 0;
        if (most != 0 && by.n && !right) {
            const char *at = memmem(s.at, s.n, by.at, by.n);
            if (at) found = (size_t)(at - s.at), width = by.n;
        } else if (most != 0 && by.n) {
            for (size_t i = s.n >= by.n ? s.n - by.n + 1 : 0; i-- > 0 && !width;)
                if (!memcmp(s.at + i, by.at, by.n)) found = i, width = by.n;
        } else if (most != 0 && !right) {
            for (size_t at = 0, n; at < s.n && !width; at += n)
                if (n = decode(s, at, &code), blank(code)) found = at, width = n;
        } else if (most != 0) {
            for (size_t at = 0, n; at < s.n; at += n)
                if (n = decode(s, at, &code), blank(code)) found = at, width = n;
        }
        if (!width) {
            text last = by.n || right ? s : stripped(s, NULL, false, most < 0);
            if (right) json_array_insert_new(list, 0, json_stringn(last.n ? last.at : "", last.n));
            else add_part(list, last.at, last.n);
            break;
        }
        most--;
        text rest = right ? (text){s.at, found} : (text){s.at + found + width, s.n - found - width};
        text part = right ? (text){s.at + found + width, s.n - found - width} : (text){s.at, found};
        if (right) json_array_insert_new(list, 0, json_stringn(part.n ? part.at : "", part.n));
        else add_part(list, part.at, part.n);
        s = by.n ? rest : stripped(rest, NULL, !right, right);
    }
    *out = list;
    return SPAR_OK;
}

static spar_status split_lines(text s, bool keep, json_t **out) {
    *out = json_array();
    for (size_t at = 0, end; at < s.n;) {
        for (end = at; end < s.n && s.at[end] != '\n' && s.at[end] != '\r';) end++;
        size_t mark = end == s.n ? 0 : s.at[end] == '\r' && end + 1 < s.n && s.at[end + 1] == '\n' ? 2 : 1;
        add_part(*out, s.at + at, end - at + (keep ? mark : 0));
        at = end + mark;
    }
    return SPAR_OK;
}

static spar_status replace(spar__chat *c, text s, spar__arguments *a, json_t **out) {
    text from, to;
    int64_t most;
    SPAR_TRY(text_argument(c, a, 0, "old", &from));
    SPAR_TRY(text_argument(c, a, 1, "new", &to));
    SPAR_TRY(spar__argument_int(c, a, 2, "count", -1, &most));
    spar__buffer made = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    for (size_t at = 0; !status;) {
        const char *found = most ? from.n ? memmem(s.at + at, s.n - at, from.at, from.n) : s.at + at
                                 : NULL;
        size_t end = found ? (size_t)(found - s.at) : s.n;
        most--;
        status = spar__buffer_add(&made, s.at + at, end - at);
        if (!found || status) break;
        status = spar__buffer_add(&made, to.at, to.n);
        if (!from.n && end == s.n) break;
        uint32_t code;
        size_t width = from.n ? 0 : decode(s, end, &code);
        if (!status) status = spar__buffer_add(&made, s.at + end, width);
        at = end + from.n + width;
    }
    if (!status) status = spar__chat_text(c, made.bytes, made.length, out);
    spar__buffer_free(&made);
    return status;
}

/* startswith, endswith: of one text or of any in a list. */
static spar_status affix(spar__chat *c, text s, spar__arguments *a, bool end, bool *yes) {
    const json_t *given = spar__argument(a, 0, "prefix");
    size_t n = json_is_array(given) ? json_array_size(given) : 1;
    for (size_t i = 0; i < n && !*yes; i++) {
        const json_t *one = json_is_array(given) ? json_array_get(given, i) : given;
        if (!json_is_string(one)) return spar__chat_failed(c, "startswith, endswith: expected a text");
        size_t m = json_string_length(one);
        *yes = m <= s.n && !memcmp(end ? s.at + s.n - m : s.at, json_string_value(one), m);
    }
    return SPAR_OK;
}

static int64_t characters(text s, size_t bytes) {
    int64_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)s.at[i] & 0xC0) != 0x80;
    return n;
}

static spar_status find(spar__chat *c, text s, spar__arguments *a, const char *name, json_t **out) {
    text what;
    int64_t result = -1;
    SPAR_TRY(text_argument(c, a, 0, "sub", &what));
    SPAR_TRY(spar__chat_step(c, 1 + s.n / 64));
    if (!strcmp(name, "count")) {
        result = what.n ? 0 : characters(s, s.n) + 1;
        for (const char *p = s.at; what.n && (p = memmem(p, s.n - (size_t)(p - s.at), what.at, what.n));
             p += what.n)
            result++;
    } else if (*name == 'r') {
        for (size_t i = s.n >= what.n ? s.n - what.n + 1 : 0; i-- > 0 && result < 0;)
            if (!memcmp(s.at + i, what.at, what.n)) result = characters(s, i);
    } else {
        const char *found = memmem(s.at, s.n, what.at, what.n);
        if (found) result = characters(s, (size_t)(found - s.at));
        else if (!strcmp(name, "index")) return spar__chat_failed(c, "index: the text is not in it");
    }
    *out = json_integer(result);
    return SPAR_OK;
}

static bool all_of(text s, const char *name) {
    uint32_t code;
    for (size_t at = 0; at < s.n; at += decode(s, at, &code)) {
        decode(s, at, &code);
        utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)code);
        bool letter = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
        bool digit = kind == UTF8PROC_CATEGORY_ND;
        bool good = !strcmp(name, "isspace")   ? blank(code)
                    : !strcmp(name, "isalpha") ? letter
                    : !strcmp(name, "isalnum") ? letter || digit
                                               : digit;
        if (!good) return false;
    }
    return s.n > 0;
}

static spar_status join(spar__chat *c, json_t *self, spar__arguments *a, json_t **out) {
    json_t *list = spar__argument(a, 0, "iterable");
    spar__arguments by = {.at = {self}, .count = 1};
    if (!list) return spar__chat_failed(c, "join: expected a list");
    return spar__chat_filter(c, "join", list, &by, out);
}

static spar_status text_method(spar__chat *c, const char *name, json_t *self, spar__arguments *a,
                               json_t **out, bool *known) {
    text s = {json_string_value(self), json_string_length(self)}, set, r;
    bool left = !strcmp(name, "lstrip"), right = !strcmp(name, "rstrip"), yes = false;
    const json_t *chars = spar__argument(a, 0, "chars");
    SPAR_TRY(spar__chat_step(c, 1 + s.n / 64));
    if (left || right || !strcmp(name, "strip")) {
        bool given = chars && !json_is_null(chars);
        if (given) SPAR_TRY(text_argument(c, a, 0, "chars", &set));
        r = stripped(s, given ? &set : NULL, !right, !left);
        return spar__chat_text(c, r.at, r.n, out);
    }
    if (!strcmp(name, "removeprefix") || !strcmp(name, "removesuffix")) {
        bool end = name[6] == 's';
        SPAR_TRY(affix(c, s, a, end, &yes));
        SPAR_TRY(text_argument(c, a, 0, "prefix", &set));
        return spar__chat_text(c, s.at + (yes && !end ? set.n : 0), s.n - (yes ? set.n : 0), out);
    }
    if (!strcmp(name, "\x01str")) return *out = json_incref(self), SPAR_OK;
    if (!strcmp(name, "upper")) return change_case(c, s, UPPER, out);
    if (!strcmp(name, "lower") || !strcmp(name, "casefold")) return change_case(c, s, LOWER, out);
    if (!strcmp(name, "title")) return change_case(c, s, TITLE, out);
    if (!strcmp(name, "\x01words")) return change_case(c, s, WORDS, out);
    if (!strcmp(name, "capitalize")) return change_case(c, s, CAPITALIZE, out);
    if (!strcmp(name, "split")) return split(c, s, a, false, out);
    if (!strcmp(name, "rsplit")) return split(c, s, a, true, out);
    if (!strcmp(name, "splitlines"))
        return split_lines(s, a->count && spar__chat_true(c, a->at[0]), out);
    if (!strcmp(name, "replace")) return replace(c, s, a, out);
    if (!strcmp(name, "join")) return join(c, self, a, out);
    if (!strcmp(name, "find") || !strcmp(name, "rfind") || !strcmp(name, "count") ||
        !strcmp(name, "index"))
        return find(c, s, a, name, out);
    if (!strcmp(name, "startswith") || !strcmp(name, "endswith")) {
        SPAR_TRY(affix(c, s, a, *name == 'e', &yes));
        return *out = json_boolean(yes), SPAR_OK;
    }
    if (!strncmp(name, "is", 2) && (!strcmp(name, "isdigit") || !strcmp(name, "isalpha") ||
                                    !strcmp(name, "isspace") || !strcmp(name, "isalnum") ||
                                    !strcmp(name, "isnumeric") || !strcmp(name, "isdecimal")))
        return *out = json_boolean(all_of(s, name)), SPAR_OK;
    *known = false;
    return SPAR_OK;
}

static spar_status object_method(spar__chat *c, const char *name, json_t *self, spar__arguments *a,
                                 json_t **out, bool *known) {
    spar__arguments none = {0};
    if (!strcmp(name, "items")) return spar__chat_filter(c, "items", self, &none, out);
    if (!strcmp(name, "keys")) return spar__chat_list(c, self, out);
    if (!strcmp(name, "values")) {
        const char *key;
        json_t *member;
        *out = json_array();
        json_object_foreach(self, key, member) if (key[0] != '\x01') json_array_append(*out, member);
        return SPAR_OK;
    }
    if (!strcmp(name, "get")) {
        json_t *key = spar__argument(a, 0, "key"), *other = spar__argument(a, 1, "default");
        json_t *found = json_is_string(key) ? json_object_get(self, json_string_value(key)) : NULL;
        *out = found ? json_incref(found) : other ? json_incref(other) : json_null();
        return SPAR_OK;
    }
    if (!strcmp(name, "cycle") && json_object_get(self, SPAR__CHAT_LOOP) && a->count) {
        json_int_t at = json_integer_value(json_object_get(self, "index0"));
        return *out = json_incref(a->at[at % a->count]), SPAR_OK;
    }
    *known = false;
    return SPAR_OK;
}

spar_status spar__chat_method(spar__chat *c, const char *name, json_t *self, spar__arguments *a,
                              json_t **out) {
    bool known = true;
    if (self == c->undefined) return spar__chat_failed(c, "'%.64s' of what is undefined", name);
    spar_status status = json_is_string(self)   ? text_method(c, name, self, a, out, &known)
                         : json_is_object(self) ? object_method(c, name, self, a, out, &known)
                                                : (known = false, SPAR_OK);
    if (known) return status;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: method '%.64s' is not supported", c->name,
                      c->line, name);
}

/* ---- Functions ---- */

static spar_status range(spar__chat *c, spar__arguments *a, json_t **out) {
    int64_t at[3] = {0, 0, 1}, first;
    for (int i = 0; i < 3; i++) SPAR_TRY(spar__argument_int(c, a, i, "range", at[i], &at[i]));
    if (a->count < 2) first = at[0], at[0] = 0, at[1] = first;
    if (!a->count || !at[2]) return spar__chat_failed(c, "range: expected numbers, a step not 0");
    *out = json_array();
    for (int64_t i = at[0]; at[2] > 0 ? i < at[1] : i > at[1];) {
        json_array_append_new(*out, json_integer(i));
        if (json_array_size(*out) > SPAR__CHAT_LIST) {
            json_decref(*out);
            return spar__chat_failed(c, "range of more than %d numbers", SPAR__CHAT_LIST);
        }
        if (__builtin_add_overflow(i, at[2], &i)) break;
    }
    return spar__chat_step(c, json_array_size(*out));
}

static spar_status time_now(spar__chat *c, spar__arguments *a, json_t **out) {
    text format;
    char made[512];
    struct tm parts;
    time_t now = time(NULL);
    SPAR_TRY(text_argument(c, a, 0, "format", &format));
    localtime_r(&now, &parts);
    size_t n = format.n ? strftime(made, sizeof made, format.at, &parts) : 0;
    return spar__chat_text(c, made, n, out);
}

spar_status spar__chat_function(spar__chat *c, const char *name, spar__arguments *a, json_t **out) {
    if (!strcmp(name, "range")) return range(c, a, out);
    if (!strcmp(name, "strftime_now")) return time_now(c, a, out);
    if (!strcmp(name, "namespace") || !strcmp(name, "dict")) {
        *out = a->count && json_is_object(a->at[0]) ? json_copy(a->at[0]) : json_object();
        if (a->named) json_object_update(*out, a->named);
        if (*name == 'n') json_object_set_new(*out, SPAR__CHAT_NAMESPACE, json_true());
        return SPAR_OK;
    }
    if (!strcmp(name, "raise_exception")) {
        text message = {"the template refuses this conversation", 38};
        if (a->count) SPAR_TRY(text_argument(c, a, 0, "message", &message));
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: line %d: %.*s", c->name, c->line,
                          (int)(message.n < 300 ? message.n : 300), message.at);
    }
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: function '%.64s' is not supported", c->name,
                      c->line, name);
}
