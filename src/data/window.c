#include "data/window.h"

#include <string.h>

#include "base/text.h"

spar_status spar__window_open(spar__window *w, const char *path, int fd, bool replace) {
    w->path = path;
    w->replace = replace;
    w->at_end = w->begun = false;
    w->start = w->end = w->unchecked = 0;
    w->offset = 0;
    return spar__stream_open(path, fd, &w->stream);
}

void spar__window_close(spar__window *w) {
    spar__stream_close(w->stream);
    w->stream = NULL;
}

void spar__window_free(spar__window *w) {
    spar__window_close(w);
    spar__free(w->bytes);
    w->bytes = NULL;
    w->capacity = w->start = w->end = 0;
}

static spar_status reserve(spar__window *w, size_t more) {
    if (more <= w->capacity - w->end) return SPAR_OK;
    size_t length = w->end - w->start;
    if (length) memmove(w->bytes, w->bytes + w->start, length);
    w->start = 0;
    w->end = length;
    if (more <= w->capacity - length) return SPAR_OK;
    size_t need, doubled;
    if (!spar__add(length, more, &need) || !spar__mul(need, 2, &doubled))
        return spar__fail(SPAR_ERR_LIMIT, "%s: text too long", w->path);
    char *bytes = spar__resize(w->bytes, doubled, 1);
    if (!bytes) return SPAR_ERR_MEMORY;
    w->bytes = bytes;
    w->capacity = doubled;
    return SPAR_OK;
}

/* Bytes at the front that are whole, valid characters. */
static size_t valid_prefix(const unsigned char *p, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (n - i >= 8 && (memcpy(&eight, p + i, 8), !(eight & 0x8080808080808080u))) i += 8;
        if (i == n) break;
        uint32_t code;
        int size = spar__utf8_decode(p + i, n - i, &code);
        if (!size) break;
        i += (size_t)size;
    }
    return i;
}

static void add(spar__window *w, const void *bytes, size_t n) {
    memcpy(w->bytes + w->end, bytes, n);
    w->end += n;
}

/* Moves raw[0 … n) into the window as far as whole characters go. */
static spar_status check(spar__window *w, size_t n, bool last) {
    SPAR_TRY(reserve(w, 3 * n));
    size_t i = 0;
    if (!w->begun && n >= 3 && !memcmp(w->raw, "\xef\xbb\xbf", 3)) i = 3; /* byte order mark */
    w->begun = true;
    while (i < n) {
        size_t good = valid_prefix(w->raw + i, n - i);
        add(w, w->raw + i, good);
        i += good;
        if (i == n) break;
        if (!last && spar__utf8_incomplete((const char *)w->raw + i, n - i) == n - i) break;
        if (!w->replace)
            return spar__fail(SPAR_ERR_FORMAT,
                              "%s: byte offset %llu: found 0x%02x, expected valid UTF-8", w->path,
                              (unsigned long long)(w->offset + i), w->raw[i]);
        int bad = spar__utf8_bad(w->raw + i, n - i);
        add(w, "\xef\xbf\xbd", 3);
        i += bad > 0 ? (size_t)bad : 1;
    }
    w->offset += i;
    w->unchecked = n - i;
    memmove(w->raw, w->raw + i, n - i);
    return SPAR_OK;
}

spar_status spar__window_fill(spar__window *w, size_t need) {
    while (!w->at_end && w->end - w->start < need) {
        size_t room = sizeof w->raw - w->unchecked, got;
        SPAR_TRY(spar__stream_read(w->stream, w->raw + w->unchecked, room, &got));
        bool last = got < room;
        SPAR_TRY(check(w, w->unchecked + got, last));
        w->at_end = last;
    }
    return SPAR_OK;
}
