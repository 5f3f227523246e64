/* Normalisers by utf8proc: the four normal forms of Unicode, and lower case. */
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

static spar_status map(const char *text, size_t length, int options, spar__buffer *out) {
    if (ascii(text, length)) return spar__buffer_add(out, text, length);
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length,
                                      &mapped, (utf8proc_option_t)options);
    if (n < 0)
        return spar__fail(SPAR_ERR_MEMORY, "normalising %zu bytes: %s", length,
                          utf8proc_errmsg(n));
    spar_status status = spar__buffer_add(out, mapped, (size_t)n);
    free(mapped);
    return status;
}

#define FORM(row, type, options)                                                                   \
    static spar_status row##_apply(const void *state, const char *text, size_t length,             \
                                   spar__buffer *out) {                                            \
        (void)state;                                                                               \
        return map(text, length, options, out);                                                    \
    }                                                                                              \
    const spar__normalizer_kind spar__normalizer_##row = {type, none_open, NULL, row##_apply};

FORM(nfc, "NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE)
FORM(nfd, "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)
FORM(nfkc, "NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT)
FORM(nfkd, "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)

static spar_status lowercase_apply(const void *state, const char *text, size_t length,
                                   spar__buffer *out) {
    (void)state;
    SPAR_TRY(spar__buffer_reserve(out, length));
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                              (utf8proc_ssize_t)(length - at), &code);
        utf8proc_uint8_t lower[8];
        size_t m;
        if (code == 0x130) { /* the one letter whose lower case is two characters */
            memcpy(lower, "i\xCC\x87", 3);
            m = 3;
        } else {
            m = (size_t)utf8proc_encode_char(utf8proc_tolower(code), lower);
        }
        SPAR_TRY(spar__buffer_add(out, lower, m));
        at += (size_t)n;
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_lowercase = {"Lowercase", none_open, NULL,
                                                          lowercase_apply};
