/* tokenizer.model: a protocol buffer, ModelProto of sentencepiece_model.proto. Fields that are not
 * needed are passed over. */
#include <math.h>
#include <string.h>

#include "token/spm.h"

enum { MAX_PIECE = 4096 };

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

typedef struct field {
    uint32_t number;
    uint64_t value;      /* of varints; bits of fixed ones */
    const unsigned char *bytes; /* of length-delimited ones, else NULL */
    size_t length;
} field;

static spar_status malformed(void) {
    return spar__fail(SPAR_ERR_FORMAT, "no SentencePiece model: a field is malformed");
}

static bool take_varint(cursor *c, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (c->at == c->end) return false;
        unsigned char byte = *c->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) return *out = value, true;
    }
    return false;
}

static spar_status take_field(cursor *c, field *out) {
    uint64_t tag, n = 0;
    *out = (field){0};
    if (!take_varint(c, &tag) || tag >> 3 > UINT32_MAX) return malformed();
    out->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0: return take_varint(c, &out->value) ? SPAR_OK : malformed();
    case 1: n = 8; break;
    case 5: n = 4; break;
    case 2:
        if (!take_varint(c, &n)) return malformed();
        break;
    default: return malformed();
    }
    if (n > (size_t)(c->end - c->at)) return malformed();
    if ((tag & 7) == 2) out->bytes = c->at, out->length = (size_t)n;
    else
        for (size_t i = 0; i < n; i++) out->value |= (uint64_t)c->at[i] << 8 * i;
    c->at += n;
    return SPAR_OK;
}

static cursor inside(const field *f) { return (cursor){f->bytes, f->bytes + f->length}; }

static spar_status read_piece(const field *message, spar__spm_piece *out) {
    cursor c = inside(message);
    field f;
    *out = (spar__spm_piece){.bytes = "", .type = SPAR__SPM_NORMAL};
    while (c.at < c.end) {
        SPAR_TRY(take_field(&c, &f));
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.bytes) out->bytes = (const char *)f.bytes, out->length = f.length;
        else if (f.number == 2) memcpy(&out->score, &bits, 4);
        else if (f.number == 3) out->type = f.value > 6 ? 0 : (uint8_t)f.value;
    }
    if (!out->length || out->length > MAX_PIECE || !out->type || !isfinite(out->score))
        return spar__fail(SPAR_ERR_FORMAT, "SentencePiece piece '%.*s': %zu bytes, type %d, score "
                          "%g, expected 1 to %d bytes, a known type and a finite score",
                          (int)(out->length < 64 ? out->length : 64), out->bytes, out->length,
                          out->type, (double)out->score, MAX_PIECE);
    return SPAR_OK;
}

static spar_status read_trainer(const field *message, spar__spm *s) {
    cursor c = inside(message);
    field f;
    while (c.at < c.end) {
        SPAR_TRY(take_field(&c, &f));
        int32_t number = f.value <= INT32_MAX ? (int32_t)f.value : -1;
        switch (f.number) {
        case 3: s->algorithm = number; break;
        case 24: s->suffix = f.value; break;
        case 35: s->byte_fallback = f.value; break;
        case 40: s->unk = number; break;
        case 41: s->bos = number; break;
        case 42: s->eos = number; break;
        case 43: s->pad = number; break;
        case 44:
            if (f.bytes) s->unk_surface = (const char *)f.bytes, s->unk_surface_length = f.length;
            break;
        default: break;
        }
    }
    return SPAR_OK;
}

static spar_status read_map(const field *f, spar__spm *s) {
    if (!f->length) return SPAR_OK;
    uint32_t size;
    if (f->length < 4) return spar__fail(SPAR_ERR_FORMAT, "normalisation map of %zu bytes",
                                         f->length);
    memcpy(&size, f->bytes, 4);
    if (size > f->length - 4 || size % 4 || !size)
        return spar__fail(SPAR_ERR_FORMAT, "normalisation map: trie of %u bytes, expected a "
                          "multiple of 4 and at most %zu", size, f->length - 4);
    s->map = f->bytes + 4;
    s->map_units = size / 4;
    s->map_strings = (const char *)f->bytes + 4 + size;
    s->map_strings_length = f->length - 4 - size;
    return SPAR_OK;
}

static spar_status read_normalizer(const field *message, spar__spm *s) {
    cursor c = inside(message);
    field f;
    while (c.at < c.end) {
        SPAR_TRY(take_field(&c, &f));
        switch (f.number) {
        case 2:
            if (f.bytes) SPAR_TRY(read_map(&f, s));
            break;
        case 3: s->dummy_prefix = f.value; break;
        case 4: s->remove_extra = f.value; break;
        case 5: s->escape = f.value; break;
        default: break;
        }
    }
    return SPAR_OK;
}

static spar_status refuse_denormalizer(const field *message) {
    cursor c = inside(message);
    field f;
    while (c.at < c.end) {
        SPAR_TRY(take_field(&c, &f));
        if (f.number == 2 && f.length)
            return spar__fail(SPAR_ERR_UNSUPPORTED, "SentencePiece model with a "
                              "denormalizer_spec.precompiled_charsmap: not supported");
    }
    return SPAR_OK;
}

static void drop_absent(const spar__spm *s, int32_t *id, int type) {
    if (*id < 0 || *id >= s->count || s->pieces[*id].type != type) *id = -1;
}

spar_status spar__spm_read(unsigned char *file, size_t length, spar__spm *s) {
    *s = (spar__spm){.file = file, .file_length = length, .algorithm = SPAR__SPM_UNIGRAM, .bos = 1,
                     .eos = 2, .pad = -1, .unk_surface = " \xE2\x81\x87 ", .unk_surface_length = 5,
                     .dummy_prefix = true, .remove_extra = true, .escape = true};
    cursor c = {file, file + length};
    field f;
    size_t count = 0;
    for (cursor each = c; each.at < each.end;) {
        SPAR_TRY(take_field(&each, &f));
        count += f.number == 1 && f.bytes;
    }
    if (!count || count > INT32_MAX / 8)
        return spar__fail(SPAR_ERR_FORMAT, "no SentencePiece model: %zu pieces", count);
    s->pieces = spar__array(count, sizeof *s->pieces);
    if (!s->pieces) return SPAR_ERR_MEMORY;
    while (c.at < c.end) {
        SPAR_TRY(take_field(&c, &f));
        if (!f.bytes) continue;
        if (f.number == 1) SPAR_TRY(read_piece(&f, &s->pieces[s->count++]));
        else if (f.number == 2) SPAR_TRY(read_trainer(&f, s));
        else if (f.number == 3) SPAR_TRY(read_normalizer(&f, s));
        else if (f.number == 5) SPAR_TRY(refuse_denormalizer(&f));
    }
    drop_absent(s, &s->unk, SPAR__SPM_UNKNOWN);
    drop_absent(s, &s->bos, SPAR__SPM_CONTROL);
    drop_absent(s, &s->eos, SPAR__SPM_CONTROL);
    drop_absent(s, &s->pad, SPAR__SPM_CONTROL);
    for (int32_t i = 0; s->unk < 0 && i < s->count; i++)
        if (s->pieces[i].type == SPAR__SPM_UNKNOWN) s->unk = i;
    if (s->unk < 0) return spar__fail(SPAR_ERR_FORMAT, "SentencePiece model without <unk>");
    if (s->algorithm != SPAR__SPM_UNIGRAM && s->algorithm != SPAR__SPM_BPE)
        return spar__fail(SPAR_ERR_UNSUPPORTED, "SentencePiece model of type %d: expected 1 "
                          "(unigram) or 2 (bpe)", s->algorithm);
    return SPAR_OK;
}

void spar__spm_free(spar__spm *s) {
    if (!s) return;
    spar__trie_free(&s->trie);
    spar__trie_free(&s->user);
    spar__merges_free(&s->merges);
    spar__free(s->pieces);
    spar__free(s->scores);
    spar__free(s->file);
}

/* ---- Writing -------------------------------------------------------------------------------- */

static spar_status put_varint(spar__buffer *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        SPAR_TRY(spar__buffer_add(out, &(unsigned char){(unsigned char)(value | 0x80)}, 1));
    return spar__buffer_add(out, &(unsigned char){(unsigned char)value}, 1);
}

static spar_status put_number(spar__buffer *out, uint32_t field_number, int64_t value) {
    SPAR_TRY(put_varint(out, field_number << 3));
    return put_varint(out, (uint64_t)value);
}

static spar_status put_bytes(spar__buffer *out, uint32_t field_number, const void *bytes,
                             size_t length) {
    SPAR_TRY(put_varint(out, field_number << 3 | 2));
    SPAR_TRY(put_varint(out, length));
    return spar__buffer_add(out, bytes, length);
}

static spar_status put_piece(spar__buffer *message, const spar__spm_piece *p) {
    unsigned char score[4];
    uint32_t bits;
    memcpy(&bits, &p->score, 4);
    for (int i = 0; i < 4; i++) score[i] = (unsigned char)(bits >> 8 * i);
    SPAR_TRY(put_bytes(message, 1, p->bytes, p->length));
    SPAR_TRY(put_varint(message, 2 << 3 | 5));
    SPAR_TRY(spar__buffer_add(message, score, 4));
    return put_number(message, 3, p->type);
}

static spar_status put_trainer(spar__buffer *message, const spar__spm *s) {
    SPAR_TRY(put_number(message, 3, s->algorithm));
    SPAR_TRY(put_number(message, 24, s->suffix));
    SPAR_TRY(put_number(message, 35, s->byte_fallback));
    SPAR_TRY(put_number(message, 40, s->unk));
    SPAR_TRY(put_number(message, 41, s->bos));
    SPAR_TRY(put_number(message, 42, s->eos));
    SPAR_TRY(put_number(message, 43, s->pad));
    return s->unk_surface ? put_bytes(message, 44, s->unk_surface, s->unk_surface_length) : SPAR_OK;
}

static spar_status put_normalizer(spar__buffer *message, const spar__spm *s) {
    if (s->map) /* the trie's size, the trie, the strings lie together */
        SPAR_TRY(put_bytes(message, 2, s->map - 4,
                           4 + s->map_units * 4 + s->map_strings_length));
    SPAR_TRY(put_number(message, 3, s->dummy_prefix));
    SPAR_TRY(put_number(message, 4, s->remove_extra));
    return put_number(message, 5, s->escape);
}

spar_status spar__spm_write(const spar__spm *s, spar__buffer *out) {
    spar__buffer message = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    for (int32_t i = 0; !status && i < s->count; i++) {
        message.length = 0;
        status = put_piece(&message, &s->pieces[i]);
        if (!status) status = put_bytes(out, 1, message.bytes, message.length);
    }
    message.length = 0;
    if (!status) status = put_trainer(&message, s);
    if (!status) status = put_bytes(out, 2, message.bytes, message.length);
    message.length = 0;
    if (!status) status = put_normalizer(&message, s);
    if (!status) status = put_bytes(out, 3, message.bytes, message.length);
    spar__buffer_free(&message);
    return status;
}
