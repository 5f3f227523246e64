#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static spar_log_function receiver;
static void *receiver_context;

void spar_log_set(spar_log_function function, void *context) {
    receiver = function;
    receiver_context = context;
}

void spar__log(spar_log_level level, const char *format, ...) {
    if (!receiver) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    receiver(receiver_context, level, line);
}

spar_status spar__progress(const spar_progress *progress, const char *what, uint64_t done,
                           uint64_t total, const char *text) {
    if (!progress || !progress->report) return SPAR_OK;
    if (!progress->report(progress->context, what, done, total, text)) return SPAR_OK;
    return spar__fail(SPAR_ERR_INTERRUPTED, "%s: interrupted", what);
}
