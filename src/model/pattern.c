/* A layer's attention pattern from the configuration: one for all heads, or a list dealt over them. */
#include "attention/heads.h"
#include "model/inside.h"

static const char key[] = "attention.pattern";

/* Patterns are a public struct that begins with the same three members. */
static const spar__kind *pattern_at(int index) { return (const spar__kind *)spar_pattern_at(index); }

static spar_status choose_list(const json_t *list, const char *where, spar__choice *out) {
    spar__head_patterns *patterns = spar__alloc(sizeof *patterns);
    if (!patterns) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    if (!json_array_size(list)) status = spar__fail(SPAR_ERR_CONFIG, "%s.%s: a layer's list is empty", where, key);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        spar__choice one = {0};
        status = spar__choose(json_array_get(list, i), where, key, pattern_at, "causal", &one);
        if (!status && spar__head_patterns_add(patterns, (const spar_pattern_kind *)one.kind, one.options))
            status = spar__fail_within(SPAR_ERR_CONFIG, "%s.%s", where, key);
        spar__free(one.options);
    }
    if (status) spar__free(patterns);
    else *out = (spar__choice){(const spar__kind *)&spar__pattern_heads, patterns};
    return status;
}

spar_status spar__choose_pattern(const json_t *value, const char *where, const spar__shape *shape,
                                 const char *fallback, spar__choice *out) {
    SPAR_TRY(json_is_array(value) ? choose_list(value, where, out)
                                  : spar__choose(value, where, key, pattern_at, fallback, out));
    const spar_pattern_kind *kind = (const spar_pattern_kind *)out->kind;
    spar_pattern_shape s = {shape->context, shape->n_heads};
    char message[256] = "options that do not fit";
    if (!kind->check || kind->check(out->options, &s, message, sizeof message)) return SPAR_OK;
    spar__free(out->options);
    *out = (spar__choice){0};
    return spar__fail(SPAR_ERR_CONFIG, "%s.%s: %s", where, key, message);
}
