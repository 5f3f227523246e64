#include "token/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "token/unicode.h"

static int compare(const void *a, const void *b) {
    const spar__added_token *s = a, *t = b;
    size_t n = s->length < t->length ? s->length : t->length;
    int order = memcmp(s->text, t->text, n);
    return order ? order : (s->length > t->length) - (s->length < t->length);
}

spar_status spar__added_prepare(spar__added *a) {
    if (a->count) qsort(a->tokens, a->count, sizeof *a->tokens, compare);
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        const spar__added_token *t = &a->tokens[i];
        if (!t->length || t->length > SPAR__MAX_ADDED)
            return spar__fail(SPAR_ERR_LIMIT, "added token %d: %zu bytes, expected 1 to %d", t->id,
                              t->length, SPAR__MAX_ADDED);
        if (n && !compare(&a->tokens[n - 1], t) && a->tokens[n - 1].normalized == t->normalized) {
            spar__free(a->tokens[i].owned);
            continue;
        }
        a->tokens[n++] = *t;
    }
    a->count = n;
    size_t at = 0;
    for (int byte = 0; byte < 256; byte++) {
        a->first[byte] = at;
        while (at < n && (unsigned char)a->tokens[at].text[0] == byte) at++;
    }
    a->first[256] = n;
    for (size_t i = 0; i < n; i++)
        *(a->tokens[i].normalized ? &a->any_normalized : &a->any_plain) = true;
    return SPAR_OK;
}

void spar__added_free(spar__added *a) {
    for (size_t i = 0; i < a->count; i++) spar__free(a->tokens[i].owned);
    spar__free(a->tokens);
    *a = (spar__added){0};
}

/* Narrows [low, high) of the sorted list, whose tokens agree in their first `depth` bytes, to those
 * with `byte` next. */
static void narrow(const spar__added *a, size_t depth, unsigned char byte, size_t *low,
                   size_t *high) {
    size_t l = *low, h = *high;
    while (l < h) { /* first whose next byte is >= byte; ended tokens sort first */
        size_t m = l + (h - l) / 2;
        const spar__added_token *t = &a->tokens[m];
        if (t->length <= depth || (unsigned char)t->text[depth] < byte) l = m + 1;
        else h = m;
    }
    *low = l;
    h = *high;
    while (l < h) {
        size_t m = l + (h - l) / 2;
        if ((unsigned char)a->tokens[m].text[depth] <= byte) l = m + 1;
        else h = m;
    }
    *high = l;
}

static bool word_before(const char *text, size_t at) {
    if (!at) return false;
    size_t begin = at - 1;
    while (begin && at - begin < 4 && ((unsigned char)text[begin] & 0xC0) == 0x80) begin--;
    uint32_t c;
    return spar__utf8_decode((const unsigned char *)text + begin, at - begin, &c) &&
           spar__char_word(c);
}

static bool word_after(const char *text, size_t at, size_t length) {
    uint32_t c;
    return spar__utf8_decode((const unsigned char *)text + at, length - at, &c) &&
           spar__char_word(c);
}

static const spar__added_token *longest_at(const spar__added *a, bool normalized, const char *text,
                                           size_t at, size_t length) {
    unsigned char byte = (unsigned char)text[at];
    size_t low = a->first[byte], high = a->first[byte + 1], depth = 1;
    const spar__added_token *best = NULL;
    while (low < high) {
        for (; low < high && a->tokens[low].length == depth; low++)
            if (a->tokens[low].normalized == normalized) best = &a->tokens[low];
        if (low >= high || at + depth >= length) break;
        narrow(a, depth, (unsigned char)text[at + depth], &low, &high);
        depth++;
    }
    return best;
}

const spar__added_token *spar__added_next(const spar__added *a, bool normalized, const char *text,
                                          size_t length, spar__added_place *place, size_t *begin,
                                          size_t *end) {
    if (!(normalized ? a->any_normalized : a->any_plain)) return NULL;
    int only = a->tokens[0].text[0] == a->tokens[a->count - 1].text[0] ? a->tokens[0].text[0] : -1;
    for (size_t at = place->search; at < length; at++) {
        if (only >= 0) { /* they all begin alike, as <|…|> do */
            const char *next = memchr(text + at, only, length - at);
            if (!next) return NULL;
            at = (size_t)(next - text);
        }
        unsigned char byte = (unsigned char)text[at];
        if (a->first[byte] == a->first[byte + 1]) continue;
        const spar__added_token *t = longest_at(a, normalized, text, at, length);
        if (!t) continue;
        if (t->single_word &&
            (word_before(text, at) || word_after(text, at + t->length, length))) {
            at += t->length - 1; /* passed over whole, shorter tokens within it too */
            continue;
        }
        size_t b = at, e = at + t->length, width;
        place->search = e;
        while (t->lstrip && b > place->taken && (width = spar__space_before(text, b)) &&
               b - width >= place->taken)
            b -= width;
        if (t->lstrip && b < place->taken) b = place->taken;
        while (t->rstrip && (width = spar__space_at(text, e, length))) e += width;
        place->taken = e;
        if (b >= e) { /* what it stripped was taken already */
            at = place->search - 1;
            continue;
        }
        *begin = b;
        *end = e;
        return t;
    }
    return NULL;
}
