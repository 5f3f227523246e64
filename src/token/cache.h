/* A small memory of the last words and their ids, for the length of one call. */
#ifndef SPAR_TOKEN_CACHE_H
#define SPAR_TOKEN_CACHE_H

#include "token/tokenizer.h"

/* Appends the ids of a word to run->ids: remembered ones, or what `encode` appends. */
spar_status spar__cached(const void *state, spar__run *run, const char *word, size_t length,
                         spar_status (*encode)(const void *state, spar__run *run, const char *word,
                                               size_t length));

#endif
