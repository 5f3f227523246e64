#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

const char *spar_status_text(spar_status status) {
    switch (status) {
    case SPAR_OK: return "success";
#define TEXT(name, text)                                                                           \
    case SPAR_ERR_##name: return text;
        SPAR_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "unknown status";
}

const char *spar_error(void) { return message; }

/* Messages quote bytes of hostile files: keep them on one line and off the terminal's controls. */
static void tame(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

spar_status spar__fail(spar_status status, const char *format, ...) {
    char text[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tame(text);
    memcpy(message, text, sizeof message);
    return status;
}

spar_status spar__fail_within(spar_status status, const char *format, ...) {
    char text[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return spar__fail(status, "%.500s: %.520s", text, message);
}
