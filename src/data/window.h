/* A sliding window of valid UTF-8 over a stream. */
#ifndef SPAR_DATA_WINDOW_H
#define SPAR_DATA_WINDOW_H

#include "data/stream.h"

typedef struct spar__window {
    spar__stream *stream; /* NULL = nothing open */
    const char *path;
    bool replace; /* invalid sequences become U+FFFD */
    bool at_end;  /* of the stream; what is in the window is the rest */
    bool begun;
    char *bytes; /* [start, end) is what is there */
    size_t start, end, capacity;
    uint64_t offset; /* in the stream, of the first unchecked byte */
    unsigned char raw[1 << 16];
    size_t unchecked; /* at the front of raw: a character not yet whole */
} spar__window;

spar_status spar__window_open(spar__window *window, const char *path, int fd, bool replace);
void spar__window_close(spar__window *window); /* keeps the memory for the next file */
void spar__window_free(spar__window *window);

/* Reads on until `need` bytes are there or the stream is at its end. */
spar_status spar__window_fill(spar__window *window, size_t need);

static inline const char *spar__window_text(const spar__window *w) {
    return w->bytes + w->start;
}
static inline size_t spar__window_length(const spar__window *w) {
    return w->end - w->start;
}
static inline void spar__window_skip(spar__window *w, size_t n) {
    w->start += n;
}

#endif
