/* Prompt look-up decoding (Saxena 2023; Leviathan et al. 2022, arXiv 2211.17192, with the text itself
 * as the draft model): where the newest tokens have occurred before, what followed them then is fed
 * along with the newest token, and the logits after each are kept. A draft is used exactly when it
 * is the token that is picked anyway, so the text is the same as without, greedy or sampled. */
#include <string.h>

#include "base/status.h"

#include "generate/lookup.h"
#include "generate/session.h"

enum { LONGEST_MATCH = 4 };

/* The tokens after the latest earlier occurrence of the last `n` tokens, n from 4 to 1. */
static size_t find(const int32_t *history, size_t count, size_t most, int32_t *drafts) {
    for (size_t n = LONGEST_MATCH; n > 1; n--)
        for (size_t at = count > n ? count - n : 0; at-- > 0;) {
            if (memcmp(history + at, history + count - n, n * sizeof *history) != 0) continue;
            size_t found = 0;
            for (size_t i = at + n; i < count && found < most; i++) drafts[found++] = history[i];
            return found;
        }
    return 0;
}

spar_status spar__lookup_feed(spar__lookup *l, spar_session *session, const int32_t *history, size_t count,
                              const float **logits) {
    int32_t token = history[count - 1];
    if (l->used < l->n && l->drafts[l->used] == token) {
        l->used++;
        l->accepted++;
        *logits = l->logits + (int64_t)l->used * l->vocab_size;
        return SPAR_OK;
    }
    if (l->used < l->n)
        SPAR_TRY(spar_session_cut(session, spar_session_position(session) - (int64_t)(l->n - l->used)));
    int32_t tokens[1 + SPAR__DRAFTS] = {token};
    int64_t room = spar_session_context(session) - spar_session_position(session) - 1;
    size_t most = room < SPAR__DRAFTS ? (size_t)(room > 0 ? room : 0) : SPAR__DRAFTS;
    if (most > spar__session_each(session)) most = spar__session_each(session);
    l->used = 0;
    l->n = find(history, count, most, l->drafts);
    l->drafted += l->n;
    memcpy(tokens + 1, l->drafts, l->n * sizeof *tokens);
    l->vocab_size = spar_model_vocab_size(spar__session_model(session));
    SPAR_TRY(spar_session_feed_each(session, tokens, 1 + l->n, &l->logits));
    *logits = l->logits;
    return SPAR_OK;
}

spar_status spar__lookup_end(spar__lookup *l, spar_session *session) {
    size_t left = l->n - l->used;
    l->n = l->used = 0;
    return left ? spar_session_cut(session, spar_session_position(session) - (int64_t)left) : SPAR_OK;
}
