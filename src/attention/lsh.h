/* What the files of LSH attention share. */
#ifndef SPAR_ATTENTION_LSH_H
#define SPAR_ATTENTION_LSH_H

#include "op/content.h"

enum { SPAR__LSH_BUCKETS, SPAR__LSH_SORTED }; /* lookup */
enum { SPAR__LSH_SEED, SPAR__LSH_STORED };    /* rotations */

typedef struct spar__lsh_options {
    int64_t chunk, rounds, before, after, multiple, seed;
    spar_ints buckets;
    int lookup, rotations;
    bool causal;
} spar__lsh_options;

/* Buckets of a round as factors, each even: a bucket is part0 + f0·part1 + … */
typedef struct spar__lsh_factors {
    int n;
    int64_t factor[8], half; /* half = Σ factor/2, the columns of a rotation */
    int64_t buckets;         /* Π factor */
} spar__lsh_factors;
spar__lsh_factors spar__lsh_factors_of(const spar__lsh_options *options, int64_t context);

typedef struct spar__lsh_self {
    spar__param *stored; /* [n_heads·rounds·half, head_dim], or NULL: drawn */
    real *drawn;
    spar__lsh_factors factors;
} spar__lsh_self;

/* The order of one head. Places of round r begin at r·n (queries) and at k_begin[r] (keys).
 * With buckets: query place p sees key places low[p] … own[p] − 1. Sorted: every round has `padded` places, of
 * which those from n on are empty and those from n_keys on are padding, and the rounds form one row of chunks. */
typedef struct spar__lsh_arrangement {
    spar__arrangement base;
    bool sorted;
    int64_t n, n_keys, padded; /* queries; those of them that are keys, too; places of a round */
    const int32_t *low, *own;
    const int32_t *buckets; /* [rounds, n] of the queries by position, for `sees` */
} spar__lsh_arrangement;

void spar__lsh_arrange(spar__pass *pass, const spar__content_request *request, const spar__arrangement **out);
int64_t spar__lsh_state_size(const void *options, const void *self, int n_heads, int64_t context);
bool spar__lsh_state_valid(const void *options, const void *self, int n_heads, int64_t context, const int32_t *state);

#endif
