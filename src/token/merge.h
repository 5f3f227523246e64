/* Merging neighbouring symbols by rank: of all pairs in a piece the one of lowest rank, the leftmost
 * of equals, is merged, until none has a rank.
 *
 * Short pieces scan an array for the lowest rank; long ones keep a heap over a linked list, so that
 * n symbols take O(n log n). */
#ifndef SPAR_TOKEN_MERGE_H
#define SPAR_TOKEN_MERGE_H

#include "token/tokenizer.h"

typedef struct spar__merge {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank;
    int32_t id;
} spar__merge;

typedef struct spar__merges {
    spar__merge *slots;
    size_t mask;
} spar__merges;

spar_status spar__merges_create(spar__merges *merges, size_t count); /* room for `count` pairs */
void spar__merges_free(spar__merges *merges);
/* Of a pair that is set twice the later rank counts. */
void spar__merges_set(spar__merges *merges, int32_t left, int32_t right, uint32_t rank, int32_t id);
/* Merges ids[0 … *n) in place; run's scratch is used. */
spar_status spar__merges_run(const spar__merges *merges, spar__run *run, int32_t *ids, size_t *n);

#endif
