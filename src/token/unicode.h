/* Classes of characters, as the expressions of pre-tokenisers name them. */
#ifndef SPAR_TOKEN_UNICODE_H
#define SPAR_TOKEN_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPAR__CHAR_OTHER, SPAR__CHAR_LETTER, SPAR__CHAR_NUMBER, SPAR__CHAR_SPACE };

extern const uint8_t spar__ascii_class[128];
int spar__char_class(uint32_t code); /* \p{L}, \p{N}, \s (the property White_Space), or none */
/* \w: what is alphabetic, marks, decimal digits, connectors, joiners (UTS 18, annex C). */
bool spar__char_word(uint32_t code);
/* ASCII's and category P*: what stands alone for BERT and for the pre-tokeniser Punctuation. */
bool spar__char_punctuation(uint32_t code);

/* The class of the character at text[at], and its width in bytes. The text is valid UTF-8. */
static inline int spar__class_at(const unsigned char *text, size_t at, size_t *width) {
    unsigned char c = text[at];
    if (c < 0x80) return *width = 1, spar__ascii_class[c];
    uint32_t code;
    if (c < 0xE0) *width = 2, code = (c & 0x1Fu) << 6 | (text[at + 1] & 0x3Fu);
    else if (c < 0xF0)
        *width = 3, code = (c & 0x0Fu) << 12 | (text[at + 1] & 0x3Fu) << 6 | (text[at + 2] & 0x3Fu);
    else
        *width = 4, code = (c & 0x07u) << 18 | (text[at + 1] & 0x3Fu) << 12 |
                           (text[at + 2] & 0x3Fu) << 6 | (text[at + 3] & 0x3Fu);
    return spar__char_class(code);
}

/* Bytes of the white-space character that ends at `at`, or begins there; 0 when there is none. */
size_t spar__space_before(const char *text, size_t at);
size_t spar__space_at(const char *text, size_t at, size_t length);

#endif
