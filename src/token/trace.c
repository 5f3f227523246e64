#include "token/trace.h"

void spar__text_free(spar__text *t) {
    spar__buffer_free(&t->bytes);
    spar__free(t->spans);
    t->spans = NULL;
    t->span_capacity = 0;
}

static spar_status reserve(spar__text *t, size_t more) {
    size_t need;
    if (!spar__add(t->bytes.length, more, &need) || need > SIZE_MAX / 4)
        return spar__fail(SPAR_ERR_LIMIT, "text of more than %zu bytes", SIZE_MAX / 4);
    if (need <= t->span_capacity) return SPAR_OK;
    size_t capacity = need < 128 ? 256 : need * 2;
    spar__span *spans = spar__resize(t->spans, capacity, sizeof *spans);
    if (!spans) return SPAR_ERR_MEMORY;
    t->spans = spans;
    t->span_capacity = capacity;
    return SPAR_OK;
}

spar_status spar__text_mark(spar__text *t, size_t length, size_t begin, size_t end) {
    SPAR_TRY(reserve(t, length));
    for (size_t i = 0; i < length; i++)
        t->spans[t->bytes.length + i] = (spar__span){begin, end};
    return SPAR_OK;
}

spar_status spar__text_copy(spar__text *t, const char *input, size_t begin, size_t end) {
    if (t->tracked) {
        SPAR_TRY(reserve(t, end - begin));
        for (size_t i = begin; i < end; i++)
            t->spans[t->bytes.length + i - begin] = (spar__span){i, i + 1};
    }
    return spar__buffer_add(&t->bytes, input + begin, end - begin);
}

spar__span spar__view_source(const spar__view *view, const char *from, const char *to) {
    size_t begin = (size_t)(from - view->text), end = (size_t)(to - view->text);
    for (; view; view = view->under) {
        if (view->spans && begin < end) {
            end = view->spans[end - 1].end;
            begin = view->spans[begin].begin;
        } else if (view->spans) { /* a place between bytes */
            begin = end = begin < view->length ? view->spans[begin].begin
                          : view->length       ? view->spans[view->length - 1].end
                                               : 0;
        }
        begin += view->shift;
        end += view->shift;
    }
    return (spar__span){begin, end < begin ? begin : end};
}
