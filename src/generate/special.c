#include "generate/special.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "spar/session.h"

static size_t read_ids(const spar_model *m, const char *key, int32_t *ids, size_t n) {
    return n + spar_model_special(m, key, ids + n, SPAR__MOST_SPECIAL - n);
}

static int32_t read_one(const spar_model *m, const char *key) {
    int32_t id;
    return spar_model_special(m, key, &id, 1) && id >= 0 && id < spar_model_vocab_size(m) ? id : -1;
}

static int64_t read_count(const spar_model *m, const char *key) {
    const json_t *value = spar__model_generation(m, key);
    return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

/* Only ids of the vocabulary, in their order. */
static size_t within(const spar__special *s, int32_t *ids, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < s->vocabulary) ids[kept++] = ids[i];
    return kept;
}

/* An end is never a bad word. */
static size_t without_ends(const spar__special *s, int32_t *ids, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!spar__special_ends(s, ids[i])) ids[kept++] = ids[i];
    return kept;
}

spar_status spar__special_read(const spar_model *m, bool ignored, spar__special *out) {
    *out = (spar__special){.forced_first = -1, .forced_last = -1, .penalty = 1, .vocabulary = spar_model_vocab_size(m)};
    if (ignored) return SPAR_OK;
    out->n_ends = read_ids(m, "eos_token_id", out->ends, 0);
    out->n_banned = without_ends(out, out->banned, read_ids(m, "bad_words_ids", out->banned, 0));
    out->n_banned = within(out, out->banned, read_ids(m, "suppress_tokens", out->banned, out->n_banned));
    out->n_not_first = within(out, out->not_first, read_ids(m, "begin_suppress_tokens", out->not_first, 0));
    out->forced_first = read_one(m, "forced_bos_token_id");
    out->forced_last = read_one(m, "forced_eos_token_id");
    out->sequences = spar__model_generation(m, "bad_words_ids");
    out->least_new = read_count(m, "min_new_tokens");
    out->least = out->least_new ? 0 : read_count(m, "min_length");
    out->ngram = read_count(m, "no_repeat_ngram_size");
    out->renormalise = json_is_true(spar__model_generation(m, "renormalize_logits"));
    double penalty = json_number_value(spar__model_generation(m, "repetition_penalty"));
    if (!(penalty > 0) || penalty == 1) return SPAR_OK;
    out->penalty = penalty;
    out->seen = spar__array((size_t)out->vocabulary, sizeof *out->seen);
    return out->seen ? SPAR_OK : SPAR_ERR_MEMORY;
}

void spar__special_free(spar__special *s) {
    spar__free(s->seen);
    s->seen = NULL;
}

bool spar__special_ends(const spar__special *s, int32_t token) {
    for (size_t i = 0; i < s->n_ends; i++)
        if (s->ends[i] == token) return true;
    return false;
}

int32_t spar__special_forced(const spar__special *s, size_t before, size_t made, int64_t limit) {
    if (limit > 0 && made + 1 == (size_t)limit && s->forced_last >= 0) return s->forced_last;
    return before == 1 ? s->forced_first : -1;
}

static void forbid(const spar__special *s, int64_t token, float *logits) {
    if (token >= 0 && token < s->vocabulary) logits[token] = -INFINITY;
}

/* Keskar et al. 2019, arXiv 1909.05858. */
static void penalise(const spar__special *s, const int32_t *tokens, size_t count, float *logits) {
    for (size_t i = 0; i < count; i++) {
        int32_t t = tokens[i];
        if (t < 0 || t >= s->vocabulary || s->seen[t]) continue;
        s->seen[t] = true;
        logits[t] = logits[t] < 0 ? logits[t] * (float)s->penalty : logits[t] / (float)s->penalty;
    }
    for (size_t i = 0; i < count; i++)
        if (tokens[i] >= 0 && tokens[i] < s->vocabulary) s->seen[tokens[i]] = false;
}

/* What followed the last n − 1 tokens before. */
static void forbid_repeats(const spar__special *s, const int32_t *tokens, size_t count, float *logits) {
    size_t n = (size_t)s->ngram;
    if (count + 1 < n) return;
    const int32_t *last = tokens + count - (n - 1);
    for (size_t i = 0; i + n <= count; i++)
        if (memcmp(tokens + i, last, (n - 1) * sizeof *tokens) == 0) forbid(s, tokens[i + n - 1], logits);
}

static void forbid_sequence(const spar__special *s, const json_t *sequence, const int32_t *tokens, size_t count,
                            float *logits) {
    size_t n = json_array_size(sequence);
    if (n < 2 || n - 1 > count) return;
    for (size_t i = 0; i + 1 < n; i++)
        if (json_integer_value(json_array_get(sequence, i)) != tokens[count - (n - 1) + i]) return;
    forbid(s, json_integer_value(json_array_get(sequence, n - 1)), logits);
}

void spar__special_forbid(const spar__special *s, const int32_t *tokens, size_t count, size_t prompt, float *logits) {
    size_t made = count - prompt;
    if (s->penalty != 1) penalise(s, tokens, count, logits);
    if (s->ngram) forbid_repeats(s, tokens, count, logits);
    for (size_t i = 0; i < json_array_size(s->sequences); i++)
        forbid_sequence(s, json_array_get(s->sequences, i), tokens, count, logits);
    for (size_t i = 0; i < s->n_banned; i++) logits[s->banned[i]] = -INFINITY;
    bool early = count < (size_t)s->least || made < (size_t)s->least_new;
    for (size_t i = 0; early && i < s->n_ends; i++) forbid(s, s->ends[i], logits);
    bool first = made == (prompt == 1 && s->forced_first >= 0); /* the first that is not forced */
    for (size_t i = 0; first && i < s->n_not_first; i++) logits[s->not_first[i]] = -INFINITY;
}

void spar_beam_options_read(const spar_model *m, spar_beam_options *o) {
    int64_t beams = read_count(m, "num_beams"), fresh = read_count(m, "max_new_tokens"), all = read_count(m, "max_length");
    const json_t *penalty = spar__model_generation(m, "length_penalty"), *stop = spar__model_generation(m, "early_stopping");
    if (beams > 1) o->beams = beams;
    if (fresh) o->max_tokens = fresh;
    else if (all > 1 && strcmp(spar_model_architecture(m), "encoder-decoder") == 0) o->max_tokens = all - 1;
    if (json_is_number(penalty)) o->length_penalty = json_number_value(penalty);
    if (json_is_true(stop)) o->early_stopping = SPAR_STOP_EARLY;
    if (json_is_string(stop) && strcmp(json_string_value(stop), "never") == 0) o->early_stopping = SPAR_STOP_NEVER;
}
