/* Small text helpers, for programs that take names and token ids from people. */
#ifndef SPAR_TEXT_H
#define SPAR_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Index of the name nearest to `text` by edit distance (a transposition counts one: Damerau 1964),
 * −1 when none is near enough to be worth suggesting. Any thread. */
int spar_nearest(const char *text, const char *const *names, int n_names);

/* Token ids from "1,2,3": whole numbers from 0 to 2³¹ − 1 separated by commas or white space; an
 * empty text gives none. *ids (never NULL) is the caller's, for spar_free. SPAR_ERR_ARGUMENT names
 * the first part that is no id; SPAR_ERR_MEMORY. Any thread. */
spar_status spar_ids_parse(const char *text, int32_t **ids, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
