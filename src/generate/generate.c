/* The loop of generation: pick, feed, and let text out as soon as it is certain. */
#include <string.h>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/text.h"
#include "model/model.h"
#include "generate/session.h"
#include "generate/special.h"
#include "generate/speculate.h"

enum { MAX_TEXT = 1 << 28 };

typedef struct state {
    const spar_generate_options *o;
    const spar_tokenizer *tokenizer;
    spar__buffer raw;  /* the bytes of the tokens so far */
    spar__buffer text; /* made valid, up to what is certain */
    size_t valid;      /* bytes of raw that are in text */
    size_t shown;      /* bytes of text that were let out */
    bool stopped, cancelled;
    spar__speculation drafts;
    spar__special special;
} state;

/* Moves whole characters from raw to text; at the end also what never became one, as U+FFFD. */
static spar_status settle(state *g, bool end) {
    size_t keep = end ? 0 : spar__utf8_incomplete(g->raw.bytes, g->raw.length);
    while (g->valid < g->raw.length - keep) {
        const unsigned char *at = (const unsigned char *)g->raw.bytes + g->valid;
        size_t left = g->raw.length - g->valid;
        uint32_t code;
        int n = spar__utf8_decode(at, left, &code);
        if (n) SPAR_TRY(spar__buffer_add(&g->text, at, (size_t)n));
        else SPAR_TRY(spar__buffer_add(&g->text, "\xEF\xBF\xBD", 3));
        g->valid += (size_t)(n ? n : spar__utf8_bad(at, left));
    }
    return SPAR_OK;
}

/* Cuts the text at the first stop text; otherwise returns how many bytes at its end may begin one. */
static size_t find_stop(state *g) {
    size_t held = 0;
    for (size_t i = 0; i < g->o->n_stops; i++) {
        const char *stop = g->o->stops[i];
        size_t n = strlen(stop);
        if (!n) continue;
        for (size_t at = g->shown; at < g->text.length; at++) {
            size_t left = g->text.length - at, compare = left < n ? left : n;
            if (memcmp(g->text.bytes + at, stop, compare) != 0) continue;
            if (compare == n) {
                g->text.length = at;
                g->stopped = true;
            } else if (left > held) {
                held = left;
            }
            break;
        }
    }
    return g->stopped ? 0 : held;
}

static spar_status let_out(state *g, bool end) {
    SPAR_TRY(settle(g, end));
    size_t held = find_stop(g);
    if (end) held = 0;
    size_t n = g->text.length - held - g->shown;
    bool call = g->o->on_text && (n || !end); /* without text too: whoever gets it may want to end */
    if (call && g->o->on_text(g->o->context, n ? g->text.bytes + g->shown : "", n)) g->cancelled = true;
    g->shown += n;
    return SPAR_OK;
}

static spar_status add_token(state *g, int32_t token) {
    size_t length = 0;
    const char *piece = g->tokenizer ? spar_tokenizer_piece(g->tokenizer, token, &length) : "";
    SPAR_TRY(spar__buffer_add(&g->raw, piece, length));
    return let_out(g, false);
}

/* The next token. Logits are the session's own, to be overwritten by its next row. */
static spar_status pick(state *g, const spar__buffer *history, const float *logits, size_t prompt, int32_t *token) {
    size_t count = history->length / sizeof(int32_t);
    *token = spar__special_forced(&g->special, count, count - prompt, g->o->max_tokens);
    if (*token >= 0) return SPAR_OK;
    spar__special_forbid(&g->special, (const int32_t *)(void *)history->bytes, count, prompt, (float *)logits);
    return spar__speculation_pick(&g->drafts, logits, (const int32_t *)(void *)history->bytes, count, token);
}

static spar_status run(spar_session *session, state *g, spar__buffer *history,
                       const float *logits, size_t prompt, spar_generation *out) {
    double begin = spar__seconds();
    for (;;) {
        size_t count = history->length / sizeof(int32_t);
        out->finish = "length";
        if (g->o->max_tokens > 0 && count - prompt >= (size_t)g->o->max_tokens) break;
        int32_t token;
        SPAR_TRY(pick(g, history, logits, prompt, &token));
        if (spar__special_ends(&g->special, token)) {
            out->finish = "eos";
            break;
        }
        SPAR_TRY(spar__buffer_add(history, &token, sizeof token));
        SPAR_TRY(add_token(g, token));
        if (g->stopped || g->cancelled) {
            out->finish = g->stopped ? "stop" : "cancelled";
            break;
        }
        int64_t ahead = (int64_t)spar__speculation_ahead(&g->drafts);
        if (spar_session_position(session) - ahead == spar_session_context(session)) break;
        if (g->o->max_tokens > 0 && count + 1 - prompt >= (size_t)g->o->max_tokens) break;
        if (g->o->lookup || g->o->drafter)
            SPAR_TRY(spar__speculation_feed(&g->drafts, (const int32_t *)(void *)history->bytes, count + 1, &logits));
        else SPAR_TRY(spar_session_feed(session, &token, 1, &logits));
    }
    out->decode_seconds = spar__seconds() - begin;
    out->drafted = g->drafts.drafted;
    out->accepted = g->drafts.accepted;
    SPAR_TRY(spar__speculation_end(&g->drafts));
    return g->stopped ? SPAR_OK : let_out(g, true);
}

/* How many tokens of the prompt the session holds already, once it is cut back to them; one at least is fed. */
static size_t reuse(spar_session *session, const int32_t *prompt, size_t count) {
    const int32_t *held = spar_session_tokens(session);
    size_t n = (size_t)spar_session_position(session), same = 0;
    while (same < n && same + 1 < count && held[same] == prompt[same]) same++;
    if (same == n || !spar_session_cut(session, (int64_t)same)) return same;
    spar_session_reset(session);
    return 0;
}

/* Piece by piece, as a session does it by itself; whoever gets the text may end it in between. */
static spar_status feed_prompt(spar_session *session, state *g, const int32_t *prompt, size_t count,
                               const float **logits) {
    size_t most = spar__session_chunk(session);
    if (count > (size_t)(spar_session_context(session) - spar_session_position(session)) || !count)
        return spar_session_feed(session, prompt, count, logits); /* which says what is wrong */
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < most ? count - at : most;
        SPAR_TRY(spar_session_feed(session, prompt + at, n, at + n == count ? logits : NULL));
        if (at + n < count && g->o->on_text && g->o->on_text(g->o->context, "", 0)) {
            g->cancelled = true;
            return SPAR_OK;
        }
    }
    return SPAR_OK;
}

spar_status spar_generate(spar_session *session, const int32_t *prompt, size_t count,
                          const spar_generate_options *options, spar_generation *out) {
    const spar_model *model = spar__session_model(session);
    state g = {.o = options, .tokenizer = spar_model_tokenizer(model)};
    g.raw = g.text = spar__buffer_make(MAX_TEXT);
    spar__buffer history = spar__buffer_make(MAX_TEXT);
    spar_generation made = {.prompt_tokens = count};
    spar_sampler *sampler = NULL;
    const float *logits;
    spar_status status;
    SPAR_TRY_GOTO(done, spar__special_read(model, options->ignore_eos, &g.special));
    SPAR_TRY_GOTO(done, spar_sampler_create(&options->sampler, spar_model_vocab_size(model), &sampler));
    SPAR_TRY_GOTO(done, spar__speculation_begin(&g.drafts, session, sampler, options));
    SPAR_TRY_GOTO(done, spar__buffer_add(&history, prompt, count * sizeof *prompt));
    double begin = spar__seconds();
    if (options->reuse && count) made.reused = reuse(session, prompt, count);
    SPAR_TRY_GOTO(done, feed_prompt(session, &g, prompt + made.reused, count - made.reused, &logits));
    made.prompt_seconds = spar__seconds() - begin;
    if (g.cancelled) made.finish = "cancelled";
    else SPAR_TRY_GOTO(done, run(session, &g, &history, logits, count, &made));
    made.n_tokens = history.length / sizeof(int32_t) - count;
    made.tokens = (int32_t *)(void *)spar__copy_bytes(history.bytes + count * sizeof *prompt,
                                                      made.n_tokens * sizeof *prompt);
    made.text = spar__copy_bytes(g.text.bytes, g.text.length);
    if (!made.tokens || !made.text) {
        spar_generation_free(&made);
        SPAR_TRY_GOTO(done, SPAR_ERR_MEMORY);
    }
    *out = made;
done:
    spar__special_free(&g.special);
    spar_sampler_free(sampler);
    spar__free(g.drafts.chances);
    spar__free(g.drafts.wanted);
    spar__buffer_free(&g.raw);
    spar__buffer_free(&g.text);
    spar__buffer_free(&history);
    return status;
}

void spar_generation_free(spar_generation *generation) {
    spar__free(generation->tokens);
    spar__free(generation->text);
    generation->tokens = NULL;
    generation->text = NULL;
}
