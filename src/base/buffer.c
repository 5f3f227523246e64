#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void spar__buffer_free(spar__buffer *buffer) {
    spar__free(buffer->bytes);
    *buffer = spar__buffer_make(buffer->maximum);
}

spar_status spar__buffer_reserve(spar__buffer *buffer, size_t more) {
    size_t need;
    if (!spar__add(buffer->length, more, &need) || need > buffer->maximum)
        return spar__fail(SPAR_ERR_LIMIT, "text of more than %zu bytes", buffer->maximum);
    if (need < buffer->capacity) return SPAR_OK;
    /* One byte beyond the maximum leaves room for the terminator. */
    size_t capacity = buffer->capacity < 32 ? 64 : buffer->capacity * 2;
    if (capacity <= need || capacity > buffer->maximum) capacity = need + 1;
    char *bytes = spar__resize(buffer->bytes, capacity, 1);
    if (!bytes) return SPAR_ERR_MEMORY;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return SPAR_OK;
}

spar_status spar__buffer_add(spar__buffer *buffer, const void *bytes, size_t length) {
    SPAR_TRY(spar__buffer_reserve(buffer, length));
    if (length) memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return SPAR_OK;
}

spar_status spar__buffer_print(spar__buffer *buffer, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    spar_status status = n < 0 ? spar__fail(SPAR_ERR_ARGUMENT, "bad format") : SPAR_OK;
    if (!status) status = spar__buffer_reserve(buffer, (size_t)n);
    if (!status) {
        vsnprintf(buffer->bytes + buffer->length, (size_t)n + 1, format, again);
        buffer->length += (size_t)n;
    }
    va_end(again);
    return status;
}

const char *spar__buffer_text(spar__buffer *buffer) {
    if (spar__buffer_reserve(buffer, 0)) return NULL;
    buffer->bytes[buffer->length] = 0;
    return buffer->bytes;
}
