/* Normalisers by utf8proc: the four normal forms of Unicode, lower case, and marks taken off. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "token/tokenizer.h"

static spar_status none_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

static bool ascii(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (text[i] & 0x80) return false;
    return true;
}

static size_t decode(const char *text, size_t at, size_t length, utf8proc_int32_t *code) {
    return (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                    (utf8proc_ssize_t)(length - at), code);
}

/* Where a tracked text may be taken apart: before what never joins the character before it. */
static bool stands_apart(utf8proc_int32_t code) {
    if (code < 0x80) return true;
    if (code >= 0x1160 && code <= 0x11FF) return false; /* vowels and finals of hangul */
    utf8proc_category_t category = utf8proc_category(code);
    return category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC &&
           category != UTF8PROC_CATEGORY_ME && !utf8proc_get_property(code)->combining_class;
}

static spar_status map_part(const char *text, size_t begin, size_t end, int options,
                            spar__text *out) {
    if (ascii(text + begin, end - begin)) return spar__text_copy(out, text, begin, end);
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text + begin, (utf8proc_ssize_t)(end - begin),
                     &mapped, (utf8proc_option_t)options);
    if (n < 0)
        return spar__fail(SPAR_ERR_MEMORY, "normalising %zu bytes: %s", end - begin,
                          utf8proc_errmsg(n));
    spar_status status = spar__text_add(out, (char *)mapped, (size_t)n, begin, end);
    free(mapped);
    return status;
}

static spar_status map(const char *text, size_t length, int options, spar__text *out) {
    if (!out->tracked) return map_part(text, 0, length, options, out);
    utf8proc_int32_t code;
    for (size_t at = 0, end; at < length; at = end) {
        end = at + decode(text, at, length, &code);
        for (size_t n; end < length && (n = decode(text, end, length, &code), !stands_apart(code));)
            end += n;
        SPAR_TRY(map_part(text, at, end, options, out));
    }
    return SPAR_OK;
}

#define FORM(row, type, options)                                                                   \
    static spar_status row##_apply(const void *state, const char *text, size_t length,             \
                                   spar__text *out) {                                              \
        (void)state;                                                                               \
        return map(text, length, options, out);                                                    \
    }                                                                                              \
    const spar__normalizer_kind spar__normalizer_##row = {type, none_open, NULL, row##_apply};

FORM(nfc, "NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE)
FORM(nfd, "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)
FORM(nfkc, "NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT)
FORM(nfkd, "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)

static spar_status lowercase_apply(const void *state, const char *text, size_t length,
                                   spar__text *out) {
    (void)state;
    SPAR_TRY(spar__buffer_reserve(&out->bytes, length));
    for (size_t at = 0, n; at < length; at += n) {
        utf8proc_int32_t code;
        n = decode(text, at, length, &code);
        utf8proc_uint8_t lower[8];
        size_t m;
        if (code == 0x130) { /* the one letter whose lower case is two characters */
            memcpy(lower, "i\xCC\x87", 3);
            m = 3;
        } else {
            m = (size_t)utf8proc_encode_char(utf8proc_tolower(code), lower);
        }
        SPAR_TRY(spar__text_add(out, (char *)lower, m, at, at + n));
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_lowercase = {"Lowercase", none_open, NULL,
                                                          lowercase_apply};

static spar_status strip_accents_apply(const void *state, const char *text, size_t length,
                                       spar__text *out) {
    (void)state;
    for (size_t at = 0, n; at < length; at += n) {
        utf8proc_int32_t code;
        n = decode(text, at, length, &code);
        utf8proc_category_t category = utf8proc_category(code);
        if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC &&
            category != UTF8PROC_CATEGORY_ME)
            SPAR_TRY(spar__text_copy(out, text, at, at + n));
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_strip_accents = {"StripAccents", none_open, NULL,
                                                              strip_accents_apply};

/* The clean-up of neural machine translation: controls go, odd blanks become blanks. */
static spar_status nmt_apply(const void *state, const char *text, size_t length, spar__text *out) {
    (void)state;
    for (size_t at = 0, n; at < length; at += n) {
        utf8proc_int32_t c;
        n = decode(text, at, length, &c);
        if ((c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
            c == 0x9F)
            continue;
        bool blank = c == 9 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                     (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                     c == 0xFEFF || c == 0xFFFD;
        SPAR_TRY(blank ? spar__text_add(out, " ", 1, at, at + n)
                       : spar__text_copy(out, text, at, at + n));
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_nmt = {"Nmt", none_open, NULL, nmt_apply};
