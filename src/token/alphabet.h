/* The characters of a corpus that get pieces of their own: the most frequent ones, until they make
 * up the wanted part of it (SentencePiece's character coverage). */
#ifndef SPAR_TOKEN_ALPHABET_H
#define SPAR_TOKEN_ALPHABET_H

#include "token/words.h"

typedef struct spar__alphabet {
    uint32_t *codes; /* rising */
    uint64_t *counts;
    size_t count;
} spar__alphabet;

spar_status spar__alphabet_of(const spar__words *words, double coverage, spar__alphabet *out);
void spar__alphabet_free(spar__alphabet *alphabet);
int64_t spar__alphabet_find(const spar__alphabet *alphabet, uint32_t code); /* index, or −1 */

#endif
