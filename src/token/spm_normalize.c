/* SentencePiece's normaliser: user-defined symbols stay; elsewhere the longest key of the model's
 * own map is replaced; then blanks. */
#include <string.h>

#include "base/text.h"
#include "token/spm.h"

static uint32_t unit_at(const spar__spm *s, size_t i) {
    const unsigned char *p = s->map + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The map's trie is a double array as darts-clone writes it: bit 8 of a unit says that a value
 * hangs below it, bits 0–7 and 31 are its label, the rest the offset to its children. */
static size_t unit_offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

/* Bytes of the longest key at the front of the text, 0 when there is none. */
static size_t map_longest(const spar__spm *s, const char *text, size_t length, size_t *string) {
    size_t best = 0, at = unit_offset(unit_at(s, 0));
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        at ^= byte;
        if (at >= s->map_units) break;
        uint32_t unit = unit_at(s, at);
        if ((unit & 0x800000FFu) != byte) break;
        at ^= unit_offset(unit);
        if (at >= s->map_units) break;
        if (unit & 256) best = i + 1, *string = unit_at(s, at) & 0x7FFFFFFFu;
    }
    return best;
}

/* What the front of the text becomes: *out, and how many bytes it takes up. */
static size_t take_prefix(const spar__spm *s, const char *text, size_t length, const char **out,
                          size_t *out_length) {
    int32_t value;
    size_t n = s->has_user ? spar__trie_longest(&s->user, text, length, &value) : 0, string;
    *out = text;
    *out_length = n;
    if (n) return n;
    unsigned char first = (unsigned char)*text;
    if (s->map && s->map_starts[first] && (n = map_longest(s, text, length, &string)) &&
        string < s->map_strings_length) {
        *out = s->map_strings + string;
        *out_length = strnlen(*out, s->map_strings_length - string);
        return n;
    }
    *out_length = n = spar__spm_width(text, length);
    return n;
}

static const char *blank_of(const spar__spm *s) { return s->escape ? SPAR__SPM_BLANK : " "; }

/* Appends what input[begin … end) became: itself where `part` points into it. */
static spar_status add_part(const spar__spm *s, const char *input, const char *part, size_t length,
                            size_t begin, size_t end, spar__text *out) {
    const char *space = blank_of(s);
    bool same = part >= input + begin && part < input + end;
    while (length) {
        const char *blank = memchr(part, ' ', length);
        size_t n = blank ? (size_t)(blank - part) : length, at = same ? (size_t)(part - input) : 0;
        SPAR_TRY(same ? spar__text_copy(out, input, at, at + n)
                      : spar__text_add(out, part, n, begin, end));
        if (!blank) return SPAR_OK;
        SPAR_TRY(spar__text_add(out, space, strlen(space), same ? at + n : begin,
                                same ? at + n + 1 : end));
        part += n + 1;
        length -= n + 1;
    }
    return SPAR_OK;
}

static void drop_last_blanks(const spar__spm *s, spar__text *out) {
    const char *blank = blank_of(s);
    size_t n = strlen(blank);
    while (out->bytes.length >= n && !memcmp(out->bytes.bytes + out->bytes.length - n, blank, n))
        spar__text_drop(out, n);
}

spar_status spar__spm_normalize(const spar__spm *s, const char *text, size_t length,
                                spar__text *out) {
    const char *part, *space = blank_of(s);
    size_t at = 0, n;
    while (s->remove_extra && at < length) {
        size_t taken = take_prefix(s, text + at, length - at, &part, &n);
        if (n != 1 || *part != ' ') break;
        at += taken;
    }
    if (at == length) return SPAR_OK;
    SPAR_TRY(spar__buffer_reserve(&out->bytes, (length - at) * 2));
    if (s->dummy_prefix && !s->suffix) SPAR_TRY(spar__text_add(out, space, strlen(space), at, at));
    for (bool after_blank = s->remove_extra; at < length;) {
        size_t begin = at;
        at += take_prefix(s, text + at, length - at, &part, &n);
        for (; after_blank && n && *part == ' '; n--) part++;
        if (!n) continue;
        SPAR_TRY(add_part(s, text, part, n, begin, at, out));
        after_blank = s->remove_extra && part[n - 1] == ' ';
    }
    if (s->remove_extra) drop_last_blanks(s, out);
    return s->dummy_prefix && s->suffix ? spar__text_add(out, space, strlen(space), length, length)
                                        : SPAR_OK;
}
