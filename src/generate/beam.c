/* Beam search (Lowerre 1976; Wu et al. 2016, arXiv 1609.08144): at each step the B best of all continuations of B
 * sequences go on. Twice as many candidates are looked at, so that B remain when others end. */
#include <math.h>
#include <string.h>

#include "generate/session.h"
#include "generate/special.h"
#include "model/model.h"
#include "op/cache.h"
#include "spar/model.h"

static const float NEVER = -1e9f;
enum { MAX_BEAMS = 4096 };

typedef struct beam {
    int32_t *tokens; /* [limit] new ones */
    float score;
    bool finished;
} beam;

typedef struct candidate {
    int parent;
    int32_t token;
    float score;
    bool ends;
} candidate;

typedef struct search {
    const spar_model *model;
    const spar_beam_options *o;
    spar__arena *arena;
    spar__cache *cache; /* slots 0 … B − 1 and B … 2B − 1 take turns */
    int n_beams, width, n_candidates, half; /* candidates looked at, and found */
    int64_t prompt, limit, made; /* tokens of the prompt; most new ones; new ones so far */
    spar__special special;
    int32_t *text; /* [prompt + limit] a beam with its prompt */
    beam *running, *next, *done, *pool; /* [B], [B], [B], [B + candidates] */
    candidate *candidates;
    int32_t *positions, *tokens;
    spar__sequence *sequences;
    float *scores; /* [B, vocabulary] log probabilities, then sums */
    int64_t vocabulary;
    bool can_improve;
} search;

static beam *make_beams(int n, int64_t limit) {
    beam *b = spar__array((size_t)n, sizeof *b);
    for (int i = 0; b && i < n; i++) {
        b[i].score = NEVER;
        if (!(b[i].tokens = spar__array((size_t)limit + 1, sizeof(int32_t)))) return b; /* found by ready() */
    }
    return b;
}

static void free_beams(beam *b, int n) {
    for (int i = 0; b && i < n; i++) spar__free(b[i].tokens);
    spar__free(b);
}

static bool ready(const beam *b, int n) { return b && (n == 0 || b[n - 1].tokens); }

static void release(search *s) {
    free_beams(s->running, s->n_beams);
    free_beams(s->next, s->n_beams);
    free_beams(s->done, s->n_beams);
    free_beams(s->pool, s->n_beams + s->width);
    spar__free(s->candidates);
    spar__free(s->positions);
    spar__free(s->tokens);
    spar__free(s->sequences);
    spar__free(s->scores);
    spar__free(s->text);
    spar__special_free(&s->special);
    spar__cache_free(s->cache);
    spar__arena_free(s->arena);
}

static spar_status create(search *s, int64_t count) {
    const spar_beam_options *o = s->o;
    int64_t context = spar_model_context(s->model), room = context - count;
    spar__type type;
    if (o->beams < 1 || o->beams > MAX_BEAMS)
        return spar__fail(SPAR_ERR_ARGUMENT, "beams: found %lld, expected 1 to %d", (long long)o->beams, MAX_BEAMS);
    if (count < 1 || room < 0)
        return spar__fail(SPAR_ERR_LIMIT, "%lld tokens of a prompt, expected 1 to %lld (the context)", (long long)count,
                          (long long)context);
    if (!spar__type_find(o->cache_type, &type) || !spar__cache_type(type))
        return spar__fail(SPAR_ERR_ARGUMENT, "cache type '%s': expected f32, bf16, f16 or q8_0", o->cache_type);
    if (strcmp(spar_model_architecture(s->model), "encoder") == 0)
        return spar__fail(SPAR_ERR_ARGUMENT, "an encoder cannot continue a sequence");
    s->prompt = count;
    s->limit = o->max_tokens > 0 && o->max_tokens < room + 1 ? o->max_tokens : room + 1;
    SPAR_TRY(spar__special_read(s->model, o->ignore_eos, &s->special));
    s->n_beams = (int)o->beams;
    s->width = s->n_beams * (s->special.n_ends > 1 ? (int)s->special.n_ends + 1 : 2);
    s->vocabulary = spar_model_vocab_size(s->model);
    s->can_improve = true;
    int64_t most = count > s->n_beams ? count : s->n_beams;
    s->running = make_beams(s->n_beams, s->limit);
    s->next = make_beams(s->n_beams, s->limit);
    s->done = make_beams(s->n_beams, s->limit);
    s->pool = make_beams(s->n_beams + s->width, s->limit);
    s->candidates = spar__array((size_t)s->width, sizeof *s->candidates);
    s->positions = spar__array((size_t)most, sizeof *s->positions);
    s->tokens = spar__array((size_t)most, sizeof *s->tokens);
    s->sequences = spar__array((size_t)s->n_beams, sizeof *s->sequences);
    s->scores = spar__array((size_t)(s->n_beams * s->vocabulary), sizeof *s->scores);
    s->text = spar__array((size_t)(count + s->limit), sizeof *s->text);
    s->arena = spar__arena_create(0);
    if (!ready(s->running, s->n_beams) || !ready(s->next, s->n_beams) || !ready(s->done, s->n_beams) ||
        !ready(s->pool, s->n_beams + s->width) || !s->candidates || !s->positions || !s->tokens ||
        !s->sequences || !s->scores || !s->text || !s->arena)
        return SPAR_ERR_MEMORY;
    int64_t length = count + s->limit < context ? count + s->limit : context;
    return spar__model_cache_create(s->model, 2 * s->n_beams, length, count, type, &s->cache);
}

static spar_status read_source(search *s) {
    int64_t n = (int64_t)s->o->n_source;
    if (!n) return SPAR_OK;
    int32_t *positions = spar__array((size_t)n, sizeof *positions);
    if (!positions) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) positions[i] = (int32_t)i;
    spar__sequence sequence = {.count = n};
    spar__rows rows = {.n_rows = n, .n_sequences = 1, .sequences = &sequence, .positions = positions};
    spar__pass pass = {.arena = s->arena, .rows = &rows, .cache = s->cache};
    spar__model_encode(&pass, s->model, &rows, s->o->source);
    spar__free(positions);
    for (int i = 1; !pass.status && i < 2 * s->n_beams; i++) spar__cache_copy(s->cache, 0, i, 0, true);
    return pass.status;
}

/* Log probabilities of a row of logits. */
static void normalise(float *out, const real *logits, int64_t n) {
    real top = logits[0];
    double sum = 0;
    for (int64_t i = 1; i < n; i++) top = logits[i] > top ? logits[i] : top;
    for (int64_t i = 0; i < n; i++) sum += exp((double)(logits[i] - top));
    double log_sum = log(sum);
    for (int64_t i = 0; i < n; i++) out[i] = (float)((double)(logits[i] - top) - log_sum);
}

/* Feeds `count` tokens of each of n sequences; the scores of what may follow. */
static spar_status feed(search *s, int n, int64_t count, int64_t past) {
    for (int i = 0; i < n; i++) {
        s->sequences[i] = (spar__sequence){.begin = i * count,
                                           .count = count,
                                           .past = past,
                                           .slot = s->half * s->n_beams + i,
                                           .source = (int64_t)s->o->n_source};
        for (int64_t t = 0; t < count; t++) s->positions[i * count + t] = (int32_t)(past + t);
    }
    spar__rows rows = {.n_rows = n * count, .n_sequences = n, .sequences = s->sequences, .positions = s->positions};
    spar__pass pass = {.arena = s->arena, .rows = &rows, .cache = s->cache};
    spar__arena_rewind(s->arena, (spar__arena_mark){0});
    spar__tensor *hidden = spar__model_hidden(&pass, s->model, s->tokens);
    if (!hidden) return pass.status;
    int64_t skip = n == 1 ? count - 1 : 0; /* of a prompt only the last row counts */
    spar__tensor last = {.data = spar__data(hidden) + skip * hidden->cols, .rows = n, .cols = hidden->cols};
    spar__tensor *logits = spar__model_logits_of(&pass, s->model, &last);
    for (int i = 0; logits && i < n; i++)
        normalise(s->scores + i * s->vocabulary, spar__data(logits) + i * logits->cols, s->vocabulary);
    return pass.status;
}

/* Scores whose probabilities add up to 1 again. */
static void renormalise(float *row, int64_t n) {
    float top = row[0];
    double sum = 0;
    for (int64_t i = 1; i < n; i++) top = row[i] > top ? row[i] : top;
    for (int64_t i = 0; i < n; i++) sum += exp((double)(row[i] - top));
    for (int64_t i = 0; i < n && isfinite(top); i++) row[i] = (float)((double)(row[i] - top) - log(sum));
}

/* What may not follow a beam, or must. s->text begins with the prompt. */
static void constrain(search *s, const beam *b, float *row) {
    size_t prompt = (size_t)s->prompt, made = (size_t)s->made;
    memcpy(s->text + prompt, b->tokens, made * sizeof *s->text);
    spar__special_forbid(&s->special, s->text, prompt + made, prompt, row);
    int32_t forced = spar__special_forced(&s->special, prompt + made, made, s->limit);
    for (int64_t v = 0; forced >= 0 && v < s->vocabulary; v++) row[v] = v == forced ? 0 : -INFINITY;
    if (s->special.renormalise) renormalise(row, s->vocabulary);
}

/* The best continuations of the running beams, the best first; ties go to the earlier. */
static void find_candidates(search *s) {
    int n = 0;
    for (int b = 0; b < s->n_beams; b++) {
        const float *row = s->scores + (s->made ? b : 0) * s->vocabulary;
        for (int64_t v = 0; v < s->vocabulary; v++) {
            float score = row[v] + s->running[b].score;
            if (n == s->width && !(score > s->candidates[n - 1].score)) continue;
            int at = n < s->width ? n++ : n - 1;
            for (; at > 0 && s->candidates[at - 1].score < score; at--) s->candidates[at] = s->candidates[at - 1];
            s->candidates[at] = (candidate){b, (int32_t)v, score, false};
        }
    }
    for (int i = 0; i < n; i++) {
        candidate *c = &s->candidates[i];
        c->ends = s->made + 1 >= s->limit;
        c->ends |= spar__special_ends(&s->special, c->token);
    }
    s->n_candidates = n;
}

static void extend(const search *s, beam *to, const candidate *c, float score) {
    memcpy(to->tokens, s->running[c->parent].tokens, (size_t)s->made * sizeof *to->tokens);
    to->tokens[s->made] = c->token;
    to->score = score;
}

static void swap(beam *a, beam *b) {
    beam t = *a;
    *a = *b;
    *b = t;
}

/* The B best of those finished before and those that end now among the first B candidates. */
static void update_done(search *s) {
    int n = s->n_beams, all = n + s->n_candidates;
    bool full = true;
    for (int i = 0; i < n; i++) full = full && s->done[i].finished;
    for (int i = 0; i < n; i++) swap(&s->pool[i], &s->done[i]);
    for (int i = 0; i < s->n_candidates; i++) {
        const candidate *c = &s->candidates[i];
        bool ends = c->ends && i < n;
        float score = c->score / powf((float)(s->made + 1), (float)s->o->length_penalty);
        if (full && s->o->early_stopping == SPAR_STOP_EARLY) score += NEVER;
        if (!s->can_improve) score += NEVER;
        if (!ends) score += NEVER;
        beam *to = &s->pool[n + i];
        extend(s, to, c, score);
        to->finished = ends;
        to->tokens[s->limit] = (int32_t)(s->made + 1); /* behind them, how many they are */
    }
    for (int i = 0; i < n; i++) {
        int best = i;
        for (int k = i + 1; k < all; k++)
            if (s->pool[k].score > s->pool[best].score) best = k;
        swap(&s->pool[i], &s->pool[best]);
    }
    for (int i = 0; i < n; i++) swap(&s->pool[i], &s->done[i]);
}

/* The B best that do not end go on, each with a copy of its parent's cache in the other half. */
static void advance(search *s) {
    int taken = 0;
    for (int pass = 0; pass < 2 && taken < s->n_beams; pass++)
        for (int i = 0; i < s->n_candidates && taken < s->n_beams; i++) {
            const candidate *c = &s->candidates[i];
            if (c->ends != (pass == 1)) continue;
            extend(s, &s->next[taken], c, c->ends ? c->score + NEVER : c->score);
            int from = s->half * s->n_beams + (s->made ? c->parent : 0);
            spar__cache_copy(s->cache, from, (1 - s->half) * s->n_beams + taken, s->prompt + s->made, false);
            s->tokens[taken++] = c->token;
        }
    for (; taken < s->n_beams; taken++) { /* fewer words than beams */
        s->next[taken].score = NEVER;
        memcpy(s->next[taken].tokens, s->next[0].tokens, (size_t)(s->made + 1) * sizeof(int32_t));
        spar__cache_copy(s->cache, (1 - s->half) * s->n_beams, (1 - s->half) * s->n_beams + taken, s->prompt + s->made,
                         false);
        s->tokens[taken] = s->tokens[0];
    }
    beam *before = s->running;
    s->running = s->next;
    s->next = before;
    s->half = 1 - s->half;
}

static bool goes_on(search *s) {
    bool all = true, ended = true;
    float worst = INFINITY;
    for (int i = 0; i < s->n_beams; i++) {
        all = all && s->done[i].finished;
        worst = s->done[i].score < worst ? s->done[i].score : worst;
    }
    for (int i = 0; i < s->n_candidates; i++) ended = ended && s->candidates[i].ends;
    bool far = s->o->early_stopping == SPAR_STOP_NEVER && s->o->length_penalty > 0;
    float best = s->running[0].score / powf((float)(far ? s->limit : s->made), (float)s->o->length_penalty);
    bool any = false; /* an unfinished place counts as worse than anything */
    for (int i = 0; i < s->n_beams; i++) any = any || best > (s->done[i].finished ? worst : NEVER);
    s->can_improve = s->can_improve && any;
    return s->can_improve && !(all && s->o->early_stopping == SPAR_STOP_EARLY) && !ended;
}

static spar_status run(search *s, const int32_t *prompt) {
    memcpy(s->tokens, prompt, (size_t)s->prompt * sizeof *prompt);
    memcpy(s->text, prompt, (size_t)s->prompt * sizeof *prompt);
    s->running[0].score = 0;
    SPAR_TRY(read_source(s));
    SPAR_TRY(feed(s, 1, s->prompt, 0));
    for (;;) {
        if (s->o->on_step && s->o->on_step(s->o->context, s->made))
            return spar__fail(SPAR_ERR_INTERRUPTED, "beam search: interrupted");
        for (int b = 0; b < (s->made ? s->n_beams : 1); b++) constrain(s, &s->running[b], s->scores + b * s->vocabulary);
        find_candidates(s);
        update_done(s);
        advance(s);
        s->made++;
        if (!goes_on(s) || s->made >= s->limit) return SPAR_OK;
        SPAR_TRY(feed(s, s->n_beams, 1, s->prompt + s->made - 1));
    }
}

static spar_status give(search *s, spar_beam **out) {
    spar_beam *beams = spar__array((size_t)s->n_beams, sizeof *beams);
    if (!beams) return SPAR_ERR_MEMORY;
    for (int i = 0; i < s->n_beams; i++) {
        int64_t n = s->done[i].tokens[s->limit];
        beams[i] = (spar_beam){.n_tokens = (size_t)n, .score = (double)s->done[i].score};
        beams[i].tokens = (int32_t *)(void *)spar__copy_bytes((const char *)s->done[i].tokens, (size_t)n * sizeof(int32_t));
        if (!beams[i].tokens) {
            spar_beams_free(beams, s->n_beams);
            return SPAR_ERR_MEMORY;
        }
    }
    *out = beams;
    return SPAR_OK;
}

spar_status spar_beam_search(const spar_model *model, const int32_t *prompt, size_t count,
                             const spar_beam_options *options, spar_beam **out) {
    search s = {.model = model, .o = options};
    spar_status status = create(&s, (int64_t)count);
    if (!status) status = run(&s, prompt);
    if (!status) status = give(&s, out);
    release(&s);
    return status;
}

void spar_beams_free(spar_beam *beams, int64_t n) {
    for (int64_t i = 0; beams && i < n; i++) spar__free(beams[i].tokens);
    spar__free(beams);
}
