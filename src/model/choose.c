/* Choosing kinds by their names in a configuration, and what configurations inherit. */
#include <string.h>

#include "base/text.h"
#include "model/inside.h"

static spar_status unknown_kind(const char *where, const char *key, const char *name,
                                const char *const *names, int n) {
    char list[512] = "";
    for (int i = 0; i < n; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", i ? ", " : "", names[i]);
    }
    int near = spar__nearest(name, names, n);
    return spar__fail(SPAR_ERR_CONFIG, "%s.%s: unknown kind '%.40s'%s%s%s; there are %s", where, key, name,
                      near >= 0 ? "; did you mean '" : "", near >= 0 ? names[near] : "",
                      near >= 0 ? "'?" : "", list);
}

/* "band:64" is {FIRST: 64}, the first option of "band". */
static spar_status spelled_out(const char *where, const char *key, const char *text, const spar__kind *kind,
                               json_t **out) {
    const char *colon = strchr(text, ':');
    *out = NULL;
    if (!colon) return SPAR_OK;
    json_t *value = kind->options ? json_loads(colon + 1, JSON_DECODE_ANY, NULL) : NULL;
    if (value && (*out = json_pack("{s:o}", kind->options[0].key, value))) return SPAR_OK;
    return spar__fail(SPAR_ERR_CONFIG, "%s.%s: '%.60s': expected '%s'%s", where, key, text, kind->name,
                      kind->options ? ", or with ':' and the value of its first option"
                                    : ", which has no options");
}

static bool is_named(const spar__kind *kind, const char *text) {
    size_t n = strcspn(text, ":");
    return strlen(kind->name) == n && strncmp(kind->name, text, n) == 0;
}

spar_status spar__choose(const json_t *value, const char *where, const char *key, spar__kind_table at,
                         const char *fallback, spar__choice *out) {
    static const char *const also[] = {"kind", NULL};
    const json_t *object = json_is_object(value) ? value : NULL;
    const char *name = object ? json_string_value(json_object_get(object, "kind"))
                       : value ? json_string_value(value)
                               : fallback;
    if (!name)
        return spar__fail(SPAR_ERR_CONFIG, "%s.%s: expected a name or an object with \"kind\"", where, key);
    const char *names[64];
    int n = 0;
    const spar__kind *kind = NULL;
    for (const spar__kind *k; n < 64 && (k = at(n)); n++) {
        names[n] = k->name;
        if (object ? strcmp(k->name, name) == 0 : is_named(k, name)) kind = k;
    }
    if (!kind) return unknown_kind(where, key, name, names, n);
    json_t *spelled = NULL;
    if (!object) SPAR_TRY(spelled_out(where, key, name, kind, &spelled));
    char full[96];
    snprintf(full, sizeof full, "%s.%s", where, key);
    void *options = spar__alloc(kind->options_size);
    spar_status status = options ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = spar__options_read(spelled ? spelled : object, full, kind->options, also, options);
    json_decref(spelled);
    if (status) spar__options_free(kind->options, options);
    else *out = (spar__choice){kind, options};
    return status;
}

const json_t *spar__of_layer(const json_t *value, int64_t layer) {
    size_t n = json_array_size(value);
    return json_is_array(value) && n ? json_array_get(value, (size_t)layer % n) : value;
}

spar_status spar__choose_residual(const json_t *value, const char *where, const spar__residual_kind **out) {
    const char *name = value ? json_string_value(value) : "pre-norm", *names[16];
    int n = 0;
    if (!name) return spar__fail(SPAR_ERR_CONFIG, "%s.residual: expected a name", where);
    for (const spar__residual_kind *k; n < 16 && (k = spar__residual_at(n)); n++) {
        names[n] = k->name;
        if (strcmp(k->name, name) == 0) return *out = k, SPAR_OK;
    }
    return unknown_kind(where, "residual", name, names, n);
}

/* Both say their kind, and not the same. */
static bool other_kind(const json_t *base, const json_t *over) {
    const json_t *a = json_object_get(base, "kind"), *b = json_object_get(over, "kind");
    return b && !json_equal(a, b);
}

json_t *spar__merged(const json_t *base, const json_t *over) {
    if (!json_is_object(base) || !json_is_object(over) || other_kind(base, over))
        return json_deep_copy(over ? over : base);
    json_t *out = json_deep_copy(base);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)over, key, value) {
        if (!out || json_object_set_new(out, key, spar__merged(json_object_get(base, key), value))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}
