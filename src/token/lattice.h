/* The best path through the pieces of a text, as both unigram models keep it. */
#ifndef SPAR_TOKEN_LATTICE_H
#define SPAR_TOKEN_LATTICE_H

#include "token/tokenizer.h"

/* Of a place in the text: the last piece of the best path to it, and where that begins. */
typedef struct spar__link {
    int32_t id; /* SPAR__NO_PATH while none is known */
    uint32_t from;
} spar__link;

enum { SPAR__NO_PATH = -1 };

/* The scratch of a run for a text of so many bytes: length + 1 links without a path, and as many
 * scores of `size` bytes. */
spar_status spar__lattice_begin(spar__run *run, size_t length, size_t size, spar__link **links,
                                void **scores);
/* Turns the links of the best path around: those where a piece of it begins then have its id and,
 * in `from`, its end. */
void spar__lattice_turn(spar__link *links, size_t length);

#endif
