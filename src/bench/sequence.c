/* Decoding and prompts, through sessions as programs use them. */
#include "bench/bench.h"
#include "spar/session.h"

typedef struct sequence {
    spar_session *session;
    int32_t *tokens; /* [prompt + n] */
    size_t prompt, n;
} sequence;

static spar_status create(const spar_model *model, const spar_bench_options *o, size_t n, sequence *out) {
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    size_t prompt = (size_t)o->prompt;
    sequence s = {.prompt = prompt, .n = n};
    if (o->cache_type) so.cache_type = o->cache_type;
    so.context = (int64_t)(prompt + n);
    int64_t limit = spar_model_context(model);
    if (limit && so.context > limit)
        return spar__fail(SPAR_ERR_LIMIT, "prompt and tokens: %lld, the model's context is %lld",
                          (long long)so.context, (long long)limit);
    s.tokens = spar__array(prompt + n, sizeof *s.tokens);
    if (!s.tokens) return SPAR_ERR_MEMORY;
    spar__bench_tokens(s.tokens, prompt + n, spar_model_vocab_size(model));
    spar_status status = spar_session_create(model, &so, &s.session);
    if (status)
        spar__free(s.tokens);
    else
        *out = s;
    return status;
}

static void destroy(sequence *s) {
    spar_session_free(s->session);
    spar__free(s->tokens);
}

static spar_status feed_prompt(void *context) {
    sequence *s = context;
    const float *logits;
    spar_session_reset(s->session);
    return spar_session_feed(s->session, s->tokens, s->prompt, &logits);
}

/* After the first run the session is cut back, where its layers still hold what that needs. */
static spar_status begin_anew(void *context) {
    sequence *s = context;
    bool fed = spar_session_position(s->session) > 0;
    return fed && !spar_session_cut(s->session, (int64_t)s->prompt) ? SPAR_OK : feed_prompt(s);
}

static spar_status feed_one_by_one(void *context) {
    sequence *s = context;
    const float *logits;
    for (size_t i = 0; i < s->n; i++)
        SPAR_TRY(spar_session_feed(s->session, s->tokens + s->prompt + i, 1, &logits));
    return SPAR_OK;
}

spar_status spar_bench_decode(const spar_model *model, const spar_bench_options *o,
                              spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    double bytes, per_token, flops;
    sequence s;
    spar__timing timing;
    SPAR_TRY(spar__bench_weights(model, &bytes, &per_token, &flops));
    SPAR_TRY(create(model, o, (size_t)o->tokens, &s));
    spar_status status =
        spar__bench_time_prepared(begin_anew, feed_one_by_one, &s, o, "decode", &timing);
    /* Each token reads the cache as far as it is filled. */
    double filled = (double)o->prompt + (double)o->tokens / 2;
    double cache =
        (double)spar_session_cache_bytes(s.session) * filled / (double)(o->prompt + o->tokens);
    destroy(&s);
    SPAR_TRY(status);
    *out = spar__bench_speed(&timing, (double)o->tokens);
    out->bytes_per_token = per_token + cache;
    out->piece_bytes = spar__bench_piece(model);
    out->flops_per_token = flops;
    return SPAR_OK;
}

spar_status spar_bench_prefill(const spar_model *model, const spar_bench_options *o,
                               spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    double bytes, per_token, flops;
    sequence s;
    spar__timing timing;
    SPAR_TRY(spar__bench_weights(model, &bytes, &per_token, &flops));
    SPAR_TRY(create(model, o, 0, &s));
    spar_status status = spar__bench_time(feed_prompt, &s, o, "prefill", &timing);
    destroy(&s);
    SPAR_TRY(status);
    *out = spar__bench_speed(&timing, (double)o->prompt);
    /* Weights are read once for each chunk of the prompt. */
    int64_t chunks = (o->prompt + so.chunk - 1) / so.chunk;
    out->bytes_per_token = per_token * (double)chunks / (double)o->prompt;
    out->flops_per_token = flops;
    return SPAR_OK;
}
