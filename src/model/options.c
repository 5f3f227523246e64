/* Reading the options of kinds and sections from JSON by their tables. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "model/inside.h"

static spar_status unknown_key(const json_t *object, const char *where, const char *key,
                               const spar_option *options, const char *const *also) {
    const char *known[160];
    int n = 0;
    (void)object;
    for (const spar_option *o = options; o && o->key && n < 128; o++) known[n++] = o->key;
    for (int i = 0; also && also[i] && n < 160; i++) known[n++] = also[i];
    int near = spar__nearest(key, known, n);
    if (near >= 0)
        return spar__fail(SPAR_ERR_CONFIG, "%s: unknown key '%s'; did you mean '%s'?", where, key,
                          known[near]);
    return spar__fail(SPAR_ERR_CONFIG, "%s: unknown key '%s'", where, key);
}

static spar_status wrong(const char *where, const spar_option *o, const json_t *value,
                         const char *expected) {
    char *found = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    spar_status status = spar__fail(SPAR_ERR_CONFIG, "%s.%s: found %.60s, expected %s", where, o->key,
                                    found ? found : "?", expected);
    free(found);
    return status;
}

static spar_status read_name(const json_t *value, const char *where, const spar_option *o, int *out) {
    char list[256] = "one of";
    for (int i = 0; o->names[i]; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), o->names[i]) == 0) {
            *out = i;
            return SPAR_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s '%s'", i ? "," : "", o->names[i]);
    }
    return wrong(where, o, value, list);
}

/* `value` NULL: the kind that stands where none is given. */
static spar_status read_kind(const json_t *value, const char *where, const spar_option *o, spar__choice *out) {
    const spar__kind_room *room = o->room;
    return spar__choose(value, where, o->key, room->at, room->fallback, out);
}

static bool whole_within(const json_t *value, const spar_option *o, int64_t *out) {
    double number = json_number_value(value);
    if (!json_is_number(value) || number != floor(number) || number < o->least || number > o->most) return false;
    *out = json_is_integer(value) ? json_integer_value(value) : (int64_t)number;
    return true;
}

static spar_status read_ints(const json_t *value, const char *where, const spar_option *o, spar_ints *out) {
    char expected[128];
    spar_ints ints = {0};
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    bool right = n <= SPAR_MOST_INTS;
    for (size_t i = 0; right && i < n; i++)
        right = whole_within(json_is_array(value) ? json_array_get(value, i) : value, o, &ints.at[i]);
    ints.n = (int64_t)n;
    snprintf(expected, sizeof expected, "a whole number %.12g to %.12g, or a list of at most %d", o->least, o->most,
             (int)SPAR_MOST_INTS);
    if (!right) return wrong(where, o, value, expected);
    *out = ints;
    return SPAR_OK;
}

static spar_status read_reals(const json_t *value, const char *where, const spar_option *o, spar_reals *out) {
    char expected[128];
    size_t n = json_array_size(value);
    bool right = json_is_array(value) && n <= SPAR_MOST_REALS;
    for (size_t i = 0; right && i < n; i++) {
        const json_t *item = json_array_get(value, i);
        out->at[i] = json_number_value(item);
        right = json_is_number(item) && out->at[i] >= o->least && out->at[i] <= o->most;
    }
    snprintf(expected, sizeof expected, "a list of at most %d numbers %.12g to %.12g", (int)SPAR_MOST_REALS, o->least,
             o->most);
    out->n = right ? (int64_t)n : 0;
    return right ? SPAR_OK : wrong(where, o, value, expected);
}

static spar_status read_one(const json_t *value, const char *where, const spar_option *o, void *at) {
    char range[96];
    snprintf(range, sizeof range, "%s %.12g to %.12g",
             o->type == SPAR_OPTION_INT ? "a whole number" : "a number", o->least, o->most);
    switch (o->type) {
    case SPAR_OPTION_KIND: break;
    case SPAR_OPTION_NAME: return read_name(value, where, o, at);
    case SPAR_OPTION_INTS: return read_ints(value, where, o, at);
    case SPAR_OPTION_REALS: return read_reals(value, where, o, at);
    case SPAR_OPTION_BOOL:
        if (!json_is_boolean(value)) return wrong(where, o, value, "true or false");
        *(bool *)at = json_is_true(value);
        return SPAR_OK;
    case SPAR_OPTION_INT:
    case SPAR_OPTION_REAL: {
        double number = json_number_value(value);
        bool whole = json_is_integer(value) || (json_is_real(value) && number == floor(number));
        if (!json_is_number(value) || number < o->least || number > o->most ||
            (o->type == SPAR_OPTION_INT && !whole))
            return wrong(where, o, value, range);
        if (o->type == SPAR_OPTION_REAL) *(double *)at = number;
        else *(int64_t *)at = json_is_integer(value) ? json_integer_value(value) : (int64_t)number;
        return SPAR_OK;
    }
    }
    return SPAR_OK;
}

static void set_default(const spar_option *o, void *at) {
    switch (o->type) {
    case SPAR_OPTION_INT: *(int64_t *)at = (int64_t)o->fallback; break;
    case SPAR_OPTION_REAL: *(double *)at = o->fallback; break;
    case SPAR_OPTION_BOOL: *(bool *)at = o->fallback != 0; break;
    case SPAR_OPTION_NAME: *(int *)at = (int)o->fallback; break;
    case SPAR_OPTION_KIND: break;
    case SPAR_OPTION_REALS: ((spar_reals *)at)->n = 0; break;
    case SPAR_OPTION_INTS:
        *(spar_ints *)at = (spar_ints){.n = o->fallback != 0, .at = {(int64_t)o->fallback}};
        break;
    }
}

static bool contains(const spar_option *options, const char *const *also, const char *key) {
    for (const spar_option *o = options; o && o->key; o++)
        if (strcmp(o->key, key) == 0) return true;
    for (int i = 0; also && also[i]; i++)
        if (strcmp(also[i], key) == 0) return true;
    return false;
}

spar_status spar__options_read(const json_t *object, const char *where, const spar_option *options,
                               const char *const *also, void *out) {
    if (object && !json_is_object(object))
        return spar__fail(SPAR_ERR_CONFIG, "%s: expected an object", where);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        if (!contains(options, also, key)) return unknown_key(object, where, key, options, also);
    }
    for (const spar_option *o = options; o && o->key; o++) {
        value = json_object_get(object, o->key);
        void *at = (char *)out + o->offset;
        if (o->type == SPAR_OPTION_KIND) SPAR_TRY(read_kind(value, where, o, at));
        else if (value) SPAR_TRY(read_one(value, where, o, at));
        else if (isnan(o->fallback))
            return spar__fail(SPAR_ERR_CONFIG, "%s.%s: missing; it has no default", where, o->key);
        else set_default(o, at);
    }
    return SPAR_OK;
}

void spar__options_free(const spar_option *options, void *values) {
    for (const spar_option *o = options; values && o && o->key; o++) {
        if (o->type != SPAR_OPTION_KIND) continue;
        spar__choice *inner = (spar__choice *)(void *)((char *)values + o->offset);
        if (inner->kind) spar__options_free(inner->kind->options, inner->options);
    }
    spar__free(values);
}
