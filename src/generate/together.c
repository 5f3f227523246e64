/* Many prompts through a batch: as soon as one ends, the next takes its place. A prompt begins with what another one
 * has read where they share whole pieces, so that its bits are those of a session that reads it alone. */
#include <string.h>

#include "base/memory.h"
#include "generate/special.h"
#include "model/model.h"
#include "spar/session.h"

typedef struct place {
    size_t prompt; /* which one */
    bool busy;
    int32_t *text; /* [context] prompt and new tokens */
    size_t count, begin, fed; /* tokens in all, of the prompt, and those that the batch holds */
} place;

typedef struct crowd {
    spar_batch *batch;
    spar_sampler *sampler;
    const spar_together_options *o;
    const spar_prompt *prompts;
    place *places;
    spar_batch_item *items;
    int *of_item; /* the place of each item */
    spar__special special;
    size_t n_prompts, next, chunk, context, reused;
    int n_places;
} crowd;

/* Whole pieces that a prompt has in common with that of a place: what was not read in whole pieces has other bits. */
static size_t common(const crowd *c, const place *p, const spar_prompt *prompt) {
    size_t same = 0, most = p->begin < prompt->count ? p->begin : prompt->count;
    while (same < most && p->text[same] == prompt->tokens[same]) same++;
    if (same == prompt->count) same--; /* its last token is read for its logits */
    return same / c->chunk * c->chunk;
}

/* Those that the place holds already. */
static size_t shared(const crowd *c, const place *p, const spar_prompt *prompt) {
    size_t same = prompt->count ? common(c, p, prompt) : 0, held = p->fed / c->chunk * c->chunk;
    return same < held ? same : held;
}

/* Whether somebody is about to read what the next prompt begins with. */
static bool worth_waiting(const crowd *c) {
    const spar_prompt *prompt = &c->prompts[c->next];
    for (int i = 0; i < c->n_places && prompt->count; i++) {
        const place *p = &c->places[i];
        if (p->busy && p->fed < common(c, p, prompt)) return true;
    }
    return false;
}

static spar_status begin(crowd *c, int at) {
    const spar_prompt *prompt = &c->prompts[c->next];
    place *p = &c->places[at];
    size_t best = shared(c, p, prompt); /* it may stay where it is */
    int from = at;
    if (!prompt->count || prompt->count > c->context)
        return spar__fail(SPAR_ERR_LIMIT, "prompt %zu: %zu tokens, expected 1 to %zu", c->next, prompt->count, c->context);
    for (int i = 0; i < c->n_places; i++) {
        size_t n = shared(c, &c->places[i], prompt);
        if (n > best) best = n, from = i;
    }
    if (best && from != at && spar_batch_copy(c->batch, from, at, (int64_t)best)) best = 0;
    if (from == at && best && spar_batch_cut(c->batch, at, (int64_t)best)) best = 0;
    if (!best) SPAR_TRY(spar_batch_cut(c->batch, at, 0));
    memcpy(p->text, prompt->tokens, prompt->count * sizeof *p->text);
    p->prompt = c->next++;
    p->busy = true;
    p->count = p->begin = prompt->count;
    p->fed = best;
    c->reused += best;
    return SPAR_OK;
}

static spar_status finish(crowd *c, place *p, const char *why) {
    p->busy = false;
    spar_generation made = {.tokens = p->text + p->begin, .n_tokens = p->count - p->begin, .finish = why, .text = "",
                            .prompt_tokens = p->begin};
    if (c->o->on_done && c->o->on_done(c->o->context, p->prompt, &made))
        return spar__fail(SPAR_ERR_INTERRUPTED, "stopped after prompt %zu", p->prompt);
    return SPAR_OK;
}

/* The token after what was fed, and whether the text ends with it. Logits are the batch's own, to be overwritten. */
static spar_status go_on(crowd *c, place *p, const float *logits) {
    int32_t token = spar__special_forced(&c->special, p->count, p->count - p->begin, c->o->max_tokens);
    if (token < 0) {
        spar__special_forbid(&c->special, p->text, p->count, p->begin, (float *)logits);
        SPAR_TRY(spar_sampler_pick(c->sampler, logits, p->text, p->count, &token));
    }
    if (spar__special_ends(&c->special, token)) return finish(c, p, "eos");
    p->text[p->count++] = token;
    bool enough = p->count > c->context || (c->o->max_tokens > 0 && p->count - p->begin >= (size_t)c->o->max_tokens);
    return enough ? finish(c, p, "length") : SPAR_OK;
}

static spar_status step(crowd *c) {
    size_t n = 0;
    for (int i = 0; i < c->n_places; i++) {
        place *p = &c->places[i];
        if (!p->busy && c->next < c->n_prompts && !worth_waiting(c)) SPAR_TRY(begin(c, i));
        if (!p->busy) continue;
        /* Pieces of a prompt end where those of a session do. */
        size_t left = p->count - p->fed, count = left < c->chunk ? left : c->chunk;
        c->items[n] = (spar_batch_item){.slot = i, .tokens = p->text + p->fed, .count = count};
        c->of_item[n++] = i;
    }
    SPAR_TRY(spar_batch_feed(c->batch, c->items, n));
    for (size_t k = 0; k < n; k++) {
        place *p = &c->places[c->of_item[k]];
        p->fed += c->items[k].count;
        if (p->fed == p->count) SPAR_TRY(go_on(c, p, c->items[k].logits));
    }
    return SPAR_OK;
}

static bool working(const crowd *c) {
    for (int i = 0; i < c->n_places; i++)
        if (c->places[i].busy) return true;
    return c->next < c->n_prompts;
}

static spar_status prepare(crowd *c, const spar_model *model, const spar_session_options *session) {
    c->context = (size_t)(session->context ? session->context : spar_model_context(model));
    c->chunk = (size_t)session->chunk < c->context ? (size_t)session->chunk : c->context;
    SPAR_TRY(spar__special_read(model, c->o->ignore_eos, &c->special));
    SPAR_TRY(spar_sampler_create(&c->o->sampler, spar_model_vocab_size(model), &c->sampler));
    SPAR_TRY(spar_batch_create(model, session, c->n_places, &c->batch));
    c->places = spar__array((size_t)c->n_places, sizeof *c->places);
    c->items = spar__array((size_t)c->n_places, sizeof *c->items);
    c->of_item = spar__array((size_t)c->n_places, sizeof *c->of_item);
    if (!c->places || !c->items || !c->of_item) return SPAR_ERR_MEMORY;
    for (int i = 0; i < c->n_places; i++)
        if (!(c->places[i].text = spar__array(c->context + 1, sizeof(int32_t)))) return SPAR_ERR_MEMORY;
    return SPAR_OK;
}

spar_status spar_generate_together(const spar_model *model, const spar_session_options *session, int sequences,
                                   const spar_prompt *prompts, size_t n, const spar_together_options *options,
                                   size_t *reused) {
    crowd c = {.o = options, .prompts = prompts, .n_prompts = n, .n_places = sequences};
    spar_status status = prepare(&c, model, session);
    while (!status && working(&c)) status = step(&c);
    if (!status && reused) *reused = c.reused;
    for (int i = 0; c.places && i < sequences; i++) spar__free(c.places[i].text);
    spar__free(c.places);
    spar__free(c.items);
    spar__free(c.of_item);
    spar__special_free(&c.special);
    spar_sampler_free(c.sampler);
    spar_batch_free(c.batch);
    return status;
}
