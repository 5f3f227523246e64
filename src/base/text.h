/* Small text helpers: the nearest known name, UTF-8, numbers for people. */
#ifndef SPAR_BASE_TEXT_H
#define SPAR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Index of the name nearest to `text` by edit distance (transpositions count one), -1 when none
 * is near enough to be worth suggesting. Names longer than 63 bytes are passed over. */
int spar__nearest(const char *text, const char *const *names, int n_names);

/* Length in bytes (1–4) of the valid UTF-8 character at `bytes`, or 0 when the bytes begin none
 * (overlong forms, surrogates and numbers above U+10FFFF are invalid). *code is set when valid. */
int spar__utf8_decode(const unsigned char *bytes, size_t length, uint32_t *code);
int spar__utf8_encode(uint32_t code, char out[4]); /* bytes written */
/* Length of the maximal invalid part at `bytes`, which begins no valid character: what becomes one
 * U+FFFD (Unicode 15, section 3.9, "substitution of maximal subparts"). */
int spar__utf8_bad(const unsigned char *bytes, size_t length);
/* Bytes at the end of `bytes` that begin a character not yet whole (0–3). */
size_t spar__utf8_incomplete(const char *bytes, size_t length);

#endif
