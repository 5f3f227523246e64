#include "token/field.h"

static const char *type_name(const json_t *value) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number", "true", "false", "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static spar_status mismatch(const char *key, const json_t *value, const char *expected) {
    return spar__fail(SPAR_ERR_FORMAT, "key '%s': found %s, expected %s", key, type_name(value),
                      expected);
}

static const json_t *member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

spar_status spar__field_string(const json_t *object, const char *key, const char *otherwise,
                               const char **out) {
    const json_t *value = member(object, key);
    if (value && !json_is_string(value)) return mismatch(key, value, "a string");
    *out = value ? json_string_value(value) : otherwise;
    return SPAR_OK;
}

spar_status spar__field_bool(const json_t *object, const char *key, bool otherwise, bool *out) {
    const json_t *value = member(object, key);
    if (value && !json_is_boolean(value)) return mismatch(key, value, "true or false");
    *out = value ? json_is_true(value) : otherwise;
    return SPAR_OK;
}

spar_status spar__field_int(const json_t *object, const char *key, int64_t otherwise,
                            int64_t *out) {
    const json_t *value = member(object, key);
    if (value && !json_is_integer(value)) return mismatch(key, value, "an integer");
    *out = value ? (int64_t)json_integer_value(value) : otherwise;
    return SPAR_OK;
}

spar_status spar__field_object(const json_t *object, const char *key, bool required,
                               const json_t **out) {
    const json_t *value = member(object, key);
    if (value ? !json_is_object(value) : required) return mismatch(key, value, "an object");
    *out = value;
    return SPAR_OK;
}

spar_status spar__field_array(const json_t *object, const char *key, bool required,
                              const json_t **out) {
    const json_t *value = member(object, key);
    if (value ? !json_is_array(value) : required) return mismatch(key, value, "an array");
    *out = value;
    return SPAR_OK;
}
