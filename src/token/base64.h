/* Base64 (RFC 4648) with padding, for binary parts of a JSON file. */
#ifndef SPAR_TOKEN_BASE64_H
#define SPAR_TOKEN_BASE64_H

#include "base/memory.h"

/* New 0-terminated text (spar__free), NULL when there is no memory. */
char *spar__base64_encode(const void *bytes, size_t length);
/* New bytes (spar__free). */
spar_status spar__base64_decode(const char *text, size_t length, unsigned char **bytes,
                                size_t *count);

#endif
