/* JSON by Jansson, with limits that hold before it parses and errors that name the place.
 *
 * Refused: text that is not UTF-8, keys that stand twice in an object, nesting deeper than 128,
 * \u0000 in strings. An integer beyond 64 bits is read as a real, as other programs' files hold such
 * ("model_max_length": 1000000000000000019884624838656). */
#ifndef SPAR_BASE_JSON_H
#define SPAR_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    SPAR__JSON_DEPTH = 128,
    SPAR__JSON_VALUES = 1 << 24, /* enough for the largest tokenizer.json, about 1 GB in memory */
    SPAR__JSON_BYTES = 1 << 29
};

/* Parses an object or an array; `name` stands in messages ("config.json:3:7: …"). More than
 * `most_values` values are SPAR_ERR_LIMIT, which bounds the memory. The caller json_decref()s. */
spar_status spar__json_parse(const char *name, const char *text, size_t length, size_t most_values,
                             json_t **out);
/* Reads a whole file ("-" is standard input) of at most SPAR__JSON_BYTES, SPAR__JSON_VALUES. */
spar_status spar__json_read(const char *path, json_t **out);
/* The value as text in a new string (spar__free), keys in their order, reals to the last bit;
 * `indent` 0 puts all on one line. */
spar_status spar__json_text(const json_t *value, int indent, char **out);
const char *spar__json_kind(const json_t *value); /* "an object", "a string", …; NULL: "nothing" */

/* Members of an object. `where` names it in messages: "WHERE: key 'KEY': found a string, expected
 * an integer". What is borrowed lives as long as the object. An absent member is
 * SPAR_ERR_NOT_FOUND, one of another kind or out of range SPAR_ERR_FORMAT; for `_or` functions an
 * absent member and null are the fallback. */
spar_status spar__json_get(const json_t *object, const char *where, const char *key, json_t **out);
spar_status spar__json_object(const json_t *object, const char *where, const char *key,
                              json_t **out);
spar_status spar__json_array(const json_t *object, const char *where, const char *key,
                             json_t **out);
spar_status spar__json_string(const json_t *object, const char *where, const char *key,
                              const char **out);
spar_status spar__json_string_or(const json_t *object, const char *where, const char *key,
                                 const char *fallback, const char **out);
spar_status spar__json_integer(const json_t *object, const char *where, const char *key,
                               int64_t low, int64_t high, int64_t *out);
spar_status spar__json_integer_or(const json_t *object, const char *where, const char *key,
                                  int64_t low, int64_t high, int64_t fallback, int64_t *out);
spar_status spar__json_real(const json_t *object, const char *where, const char *key, double *out);
spar_status spar__json_real_or(const json_t *object, const char *where, const char *key,
                               double fallback, double *out);
spar_status spar__json_bool(const json_t *object, const char *where, const char *key, bool *out);
spar_status spar__json_bool_or(const json_t *object, const char *where, const char *key,
                               bool fallback, bool *out);

#endif
