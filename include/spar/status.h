/* Status values: what every fallible function of Spar returns.
 *
 * The library never exits, prints or aborts. A function that can fail returns a spar_status and
 * writes its outputs last, so that on failure they are as they were. The text of the newest
 * failure on the calling thread is kept until the next failure on that thread. */
#ifndef SPAR_STATUS_H
#define SPAR_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The one list of error names: X(NAME, text). SPAR_OK is 0; values never change meaning. */
#define SPAR_STATUS_MAP(X)                                                                         \
    X(MEMORY, "out of memory")                                                                     \
    X(IO, "input or output failed")                                                                \
    X(FORMAT, "malformed file")                                                                    \
    X(CONFIG, "bad configuration")                                                                 \
    X(ARGUMENT, "bad argument")                                                                    \
    X(LIMIT, "limit exceeded")                                                                     \
    X(UNSUPPORTED, "not supported")                                                                \
    X(NUMERIC, "a number is not finite")                                                           \
    X(INTERRUPTED, "interrupted")                                                                  \
    X(NOT_FOUND, "not found")

typedef enum spar_status {
    SPAR_OK = 0,
#define SPAR_STATUS_ENUM(name, text) SPAR_ERR_##name,
    SPAR_STATUS_MAP(SPAR_STATUS_ENUM)
#undef SPAR_STATUS_ENUM
} spar_status;

/* The general text of a status ("malformed file"); never NULL. Any thread. */
const char *spar_status_text(spar_status status);

/* The one-line message of the newest failure on this thread: it names the file, key or option,
 * what was found and what was expected. "" before the first failure. Owned by the library, valid
 * until the next failure on this thread. */
const char *spar_error(void);

#ifdef __cplusplus
}
#endif
#endif
