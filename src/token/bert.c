/* BERT's cleaning and splitting (Devlin et al. 2019): BertNormalizer and BertPreTokenizer of
 * tokenizer.json. */
#include <string.h>
#include <utf8proc.h>

#include "token/field.h"
#include "token/tokenizer.h"
#include "token/unicode.h"

typedef struct cleaning {
    bool clean, chinese, accents, lower; /* accents: take them off */
} cleaning;

static spar_status bert_open(const json_t *settings, void **state) {
    cleaning c;
    SPAR_TRY(spar__field_bool(settings, "clean_text", true, &c.clean));
    SPAR_TRY(spar__field_bool(settings, "handle_chinese_chars", true, &c.chinese));
    SPAR_TRY(spar__field_bool(settings, "lowercase", true, &c.lower));
    SPAR_TRY(spar__field_bool(settings, "strip_accents", c.lower, &c.accents));
    cleaning *kept = spar__alloc(sizeof *kept);
    if (!kept) return SPAR_ERR_MEMORY;
    *kept = c;
    *state = kept;
    return SPAR_OK;
}

static bool ideograph(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool control(uint32_t c, utf8proc_category_t category) {
    return c == 0 || c == 0xFFFD || category == UTF8PROC_CATEGORY_CC ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CN ||
           category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

static spar_status add_code(utf8proc_int32_t code, bool lower, spar__span from, spar__text *out) {
    utf8proc_uint8_t bytes[4];
    if (lower && code == 0x130) return spar__text_add(out, "i\xCC\x87", 3, from.begin, from.end);
    if (lower) code = utf8proc_tolower(code);
    return spar__text_add(out, (char *)bytes, (size_t)utf8proc_encode_char(code, bytes), from.begin,
                          from.end);
}

/* One character: dropped, spaced, taken apart, lower-cased. */
static spar_status clean_char(const cleaning *c, utf8proc_int32_t code, spar__span from,
                              spar__text *out) {
    if (c->clean && code != '\t' && code != '\n' && code != '\r') {
        if (control((uint32_t)code, utf8proc_category(code))) return SPAR_OK;
    }
    if (c->clean && spar__char_class((uint32_t)code) == SPAR__CHAR_SPACE)
        return spar__text_add(out, " ", 1, from.begin, from.end);
    bool apart = c->chinese && ideograph((uint32_t)code);
    if (apart) SPAR_TRY(spar__text_add(out, " ", 1, from.begin, from.begin));
    if (!c->accents) {
        SPAR_TRY(add_code(code, c->lower, from, out));
    } else {
        utf8proc_int32_t parts[32];
        int last = 0;
        utf8proc_ssize_t n =
            utf8proc_decompose_char(code, parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last);
        if (n < 0 || n > 32) parts[0] = code, n = 1;
        for (utf8proc_ssize_t i = 0; i < n; i++)
            if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
                SPAR_TRY(add_code(parts[i], c->lower, from, out));
    }
    return apart ? spar__text_add(out, " ", 1, from.end, from.end) : SPAR_OK;
}

/* Marks are dropped, so their order, which NFD would settle, does not matter. */
static spar_status bert_apply(const void *state, const char *text, size_t length,
                              spar__text *out) {
    const cleaning *c = state;
    SPAR_TRY(spar__buffer_reserve(&out->bytes, length));
    for (size_t at = 0; at < length;) {
        unsigned char byte = (unsigned char)text[at];
        if (byte > 0x20 && byte < 0x7F) {
            char lower = c->lower && byte >= 'A' && byte <= 'Z' ? (char)(byte | 32) : (char)byte;
            SPAR_TRY(spar__text_add(out, &lower, 1, at, at + 1));
            at++;
            continue;
        }
        utf8proc_int32_t code;
        size_t width = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                (utf8proc_ssize_t)(length - at), &code);
        SPAR_TRY(clean_char(c, code, (spar__span){at, at + width}, out));
        at += width;
    }
    return SPAR_OK;
}

const spar__normalizer_kind spar__normalizer_bert = {"BertNormalizer", bert_open,
                                                         spar__free, bert_apply};

/* ---- Splitting ------------------------------------------------------------------------------ */

bool spar__char_punctuation(uint32_t c) {
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

static spar_status pieces_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

/* Words between blanks; each punctuation character alone. */
static spar_status pieces_split(const void *state, spar__run *run, int level, const char *text,
                                size_t length) {
    (void)state;
    size_t word = 0, width;
    for (size_t at = 0; at < length; at += width) {
        utf8proc_int32_t code;
        width = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                         (utf8proc_ssize_t)(length - at), &code);
        bool blank = spar__char_class((uint32_t)code) == SPAR__CHAR_SPACE;
        if (!blank && !spar__char_punctuation((uint32_t)code)) continue;
        SPAR_TRY(spar__run_split(run, level + 1, text + word, at - word));
        if (!blank) SPAR_TRY(spar__run_split(run, level + 1, text + at, width));
        word = at + width;
    }
    return spar__run_split(run, level + 1, text + word, length - word);
}

const spar__splitter_kind spar__splitter_bert = {"BertPreTokenizer", pieces_open, NULL,
                                                 pieces_split};
