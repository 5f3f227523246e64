/* Filters and tests. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chat/run.h"

typedef struct filter {
    const char *name;
    spar_status (*apply)(spar__chat *c, json_t *value, spar__arguments *a, json_t **out);
} filter;

/* Filters that are methods of text under another name. */
static spar_status method(spar__chat *c, const char *name, json_t *value, spar__arguments *a,
                          json_t **out) {
    spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
    json_t *made = NULL;
    spar_status status = spar__chat_print(c, value, false, &text);
    if (!status) status = spar__chat_text(c, text.bytes, text.length, &made);
    spar__buffer_free(&text);
    if (!status) status = spar__chat_method(c, name, made, a, out);
    json_decref(made);
    return status;
}

#define METHOD(function, name)                                                                     \
    static spar_status function(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {      \
        return method(c, name, v, a, out);                                                         \
    }
METHOD(f_trim, "strip")
METHOD(f_upper, "upper")
METHOD(f_lower, "lower")
METHOD(f_title, "\x01words")
METHOD(f_capitalize, "capitalize")
METHOD(f_replace, "replace")
METHOD(f_string, "\x01str")

static spar_status f_length(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list;
    (void)a;
    if (json_is_number(v) || json_is_null(v) || json_is_boolean(v))
        return spar__chat_failed(c, "the length of what has none");
    SPAR_TRY(spar__chat_list(c, v, &list));
    *out = json_integer((json_int_t)json_array_size(list));
    json_decref(list);
    return SPAR_OK;
}

static spar_status f_default(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *other = spar__argument(a, 0, "default_value"), *empty = spar__argument(a, 1, "boolean");
    bool use = v == c->undefined || (empty && spar__chat_true(c, empty) && !spar__chat_true(c, v));
    *out = !use ? json_incref(v) : other ? json_incref(other) : json_string("");
    return SPAR_OK;
}

/* The value of a path like "a.b.0" in an item. */
static spar_status attribute(spar__chat *c, json_t *item, const json_t *path, json_t **out) {
    if (json_is_integer(path)) return spar__chat_item(c, item, (json_t *)path, out);
    if (!json_is_string(path)) return spar__chat_failed(c, "argument 'attribute': expected a name");
    json_t *at = json_incref(item), *next;
    for (const char *p = json_string_value(path); *p;) {
        size_t n = strcspn(p, ".");
        char *end;
        long index = strtol(p, &end, 10);
        json_t *key = end == p + n ? json_integer(index) : json_stringn(p, n);
        spar_status status = spar__chat_item(c, at, key, &next);
        json_decref(key);
        json_decref(at);
        if (status) return status;
        at = next;
        p += n + (p[n] == '.');
    }
    *out = at;
    return SPAR_OK;
}

static spar_status f_join(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list, *by = spar__argument(a, 0, "d"), *path = spar__argument(a, 1, "attribute");
    SPAR_TRY(spar__chat_list(c, v, &list));
    spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        json_t *item = json_incref(json_array_get(list, i)), *part = item;
        if (path) status = attribute(c, item, path, &part);
        if (!status && i && by) status = spar__chat_print(c, by, false, &text);
        if (!status) status = spar__chat_print(c, part, false, &text);
        if (part != item && !status) json_decref(part);
        json_decref(item);
    }
    if (!status) status = spar__chat_text(c, text.bytes, text.length, out);
    spar__buffer_free(&text);
    json_decref(list);
    return status;
}

static spar_status end_of(spar__chat *c, json_t *v, bool last, json_t **out) {
    json_t *list;
    SPAR_TRY(spar__chat_list(c, v, &list));
    size_t n = json_array_size(list);
    *out = json_incref(n ? json_array_get(list, last ? n - 1 : 0) : c->undefined);
    json_decref(list);
    return SPAR_OK;
}
static spar_status f_first(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    return end_of(c, v, false, out);
}
static spar_status f_last(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    return end_of(c, v, true, out);
}

static spar_status f_list(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    return spar__chat_list(c, v, out);
}

static spar_status f_reverse(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    json_t *list, *made = json_array();
    SPAR_TRY(spar__chat_list(c, v, &list));
    for (size_t i = json_array_size(list); i-- > 0;) json_array_append(made, json_array_get(list, i));
    json_decref(list);
    if (!json_is_string(v)) return *out = made, SPAR_OK;
    spar__arguments none = {0};
    spar_status status = f_join(c, made, &none, out);
    json_decref(made);
    return status;
}

static spar_status f_tojson(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    spar__json_style style = {-1, false, false, ", ", ": "};
    int64_t indent = -1;
    json_t *ascii = a->named ? json_object_get(a->named, "ensure_ascii") : NULL;
    json_t *sort = a->named ? json_object_get(a->named, "sort_keys") : NULL;
    json_t *marks = a->named ? json_object_get(a->named, "separators") : NULL;
    /* transformers: tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False) */
    json_t *first = a->count ? a->at[0] : NULL;
    if (first && !ascii) ascii = first;
    SPAR_TRY(spar__argument_int(c, a, 1, "indent", -1, &indent));
    if (indent > 64) return spar__chat_failed(c, "argument 'indent': %lld, at most 64", (long long)indent);
    style.indent = (int)indent;
    style.ascii = ascii && spar__chat_true(c, ascii);
    style.sort = sort && spar__chat_true(c, sort);
    if (style.indent >= 0) style.comma = ",";
    if (json_array_size(marks) == 2) {
        style.comma = json_string_value(json_array_get(marks, 0));
        style.colon = json_string_value(json_array_get(marks, 1));
        if (!style.comma || !style.colon)
            return spar__chat_failed(c, "argument 'separators': expected two texts");
    }
    spar__buffer text = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = spar__chat_json(c, v, &style, 0, &text);
    if (!status) status = spar__chat_text(c, text.bytes, text.length, out);
    spar__buffer_free(&text);
    return status;
}

static spar_status f_int(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    int64_t otherwise;
    SPAR_TRY(spar__argument_int(c, a, 0, "default", 0, &otherwise));
    json_int_t result = otherwise;
    char *end;
    if (json_is_integer(v)) result = json_integer_value(v);
    else if (json_is_boolean(v)) result = json_is_true(v);
    else if (json_is_real(v) && fabs(json_real_value(v)) < 9e18) result = (json_int_t)json_real_value(v);
    else if (json_is_string(v) && json_string_length(v)) {
        double value = strtod(json_string_value(v), &end);
        long long exact = strtoll(json_string_value(v), NULL, 10);
        if (!end[strspn(end, " \n\t")] && fabs(value) < 9e18)
            result = strpbrk(json_string_value(v), ".eE") ? (json_int_t)value : exact;
    }
    *out = json_integer(result);
    return SPAR_OK;
}

static spar_status f_float(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *other = spar__argument(a, 0, "default");
    char *end = NULL;
    double value = json_is_string(v) ? strtod(json_string_value(v), &end) : json_number_value(v);
    bool good = end ? end != json_string_value(v) && !end[strspn(end, " \n\t")]
                    : json_is_number(v) || json_is_boolean(v);
    if (json_is_boolean(v)) value = json_is_true(v);
    *out = good ? json_real(value) : other ? json_incref(other) : json_real(0);
    return *out ? SPAR_OK : spar__chat_failed(c, "a number is not finite");
}

static spar_status f_abs(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    if (!json_is_number(v)) return spar__chat_failed(c, "abs of what is no number");
    *out = json_is_integer(v) ? json_integer(llabs(json_integer_value(v)))
                              : json_real(fabs(json_real_value(v)));
    return SPAR_OK;
}

static spar_status f_round(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    int64_t digits;
    const char *how = json_string_value(spar__argument(a, 1, "method"));
    SPAR_TRY(spar__argument_int(c, a, 0, "precision", 0, &digits));
    if (!json_is_number(v)) return spar__chat_failed(c, "round of what is no number");
    double scale = pow(10, (double)(digits < 0 ? 0 : digits > 15 ? 15 : digits));
    double x = json_number_value(v) * scale;
    x = how && !strcmp(how, "ceil") ? ceil(x) : how && !strcmp(how, "floor") ? floor(x) : nearbyint(x);
    *out = json_real(x / scale);
    return *out ? SPAR_OK : spar__chat_failed(c, "a number is not finite");
}

static json_t *pair_of(const char *key, json_t *value) {
    return json_pack("[s, O]", key, value);
}

static spar_status f_items(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    const char *key;
    json_t *member;
    if (v != c->undefined && !json_is_object(v)) return spar__chat_failed(c, "items of what has none");
    *out = json_array();
    if (v != c->undefined)
        json_object_foreach(v, key, member) if (key[0] != '\x01')
            json_array_append_new(*out, pair_of(key, member));
    return SPAR_OK;
}

/* ---- Order ---- */

typedef struct sortable {
    json_t *key, *item;
    size_t at;
} sortable;

typedef struct sorting {
    spar__chat *c;
    bool reverse, fold;
    spar_status status;
} sorting;

static int compare(const void *x, const void *y, void *context) {
    sorting *s = context;
    const sortable *a = x, *b = y;
    int order = 0;
    if (s->fold && json_is_string(a->key) && json_is_string(b->key))
        order = strcasecmp(json_string_value(a->key), json_string_value(b->key));
    else if (!s->status) s->status = spar__chat_order(s->c, a->key, b->key, &order);
    if (s->reverse) order = -order;
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

/* A new list, sorted by a path in its items (NULL: by themselves). */
static spar_status sorted(spar__chat *c, json_t *list, const json_t *path, bool reverse, bool fold,
                          json_t **out) {
    size_t n = json_array_size(list);
    sortable *rows = spar__array(n + 1, sizeof *rows);
    sorting s = {c, reverse, fold, rows ? SPAR_OK : SPAR_ERR_MEMORY};
    for (size_t i = 0; !s.status && i < n; i++) {
        rows[i] = (sortable){NULL, json_array_get(list, i), i};
        if (path) s.status = attribute(c, rows[i].item, path, &rows[i].key);
        else rows[i].key = json_incref(rows[i].item);
    }
    if (!s.status && n) qsort_r(rows, n, sizeof *rows, compare, &s);
    json_t *made = json_array();
    for (size_t i = 0; rows && i < n; i++) {
        if (rows[i].item) json_array_append(made, rows[i].item);
        json_decref(rows[i].key);
    }
    spar__free(rows);
    if (s.status) json_decref(made);
    else *out = made;
    return s.status;
}

static bool flag(const spar__chat *c, const spar__arguments *a, int index, const char *name) {
    const json_t *value = spar__argument(a, index, name);
    return value && spar__chat_true(c, value);
}

static spar_status f_sort(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list;
    SPAR_TRY(spar__chat_list(c, v, &list));
    spar_status status = sorted(c, list, spar__argument(a, 2, "attribute"), flag(c, a, 0, "reverse"),
                                !flag(c, a, 1, "case_sensitive"), out);
    json_decref(list);
    return status;
}

static spar_status f_dictsort(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list, *path;
    const char *by = json_string_value(spar__argument(a, 1, "by"));
    SPAR_TRY(f_items(c, v, a, &list));
    path = json_integer(by && !strcmp(by, "value"));
    spar_status status = sorted(c, list, path, flag(c, a, 2, "reverse"),
                                !flag(c, a, 0, "case_sensitive"), out);
    json_decref(path);
    json_decref(list);
    return status;
}

static spar_status extreme(spar__chat *c, json_t *v, spar__arguments *a, bool most, json_t **out) {
    json_t *list, *made;
    SPAR_TRY(spar__chat_list(c, v, &list));
    spar_status status = sorted(c, list, spar__argument(a, 1, "attribute"), most, true, &made);
    json_decref(list);
    if (status) return status;
    status = end_of(c, made, false, out);
    json_decref(made);
    return status;
}
static spar_status f_min(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    return extreme(c, v, a, false, out);
}
static spar_status f_max(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    return extreme(c, v, a, true, out);
}

static spar_status f_sum(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list, *path = spar__argument(a, 0, "attribute");
    SPAR_TRY(spar__chat_list(c, v, &list));
    double sum = 0;
    json_int_t whole = 0;
    bool real = false;
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        json_t *item = json_incref(json_array_get(list, i)), *part = NULL;
        status = path ? attribute(c, item, path, &part) : (part = json_incref(item), SPAR_OK);
        if (!status && !json_is_number(part)) status = spar__chat_failed(c, "sum of what is no number");
        real = real || json_is_real(part);
        sum += json_number_value(part);
        if (!status && __builtin_add_overflow(whole, json_integer_value(part), &whole))
            status = spar__chat_failed(c, "a number is too large");
        json_decref(part);
        json_decref(item);
    }
    json_decref(list);
    if (!status) *out = real ? json_real(sum) : json_integer(whole);
    return status;
}

static spar_status f_unique(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    json_t *list, *made = json_array();
    spar_status status = spar__chat_list(c, v, &list);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        bool seen;
        status = spar__chat_contains(c, json_array_get(list, i), made, &seen);
        if (!status && !seen) json_array_append(made, json_array_get(list, i));
    }
    if (!status) json_decref(list);
    if (status) json_decref(made);
    else *out = made;
    return status;
}

/* ---- Choosing and changing items ---- */

/* The arguments after the first `skip`. */
static spar__arguments rest(const spar__arguments *a, int skip) {
    spar__arguments r = {.named = a->named};
    for (int i = skip; i < a->count; i++) r.at[r.count++] = a->at[i];
    return r;
}

static spar_status choose(spar__chat *c, json_t *v, spar__arguments *a, bool keep, bool by_path,
                          json_t **out) {
    json_t *list, *made = json_array();
    const json_t *path = by_path && a->count ? a->at[0] : NULL;
    const char *test = a->count > by_path ? json_string_value(a->at[by_path]) : NULL;
    spar__arguments others = rest(a, by_path + 1);
    if (by_path && !path) return json_decref(made), spar__chat_failed(c, "expected an attribute");
    spar_status status = spar__chat_list(c, v, &list);
    if (status) return json_decref(made), status;
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i), *part = NULL;
        bool yes = false;
        status = path ? attribute(c, item, path, &part) : (part = json_incref(item), SPAR_OK);
        if (!status && test) status = spar__chat_test(c, test, part, &others, &yes);
        else if (!status) yes = spar__chat_true(c, part);
        if (!status && yes == keep) json_array_append(made, item);
        json_decref(part);
    }
    json_decref(list);
    if (status) json_decref(made);
    else *out = made;
    return status;
}

#define CHOOSE(function, keep, by_path)                                                            \
    static spar_status function(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {      \
        return choose(c, v, a, keep, by_path, out);                                                \
    }
CHOOSE(f_select, true, false)
CHOOSE(f_reject, false, false)
CHOOSE(f_selectattr, true, true)
CHOOSE(f_rejectattr, false, true)

static spar_status f_map(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    json_t *list, *made = json_array(), *path = a->named ? json_object_get(a->named, "attribute") : NULL;
    json_t *otherwise = a->named ? json_object_get(a->named, "default") : NULL;
    const char *name = a->count ? json_string_value(a->at[0]) : NULL;
    spar__arguments others = rest(a, 1);
    spar_status status = spar__chat_list(c, v, &list);
    if (status) return json_decref(made), status;
    if (!path && !name) status = spar__chat_failed(c, "map: expected a filter or attribute=");
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i), *part = NULL;
        status = path ? attribute(c, item, path, &part)
                      : spar__chat_filter(c, name, item, &others, &part);
        if (status) break;
        json_array_append(made, part == c->undefined && otherwise ? otherwise : part);
        json_decref(part);
    }
    json_decref(list);
    if (status) json_decref(made);
    else *out = made;
    return status;
}

/* ---- Text ---- */

static spar_status f_indent(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    int64_t width = 4;
    const json_t *by = spar__argument(a, 0, "width");
    bool first = flag(c, a, 1, "first"), blank = flag(c, a, 2, "blank");
    const char *with = json_string_value(by), *text = json_string_value(v);
    if (!text) return spar__chat_failed(c, "indent of what is no text");
    if (!with) SPAR_TRY(spar__argument_int(c, a, 0, "width", 4, &width));
    if (width < 0 || width > 1024) return spar__chat_failed(c, "argument 'width': expected 0 to 1024");
    spar__buffer made = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    for (const char *line = text, *end; !status; line = end + 1) {
        end = strchr(line, '\n');
        size_t n = end ? (size_t)(end - line) : strlen(line);
        bool pad = line == text ? first : n || blank;
        if (pad) status = with ? spar__buffer_print(&made, "%s", with)
                               : spar__buffer_print(&made, "%*s", (int)width, "");
        if (!status) status = spar__buffer_add(&made, line, n + (end != NULL));
        if (!end) break;
    }
    if (!status) status = spar__chat_text(c, made.bytes, made.length, out);
    spar__buffer_free(&made);
    return status;
}

static spar_status f_escape(spar__chat *c, json_t *v, spar__arguments *a, json_t **out) {
    (void)a;
    const char *text = json_string_value(v);
    if (!text) return *out = json_incref(v), SPAR_OK;
    spar__buffer made = spar__buffer_make(SPAR__CHAT_TEXT);
    spar_status status = SPAR_OK;
    for (; !status && *text; text++) {
        const char *as = *text == '&'    ? "&amp;"
                         : *text == '<'  ? "&lt;"
                         : *text == '>'  ? "&gt;"
                         : *text == '\'' ? "&#39;"
                         : *text == '"'  ? "&#34;"
                                         : NULL;
        status = as ? spar__buffer_print(&made, "%s", as) : spar__buffer_add(&made, text, 1);
    }
    if (!status) status = spar__chat_text(c, made.bytes, made.length, out);
    spar__buffer_free(&made);
    return status;
}

static const filter filters[] = {
    {"trim", f_trim}, {"upper", f_upper}, {"lower", f_lower}, {"title", f_title},
    {"capitalize", f_capitalize}, {"replace", f_replace}, {"string", f_string}, {"safe", f_string},
    {"length", f_length}, {"count", f_length}, {"default", f_default}, {"d", f_default},
    {"join", f_join}, {"first", f_first}, {"last", f_last}, {"list", f_list},
    {"reverse", f_reverse}, {"tojson", f_tojson}, {"int", f_int}, {"float", f_float},
    {"abs", f_abs}, {"round", f_round}, {"items", f_items}, {"dictsort", f_dictsort},
    {"sort", f_sort}, {"min", f_min}, {"max", f_max}, {"sum", f_sum}, {"unique", f_unique},
    {"select", f_select}, {"reject", f_reject}, {"selectattr", f_selectattr},
    {"rejectattr", f_rejectattr}, {"map", f_map}, {"indent", f_indent}, {"escape", f_escape},
    {"e", f_escape},
};

spar_status spar__chat_filter(spar__chat *c, const char *name, json_t *value, spar__arguments *a,
                              json_t **out) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (!strcmp(filters[i].name, name)) return filters[i].apply(c, value, a, out);
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: filter '%.64s' is not supported", c->name,
                      c->line, name);
}

/* ---- Tests ---- */

static spar_status compared(spar__chat *c, const char *name, const json_t *v, const json_t *with,
                            bool *known, bool *yes) {
    static const struct {
        const char *name;
        char op; /* = ! < l(e) > g(e) i(n) */
    } names[] = {{"eq", '='}, {"equalto", '='}, {"sameas", '='}, {"ne", '!'}, {"lt", '<'},
                 {"lessthan", '<'}, {"le", 'l'}, {"gt", '>'}, {"greaterthan", '>'}, {"ge", 'g'},
                 {"in", 'i'}, {"==", '='}, {"!=", '!'}, {"<", '<'}, {"<=", 'l'}, {">", '>'}, {">=", 'g'}};
    char op = 0;
    int order = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name)) op = names[i].op;
    *known = op != 0;
    if (!op) return SPAR_OK;
    if (!with) return spar__chat_failed(c, "test '%s': expected an argument", name);
    if (op == 'i') return spar__chat_contains(c, v, with, yes);
    if (op == '=' || op == '!') {
        SPAR_TRY(spar__chat_equal(c, v, with, yes));
        if (!strcmp(name, "sameas")) *yes = *yes && json_typeof(v) == json_typeof(with);
        if (op == '!') *yes = !*yes;
        return SPAR_OK;
    }
    SPAR_TRY(spar__chat_order(c, v, with, &order));
    *yes = op == '<' ? order < 0 : op == 'l' ? order <= 0 : op == '>' ? order > 0 : order >= 0;
    return SPAR_OK;
}

/* −1: no such test. */
static int of_kind(const spar__chat *c, const char *name, const json_t *v) {
    bool defined = v != c->undefined, object = defined && json_is_object(v);
    bool macro = object && json_object_get(v, SPAR__CHAT_MACRO);
    if (!strcmp(name, "defined")) return defined;
    if (!strcmp(name, "undefined")) return !defined;
    if (!strcmp(name, "none")) return json_is_null(v);
    if (!strcmp(name, "string")) return json_is_string(v);
    if (!strcmp(name, "number")) return json_is_number(v) || json_is_boolean(v);
    if (!strcmp(name, "integer")) return json_is_integer(v);
    if (!strcmp(name, "float")) return json_is_real(v);
    if (!strcmp(name, "boolean")) return json_is_boolean(v);
    if (!strcmp(name, "true")) return json_is_true(v);
    if (!strcmp(name, "false")) return json_is_false(v);
    if (!strcmp(name, "mapping")) return object && !macro;
    if (!strcmp(name, "callable")) return macro;
    if (!strcmp(name, "iterable")) return !defined || json_is_array(v) || json_is_string(v) || object;
    if (!strcmp(name, "sequence")) return !defined || json_is_array(v) || json_is_string(v) || object;
    return -1;
}

spar_status spar__chat_test(spar__chat *c, const char *name, json_t *v, spar__arguments *a,
                            bool *out) {
    int kind = of_kind(c, name, v);
    bool known = kind >= 0, parity = !strcmp(name, "odd") || !strcmp(name, "even");
    if (known) return *out = kind, SPAR_OK;
    if (parity || !strcmp(name, "divisibleby")) {
        int64_t by = 2;
        if (!parity) SPAR_TRY(spar__argument_int(c, a, 0, "num", 0, &by));
        if (!json_is_integer(v) || by == 0)
            return spar__chat_failed(c, "test '%s': expected whole numbers", name);
        *out = (by == -1 || json_integer_value(v) % by == 0) == (*name != 'o');
        return SPAR_OK;
    }
    if (!strcmp(name, "upper") || !strcmp(name, "lower")) {
        json_t *made;
        SPAR_TRY(method(c, name, v, a, &made));
        spar_status status = spar__chat_equal(c, v, made, out);
        json_decref(made);
        return status;
    }
    SPAR_TRY(compared(c, name, v, spar__argument(a, 0, NULL), &known, out));
    if (known) return SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: line %d: test '%.64s' is not supported", c->name,
                      c->line, name);
}
