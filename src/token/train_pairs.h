/* Learning merges: what byte-pair encoding and WordPiece share. */
#ifndef SPAR_TOKEN_TRAIN_PAIRS_H
#define SPAR_TOKEN_TRAIN_PAIRS_H

#include "token/train.h"

typedef struct spar__pair_word {
    size_t begin; /* into the symbols */
    uint32_t length;
    int64_t count;
} spar__pair_word;

typedef struct spar__pair {
    uint64_t key; /* left << 32 | right */
    int64_t count;
    uint32_t *words; /* where it stands, or stood */
    uint32_t n_words, capacity;
    uint32_t touched; /* the last merge that made it more frequent */
} spar__pair;

typedef struct spar__pair_entry {
    int64_t count;
    uint64_t key;
    uint32_t pair;
} spar__pair_entry;

typedef struct spar__pairs {
    const spar_tokenizer_options *options;
    const char *prefix; /* of symbols that go on within a word; NULL: none */
    spar__vocab vocab;
    spar__pair_word *words;
    int32_t *symbols;
    size_t n_words;
    spar__pair *pairs;
    size_t n_pairs, pair_capacity;
    uint32_t *slots; /* hash of keys → pairs */
    size_t n_slots;
    spar__pair_entry *heap;
    size_t n_heap, heap_capacity;
    uint32_t *fresh; /* pairs touched by this merge */
    size_t n_fresh, fresh_capacity;
    uint64_t *merges;
    size_t n_merges, merge_capacity;
    uint32_t step;
} spar__pairs;

/* Counts the pairs of a word whose symbols lie at pairs->symbols[begin]; pairs->words has room. */
spar_status spar__pairs_word(spar__pairs *pairs, size_t begin, uint32_t length, int64_t count);
/* Merges until the vocabulary has its size. */
spar_status spar__pairs_learn(spar__pairs *pairs, const spar_progress *progress);
void spar__pairs_free(spar__pairs *pairs);

#endif
