/* Where the library's remarks go: it never prints. */
#ifndef SPAR_LOG_H
#define SPAR_LOG_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum spar_log_level { SPAR_LOG_INFO, SPAR_LOG_WARNING } spar_log_level;

/* Receives one line, without a newline. Called on whichever thread speaks. */
typedef void (*spar_log_function)(void *context, spar_log_level level, const char *line);

/* Sets the process's receiver; NULL (the start) drops everything. Not while other threads work. */
void spar_log_set(spar_log_function function, void *context);

/* How far a long piece of work is. `text` may carry more ("loss 3.21"), or be "". Return nonzero
 * to have the work stop soon with SPAR_ERR_INTERRUPTED. */
typedef struct spar_progress {
    int (*report)(void *context, const char *what, uint64_t done, uint64_t total, const char *text);
    void *context;
} spar_progress;

#ifdef __cplusplus
}
#endif
#endif
