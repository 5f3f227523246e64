/* The loop of generation: pick, feed, and let text out as soon as it is certain. */
#include <string.h>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/text.h"
#include "model/model.h"
#include "generate/lookup.h"
#include "generate/session.h"

enum { MAX_TEXT = 1 << 28 };

typedef struct state {
    const spar_generate_options *o;
    const spar_tokenizer *tokenizer;
    spar__buffer raw;  /* the bytes of the tokens so far */
    spar__buffer text; /* made valid, up to what is certain */
    size_t valid;      /* bytes of raw that are in text */
    size_t shown;      /* bytes of text that were let out */
    bool stopped, cancelled;
    spar__lookup lookup;
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
    if (n && g->o->on_text && g->o->on_text(g->o->context, g->text.bytes + g->shown, n))
        g->cancelled = true;
    g->shown += n;
    return SPAR_OK;
}

static spar_status add_token(state *g, int32_t token) {
    size_t length = 0;
    const char *piece = g->tokenizer ? spar_tokenizer_piece(g->tokenizer, token, &length) : "";
    SPAR_TRY(spar__buffer_add(&g->raw, piece, length));
    return let_out(g, false);
}

static bool ends(const state *g, int32_t token) {
    return !g->o->ignore_eos && g->tokenizer && token == spar_tokenizer_eos(g->tokenizer);
}

static spar_status run(spar_session *session, state *g, spar_sampler *sampler, spar__buffer *history,
                       const float *logits, size_t prompt, spar_generation *out) {
    double begin = spar__seconds();
    for (;;) {
        size_t count = history->length / sizeof(int32_t);
        out->finish = "length";
        if (g->o->max_tokens > 0 && count - prompt >= (size_t)g->o->max_tokens) break;
        int32_t token;
        SPAR_TRY(spar_sampler_pick(sampler, logits, (const int32_t *)(void *)history->bytes, count, &token));
        if (ends(g, token)) {
            out->finish = "eos";
            break;
        }
        SPAR_TRY(spar__buffer_add(history, &token, sizeof token));
        SPAR_TRY(add_token(g, token));
        if (g->stopped || g->cancelled) {
            out->finish = g->stopped ? "stop" : "cancelled";
            break;
        }
        size_t ahead = g->lookup.n - g->lookup.used;
        if (spar_session_position(session) - (int64_t)ahead == spar_session_context(session)) break;
        if (g->o->max_tokens > 0 && count + 1 - prompt >= (size_t)g->o->max_tokens) break;
        if (g->o->lookup)
            SPAR_TRY(spar__lookup_feed(&g->lookup, session, (const int32_t *)(void *)history->bytes, count + 1,
                                       &logits));
        else SPAR_TRY(spar_session_feed(session, &token, 1, &logits));
    }
    out->decode_seconds = spar__seconds() - begin;
    out->drafted = g->lookup.drafted;
    out->accepted = g->lookup.accepted;
    SPAR_TRY(spar__lookup_end(&g->lookup, session));
    return g->stopped ? SPAR_OK : let_out(g, true);
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
    SPAR_TRY_GOTO(done, spar_sampler_create(&options->sampler, spar_model_vocab_size(model), &sampler));
    SPAR_TRY_GOTO(done, spar__buffer_add(&history, prompt, count * sizeof *prompt));
    double begin = spar__seconds();
    SPAR_TRY_GOTO(done, spar_session_feed(session, prompt, count, &logits));
    made.prompt_seconds = spar__seconds() - begin;
    SPAR_TRY_GOTO(done, run(session, &g, sampler, &history, logits, count, &made));
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
    spar_sampler_free(sampler);
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
