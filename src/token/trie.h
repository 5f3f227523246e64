/* A trie over byte strings as a double array (Aoe 1989, "An efficient digital search algorithm by
 * using a double-array structure"): a step is one load and one compare. */
#ifndef SPAR_TOKEN_TRIE_H
#define SPAR_TOKEN_TRIE_H

#include "base/memory.h"

typedef struct spar__trie_unit {
    int32_t base;  /* children of this state begin here */
    int32_t check; /* the parent state, −1 where free */
    int32_t value; /* of the string that ends here, −1 when none does */
} spar__trie_unit;

typedef struct spar__trie {
    spar__trie_unit *units;
    size_t count;
} spar__trie;

typedef struct spar__trie_key {
    const char *bytes;
    size_t length; /* at least 1 */
    int32_t value; /* not negative */
} spar__trie_key;

/* Sorts `keys`; of equal ones that with the lowest value stays. */
spar_status spar__trie_build(spar__trie_key *keys, size_t count, spar__trie *out);
void spar__trie_free(spar__trie *trie);

/* The state after `byte`, or −1. The first state is 0. */
static inline int32_t spar__trie_step(const spar__trie *t, int32_t state, unsigned char byte) {
    size_t next = (size_t)t->units[state].base + byte;
    return next < t->count && t->units[next].check == state ? (int32_t)next : -1;
}

/* The longest key at the front of text[0 … length): its bytes, 0 when there is none. */
size_t spar__trie_longest(const spar__trie *t, const char *text, size_t length, int32_t *value);

#endif
