/* Configurations: JSON text, and settings by path. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/model.h"

enum { MAX_BYTES = 1 << 20, MAX_DEPTH = 64 };

/* Jansson recurses: nesting is bounded before it sees the text. */
static spar_status check_depth(const char *name, const char *text, size_t length) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\') i++;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '[') && ++depth > MAX_DEPTH)
            return spar__fail(SPAR_ERR_LIMIT, "%s: nested deeper than %d", name, MAX_DEPTH);
        else if (!quoted && (text[i] == '}' || text[i] == ']')) depth--;
    }
    return SPAR_OK;
}

static spar_status parse(const char *name, const char *text, size_t length, spar_config **out) {
    json_error_t error;
    SPAR_TRY(check_depth(name, text, length));
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return spar__fail(SPAR_ERR_CONFIG, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    spar_config *config = json_is_object(root) ? spar__alloc(sizeof *config) : NULL;
    if (!config) {
        spar_status status = json_is_object(root)
                                 ? SPAR_ERR_MEMORY
                                 : spar__fail(SPAR_ERR_CONFIG, "%s: expected an object", name);
        json_decref(root);
        return status;
    }
    config->root = root;
    *out = config;
    return SPAR_OK;
}

spar_status spar_config_parse(const char *json, size_t length, spar_config **out) {
    return parse("configuration", json, length, out);
}

spar_status spar_config_open(const char *path, const char *const *settings, size_t n_settings,
                             spar_config **out) {
    spar_config *config = NULL;
    if (path) {
        char *text;
        size_t length;
        SPAR_TRY(spar__read_file(path, MAX_BYTES, &text, &length));
        spar_status status = parse(path, text, length, &config);
        spar__free(text);
        SPAR_TRY(status);
    } else {
        SPAR_TRY(parse("configuration", "{}", 2, &config));
    }
    for (size_t i = 0; i < n_settings; i++) {
        spar_status status = spar_config_set(config, settings[i]);
        if (status) {
            spar_config_free(config);
            return status;
        }
    }
    *out = config;
    return SPAR_OK;
}

/* The member of `at` that a path's part names: a key of an object, or an index of a list. Objects on
 * the way are made where they are missing. */
static spar_status descend(const char *setting, json_t **at, const char *part, bool make) {
    json_t *next = NULL;
    if (json_is_array(*at)) {
        char *end;
        unsigned long i = strtoul(part, &end, 10);
        next = *end ? NULL : json_array_get(*at, i);
        if (!next)
            return spar__fail(SPAR_ERR_CONFIG, "--set %s: '%s' is no index of a list of %zu", setting, part,
                              json_array_size(*at));
    } else if (json_is_object(*at)) {
        next = json_object_get(*at, part);
        if ((!next || json_is_null(next)) && make) {
            next = json_object();
            if (json_object_set_new(*at, part, next)) return SPAR_ERR_MEMORY;
        } else if (json_is_string(next)) {
            /* "causal" is short for {"kind": "causal"}. */
            json_t *full = json_object();
            json_object_set(full, "kind", next);
            if (json_object_set_new(*at, part, full)) return SPAR_ERR_MEMORY;
            next = full;
        }
    }
    if (!next || !(json_is_object(next) || json_is_array(next)))
        return spar__fail(SPAR_ERR_CONFIG, "--set %s: '%s' has no members", setting, part);
    *at = next;
    return SPAR_OK;
}

static spar_status put(const char *setting, json_t *at, const char *key, json_t *value) {
    int failed;
    if (json_is_array(at)) {
        char *end;
        unsigned long i = strtoul(key, &end, 10);
        failed = *end || i >= json_array_size(at);
        if (failed) {
            json_decref(value);
            return spar__fail(SPAR_ERR_CONFIG, "--set %s: '%s' is no index of a list of %zu", setting, key,
                              json_array_size(at));
        }
        return json_array_set_new(at, i, value) ? SPAR_ERR_MEMORY : SPAR_OK;
    }
    /* An optimiser of another kind has other options: the old one's go. */
    if (strcmp(key, "kind") == 0) {
        json_t *old = json_object_get(at, key);
        if (old && !json_equal(old, value)) json_object_clear(at);
    }
    return json_object_set_new(at, key, value) ? SPAR_ERR_MEMORY : SPAR_OK;
}

spar_status spar_config_set(spar_config *config, const char *setting) {
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return spar__fail(SPAR_ERR_CONFIG, "--set %s: expected PATH=VALUE", setting);
    SPAR_TRY(check_depth("--set", equals + 1, strlen(equals + 1)));
    char *path = spar__copy_bytes(setting, (size_t)(equals - setting));
    if (!path) return SPAR_ERR_MEMORY;
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (!value) value = json_string(equals + 1);
    spar_status status = value ? SPAR_OK : spar__fail(SPAR_ERR_CONFIG, "--set %s: not UTF-8", setting);
    json_t *at = config->root;
    char *part = path, *dot;
    while (!status && (dot = strchr(part, '.'))) {
        *dot = 0;
        status = descend(setting, &at, part, true);
        part = dot + 1;
    }
    if (!status) status = put(setting, at, part, value);
    else json_decref(value);
    spar__free(path);
    return status;
}

spar_status spar_config_text(const spar_config *config, char **text) {
    char *dumped = json_dumps(config->root, JSON_INDENT(2));
    if (!dumped) return spar__fail(SPAR_ERR_MEMORY, "out of memory: configuration text");
    *text = spar__copy_string(dumped);
    free(dumped);
    return *text ? SPAR_OK : SPAR_ERR_MEMORY;
}

void spar_config_free(spar_config *config) {
    if (!config) return;
    json_decref(config->root);
    spar__free(config);
}
