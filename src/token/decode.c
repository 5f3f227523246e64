/* The list of pieces that decoders work on, and the small decoders. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "token/field.h"
#include "token/tokenizer.h"

spar_status spar__pieces_add(spar__pieces *p, const char *bytes, size_t length) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 256;
        size_t *ends = spar__resize(p->ends, capacity, sizeof *ends);
        if (!ends) return SPAR_ERR_MEMORY;
        p->ends = ends;
        p->capacity = capacity;
    }
    SPAR_TRY(spar__buffer_add(&p->bytes, bytes, length));
    p->ends[p->count++] = p->bytes.length;
    return SPAR_OK;
}

void spar__pieces_free(spar__pieces *p) {
    spar__buffer_free(&p->bytes);
    spar__free(p->ends);
    p->ends = NULL;
    p->count = p->capacity = 0;
}

static spar_status none_open(const json_t *settings, void **state) {
    (void)settings;
    *state = NULL;
    return SPAR_OK;
}

static spar_status fuse_apply(const void *state, const spar__pieces *in, spar__pieces *out) {
    (void)state;
    return in->count ? spar__pieces_add(out, in->bytes.bytes, in->bytes.length) : SPAR_OK;
}

const spar__decoder_kind spar__decoder_fuse = {"Fuse", none_open, NULL, fuse_apply};

/* ---- ByteFallback: runs of <0x00> … <0xFF> are read as UTF-8 ------------------------------------ */

int spar__byte_piece(const char *piece, size_t length) {
    char digits[3] = "", *end;
    if (length != 6 || memcmp(piece, "<0x", 3) || piece[5] != '>') return -1;
    memcpy(digits, piece + 3, 2);
    long byte = strtol(digits, &end, 16);
    return end == digits + 2 && byte >= 0 ? (int)byte : -1;
}

/* The whole run when it is valid, else U+FFFD for each byte. */
static spar_status flush_bytes(spar__buffer *bytes, spar__pieces *out) {
    size_t at = 0;
    while (at < bytes->length) {
        uint32_t code;
        int n = spar__utf8_decode((unsigned char *)bytes->bytes + at, bytes->length - at, &code);
        if (!n) break;
        at += (size_t)n;
    }
    bool valid = at == bytes->length;
    if (valid && bytes->length) SPAR_TRY(spar__pieces_add(out, bytes->bytes, bytes->length));
    for (size_t i = 0; !valid && i < bytes->length; i++)
        SPAR_TRY(spar__pieces_add(out, "\xEF\xBF\xBD", 3));
    bytes->length = 0;
    return SPAR_OK;
}

static spar_status fallback_apply(const void *state, const spar__pieces *in, spar__pieces *out) {
    (void)state;
    spar__buffer bytes = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    for (size_t i = 0, begin = 0; !status && i < in->count; begin = in->ends[i++]) {
        const char *piece = in->bytes.bytes + begin;
        int byte = spar__byte_piece(piece, in->ends[i] - begin);
        char value = (char)byte;
        if (byte >= 0) {
            status = spar__buffer_add(&bytes, &value, 1);
            continue;
        }
        status = flush_bytes(&bytes, out);
        if (!status) status = spar__pieces_add(out, piece, in->ends[i] - begin);
    }
    if (!status) status = flush_bytes(&bytes, out);
    spar__buffer_free(&bytes);
    return status;
}

const spar__decoder_kind spar__decoder_byte_fallback = {"ByteFallback", none_open, NULL,
                                                        fallback_apply};

/* ---- BPEDecoder: the suffix of words becomes a blank, at the end nothing --------------------- */

static spar_status suffix_open(const json_t *settings, void **state) {
    const char *suffix;
    SPAR_TRY(spar__field_string(settings, "suffix", "</w>", &suffix));
    *state = spar__copy_string(suffix);
    return *state ? SPAR_OK : SPAR_ERR_MEMORY;
}

static spar_status suffix_apply(const void *state, const spar__pieces *in, spar__pieces *out) {
    const char *suffix = state;
    size_t n = strlen(suffix);
    for (size_t i = 0, at = 0; i < in->count; i++) {
        while (at < in->ends[i]) {
            bool found = n && in->ends[i] - at >= n && !memcmp(in->bytes.bytes + at, suffix, n);
            if (!found) SPAR_TRY(spar__buffer_add(&out->bytes, in->bytes.bytes + at, 1));
            else if (i + 1 < in->count) SPAR_TRY(spar__buffer_add(&out->bytes, " ", 1));
            at += found ? n : 1;
        }
        SPAR_TRY(spar__pieces_add(out, "", 0));
    }
    return SPAR_OK;
}

const spar__decoder_kind spar__decoder_suffix = {"BPEDecoder", suffix_open, spar__free,
                                                 suffix_apply};
