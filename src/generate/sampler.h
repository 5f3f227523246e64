/* The steps of sampling. Each narrows or changes the candidates. */
#ifndef SPAR_GENERATE_SAMPLER_H
#define SPAR_GENERATE_SAMPLER_H

#include "base/memory.h"
#include "spar/session.h"

typedef struct spar__candidate {
    int32_t id;
    float logit, p;
} spar__candidate;

typedef struct spar__candidates {
    spar__candidate *items;
    size_t n;
    bool sorted; /* by falling logit, ties by rising id */
    const int32_t *history; /* the tokens that count as seen */
    size_t n_history;
    int32_t vocab_size;
} spar__candidates;

typedef void (*spar__sampler_step)(const spar_sampler_options *options, spar__candidates *c);

void spar__candidates_sort(spar__candidates *c);
void spar__candidates_weigh(spar__candidates *c); /* p from logits */

#endif
