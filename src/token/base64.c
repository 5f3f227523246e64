#include "token/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *spar__base64_encode(const void *bytes, size_t length) {
    const unsigned char *p = bytes;
    char *text = spar__array(length / 3 + 2, 4), *to = text;
    if (!text) return NULL;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t three = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                         (left > 2 ? p[i + 2] : 0);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    return text;
}

spar_status spar__base64_decode(const char *text, size_t length, unsigned char **bytes,
                                size_t *count) {
    int8_t value[256];
    memset(value, -1, sizeof value);
    for (int i = 0; i < 64; i++) value[(unsigned char)digits[i]] = (int8_t)i;
    while (length && text[length - 1] == '=') length--;
    unsigned char *out = spar__alloc(length / 4 * 3 + 4), *to = out;
    if (!out) return SPAR_ERR_MEMORY;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < length; i++) {
        int v = value[(unsigned char)text[i]];
        if (v < 0) {
            spar__free(out);
            return spar__fail(SPAR_ERR_FORMAT, "base64 text: byte %zu is no digit", i);
        }
        bits = bits << 6 | (uint32_t)v;
        if ((held += 6) >= 8) *to++ = (unsigned char)(bits >> (held -= 8));
    }
    *bytes = out;
    *count = (size_t)(to - out);
    return SPAR_OK;
}
