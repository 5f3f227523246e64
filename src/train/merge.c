#include "train/merge.h"

#include <stdbool.h>

#include "base/status.h"

static bool other_kind(const json_t *a, const json_t *b) {
    const json_t *kind = json_object_get(b, "kind");
    return kind && !json_equal(kind, json_object_get(a, "kind"));
}

/* 0, or -1 without memory, as Jansson's functions. */
static int merge_into(json_t *object, const json_t *change) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)change, key, value) {
        json_t *old = json_object_get(object, key);
        int failed;
        if (json_is_object(old) && json_is_object(value) && !other_kind(old, value))
            failed = merge_into(old, value);
        else
            failed = json_object_set_new(object, key, json_deep_copy(value));
        if (failed) return -1;
    }
    return 0;
}

spar_status spar__merge(const json_t *base, const json_t *change, json_t **out) {
    json_t *result = base ? json_deep_copy(base) : json_object();
    if (!result || merge_into(result, change)) {
        json_decref(result);
        return spar__fail(SPAR_ERR_MEMORY, "out of memory: configuration");
    }
    *out = result;
    return SPAR_OK;
}
