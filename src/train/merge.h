/* One configuration changed by another. */
#ifndef SPAR_TRAIN_MERGE_H
#define SPAR_TRAIN_MERGE_H

#include <jansson.h>

#include "spar/status.h"

/* A new object: `base` (NULL is {}) with the members of `change` (likewise), objects within objects
 * again so, except that an object of another "kind" replaces the one there was. */
spar_status spar__merge(const json_t *base, const json_t *change, json_t **out);

#endif
