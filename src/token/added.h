/* Added tokens: strings that are one token wherever they stand in a text. */
#ifndef SPAR_TOKEN_ADDED_H
#define SPAR_TOKEN_ADDED_H

#include "base/memory.h"

enum { SPAR__MAX_ADDED = 1024 }; /* bytes of one */

typedef struct spar__added_token {
    const char *text; /* in the vocabulary's pool, or `owned` */
    char *owned;      /* the normalised form, where that is what is looked for */
    size_t length;
    int32_t id;
    bool normalized; /* looked for after normalisation, not before */
    bool single_word, lstrip, rstrip, special;
} spar__added_token;

typedef struct spar__added {
    spar__added_token *tokens; /* sorted by their bytes */
    size_t count;
    /* Where the tokens with this first byte begin in the list; [256] is the end. */
    size_t first[257];
    bool any_normalized, any_plain;
} spar__added;

/* Sorts the list, which is filled by hand. Longest allowed token: 1024 bytes, so that searching
 * stays linear in the text. */
spar_status spar__added_prepare(spar__added *added);
void spar__added_free(spar__added *added);

/* Looking for added tokens from left to right: `search` is where the next may begin, `taken` is up
 * to where text is taken. A token that strips what follows it may reach beyond where the next
 * begins: as in the reference, that one counts all the same. */
typedef struct spar__added_place {
    size_t search, taken;
} spar__added_place;

/* The next added token of the given sort, the longest where several begin; NULL when there is none.
 * [*begin, *end) is what it takes up, with the blanks that it strips; *begin is not before
 * place->taken as it was, except by overlap. */
const spar__added_token *spar__added_next(const spar__added *added, bool normalized,
                                          const char *text, size_t length,
                                          spar__added_place *place, size_t *begin, size_t *end);

#endif
