/* Normalisers and decoders that rewrite text: Replace, Prepend, Strip, and the character spelling of
 * bytes (ByteLevel). */
#include <string.h>

#include "token/field.h"
#include "token/regex.h"
#include "token/spell.h"
#include "token/tokenizer.h"
#include "token/unicode.h"

/* ---- Replace -------------------------------------------------------------------------------- */

typedef struct replacing {
    spar__regex *regex; /* or: */
    char *literal;
    char *content;
} replacing;

static void replacing_free(void *state) {
    replacing *r = state;
    if (!r) return;
    spar__regex_free(r->regex);
    spar__free(r->literal);
    spar__free(r->content);
    spar__free(r);
}

static spar_status replacing_open(const json_t *settings, void **state) {
    const char *expression, *literal, *content;
    const json_t *pattern;
    SPAR_TRY(spar__field_object(settings, "pattern", true, &pattern));
    SPAR_TRY(spar__field_string(pattern, "Regex", "", &expression));
    SPAR_TRY(spar__field_string(pattern, "String", "", &literal));
    SPAR_TRY(spar__field_string(settings, "content", "", &content));
    if (!*expression == !*literal)
        return spar__fail(SPAR_ERR_FORMAT, "key 'pattern': expected one of 'Regex', 'String'");
    replacing *r = spar__alloc(sizeof *r);
    if (!r) return SPAR_ERR_MEMORY;
    spar_status status = SPAR_OK;
    if (*expression) status = spar__regex_compile(expression, false, &r->regex);
    else if (!(r->literal = spar__copy_string(literal))) status = SPAR_ERR_MEMORY;
    if (!status && !(r->content = spar__copy_string(content))) status = SPAR_ERR_MEMORY;
    if (status) replacing_free(r);
    else *state = r;
    return status;
}

static spar_status replace_literal(const replacing *r, const char *text, size_t length,
                                   spar__text *out) {
    size_t n = strlen(r->literal);
    for (size_t at = 0, begin; at < length; at = begin + n) {
        const char *found = memmem(text + at, length - at, r->literal, n);
        begin = found ? (size_t)(found - text) : length;
        SPAR_TRY(spar__text_copy(out, text, at, begin));
        if (!found) break;
        SPAR_TRY(spar__text_add(out, r->content, strlen(r->content), begin, begin + n));
    }
    return SPAR_OK;
}

static spar_status replace(const replacing *r, const char *text, size_t length, spar__text *out) {
    if (!r->regex) return replace_literal(r, text, length, out);
    spar__matches matches = {r->regex, text, length};
    spar_status status = SPAR_OK;
    bool found = length > 0;
    for (size_t at = 0, begin, end; !status && found; at = end) {
        status = spar__matches_next(&matches, &found, &begin, &end);
        if (!status) status = spar__text_copy(out, text, at, begin);
        if (!status && found)
            status = spar__text_add(out, r->content, strlen(r->content), begin, end);
    }
    spar__matches_end(&matches);
    return status;
}

static spar_status replace_apply(const void *state, const char *text, size_t length,
                                 spar__text *out) {
    return replace(state, text, length, out);
}

const spar__normalizer_kind spar__normalizer_replace = {"Replace", replacing_open, replacing_free,
                                                        replace_apply};

static spar_status replace_pieces(const void *state, const spar__pieces *in, spar__pieces *out) {
    spar__text made = spar__text_make(false);
    spar_status status = SPAR_OK;
    for (size_t i = 0, begin = 0; !status && i < in->count; begin = in->ends[i++]) {
        made.bytes.length = 0;
        status = replace(state, in->bytes.bytes + begin, in->ends[i] - begin, &made);
        if (!status) status = spar__pieces_add(out, made.bytes.bytes, made.bytes.length);
    }
    spar__text_free(&made);
    return status;
}

const spar__decoder_kind spar__decoder_replace = {"Replace", replacing_open, replacing_free,
                                                  replace_pieces};

/* ---- Prepend -------------------------------------------------------------------------------- */

static spar_status prepend_open(const json_t *settings, void **state) {
    const char *text;
    SPAR_TRY(spar__field_string(settings, "prepend", "", &text));
    *state = spar__copy_string(text);
    return *state ? SPAR_OK : SPAR_ERR_MEMORY;
}

static spar_status prepend_apply(const void *state, const char *text, size_t length,
                                 spar__text *out) {
    if (!length) return SPAR_OK;
    SPAR_TRY(spar__text_add(out, state, strlen(state), 0, 0));
    return spar__text_copy(out, text, 0, length);
}

const spar__normalizer_kind spar__normalizer_prepend = {"Prepend", prepend_open, spar__free,
                                                        prepend_apply};

/* ---- Strip ---------------------------------------------------------------------------------- */

typedef struct stripping {
    bool left, right; /* of a text */
    char content[8];  /* of pieces: at most so many of this character at either end */
    int64_t start, stop;
} stripping;

static spar_status strip_open(const json_t *settings, void **state) {
    stripping s = {0};
    SPAR_TRY(spar__field_bool(settings, "strip_left", true, &s.left));
    SPAR_TRY(spar__field_bool(settings, "strip_right", true, &s.right));
    stripping *kept = spar__alloc(sizeof *kept);
    if (!kept) return SPAR_ERR_MEMORY;
    *kept = s;
    *state = kept;
    return SPAR_OK;
}

static spar_status strip_apply(const void *state, const char *text, size_t length,
                               spar__text *out) {
    const stripping *s = state;
    size_t begin = 0, end = length, n;
    while (s->left && begin < end && (n = spar__space_at(text, begin, end))) begin += n;
    while (s->right && end > begin && (n = spar__space_before(text, end))) end -= n;
    return spar__text_copy(out, text, begin, end);
}

const spar__normalizer_kind spar__normalizer_strip = {"Strip", strip_open, spar__free, strip_apply};

static spar_status strip_pieces_open(const json_t *settings, void **state) {
    stripping s = {0};
    const char *content;
    SPAR_TRY(spar__field_string(settings, "content", " ", &content));
    SPAR_TRY(spar__field_int(settings, "start", 0, &s.start));
    SPAR_TRY(spar__field_int(settings, "stop", 0, &s.stop));
    if (!*content || strlen(content) >= sizeof s.content)
        return spar__fail(SPAR_ERR_FORMAT, "key 'content': '%.64s', expected one character", content);
    memcpy(s.content, content, strlen(content));
    stripping *kept = spar__alloc(sizeof *kept);
    if (!kept) return SPAR_ERR_MEMORY;
    *kept = s;
    *state = kept;
    return SPAR_OK;
}

static spar_status strip_pieces(const void *state, const spar__pieces *in, spar__pieces *out) {
    const stripping *s = state;
    size_t n = strlen(s->content);
    for (size_t i = 0, begin = 0; i < in->count; begin = in->ends[i++]) {
        size_t from = begin, to = in->ends[i];
        for (int64_t k = 0; k < s->start && to - from >= n &&
                            !memcmp(in->bytes.bytes + from, s->content, n); k++)
            from += n;
        for (int64_t k = 0; k < s->stop && to - from >= n &&
                            !memcmp(in->bytes.bytes + to - n, s->content, n); k++)
            to -= n;
        SPAR_TRY(spar__pieces_add(out, in->bytes.bytes + from, to - from));
    }
    return SPAR_OK;
}

const spar__decoder_kind spar__decoder_strip = {"Strip", strip_pieces_open, spar__free,
                                                strip_pieces};

/* ---- ByteLevel ------------------------------------------------------------------------------ */

static spar_status spell_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

spar_status spar__spell_text(const char *text, size_t length, spar__text *out) {
    for (size_t i = 0; i < length; i++) {
        char spelled[4];
        SPAR_TRY(spar__text_add(out, spelled, spar__spell_encode(text + i, 1, spelled), i, i + 1));
    }
    return SPAR_OK;
}

static spar_status spell_apply(const void *state, const char *text, size_t length,
                               spar__text *out) {
    (void)state;
    return spar__spell_text(text, length, out);
}

const spar__normalizer_kind spar__normalizer_byte_level = {"ByteLevel", spell_open, NULL,
                                                           spell_apply};

/* Every piece whose characters all spell bytes becomes those. */
spar_status spar__unspell_pieces(const spar__pieces *in, spar__pieces *out) {
    size_t longest = 0;
    for (size_t i = 0, begin = 0; i < in->count; begin = in->ends[i++])
        if (in->ends[i] - begin > longest) longest = in->ends[i] - begin;
    char *room = spar__alloc(longest + 1);
    spar_status status = room ? SPAR_OK : SPAR_ERR_MEMORY;
    for (size_t i = 0, begin = 0; !status && i < in->count; begin = in->ends[i++]) {
        const char *piece = in->bytes.bytes + begin;
        size_t n, length = in->ends[i] - begin;
        status = spar__spell_decode(piece, length, room, &n) ? spar__pieces_add(out, room, n)
                                                             : spar__pieces_add(out, piece, length);
    }
    spar__free(room);
    return status;
}

/* Then they are one piece of valid text. */
static spar_status unspell_all(const void *state, const spar__pieces *in, spar__pieces *out) {
    (void)state;
    spar__pieces parts = {.bytes = spar__buffer_make(SIZE_MAX)};
    spar__text made = spar__text_make(false);
    spar_status status = spar__unspell_pieces(in, &parts);
    if (!status) status = spar__repair(parts.bytes.bytes, parts.bytes.length, &made);
    if (!status) status = spar__pieces_add(out, made.bytes.bytes, made.bytes.length);
    spar__text_free(&made);
    spar__pieces_free(&parts);
    return status;
}

const spar__decoder_kind spar__decoder_byte_level = {"ByteLevel", spell_open, NULL, unspell_all};
