/* What generation needs of a session beyond its public face. */
#ifndef SPAR_GENERATE_SESSION_H
#define SPAR_GENERATE_SESSION_H

#include "spar/session.h"

const spar_model *spar__session_model(const spar_session *session);
/* How many tokens can be fed and taken back again. */
size_t spar__session_chunk(const spar_session *session); /* tokens of a prompt that are processed at once */
size_t spar__session_each(const spar_session *session);

#endif
