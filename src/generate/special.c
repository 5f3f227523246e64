#include <math.h>

#include "generate/special.h"

static size_t read_ids(const spar_model *m, const char *key, int32_t *ids, size_t n) {
    return n + spar_model_special(m, key, ids + n, SPAR__MOST_SPECIAL - n);
}

static int32_t read_one(const spar_model *m, const char *key) {
    int32_t id;
    return spar_model_special(m, key, &id, 1) && id >= 0 && id < spar_model_vocab_size(m) ? id : -1;
}

void spar__special_read(const spar_model *m, bool ignored, spar__special *out) {
    *out = (spar__special){.forced_first = -1, .forced_last = -1};
    if (ignored) return;
    out->n_ends = read_ids(m, "eos_token_id", out->ends, 0);
    out->n_banned = read_ids(m, "bad_words_ids", out->banned, 0);
    out->n_banned = read_ids(m, "suppress_tokens", out->banned, out->n_banned);
    out->n_not_first = read_ids(m, "begin_suppress_tokens", out->not_first, 0);
    out->forced_first = read_one(m, "forced_bos_token_id");
    out->forced_last = read_one(m, "forced_eos_token_id");
    for (size_t i = 0; i < out->n_banned; i++)
        if (out->banned[i] >= spar_model_vocab_size(m)) out->banned[i] = -1;
    for (size_t i = 0; i < out->n_not_first; i++)
        if (out->not_first[i] >= spar_model_vocab_size(m)) out->not_first[i] = -1;
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

void spar__special_forbid(const spar__special *s, size_t made, float *logits) {
    for (size_t i = 0; i < s->n_banned; i++)
        if (s->banned[i] >= 0) logits[s->banned[i]] = -INFINITY;
    for (size_t i = 0; made == 0 && i < s->n_not_first; i++)
        if (s->not_first[i] >= 0) logits[s->not_first[i]] = -INFINITY;
}
