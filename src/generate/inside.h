/* The inside of a session, shared by the files that keep it. */
#ifndef SPAR_GENERATE_INSIDE_H
#define SPAR_GENERATE_INSIDE_H

#include "generate/session.h"
#include "model/model.h"

struct spar_session {
    const spar_model *model;
    struct spar__cache *cache;
    spar__arena *arena;
    int32_t *positions; /* [chunk] */
    int32_t *tokens;    /* [context] fed so far */
    float *logits;      /* [vocab_size] */
    float *each;        /* [n_each, vocab_size], or NULL */
    size_t n_each;
    int64_t context, chunk, position, source, layers;
    int64_t longest; /* position has been */
    spar__type type;
    uint64_t fingerprint; /* of the model; 0 = not asked for yet (saved.c) */
};

#endif
