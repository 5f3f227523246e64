/* How byte-level vocabularies spell bytes: 0x21–0x7E, 0xA1–0xAC and 0xAE–0xFF stand for the
 * characters of the same number, the other 68 bytes, rising, for U+0100, U+0101, … (GPT-2). */
#ifndef SPAR_TOKEN_SPELL_H
#define SPAR_TOKEN_SPELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t spar__spell_code(uint8_t byte);
/* The bytes that a spelling stands for (no more than it has); false when it is none. */
bool spar__spell_decode(const char *text, size_t length, char *bytes, size_t *count);
/* At most 2 bytes for each byte. Returns how many. */
size_t spar__spell_encode(const char *bytes, size_t length, char *text);

#endif
