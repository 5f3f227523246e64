/* Speculative decoding: drafts are checked by the model several at a time, and kept where it agrees. */
#ifndef SPAR_GENERATE_SPECULATE_H
#define SPAR_GENERATE_SPECULATE_H

#include "base/rng.h"
#include "spar/session.h"

enum { SPAR__DRAFTS = 15 };

typedef struct spar__speculation {
    spar_session *session;
    spar_sampler *sampler;
    spar_drafter *drafter; /* NULL: look-up */
    uint64_t seed;
    bool lookup, sampled; /* sampled: with a drafter and a temperature */
    int32_t vocab_size;
    int32_t drafts[SPAR__DRAFTS];
    float *chances; /* [SPAR__DRAFTS, vocab_size] that each draft was drawn from; sampled */
    float *wanted;  /* [vocab_size] */
    size_t n, used, next; /* drafts, those taken over, and how many are made next time */
    const float *each;    /* logits after the token and after each draft */
    uint64_t drafted, accepted;
} spar__speculation;

spar_status spar__speculation_begin(spar__speculation *s, spar_session *session, spar_sampler *sampler,
                                    const spar_generate_options *options);
/* The token for the position after `history`, from *logits. */
spar_status spar__speculation_pick(spar__speculation *s, const float *logits, const int32_t *history, size_t count,
                                   int32_t *token);
/* *logits after the newest token of the history, which alone is not fed yet, or only as a draft. */
spar_status spar__speculation_feed(spar__speculation *s, const int32_t *history, size_t count, const float **logits);
/* Cuts drafts that were not used off the session. */
spar_status spar__speculation_end(spar__speculation *s);
/* Drafts that the session holds beyond the text. */
static inline size_t spar__speculation_ahead(const spar__speculation *s) { return s->n - s->used; }

/* The rule of Leviathan et al. 2022 (arXiv 2211.17192): a draft drawn from q is kept with probability min(1, p/q);
 * otherwise the token is drawn from max(p − q, 0), scaled to sum to 1. The result has the distribution p. `keep` and
 * `draw` are uniform in [0, 1). */
int32_t spar__speculation_rule(const float *p, const float *q, int32_t vocab_size, int32_t draft, double keep,
                               double draw);

/* drafter.c: makes up to `most` drafts that follow the history, in the session's place; with `chances` draws them, from
 * what the sampler's options make of the draft model's logits, else takes the most probable. */
spar_status spar__drafter_draft(spar_drafter *drafter, const spar_session *session, spar_sampler *sampler,
                                uint64_t seed, const int32_t *history, size_t count, size_t most, int32_t *drafts,
                                float *chances, size_t *n);
spar_status spar__drafter_check(const spar_drafter *drafter, const spar_session *session);
/* The first whose probabilities add up to more than `draw`. */
int32_t spar__draw(const float *p, int32_t n, double draw);

#endif
