/* Text that is made from other text, and the way back: which bytes of the source each byte came
 * from. The way back is kept only where it is wanted (offsets), so that encoding costs nothing. */
#ifndef SPAR_TOKEN_TRACE_H
#define SPAR_TOKEN_TRACE_H

#include "base/buffer.h"

typedef struct spar__span {
    size_t begin, end;
} spar__span;

typedef struct spar__text {
    spar__buffer bytes;
    spar__span *spans; /* one for each byte, when `tracked` */
    size_t span_capacity;
    bool tracked;
} spar__text;

static inline spar__text spar__text_make(bool tracked) {
    return (spar__text){.bytes = spar__buffer_make(SIZE_MAX), .tracked = tracked};
}
void spar__text_free(spar__text *text);
spar_status spar__text_mark(spar__text *text, size_t length, size_t begin, size_t end);

/* Appends bytes that stand for input[begin … end). */
static inline spar_status spar__text_add(spar__text *text, const char *bytes, size_t length,
                                         size_t begin, size_t end) {
    if (text->tracked) SPAR_TRY(spar__text_mark(text, length, begin, end));
    return spar__buffer_add(&text->bytes, bytes, length);
}
/* Appends input[begin … end) as it is. */
spar_status spar__text_copy(spar__text *text, const char *input, size_t begin, size_t end);
/* Takes bytes off the end. */
static inline void spar__text_drop(spar__text *text, size_t length) { text->bytes.length -= length; }

/* A text within another one: where its bytes are in the one under it. */
typedef struct spar__view {
    const char *text;
    size_t length;
    const spar__span *spans; /* NULL: byte for byte */
    size_t shift;            /* added to spans: where the part begins in `under` */
    const struct spar__view *under; /* NULL: the source */
} spar__view;

/* The source's bytes of [begin … end), pointers into view->text. */
spar__span spar__view_source(const spar__view *view, const char *begin, const char *end);

#endif
