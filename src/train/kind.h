/* Picking a row of a table by the "kind" of a section of the configuration. */
#ifndef SPAR_TRAIN_KIND_H
#define SPAR_TRAIN_KIND_H

#include <jansson.h>

#include "spar/status.h"

/* Index in `names` of section's "kind", or `fallback` where the section is NULL or has none.
 * SPAR_ERR_CONFIG names the nearest known kind. `where` is the path for messages. */
spar_status spar__kind_read(const json_t *section, const char *where, const char *const *names,
                            int n_names, int fallback, int *index);

#endif
