#include "generate/sampler.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

#define SAMPLER(symbol)                                                                            \
    void spar__sampler_##symbol(const spar_sampler_options *options, spar__candidates *c);
#include "generate/sampler.def"
#undef SAMPLER

static const spar__sampler_step steps[] = {
#define SAMPLER(symbol) spar__sampler_##symbol,
#include "generate/sampler.def"
#undef SAMPLER
};

struct spar_sampler {
    spar_sampler_options options;
    spar_logit_bias *biases;
    spar__candidate *items;
    int32_t vocab_size;
};

static spar_status check(const spar_sampler_options *o) {
    const struct {
        const char *name;
        double value, least, most;
    } ranges[] = {{"temperature", o->temperature, 0, 1e6},
                  {"top-k", (double)o->top_k, 0, 1e9},
                  {"top-p", o->top_p, 0, 1},
                  {"min-p", o->min_p, 0, 1},
                  {"typical-p", o->typical_p, 0, 1},
                  {"repeat-penalty", o->repeat_penalty, 1e-6, 1e6},
                  {"frequency-penalty", o->frequency_penalty, -1e6, 1e6},
                  {"presence-penalty", o->presence_penalty, -1e6, 1e6}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].least && ranges[i].value <= ranges[i].most))
            return spar__fail(SPAR_ERR_ARGUMENT, "%s: %g, expected %g to %g", ranges[i].name,
                              ranges[i].value, ranges[i].least, ranges[i].most);
    return SPAR_OK;
}

spar_status spar_sampler_create(const spar_sampler_options *options, int32_t vocab_size, spar_sampler **out) {
    SPAR_TRY(check(options));
    spar_sampler *s = spar__alloc(sizeof *s);
    if (!s) return SPAR_ERR_MEMORY;
    s->options = *options;
    s->vocab_size = vocab_size;
    s->items = spar__array((size_t)vocab_size, sizeof *s->items);
    s->biases = spar__array(options->n_biases + 1, sizeof *s->biases);
    if (!s->items || !s->biases) {
        spar_sampler_free(s);
        return SPAR_ERR_MEMORY;
    }
    if (options->n_biases) memcpy(s->biases, options->biases, options->n_biases * sizeof *s->biases);
    s->options.biases = s->biases;
    *out = s;
    return SPAR_OK;
}

void spar_sampler_free(spar_sampler *s) {
    if (!s) return;
    spar__free(s->items);
    spar__free(s->biases);
    spar__free(s);
}

/* Runs the steps: what is left has p. */
static spar_status narrow(spar_sampler *s, const float *logits, const int32_t *history, size_t count,
                          spar__candidates *c) {
    const spar_sampler_options *o = &s->options;
    size_t seen = o->penalty_last > 0 && (size_t)o->penalty_last < count ? (size_t)o->penalty_last : count;
    *c = (spar__candidates){s->items, (size_t)s->vocab_size, false, history + count - seen, seen,
                            s->vocab_size};
    bool any = false;
    for (int32_t i = 0; i < s->vocab_size; i++) {
        if (isnan(logits[i])) return spar__fail(SPAR_ERR_NUMERIC, "logit of token %d is not a number", i);
        any |= isfinite(logits[i]);
        s->items[i] = (spar__candidate){i, logits[i], 0};
    }
    if (!any) return spar__fail(SPAR_ERR_NUMERIC, "no logit is finite");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i] == spar__sampler_temperature && o->temperature == 0) {
            /* Greedy: the first of the largest. */
            size_t best = 0;
            for (size_t j = 1; j < c->n; j++)
                if (c->items[j].logit > c->items[best].logit) best = j;
            c->items[0] = c->items[best];
            c->n = 1;
            break;
        }
        steps[i](o, c);
    }
    spar__candidates_weigh(c);
    return SPAR_OK;
}

spar_status spar_sampler_pick(spar_sampler *s, const float *logits, const int32_t *history, size_t count,
                              int32_t *token) {
    spar__candidates c;
    SPAR_TRY(narrow(s, logits, history, count, &c));
    spar__rng rng = spar__rng_for(s->options.seed, SPAR__RNG_SAMPLE, 0, 0);
    double draw = (double)spar__rng_uniform(&rng, count), mass = 0;
    size_t pick = c.n - 1;
    for (size_t i = 0; i < c.n && c.n > 1; i++) {
        mass += (double)c.items[i].p;
        if (draw < mass) {
            pick = i;
            break;
        }
    }
    *token = c.items[pick].id;
    return SPAR_OK;
}

spar_status spar_sampler_probabilities(spar_sampler *s, const float *logits, const int32_t *history,
                                       size_t count, float *probabilities) {
    spar__candidates c;
    SPAR_TRY(narrow(s, logits, history, count, &c));
    memset(probabilities, 0, (size_t)s->vocab_size * sizeof *probabilities);
    for (size_t i = 0; i < c.n; i++) probabilities[c.items[i].id] = c.items[i].p;
    return SPAR_OK;
}
