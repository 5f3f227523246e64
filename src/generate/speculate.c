#include "generate/speculate.h"

#include <string.h>

#include "base/memory.h"
#include "generate/lookup.h"
#include "generate/session.h"

enum { FIRST_DRAFTS = 4 };
enum { STREAM_KEEP = 1, STREAM_REST = 2 }; /* of draws beside those of plain sampling */

spar_status spar__speculation_begin(spar__speculation *s, spar_session *session, spar_sampler *sampler,
                                    const spar_generate_options *o) {
    *s = (spar__speculation){.session = session, .sampler = sampler, .drafter = o->drafter, .seed = o->sampler.seed};
    s->lookup = o->lookup;
    s->next = FIRST_DRAFTS;
    s->vocab_size = spar_model_vocab_size(spar__session_model(session));
    s->sampled = s->drafter && o->sampler.temperature > 0;
    if (s->drafter) SPAR_TRY(spar__drafter_check(s->drafter, session));
    if (!s->sampled) return SPAR_OK;
    s->chances = spar__array((size_t)s->vocab_size, SPAR__DRAFTS * sizeof *s->chances);
    s->wanted = spar__array((size_t)s->vocab_size, sizeof *s->wanted);
    return s->chances && s->wanted ? SPAR_OK : SPAR_ERR_MEMORY;
}

int32_t spar__draw(const float *p, int32_t n, double draw) {
    int32_t last = 0;
    double mass = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!(p[i] > 0)) continue;
        last = i;
        if (draw < (mass += (double)p[i])) break;
    }
    return last;
}

int32_t spar__speculation_rule(const float *p, const float *q, int32_t vocab_size, int32_t draft, double keep,
                               double draw) {
    if (keep * (double)q[draft] < (double)p[draft]) return draft;
    double left = 0, mass = 0;
    int32_t last = draft;
    for (int32_t i = 0; i < vocab_size; i++) left += p[i] > q[i] ? (double)(p[i] - q[i]) : 0;
    for (int32_t i = 0; i < vocab_size; i++) {
        if (!(p[i] > q[i])) continue;
        last = i;
        if (draw * left < (mass += (double)(p[i] - q[i]))) break;
    }
    return last;
}

spar_status spar__speculation_pick(spar__speculation *s, const float *logits, const int32_t *history, size_t count,
                                   int32_t *token) {
    if (!s->sampled || s->used == s->n) return spar_sampler_pick(s->sampler, logits, history, count, token);
    SPAR_TRY(spar_sampler_probabilities(s->sampler, logits, history, count, s->wanted));
    spar__rng keep = spar__rng_for(s->seed, SPAR__RNG_SAMPLE, STREAM_KEEP, 0);
    spar__rng rest = spar__rng_for(s->seed, SPAR__RNG_SAMPLE, STREAM_REST, 0);
    *token = spar__speculation_rule(s->wanted, s->chances + (int64_t)s->used * s->vocab_size, s->vocab_size,
                                    s->drafts[s->used], (double)spar__rng_uniform(&keep, count),
                                    (double)spar__rng_uniform(&rest, count));
    return SPAR_OK;
}

/* Twice as many where all were right, half where fewer than half were. */
static void adapt(spar__speculation *s) {
    if (!s->n) return;
    if (s->used == s->n) s->next = 2 * s->next < SPAR__DRAFTS ? 2 * s->next : SPAR__DRAFTS;
    else if (2 * s->used < s->n && s->next > 2) s->next /= 2;
}

spar_status spar__speculation_feed(spar__speculation *s, const int32_t *history, size_t count, const float **logits) {
    int32_t token = history[count - 1];
    if (s->used < s->n && s->drafts[s->used] == token) {
        s->used++;
        s->accepted++;
        *logits = s->each + (int64_t)s->used * s->vocab_size;
        return SPAR_OK;
    }
    adapt(s);
    SPAR_TRY(spar__speculation_end(s));
    int32_t tokens[1 + SPAR__DRAFTS] = {token};
    int64_t room = spar_session_context(s->session) - spar_session_position(s->session) - 1;
    size_t most = spar__session_each(s->session);
    if ((int64_t)most > room) most = room > 0 ? (size_t)room : 0;
    if (most > s->next) most = s->next;
    if (s->lookup) s->n = spar__lookup(history, count, most, s->drafts);
    if (!s->n && s->drafter && most)
        SPAR_TRY(spar__drafter_draft(s->drafter, s->session, s->sampler, s->seed, history, count, most, s->drafts,
                                     s->chances, &s->n));
    s->drafted += s->n;
    memcpy(tokens + 1, s->drafts, s->n * sizeof *tokens);
    SPAR_TRY(spar_session_feed_each(s->session, tokens, 1 + s->n, &s->each));
    *logits = s->each;
    return SPAR_OK;
}

spar_status spar__speculation_end(spar__speculation *s) {
    size_t left = s->n - s->used;
    s->n = s->used = 0;
    return left ? spar_session_cut(s->session, spar_session_position(s->session) - (int64_t)left) : SPAR_OK;
}
