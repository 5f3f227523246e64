/* Counting the pieces (words) of a corpus: where every trainer begins. */
#ifndef SPAR_TOKEN_WORDS_H
#define SPAR_TOKEN_WORDS_H

#include "token/tokenizer.h"

typedef struct spar__word {
    uint64_t hash;
    size_t offset; /* of its bytes in the pool */
    uint32_t length;
    uint64_t count; /* 0: a free slot */
} spar__word;

typedef struct spar__words {
    spar__word *slots;
    size_t n_slots, count;
    spar__buffer pool;
} spar__words;

void spar__words_free(spar__words *words);
spar_status spar__words_add(spar__words *words, const char *bytes, size_t length, uint64_t count);

/* Counts what `reader` gives, split as `tokenizer` splits it, with the library's threads. The
 * counts do not depend on how many; the order of the slots does. */
spar_status spar__words_count(const spar_tokenizer *tokenizer, const spar_text_reader *reader,
                              const spar_progress *progress, spar__words *out);

/* The words in the order of their bytes, which depends on nothing else (spar__free); NULL when there
 * is no memory. */
const spar__word **spar__words_sorted(const spar__words *words);

#endif
