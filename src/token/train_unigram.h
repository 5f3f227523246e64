/* The parts of unigram training: the seed (train_seed.c), learning (train_unigram.c) and what becomes
 * of it (train_unigram_file.c). */
#ifndef SPAR_TOKEN_TRAIN_UNIGRAM_H
#define SPAR_TOKEN_TRAIN_UNIGRAM_H

#include <stdlib.h>

#include "base/cpu.h"
#include "token/alphabet.h"
#include "token/train.h"
#include "token/trie.h"

typedef struct spar__unigram_piece {
    size_t begin;    /* in the text */
    uint32_t length; /* 0: removed */
    bool single;     /* one character, which always stays */
} spar__unigram_piece;

typedef struct spar__unigram_word {
    size_t begin;
    uint32_t length;
    uint64_t count;
} spar__unigram_word;

typedef struct spar__unigram_trainer {
    char *text; /* the words one after the other, and what pieces point into */
    size_t text_length;
    spar__unigram_word *words; /* parts of words without characters that were left out */
    size_t n_words, longest;
    spar__unigram_piece *pieces;
    double *score, *probability, *expected; /* score: log-probability */
    size_t n_pieces;
    double scale; /* about −log-probability of a byte */
    spar__trie trie;
} spar__unigram_trainer;

/* Fills `pieces` and `score` with the characters and the substrings that occur again, the most
 * of them by occurrences × length. */
spar_status spar__unigram_seed(spar__unigram_trainer *trainer, const spar__alphabet *alphabet);
spar_status spar__unigram_learn(spar__unigram_trainer *trainer, size_t wanted,
                                const spar_progress *progress);

#endif
