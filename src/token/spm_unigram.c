/* The unigram language model (Kudo 2018): the segmentation of highest probability, by Viterbi over
 * the positions of the text. Sums are float32 from left to right and a later path wins only when it
 * is strictly better, as in the reference: on long runs rounding decides between equals. */
#include "token/lattice.h"
#include "token/spm.h"

enum { FAR = 100000 }; /* sums beyond it begin anew, so that a long text costs no precision */

/* Takes the score at `at` off those that are known, which begin there and end at `reach`. */
static void begin_anew(const spar__link *links, float *scores, size_t at, size_t reach) {
    float score = scores[at];
    for (size_t i = at; i <= reach; i++)
        if (i == at || links[i].id != SPAR__NO_PATH) scores[i] -= score;
}

static void forward(const spar__spm *s, const char *text, size_t length, spar__link *links,
                    float *scores) {
    const float *own = s->scores, unknown = s->lowest - 10.0f;
    scores[0] = 0;
    for (size_t at = 0, width, reach = 0; at < length; at += width) {
        if (scores[at] < -FAR || scores[at] > FAR) begin_anew(links, scores, at, reach);
        float so_far = scores[at];
        int32_t state = 0;
        width = spar__spm_width(text + at, length - at);
        bool single = false;
        for (size_t end = at; end < length;) {
            state = spar__trie_step(&s->trie, state, (unsigned char)text[end++]);
            if (state < 0) break;
            int32_t id = spar__trie_value(&s->trie, state);
            if (id < 0) continue;
            float score = own[id] + so_far;
            if (links[end].id == SPAR__NO_PATH || score > scores[end]) {
                links[end] = (spar__link){id, (uint32_t)at};
                scores[end] = score;
            }
            if (end > reach) reach = end;
            single |= end - at == width;
        }
        if (single) continue;
        size_t end = at + width;
        if (links[end].id == SPAR__NO_PATH || unknown + so_far > scores[end]) {
            links[end] = (spar__link){s->unk, (uint32_t)at};
            scores[end] = unknown + so_far;
        }
        if (end > reach) reach = end;
    }
}

spar_status spar__spm_unigram(const spar__spm *s, spar__run *run, const char *text,
                              size_t length) {
    spar__link *links;
    void *scores;
    if (!length) return SPAR_OK;
    SPAR_TRY(spar__lattice_begin(run, length, sizeof(float), &links, &scores));
    forward(s, text, length, links, scores);
    spar__lattice_turn(links, length);
    bool unknown = false;
    for (size_t at = 0; at < length; at = links[at].from) {
        const spar__link *link = &links[at];
        if (link->id == s->unk) {
            SPAR_TRY(spar__spm_unknown(s, run, text + at, link->from - at, unknown));
        } else {
            SPAR_TRY(spar__run_span(run, text + at, text + link->from));
            SPAR_TRY(spar__ids_add(&run->ids, link->id));
        }
        unknown = link->id == s->unk;
    }
    return SPAR_OK;
}
