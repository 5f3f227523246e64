#include "token/spell.h"

#include "base/text.h"

static int shown(int byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

/* U+0100 + n is the n-th byte that has no character of its own: 00–20, 7F–A0, AD. */
uint32_t spar__spell_code(uint8_t byte) {
    if (shown(byte)) return byte;
    return 0x100u + (byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7F + 33u : 67u);
}

static int byte_of(uint32_t code) {
    if (code < 0x100) return shown((int)code) ? (int)code : -1;
    uint32_t n = code - 0x100;
    return n < 33 ? (int)n : n < 67 ? (int)(n - 33 + 0x7F) : n == 67 ? 0xAD : -1;
}

bool spar__spell_decode(const char *text, size_t length, char *bytes, size_t *count) {
    size_t n = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        int width = spar__utf8_decode((const unsigned char *)text + at, length - at, &code);
        int byte = width ? byte_of(code) : -1;
        if (byte < 0) return false;
        bytes[n++] = (char)byte;
        at += (size_t)width;
    }
    *count = n;
    return true;
}

size_t spar__spell_encode(const char *bytes, size_t length, char *text) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        n += (size_t)spar__utf8_encode(spar__spell_code((uint8_t)bytes[i]), text + n);
    return n;
}
