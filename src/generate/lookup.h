/* Decoding with drafts from the text itself. */
#ifndef SPAR_GENERATE_LOOKUP_H
#define SPAR_GENERATE_LOOKUP_H

#include "spar/session.h"

/* Products and attention of so few rows, the token included, have the same bits as those of one. */
enum { SPAR__DRAFTS = 2 };

typedef struct spar__lookup {
    int32_t drafts[SPAR__DRAFTS];
    size_t n, used;
    const float *logits; /* after the token and after each draft */
    int64_t vocab_size;
    uint64_t drafted, accepted;
} spar__lookup; /* begins as zeros */

/* *logits after the last token of the history, which alone is not fed yet (or only as a draft). */
spar_status spar__lookup_feed(spar__lookup *lookup, spar_session *session, const int32_t *history,
                              size_t count, const float **logits);
/* Cuts drafts that were not used off the session. */
spar_status spar__lookup_end(spar__lookup *lookup, spar_session *session);

#endif
