/* Precompiled: SentencePiece's normalisation map as tokenizer.json holds it. Unlike SentencePiece
 * itself, which takes the longest key at each place, this goes by grapheme clusters of at most five
 * bytes, then by characters, and takes the shortest key at the front of each. */
#include <string.h>
#include <utf8proc.h>

#include "token/base64.h"
#include "token/field.h"
#include "token/tokenizer.h"

typedef struct precompiled {
    unsigned char *file;
    const unsigned char *units;
    size_t n_units;
    const char *strings;
    size_t strings_length;
} precompiled;

static void precompiled_free(void *state) {
    precompiled *p = state;
    if (p) spar__free(p->file);
    spar__free(p);
}

static uint32_t word_at(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static spar_status precompiled_open(const json_t *settings, void **state) {
    const char *text;
    size_t length;
    SPAR_TRY(spar__field_string(settings, "precompiled_charsmap", "", &text));
    precompiled *p = spar__alloc(sizeof *p);
    if (!p) return SPAR_ERR_MEMORY;
    spar_status status = spar__base64_decode(text, strlen(text), &p->file, &length);
    if (!status && length) {
        uint32_t size = length >= 4 ? word_at(p->file) : 0;
        if (length < 4 || size % 4 || size > length - 4)
            status = spar__fail(SPAR_ERR_FORMAT, "key 'precompiled_charsmap': trie of %u bytes in "
                                "%zu", size, length);
        else {
            p->units = p->file + 4;
            p->n_units = size / 4;
            p->strings = (const char *)p->file + 4 + size;
            p->strings_length = length - 4 - size;
        }
    }
    if (status) precompiled_free(p);
    else *state = p;
    return status;
}

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

/* What the shortest key at the front of the part maps to; NULL where there is none. */
static const char *find(const precompiled *p, const char *part, size_t length, size_t *n) {
    if (!p->n_units) return NULL;
    size_t at = offset_of(word_at(p->units));
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)part[i];
        at ^= byte;
        if (at >= p->n_units) return NULL;
        uint32_t unit = word_at(p->units + 4 * at);
        if ((unit & 0x800000FFu) != byte) return NULL;
        at ^= offset_of(unit);
        if (at >= p->n_units) return NULL;
        if (!(unit & 256)) continue;
        size_t string = word_at(p->units + 4 * at) & 0x7FFFFFFFu;
        if (string >= p->strings_length) return NULL;
        *n = strnlen(p->strings + string, p->strings_length - string);
        return p->strings + string;
    }
    return NULL;
}

static size_t decode(const char *text, size_t at, size_t length, utf8proc_int32_t *code) {
    return (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                    (utf8proc_ssize_t)(length - at), code);
}

static size_t grapheme_end(const char *text, size_t at, size_t length) {
    utf8proc_int32_t before, after, state = 0;
    size_t end = at + decode(text, at, length, &before);
    while (end < length) {
        size_t n = decode(text, end, length, &after);
        if (utf8proc_grapheme_break_stateful(before, after, &state)) break;
        before = after;
        end += n;
    }
    return end;
}

static spar_status precompiled_apply(const void *state, const char *text, size_t length,
                                     spar__text *out) {
    const precompiled *p = state;
    for (size_t at = 0, end, n; at < length; at = end) {
        end = grapheme_end(text, at, length);
        const char *found = end - at < 6 ? find(p, text + at, end - at, &n) : NULL;
        if (found) {
            SPAR_TRY(spar__text_add(out, found, n, at, end));
            continue;
        }
        for (size_t i = at, width; i < end; i += width) {
            utf8proc_int32_t code;
            width = decode(text, i, end, &code);
            found = find(p, text + i, width, &n);
            SPAR_TRY(found ? spar__text_add(out, found, n, i, i + width)
                           : spar__text_copy(out, text, i, i + width));
        }
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_precompiled = {"Precompiled", precompiled_open,
                                                            precompiled_free, precompiled_apply};
