/* SentencePiece as a model: it takes the whole text, with its own normaliser, and decodes itself. In
 * JSON it is {"type": "SentencePiece", "proto": base64 of tokenizer.model}. */
#include "token/spm.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "token/base64.h"
#include "token/field.h"

size_t spar__spm_width(const char *text, size_t length) {
    /* The length that the first byte states, as the reference has it. */
    static const uint8_t widths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    size_t n = widths[(unsigned char)*text >> 4];
    return n < length ? n : length;
}

static int32_t unknown_id(const spar__spm *s, const char *bytes, size_t length) {
    int32_t id = s->outside ? spar__vocab_find(s->outside, bytes, length) : -1;
    return id >= 0 ? -id - 1 : s->unk;
}

spar_status spar__spm_unknown(const spar__spm *s, spar__run *run, const char *bytes,
                              size_t length, bool again) {
    if (!s->byte_fallback && again) {
        if (run->wants_spans)
            run->spans[run->n_spans - 1].end =
                spar__view_source(run->view, bytes, bytes + length).end;
        run->ids.at[run->ids.count - 1] =
            unknown_id(s, run->unknown, (size_t)(bytes + length - run->unknown));
        return SPAR_OK;
    }
    if (!s->byte_fallback) {
        run->unknown = bytes;
        SPAR_TRY(spar__run_span(run, bytes, bytes + length));
        return spar__ids_add(&run->ids, unknown_id(s, bytes, length));
    }
    for (size_t i = 0; i < length; i++) {
        int32_t id = s->byte_id[(uint8_t)bytes[i]];
        SPAR_TRY(spar__run_span(run, bytes + i, bytes + i + 1));
        SPAR_TRY(spar__ids_add(&run->ids, id >= 0 ? id : s->unk));
    }
    return SPAR_OK;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static spar_status build_tries(spar__spm *s) {
    spar__trie_key *keys = spar__array((size_t)s->count, sizeof *keys);
    size_t n = 0, n_user = 0;
    if (!keys) return SPAR_ERR_MEMORY;
    for (int32_t i = 0; i < s->count; i++) {
        const spar__spm_piece *p = &s->pieces[i];
        bool unused = p->type == SPAR__SPM_UNUSED && s->algorithm == SPAR__SPM_BPE;
        if (p->type == SPAR__SPM_NORMAL || p->type == SPAR__SPM_USER || unused)
            keys[n++] = (spar__trie_key){p->bytes, p->length, i};
    }
    spar_status status = spar__trie_build(keys, n, &s->trie);
    for (int32_t i = 0; i < s->count; i++)
        if (s->pieces[i].type == SPAR__SPM_USER)
            keys[n_user++] = (spar__trie_key){s->pieces[i].bytes, s->pieces[i].length, i};
    s->has_user = n_user > 0;
    if (!status && n_user) status = spar__trie_build(keys, n_user, &s->user);
    spar__free(keys);
    return status;
}

static spar_status prepare_scores(spar__spm *s) {
    bool any = false;
    s->scores = spar__array((size_t)s->count, sizeof *s->scores);
    if (!s->scores) return SPAR_ERR_MEMORY;
    for (int i = 0; i < 256; i++) s->byte_id[i] = -1;
    for (int32_t i = 0; i < s->count; i++) {
        const spar__spm_piece *p = &s->pieces[i];
        char name[8] = "";
        if (p->type == SPAR__SPM_BYTE && p->length == 6) {
            memcpy(name, p->bytes + 1, 4);
            s->byte_id[strtoul(name, NULL, 16) & 255] = i;
        }
        s->scores[i] = p->type == SPAR__SPM_USER ? (float)(0.1 * (double)(p->length - 1)) : p->score;
        if (p->type != SPAR__SPM_NORMAL) continue;
        if (!any || p->score < s->lowest) s->lowest = p->score;
        any = true;
    }
    return SPAR_OK;
}

static void prepare_map(spar__spm *s) {
    const unsigned char *p = s->map;
    if (!p) return;
    uint32_t root = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                    (uint32_t)p[3] << 24;
    size_t offset = (size_t)(root >> 10) << ((root & 512) >> 6);
    for (size_t byte = 0; byte < 256; byte++) {
        size_t at = offset ^ byte;
        s->map_starts[byte] = at < s->map_units && p[4 * at] == byte && !(p[4 * at + 3] & 0x80);
    }
}

spar_status spar__spm_prepare(spar__spm *s) {
    SPAR_TRY(prepare_scores(s));
    prepare_map(s);
    SPAR_TRY(build_tries(s));
    return s->algorithm == SPAR__SPM_BPE ? spar__spm_bpe_prepare(s) : SPAR_OK;
}

size_t spar__spm_shown(const char *piece, size_t length, char *room) {
    size_t n = 0;
    for (size_t at = 0; at < length; at++) {
        bool blank = length - at >= 3 && !memcmp(piece + at, SPAR__SPM_BLANK, 3);
        room[n++] = blank ? ' ' : piece[at];
        if (blank) at += 2;
    }
    return n;
}

/* The bytes that a piece stands for, in `room`. */
static size_t shown(const spar__spm *s, int32_t id, char *room) {
    const spar__spm_piece *p = &s->pieces[id];
    if (p->type == SPAR__SPM_BYTE)
        for (int byte = 0; byte < 256; byte++)
            if (s->byte_id[byte] == id) return room[0] = (char)byte, 1;
    if (p->type != SPAR__SPM_CONTROL) return spar__spm_shown(p->bytes, p->length, room);
    memcpy(room, p->bytes, p->length);
    return p->length;
}

static spar_status fill_vocab(spar_tokenizer *t, const spar__spm *s) {
    size_t bytes = 0, longest = 1;
    for (int32_t i = 0; i < s->count; i++) {
        bytes += s->pieces[i].length + 1;
        if (s->pieces[i].length > longest) longest = s->pieces[i].length;
    }
    SPAR_TRY(spar__vocab_create(&t->vocab, (size_t)s->count, bytes));
    char *room = spar__alloc(longest);
    spar_status status = room ? SPAR_OK : SPAR_ERR_MEMORY;
    for (int pass = 0; pass < 2; pass++) /* characters are found before the bytes that equal them */
        for (int32_t i = 0; !status && i < s->count; i++) {
            const spar__spm_piece *p = &s->pieces[i];
            if ((p->type == SPAR__SPM_BYTE) != pass) continue;
            status = spar__vocab_add(&t->vocab, i, room, shown(s, i, room));
            if (p->type == SPAR__SPM_CONTROL || p->type == SPAR__SPM_UNKNOWN)
                t->vocab.flags[i] |= SPAR__PIECE_SPECIAL;
        }
    spar__free(room);
    return status;
}

/* What SPAR_TOKENIZE_CONTROL looks for. */
static spar_status list_control(spar_tokenizer *t, const spar__spm *s) {
    t->control.tokens = spar__array((size_t)s->count + 1, sizeof *t->control.tokens);
    if (!t->control.tokens) return SPAR_ERR_MEMORY;
    for (int32_t i = 0; i < s->count; i++) {
        const spar__spm_piece *p = &s->pieces[i];
        if (p->type != SPAR__SPM_CONTROL || !p->length || p->length > 1024) continue;
        t->control.tokens[t->control.count++] =
            (spar__added_token){.text = p->bytes, .length = p->length, .id = i, .special = true};
    }
    return spar__added_prepare(&t->control);
}

static void spm_free(void *state) {
    spar__spm_free(state);
    spar__free(state);
}

static spar_status spm_open(spar_tokenizer *t, const json_t *settings) {
    spar__spm *s = spar__alloc(sizeof *s);
    if (!s) return SPAR_ERR_MEMORY;
    t->model_state = s;
    const char *text;
    unsigned char *file;
    size_t length;
    bool add_bos, add_eos;
    SPAR_TRY(spar__field_string(settings, "proto", "", &text));
    SPAR_TRY(spar__base64_decode(text, strlen(text), &file, &length));
    SPAR_TRY(spar__spm_read(file, length, s));
    SPAR_TRY(spar__field_bool(settings, "add_bos", s->bos >= 0, &add_bos));
    SPAR_TRY(spar__field_bool(settings, "add_eos", s->bos < 0 && s->eos >= 0, &add_eos));
    SPAR_TRY(spar__spm_prepare(s));
    SPAR_TRY(fill_vocab(t, s));
    SPAR_TRY(list_control(t, s));
    t->bos = s->bos, t->eos = s->eos, t->pad = s->pad, t->unk = s->unk;
    if (add_bos && s->bos >= 0) t->before[t->n_before++] = s->bos;
    if (add_eos && s->eos >= 0) t->after[t->n_after++] = s->eos;
    return SPAR_OK;
}

spar_status spar__tokenizer_from_spm(const char *name, const void *file, size_t length, int add_bos,
                                     int add_eos, spar_tokenizer **out) {
    char *text = spar__base64_encode(file, length);
    if (!text) return SPAR_ERR_MEMORY;
    json_t *root = json_pack("{s:s, s:{s:s, s:s}}", "version", "1.0", "model", "type",
                             "SentencePiece", "proto", text);
    json_t *model = json_object_get(root, "model");
    if (add_bos >= 0) json_object_set_new(model, "add_bos", json_boolean(add_bos));
    if (add_eos >= 0) json_object_set_new(model, "add_eos", json_boolean(add_eos));
    spar__free(text);
    if (!root) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer");
    spar_status status = spar__tokenizer_from_json(name, root, NULL, 0, out);
    json_decref(root);
    return status;
}

/* ---- Use ------------------------------------------------------------------------------------ */

static spar_status cut(const void *state, spar__run *run, int level, const char *text,
                       size_t length) {
    const spar__spm *s = state;
    (void)level;
    return s->algorithm == SPAR__SPM_BPE ? spar__spm_bpe(s, run, text, length)
                                         : spar__spm_unigram(s, run, text, length);
}

spar_status spar__spm_encode(const spar__spm *s, spar__run *run, const char *text, size_t length) {
    spar__text normal = spar__text_make(run->view != NULL);
    spar_status status = spar__spm_normalize(s, text, length, &normal);
    if (!status) status = spar__run_made(run, 0, &normal, text, cut, s);
    spar__text_free(&normal);
    return status;
}

static spar_status spm_encode(const spar_tokenizer *t, spar__run *run, const char *text,
                              size_t length) {
    return spar__spm_encode(t->model_state, run, text, length);
}

/* A run of byte pieces is read as UTF-8, each bad byte one U+FFFD. */
static spar_status flush_bytes(spar__buffer *bytes, spar__buffer *out) {
    for (size_t at = 0; at < bytes->length;) {
        uint32_t code;
        int n = spar__utf8_decode((unsigned char *)bytes->bytes + at, bytes->length - at, &code);
        SPAR_TRY(n ? spar__buffer_add(out, bytes->bytes + at, (size_t)n)
                   : spar__buffer_add(out, "\xEF\xBF\xBD", 3));
        at += n ? (size_t)n : 1;
    }
    bytes->length = 0;
    return SPAR_OK;
}

static spar_status decode_all(const spar_tokenizer *t, const int32_t *ids, size_t count,
                              spar__buffer *bytes, spar__buffer *out) {
    const spar__spm *s = t->model_state;
    bool seen_blank = false;
    for (size_t i = 0; i < count; i++) {
        const spar__spm_piece *p = &s->pieces[ids[i]];
        size_t n;
        const char *text = spar_tokenizer_piece(t, ids[i], &n);
        if (p->type == SPAR__SPM_BYTE) {
            SPAR_TRY(spar__buffer_add(bytes, text, n));
            continue;
        }
        SPAR_TRY(flush_bytes(bytes, out));
        bool begins = !seen_blank && !out->length;
        seen_blank = false;
        if (p->type == SPAR__SPM_CONTROL) continue;
        if (p->type == SPAR__SPM_UNKNOWN) {
            SPAR_TRY(spar__buffer_add(out, s->unk_surface, s->unk_surface_length));
            continue;
        }
        bool blank = p->length >= 3 && !memcmp(p->bytes, SPAR__SPM_BLANK, 3);
        if (begins && blank && (s->dummy_prefix || s->remove_extra)) {
            text++, n--; /* the dummy */
            seen_blank = !s->remove_extra;
        }
        SPAR_TRY(spar__buffer_add(out, text, n));
    }
    return flush_bytes(bytes, out);
}

static spar_status spm_decode(const spar_tokenizer *t, const int32_t *ids, size_t count,
                              spar__buffer *out) {
    spar__buffer bytes = spar__buffer_make(SIZE_MAX);
    spar_status status = decode_all(t, ids, count, &bytes, out);
    spar__buffer_free(&bytes);
    return status;
}

const spar__model_kind spar__model_spm = {"SentencePiece", "sentencepiece", spm_open, spm_free,
                                          spm_encode, spm_decode, true};
