/* Reading the members of a JSON object with their types checked. A member that is absent or null
 * gives the value in `otherwise`. */
#ifndef SPAR_TOKEN_FIELD_H
#define SPAR_TOKEN_FIELD_H

#include <jansson.h>

#include "base/memory.h"

spar_status spar__field_string(const json_t *object, const char *key, const char *otherwise,
                               const char **out);
spar_status spar__field_bool(const json_t *object, const char *key, bool otherwise, bool *out);
spar_status spar__field_int(const json_t *object, const char *key, int64_t otherwise, int64_t *out);
/* NULL when absent and not required. */
spar_status spar__field_object(const json_t *object, const char *key, bool required,
                               const json_t **out);
spar_status spar__field_array(const json_t *object, const char *key, bool required,
                              const json_t **out);

#endif
