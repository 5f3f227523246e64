/* Drafts: tokens that are fed along with the newest one because they may well follow it. */
#ifndef SPAR_GENERATE_LOOKUP_H
#define SPAR_GENERATE_LOOKUP_H

#include "spar/session.h"

/* Tokens that followed the latest earlier occurrence of the last tokens: at most `most`; how many. */
size_t spar__lookup(const int32_t *history, size_t count, size_t most, int32_t *drafts);

#endif
