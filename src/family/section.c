/* Looking into "model" sections, where a kind is a name or an object, and absent members have
 * defaults. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "family/family.h"

const json_t *spar__model_value(const json_t *model, const char *path) {
    char part[64];
    while (model) {
        const char *dot = strchr(path, '.');
        size_t n = dot ? (size_t)(dot - path) : strlen(path);
        if (n >= sizeof part) return NULL;
        memcpy(part, path, n);
        part[n] = 0;
        model = json_object_get(model, part);
        if (!dot) return json_is_null(model) ? NULL : model;
        path = dot + 1;
    }
    return NULL;
}

int64_t spar__model_integer(const json_t *model, const char *path, int64_t fallback) {
    const json_t *v = spar__model_value(model, path);
    return json_is_integer(v) ? json_integer_value(v)
           : json_is_real(v)  ? (int64_t)json_real_value(v)
                              : fallback;
}

int64_t spar__layer_integer(const json_t *model, const char *param, const char *section, const char *key, int64_t fallback) {
    const char *stack = strncmp(param, "enc.", 4) == 0 ? "encoder" : strncmp(param, "dec.", 4) == 0 ? "decoder" : NULL;
    const char *number = strstr(param, "blk.");
    const json_t *own = stack ? json_object_get(model, stack) : NULL;
    const json_t *v = spar__model_value(own, section);
    if (!v) v = spar__model_value(model, section);
    size_t n = json_array_size(v);
    if (n) v = json_array_get(v, (number ? strtoul(number + 4, NULL, 10) : 0) % n);
    return spar__model_integer(v, key, fallback);
}

double spar__model_real(const json_t *model, const char *path, double fallback) {
    const json_t *v = spar__model_value(model, path);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

bool spar__model_flag(const json_t *model, const char *path, bool fallback) {
    const json_t *v = spar__model_value(model, path);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

const char *spar__model_kind(const json_t *model, const char *path, const char *fallback) {
    const json_t *v = spar__model_value(model, path);
    if (json_is_object(v)) v = json_object_get(v, "kind");
    return json_is_string(v) ? json_string_value(v) : fallback;
}
