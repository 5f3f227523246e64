/* A trie over byte strings as a double array (Aoe 1989, "An efficient digital search algorithm by
 * using a double-array structure"): a step is one load and one compare. */
#ifndef SPAR_TOKEN_TRIE_H
#define SPAR_TOKEN_TRIE_H

#include "base/memory.h"

/* A state's children are at base ^ byte. No two states have the same base, so that the byte that
 * leads to a state tells whose child it is. Eight bytes, for most steps miss the nearest cache. */
typedef struct spar__trie_unit {
    uint32_t base;
    uint32_t label : 9;  /* the byte that leads here, SPAR__TRIE_FREE where no state is */
    uint32_t value : 23; /* of the string that ends here, plus 1; 0 when none does */
} spar__trie_unit;

enum { SPAR__TRIE_FREE = 256, SPAR__TRIE_MAX_VALUE = (1 << 23) - 2 };

typedef struct spar__trie {
    spar__trie_unit *units;
    size_t count;
} spar__trie;

typedef struct spar__trie_key {
    const char *bytes;
    size_t length; /* at least 1 */
    int32_t value; /* 0 to SPAR__TRIE_MAX_VALUE */
} spar__trie_key;

/* Sorts `keys`; of equal ones that with the lowest value stays. */
spar_status spar__trie_build(spar__trie_key *keys, size_t count, spar__trie *out);
void spar__trie_free(spar__trie *trie);

/* The state after `byte`, or −1. The first state is 0. */
static inline int32_t spar__trie_step(const spar__trie *t, int32_t state, unsigned char byte) {
    size_t next = t->units[state].base ^ byte; /* always within: bases lie in whole blocks of 256 */
    return t->units[next].label == byte ? (int32_t)next : -1;
}

/* The value of the string that ends in the state, or −1. */
static inline int32_t spar__trie_value(const spar__trie *t, int32_t state) {
    return (int32_t)t->units[state].value - 1;
}

/* The longest key at the front of text[0 … length): its bytes, 0 when there is none. */
size_t spar__trie_longest(const spar__trie *t, const char *text, size_t length, int32_t *value);

#endif
