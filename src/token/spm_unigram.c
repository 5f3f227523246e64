/* The unigram language model (Kudo 2018): the segmentation of highest probability, by Viterbi over
 * the positions of the text. Sums are float32 from left to right and a later path wins only when it
 * is strictly better, as in the reference: on long runs rounding decides between equals. Where every
 * path passes, the sum begins anew, so that a long text costs no precision. */
#include "token/spm.h"

typedef struct node {
    float score; /* of the best path that ends here */
    int32_t id;  /* its last piece, −1 while no path is known */
    uint32_t from;
} node;

static void offer(node *to, float score, int32_t id, size_t from, bool first) {
    if (first || score > to->score) *to = (node){score, id, (uint32_t)from};
}

static void forward(const spar__spm *s, const char *text, size_t length, node *nodes) {
    const spar__trie_unit *units = s->trie.units;
    for (size_t at = 0, width, reach = 0; at < length; at += width) {
        if (reach <= at) nodes[at].score = 0;
        float so_far = nodes[at].score;
        bool single = false;
        int32_t state = 0;
        width = spar__spm_width(text + at, length - at);
        for (size_t end = at; end < length;) {
            state = spar__trie_step(&s->trie, state, (unsigned char)text[end++]);
            if (state < 0) break;
            int32_t id = units[state].value;
            if (id < 0 || s->pieces[id].type == SPAR__SPM_UNUSED) continue;
            float score = s->pieces[id].type == SPAR__SPM_USER
                              ? (float)((float)(end - at) * s->highest - 0.1)
                              : s->pieces[id].score;
            offer(&nodes[end], score + so_far, id, at, nodes[end].id < 0);
            if (end > reach) reach = end;
            if (end - at == width) single = true;
        }
        if (!single) {
            node *to = &nodes[at + width];
            offer(to, s->lowest - 10.0f + so_far, s->unk, at, to->id < 0);
            if (at + width > reach) reach = at + width;
        }
    }
}

spar_status spar__spm_unigram(const spar__spm *s, spar__run *run, const char *text,
                              size_t length) {
    size_t bytes;
    if (length >= UINT32_MAX || !spar__mul(length + 1, sizeof(node), &bytes))
        return spar__fail(SPAR_ERR_LIMIT, "text of %zu bytes is too long", length);
    if (!length) return SPAR_OK;
    if (bytes > run->scratch_bytes) {
        spar__free(run->scratch);
        run->scratch_bytes = 0;
        run->scratch = spar__alloc(bytes);
        if (!run->scratch) return SPAR_ERR_MEMORY;
        run->scratch_bytes = bytes;
    }
    node *nodes = run->scratch;
    for (size_t i = 0; i <= length; i++) nodes[i] = (node){0, -1, 0};
    forward(s, text, length, nodes);
    /* Turns the links around: from[i] is then where the piece that begins at i ends. */
    size_t ahead = length, at = nodes[length].from;
    int32_t id = nodes[length].id;
    for (;;) {
        node was = nodes[at];
        nodes[at].from = (uint32_t)ahead;
        nodes[at].id = id;
        if (!at) break;
        ahead = at;
        id = was.id;
        at = was.from;
    }
    bool unknown = false;
    for (at = 0; at < length; at = nodes[at].from) {
        if (nodes[at].id == s->unk) {
            SPAR_TRY(spar__spm_unknown(s, run, text + at, nodes[at].from - at, unknown));
            unknown = true;
        } else {
            SPAR_TRY(spar__run_span(run, text + at, text + nodes[at].from));
            SPAR_TRY(spar__ids_add(&run->ids, nodes[at].id));
            unknown = false;
        }
    }
    return SPAR_OK;
}
