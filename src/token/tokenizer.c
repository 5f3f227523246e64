/* Text through the parts of a tokenizer and back. */
#include "token/tokenizer.h"

#include <string.h>

#include "base/text.h"

spar_status spar__ids_grow(spar__ids *ids, size_t more) {
    size_t need, doubled = ids->capacity < 64 ? 128 : ids->capacity * 2;
    if (!spar__add(ids->count, more, &need))
        return spar__fail(SPAR_ERR_MEMORY, "out of memory: token ids");
    if (doubled > need) need = doubled;
    int32_t *at = spar__resize(ids->at, need, sizeof *at);
    if (!at) return SPAR_ERR_MEMORY;
    ids->at = at;
    ids->capacity = need;
    return SPAR_OK;
}

void spar__run_free(spar__run *run) {
    spar__free(run->ids.at);
    spar__free(run->scratch);
    spar__free(run->cache);
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static spar_status take_ids(spar__run *run, const char *piece, size_t length) {
    return run->tokenizer->model->encode(run->tokenizer, run, piece, length);
}

spar_status spar__run_split(spar__run *run, int level, const char *text, size_t length) {
    const spar_tokenizer *t = run->tokenizer;
    if (!length) return SPAR_OK;
    if (level == t->n_splitters) return run->take(run, text, length);
    return t->splitters[level].kind->split(t->splitters[level].state, run, level, text, length);
}

static spar_status add_token(spar__run *run, int32_t id) {
    return run->take == take_ids ? spar__ids_add(&run->ids, id) : SPAR_OK;
}

/* Text without plain added tokens, normalised: what is left are added tokens that are looked for
 * only now. */
static spar_status run_normalized(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar__added *added = &run->tokenizer->added;
    size_t at = 0, begin, end;
    while (!(flags & SPAR_TOKENIZE_PLAIN)) {
        const spar__added_token *token =
            spar__added_next(added, true, text, at, length, &begin, &end);
        if (!token) break;
        SPAR_TRY(spar__run_split(run, 0, text + at, begin - at));
        SPAR_TRY(add_token(run, token->id));
        at = end;
    }
    return spar__run_split(run, 0, text + at, length - at);
}

static spar_status run_section(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar_tokenizer *t = run->tokenizer;
    if (!t->n_normalizers) return run_normalized(run, text, length, flags);
    spar__buffer buffers[2] = {spar__buffer_make(SIZE_MAX), spar__buffer_make(SIZE_MAX)};
    spar_status status = SPAR_OK;
    for (int i = 0; !status && i < t->n_normalizers; i++) {
        spar__buffer *out = &buffers[i % 2];
        out->length = 0;
        status = t->normalizers[i].kind->apply(t->normalizers[i].state, text, length, out);
        text = out->bytes;
        length = out->length;
    }
    if (!status && length) status = run_normalized(run, text, length, flags);
    spar__buffer_free(&buffers[0]);
    spar__buffer_free(&buffers[1]);
    return status;
}

/* Bytes at the front that are valid UTF-8. */
static size_t valid_prefix(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;
    while (at < length) {
        uint64_t eight;
        if (at + 8 <= length && (memcpy(&eight, p + at, 8), !(eight & 0x8080808080808080u))) {
            at += 8;
            continue;
        }
        uint32_t code;
        int n = p[at] < 0x80 ? 1 : spar__utf8_decode(p + at, length - at, &code);
        if (!n) break;
        at += (size_t)n;
    }
    return at;
}

/* Copies text with each maximal invalid part replaced by U+FFFD. */
static spar_status repair(const char *text, size_t length, spar__buffer *out) {
    for (size_t at = 0; at < length;) {
        size_t good = valid_prefix(text + at, length - at);
        SPAR_TRY(spar__buffer_add(out, text + at, good));
        at += good;
        if (at == length) break;
        SPAR_TRY(spar__buffer_add(out, "\xEF\xBF\xBD", 3));
        at += (size_t)spar__utf8_bad((const unsigned char *)text + at, length - at);
    }
    return SPAR_OK;
}

spar_status spar__run_text(spar__run *run, const char *text, size_t length, unsigned flags) {
    spar__buffer repaired = spar__buffer_make(SIZE_MAX);
    spar_status status = SPAR_OK;
    if (valid_prefix(text, length) < length) {
        SPAR_TRY_GOTO(done, repair(text, length, &repaired));
        text = repaired.bytes;
        length = repaired.length;
    }
    size_t at = 0, begin, end;
    while (!(flags & SPAR_TOKENIZE_PLAIN)) {
        const spar__added_token *token =
            spar__added_next(&run->tokenizer->added, false, text, at, length, &begin, &end);
        if (!token) break;
        if (begin > at) SPAR_TRY_GOTO(done, run_section(run, text + at, begin - at, flags));
        SPAR_TRY_GOTO(done, add_token(run, token->id));
        at = end;
    }
    if (at < length) status = run_section(run, text + at, length - at, flags);
done:
    spar__buffer_free(&repaired);
    return status;
}

spar_status spar_tokenizer_encode(const spar_tokenizer *t, const char *text, size_t length,
                                  unsigned flags, int32_t **ids, size_t *count) {
    spar__run run = {.tokenizer = t, .take = take_ids};
    spar_status status;
    SPAR_TRY_GOTO(done, spar__ids_grow(&run.ids, length / 3 + 2 * SPAR__MAX_AROUND));
    if (flags & SPAR_TOKENIZE_SPECIAL)
        for (int i = 0; i < t->n_before; i++)
            SPAR_TRY_GOTO(done, spar__ids_add(&run.ids, t->before[i]));
    SPAR_TRY_GOTO(done, spar__run_text(&run, text, length, flags));
    if (flags & SPAR_TOKENIZE_SPECIAL)
        for (int i = 0; i < t->n_after; i++)
            SPAR_TRY_GOTO(done, spar__ids_add(&run.ids, t->after[i]));
    *ids = run.ids.at;
    *count = run.ids.count;
    run.ids.at = NULL;
done:
    spar__run_free(&run);
    return status;
}

/* ---- Decoding ------------------------------------------------------------------------------- */

static spar_status check_ids(const spar_tokenizer *t, const int32_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= t->vocab.size)
            return spar__fail(SPAR_ERR_ARGUMENT, "token %zu: id %d, expected 0 to %d", i, ids[i],
                              t->vocab.size - 1);
    return SPAR_OK;
}

static spar_status decode_pieces(const spar_tokenizer *t, const int32_t *ids, size_t count,
                                 spar__pieces *pieces) {
    if (t->model->decode) return t->model->decode(t, ids, count, &pieces->bytes);
    for (size_t i = 0; i < count; i++) {
        size_t n;
        const char *bytes = spar_tokenizer_piece(t, ids[i], &n);
        if (t->spaced && i) SPAR_TRY(spar__buffer_add(&pieces->bytes, " ", 1));
        SPAR_TRY(spar__pieces_add(pieces, bytes, n));
    }
    return SPAR_OK;
}

spar_status spar_tokenizer_decode(const spar_tokenizer *t, const int32_t *ids, size_t count,
                                  char **text, size_t *length) {
    spar__pieces lists[2] = {{.bytes = spar__buffer_make(SIZE_MAX)},
                             {.bytes = spar__buffer_make(SIZE_MAX)}};
    spar__buffer out = spar__buffer_make(SIZE_MAX);
    int now = 0;
    spar_status status;
    SPAR_TRY_GOTO(done, check_ids(t, ids, count));
    SPAR_TRY_GOTO(done, decode_pieces(t, ids, count, &lists[0]));
    for (int i = 0; i < t->n_decoders; i++) {
        if (!t->decoders[i].kind->apply) continue;
        spar__pieces *next = &lists[!now];
        next->count = next->bytes.length = 0;
        SPAR_TRY_GOTO(done,
                      t->decoders[i].kind->apply(t->decoders[i].state, &lists[now], next));
        now = !now;
    }
    SPAR_TRY_GOTO(done, repair(lists[now].bytes.bytes, lists[now].bytes.length, &out));
    if (!spar__buffer_text(&out)) {
        status = SPAR_ERR_MEMORY;
        goto done;
    }
    *text = out.bytes;
    *length = out.length;
    out.bytes = NULL;
done:
    spar__pieces_free(&lists[0]);
    spar__pieces_free(&lists[1]);
    spar__free(out.bytes);
    return status;
}

/* ---- What there is -------------------------------------------------------------------------- */

const char *spar_tokenizer_piece(const spar_tokenizer *t, int32_t id, size_t *length) {
    bool known = id >= 0 && id < t->vocab.size && (t->vocab.flags[id] & SPAR__PIECE_DEFINED);
    *length = known ? t->vocab.length[id] : 0;
    return known ? spar__vocab_bytes(&t->vocab, id) : "";
}

int32_t spar_tokenizer_size(const spar_tokenizer *t) { return t->vocab.size; }
int32_t spar_tokenizer_bos(const spar_tokenizer *t) { return t->bos; }
int32_t spar_tokenizer_eos(const spar_tokenizer *t) { return t->eos; }
int32_t spar_tokenizer_pad(const spar_tokenizer *t) { return t->pad; }
int32_t spar_tokenizer_unk(const spar_tokenizer *t) { return t->unk; }
const char *spar_tokenizer_kind(const spar_tokenizer *t) { return t->model->kind; }

bool spar_tokenizer_is_special(const spar_tokenizer *t, int32_t id) {
    return id >= 0 && id < t->vocab.size && (t->vocab.flags[id] & SPAR__PIECE_SPECIAL);
}

int32_t spar_tokenizer_find(const spar_tokenizer *t, const char *bytes, size_t length) {
    return spar__vocab_find(&t->vocab, bytes, length);
}

void spar_tokenizer_free(spar_tokenizer *t) {
    if (!t) return;
    for (int i = 0; i < t->n_normalizers; i++)
        if (t->normalizers[i].kind->free) t->normalizers[i].kind->free(t->normalizers[i].state);
    for (int i = 0; i < t->n_splitters; i++)
        if (t->splitters[i].kind->free) t->splitters[i].kind->free(t->splitters[i].state);
    for (int i = 0; i < t->n_decoders; i++)
        if (t->decoders[i].kind->free) t->decoders[i].kind->free(t->decoders[i].state);
    if (t->model && t->model->free) t->model->free(t->model_state);
    spar__vocab_free(&t->vocab);
    spar__added_free(&t->added);
    spar__free(t->json);
    spar__free(t);
}
