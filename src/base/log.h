/* Speaking to the receivers of spar/log.h. */
#ifndef SPAR_BASE_LOG_H
#define SPAR_BASE_LOG_H

#include "base/status.h"
#include "spar/log.h"

void spar__log(spar_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reports to `progress` (NULL is fine); SPAR_ERR_INTERRUPTED when the receiver wants a stop. */
spar_status spar__progress(const spar_progress *progress, const char *what, uint64_t done,
                           uint64_t total, const char *text);

#endif
