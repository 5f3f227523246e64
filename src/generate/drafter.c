/* A draft model: a smaller one with the same tokens, or the first layers of the model itself with its head (as in
 * LayerSkip, Elhoushi et al. 2024, arXiv 2404.16710). It follows the text in a session of its own. */
#include <string.h>

#include "base/memory.h"
#include "generate/session.h"
#include "generate/speculate.h"

struct spar_drafter {
    spar_session *session;
    const spar_model *target;
    int32_t *text; /* [context] what its session is to hold */
};

enum { STREAM_DRAFT = 3 };

/* Token by token, or only their number where there are no tokenizers. */
static spar_status same_tokens(const spar_model *draft, const spar_model *target) {
    int32_t n = spar_model_vocab_size(draft), m = spar_model_vocab_size(target);
    const spar_tokenizer *a = spar_model_tokenizer(draft), *b = spar_model_tokenizer(target);
    if (n != m) return spar__fail(SPAR_ERR_ARGUMENT, "draft model: found %d tokens, expected the model's %d", n, m);
    if (!a || !b) return SPAR_OK;
    int32_t size = spar_tokenizer_size(a), expected = spar_tokenizer_size(b);
    if (size != expected)
        return spar__fail(SPAR_ERR_ARGUMENT, "draft model: found a tokenizer of %d tokens, expected the model's, of %d",
                          size, expected);
    for (int32_t i = 0; i < size; i++) {
        size_t length, wanted;
        const char *x = spar_tokenizer_piece(a, i, &length), *y = spar_tokenizer_piece(b, i, &wanted);
        if (length != wanted || memcmp(x, y, length) != 0)
            return spar__fail(SPAR_ERR_ARGUMENT, "draft model: token %d is '%.*s', expected the model's, '%.*s'", i,
                              (int)(length < 40 ? length : 40), x, (int)(wanted < 40 ? wanted : 40), y);
    }
    return SPAR_OK;
}

spar_status spar_drafter_create(const spar_model *model, const spar_model *draft, const spar_session_options *options,
                                spar_drafter **out) {
    if (strcmp(spar_model_architecture(model), "decoder") != 0 || strcmp(spar_model_architecture(draft), "decoder") != 0)
        return spar__fail(SPAR_ERR_ARGUMENT, "drafts: found an %s, expected a decoder",
                          strcmp(spar_model_architecture(model), "decoder") ? spar_model_architecture(model)
                                                                            : spar_model_architecture(draft));
    if (draft == model && !options->layers)
        return spar__fail(SPAR_ERR_ARGUMENT, "drafts of the model by itself: expected a number of layers");
    SPAR_TRY(same_tokens(draft, model));
    spar_drafter *d = spar__alloc(sizeof *d);
    if (!d) return SPAR_ERR_MEMORY;
    d->target = model;
    spar_session_options o = *options;
    int64_t limit = spar_model_context(draft);
    if (o.context > limit) o.context = limit;
    spar_status status = spar_session_create(draft, &o, &d->session);
    size_t context = status ? 1 : (size_t)spar_session_context(d->session);
    d->text = spar__array(context, sizeof *d->text);
    if (!status && !d->text) status = SPAR_ERR_MEMORY;
    if (status) spar_drafter_free(d);
    else *out = d;
    return status;
}

void spar_drafter_free(spar_drafter *d) {
    if (!d) return;
    spar_session_free(d->session);
    spar__free(d->text);
    spar__free(d);
}

spar_status spar__drafter_check(const spar_drafter *d, const spar_session *session) {
    if (spar__session_model(session) == d->target) return SPAR_OK;
    return spar__fail(SPAR_ERR_ARGUMENT, "the drafter was made for another model than the session's");
}

/* Brings the draft's session to the first `n` tokens of the text; *logits after them. */
static spar_status follow(spar_drafter *d, size_t n, const float **logits) {
    const int32_t *fed = spar_session_tokens(d->session);
    size_t held = (size_t)spar_session_position(d->session), same = 0;
    while (same < held && same < n - 1 && fed[same] == d->text[same]) same++;
    if (same < held && spar_session_cut(d->session, (int64_t)same)) {
        spar_session_reset(d->session);
        same = 0;
    }
    return spar_session_feed(d->session, d->text + same, n - same, logits);
}

static spar_status pick(spar_sampler *sampler, uint64_t seed, const float *logits, const int32_t *history, size_t count,
                        int32_t vocab_size, float *chances, int32_t *token) {
    if (!chances) return spar_sampler_pick(sampler, logits, history, count, token);
    SPAR_TRY(spar_sampler_probabilities(sampler, logits, history, count, chances));
    spar__rng rng = spar__rng_for(seed, SPAR__RNG_SAMPLE, STREAM_DRAFT, 0);
    *token = spar__draw(chances, vocab_size, (double)spar__rng_uniform(&rng, count));
    return SPAR_OK;
}

spar_status spar__drafter_draft(spar_drafter *d, const spar_session *session, spar_sampler *sampler, uint64_t seed,
                                const int32_t *history, size_t count, size_t most, int32_t *drafts, float *chances,
                                size_t *n) {
    /* The session holds all but the newest token; its text may have begun before the history. */
    size_t held = (size_t)spar_session_position(session), context = (size_t)spar_session_context(d->session);
    int32_t vocab_size = spar_model_vocab_size(d->target);
    *n = 0;
    if (held + 1 >= context || !most) return SPAR_OK;
    if (most > context - held - 1) most = context - held - 1;
    memcpy(d->text, spar_session_tokens(session), held * sizeof *d->text);
    d->text[held] = history[count - 1];
    const float *logits;
    SPAR_TRY(follow(d, held + 1, &logits));
    for (;;) {
        int32_t token;
        const int32_t *seen = d->text + (held + 1 - count);
        SPAR_TRY(pick(sampler, seed, logits, seen, count + *n, vocab_size, chances ? chances + (int64_t)*n * vocab_size : NULL,
                      &token));
        drafts[(*n)++] = token;
        if (*n == most) return SPAR_OK;
        d->text[held + *n] = token;
        SPAR_TRY(spar_session_feed(d->session, &token, 1, &logits));
    }
}
