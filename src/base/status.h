/* Making failures: one line that names file, key or option, what was found, what was expected. */
#ifndef SPAR_BASE_STATUS_H
#define SPAR_BASE_STATUS_H

#include "spar/status.h"

/* Records the message (at most 1023 bytes, control characters shown as '?') and returns `status`:
 * `return spar__fail(SPAR_ERR_FORMAT, "%s: tensor count %llu, at most %llu fit", …);` */
spar_status spar__fail(spar_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the message of the failure under way and returns `status` unchanged. */
spar_status spar__fail_within(spar_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Leaves the enclosing function with the status of `expression` unless it is SPAR_OK. */
#define SPAR_TRY(expression)                                                                       \
    do {                                                                                           \
        spar_status try_status_ = (expression);                                                    \
        if (try_status_ != SPAR_OK) return try_status_;                                            \
    } while (0)

/* The same for functions that clean up: needs a local `spar_status status` and a label. */
#define SPAR_TRY_GOTO(label, expression)                                                           \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (status != SPAR_OK) goto label;                                                         \
    } while (0)

#endif
