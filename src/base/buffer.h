/* A growing run of bytes with a stated maximum: whatever grows with its input is one of these. */
#ifndef SPAR_BASE_BUFFER_H
#define SPAR_BASE_BUFFER_H

#include "base/memory.h"

typedef struct spar__buffer {
    char *bytes; /* NULL while empty; after spar__buffer_text also 0-terminated */
    size_t length, capacity, maximum;
} spar__buffer;

/* An empty buffer that refuses (SPAR_ERR_LIMIT) to grow beyond `maximum` bytes. */
static inline spar__buffer spar__buffer_make(size_t maximum) {
    return (spar__buffer){NULL, 0, 0, maximum};
}
void spar__buffer_free(spar__buffer *buffer); /* empties it; it can be used again */
spar_status spar__buffer_reserve(spar__buffer *buffer, size_t more);
spar_status spar__buffer_add(spar__buffer *buffer, const void *bytes, size_t length);
spar_status spar__buffer_print(spar__buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The content as a 0-terminated string (the 0 not counted), or NULL when there is no memory. */
const char *spar__buffer_text(spar__buffer *buffer);

#endif
