/* Text through the parts of a tokenizer and back. */
#include "token/tokenizer.h"

#include <string.h>

#include "base/text.h"
#include "token/spell.h"

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
    spar__free(run->spans);
}

spar_status spar__run_scratch(spar__run *run, size_t bytes) {
    if (bytes <= run->scratch_bytes) return SPAR_OK;
    spar__free(run->scratch);
    run->scratch_bytes = 0;
    run->scratch = spar__alloc(bytes);
    if (!run->scratch) return SPAR_ERR_MEMORY;
    run->scratch_bytes = bytes;
    return SPAR_OK;
}

spar_status spar__run_span_add(spar__run *run, spar__span span) {
    if (run->n_spans == run->span_capacity) {
        size_t capacity = run->span_capacity ? run->span_capacity * 2 : 256;
        spar__span *spans = spar__resize(run->spans, capacity, sizeof *spans);
        if (!spans) return SPAR_ERR_MEMORY;
        run->spans = spans;
        run->span_capacity = capacity;
    }
    run->spans[run->n_spans++] = span;
    return SPAR_OK;
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

spar_status spar__run_made(spar__run *run, int level, const spar__text *made, const char *text,
                           spar_status (*split)(const void *state, spar__run *run, int level,
                                                const char *text, size_t length),
                           const void *state) {
    const spar__view *outer = run->view;
    const char *start = run->start, *bytes = made->bytes.bytes;
    spar__view view = {bytes, made->bytes.length, made->spans,
                       outer ? (size_t)(text - outer->text) : 0, outer};
    if (outer) run->view = &view;
    run->start = text == start ? bytes : NULL;
    spar_status status = split ? split(state, run, level, bytes, made->bytes.length)
                               : spar__run_split(run, level, bytes, made->bytes.length);
    run->view = outer;
    run->start = start;
    return status;
}

static spar_status add_token(spar__run *run, int32_t id, const char *begin, const char *end) {
    if (run->take != take_ids) return SPAR_OK;
    SPAR_TRY(spar__run_span(run, begin, end));
    return spar__ids_add(&run->ids, id);
}

/* Text without plain added tokens, normalised: what is left are added tokens that are looked for
 * only now. */
static spar_status run_normalized(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar__added *added = &run->tokenizer->added;
    spar__added_place place = {0};
    size_t at = 0, begin, end;
    while (!(flags & SPAR_TOKENIZE_PLAIN)) {
        const spar__added_token *token =
            spar__added_next(added, true, text, length, &place, &begin, &end);
        if (!token) break;
        if (begin > at) SPAR_TRY(spar__run_split(run, 0, text + at, begin - at));
        SPAR_TRY(add_token(run, token->id, text + begin, text + end));
        at = end;
    }
    return spar__run_split(run, 0, text + at, length - at);
}

static spar_status run_section(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar_tokenizer *t = run->tokenizer;
    if (!t->n_normalizers) return run_normalized(run, text, length, flags);
    const spar__view *outer = run->view;
    const char *start = run->start;
    bool tracked = outer != NULL, first = text == start;
    spar__text texts[SPAR__MAX_STAGES];
    spar__view views[SPAR__MAX_STAGES];
    int n = 0;
    spar_status status = SPAR_OK;
    for (; !status && n < t->n_normalizers; n++) {
        spar__text *out = &texts[n];
        *out = spar__text_make(tracked);
        status = t->normalizers[n].kind->apply(t->normalizers[n].state, text, length, out);
        views[n] = (spar__view){out->bytes.bytes, out->bytes.length, out->spans,
                                tracked && !n ? (size_t)(text - outer->text) : 0, run->view};
        if (tracked) run->view = &views[n];
        if (!tracked && n) spar__text_free(&texts[n - 1]);
        text = out->bytes.bytes;
        length = out->bytes.length;
    }
    if (!status && length) {
        if (first && tracked) first = spar__view_source(run->view, text, text + 1).begin == 0;
        run->start = first ? text : NULL;
        status = run_normalized(run, text, length, flags);
    }
    run->view = outer;
    run->start = start;
    while (n) spar__text_free(&texts[--n]);
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

spar_status spar__repair(const char *text, size_t length, spar__text *out) {
    for (size_t at = 0; at < length;) {
        size_t good = valid_prefix(text + at, length - at);
        SPAR_TRY(spar__text_copy(out, text, at, at + good));
        at += good;
        if (at == length) break;
        size_t bad = (size_t)spar__utf8_bad((const unsigned char *)text + at, length - at);
        SPAR_TRY(spar__text_add(out, "\xEF\xBF\xBD", 3, at, at + bad));
        at += bad;
    }
    return SPAR_OK;
}

static spar_status run_valid(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar_tokenizer *t = run->tokenizer;
    const spar__added *added = flags & SPAR_TOKENIZE_CONTROL && t->control.count ? &t->control
                                                                                 : &t->added;
    spar__added_place place = {0};
    size_t at = 0, begin, end;
    run->start = text;
    while (!(flags & SPAR_TOKENIZE_PLAIN)) {
        const spar__added_token *token =
            spar__added_next(added, false, text, length, &place, &begin, &end);
        if (!token) break;
        if (begin > at) SPAR_TRY(run_section(run, text + at, begin - at, flags));
        SPAR_TRY(add_token(run, token->id, text + begin, text + end));
        at = end;
    }
    return at < length ? run_section(run, text + at, length - at, flags) : SPAR_OK;
}

spar_status spar__run_text(spar__run *run, const char *text, size_t length, unsigned flags) {
    bool tracked = run->wants_spans || (run->tokenizer->from_start && run->tokenizer->n_normalizers);
    spar__text repaired = spar__text_make(tracked);
    spar__view source = {text, length, NULL, 0, NULL}, view = source;
    if (valid_prefix(text, length) < length) {
        spar_status status = spar__repair(text, length, &repaired);
        if (status) return spar__text_free(&repaired), status;
        text = repaired.bytes.bytes;
        length = repaired.bytes.length;
        view = (spar__view){text, length, repaired.spans, 0, &source};
    }
    if (tracked) run->view = &view;
    spar_status status = run_valid(run, text, length, flags);
    run->view = NULL;
    run->start = NULL;
    spar__text_free(&repaired);
    return status;
}

/* What is added before or after the text stands for none of it. */
static spar_status add_around(spar__run *run, const int32_t *ids, int n, size_t at) {
    for (int i = 0; i < n; i++) {
        if (run->wants_spans) SPAR_TRY(spar__run_span_add(run, (spar__span){at, at}));
        SPAR_TRY(spar__ids_add(&run->ids, ids[i]));
    }
    return SPAR_OK;
}

static spar_status encode(spar__run *run, const char *text, size_t length, unsigned flags) {
    const spar_tokenizer *t = run->tokenizer;
    SPAR_TRY(spar__ids_grow(&run->ids, length / 3 + 2 * SPAR__MAX_AROUND));
    if (flags & SPAR_TOKENIZE_SPECIAL) SPAR_TRY(add_around(run, t->before, t->n_before, 0));
    SPAR_TRY(spar__run_text(run, text, length, flags));
    if (flags & SPAR_TOKENIZE_SPECIAL) SPAR_TRY(add_around(run, t->after, t->n_after, length));
    return SPAR_OK;
}

spar_status spar_tokenizer_encode(const spar_tokenizer *t, const char *text, size_t length,
                                  unsigned flags, int32_t **ids, size_t *count) {
    return spar_tokenizer_encode_offsets(t, text, length, flags, ids, NULL, count);
}

spar_status spar_tokenizer_encode_offsets(const spar_tokenizer *t, const char *text, size_t length,
                                          unsigned flags, int32_t **ids, size_t (**offsets)[2],
                                          size_t *count) {
    spar__run run = {.tokenizer = t, .take = take_ids, .wants_spans = offsets != NULL};
    spar_status status = encode(&run, text, length, flags);
    size_t(*places)[2] = NULL;
    if (!status && offsets && !(places = spar__array(run.ids.count + 1, sizeof *places)))
        status = SPAR_ERR_MEMORY;
    if (!status) {
        for (size_t i = 0; offsets && i < run.ids.count; i++)
            places[i][0] = run.spans[i].begin, places[i][1] = run.spans[i].end;
        if (offsets) *offsets = places;
        *ids = run.ids.at;
        *count = run.ids.count;
        run.ids.at = NULL;
    }
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

static const char *piece_of(const spar_tokenizer *t, int32_t id, size_t *length) {
    bool known = id >= 0 && id < t->vocab.size && (t->vocab.flags[id] & SPAR__PIECE_DEFINED);
    *length = known ? t->vocab.length[id] : 0;
    return known ? spar__vocab_bytes(&t->vocab, id) : "";
}

/* The piece that decoders get: of an added token what normalised text held, as bytes where the
 * vocabulary holds those (in `room`). */
static const char *decoded_piece(const spar_tokenizer *t, int32_t id, size_t *length,
                                 char room[SPAR__MAX_ADDED]) {
    bool other = t->vocab.flags[id] & SPAR__PIECE_NORMALIZED;
    for (size_t i = 0; other && i < t->added.count; i++) {
        const spar__added_token *token = &t->added.tokens[i];
        if (token->id != id) continue;
        if (t->byte_level && spar__spell_decode(token->text, token->length, room, length))
            return room;
        return *length = token->length, token->text;
    }
    return piece_of(t, id, length);
}

/* Appends what a piece stands for in running text: what the decoders make of one in the middle. */
spar_status spar__piece_shown(const spar_tokenizer *t, int32_t id, const char *suffix,
                              spar__buffer *out) {
    size_t n;
    char room[SPAR__MAX_ADDED];
    const char *piece = decoded_piece(t, id, &n, room);
    int byte = spar__byte_piece(piece, n);
    char value = (char)byte;
    if (t->vocab.flags[id] & SPAR__PIECE_SPECIAL) return spar__buffer_add(out, piece, n);
    for (int i = 0; byte >= 0 && i < t->n_decoders; i++)
        if (t->decoders[i].kind == &spar__decoder_byte_fallback)
            return spar__buffer_add(out, &value, 1);
    /* Between two others, so that what is done at either end does not touch it. */
    spar__pieces lists[2] = {{.bytes = spar__buffer_make(SIZE_MAX)},
                             {.bytes = spar__buffer_make(SIZE_MAX)}};
    int now = 0;
    spar_status status = spar__pieces_add(&lists[0], "x", 1);
    if (!status) status = spar__pieces_add(&lists[0], piece, n);
    if (!status) status = spar__pieces_add(&lists[0], "x", 1);
    for (int i = 0; !status && i < t->n_decoders; i++) {
        if (t->decoders[i].kind == &spar__decoder_fuse) break;
        if (t->byte_level && t->decoders[i].kind == &spar__decoder_byte_level) continue;
        spar__pieces *next = &lists[!now];
        next->count = next->bytes.length = 0;
        bool joins = t->decoders[i].kind == &spar__decoder_byte_level;
        status = joins ? spar__unspell_pieces(&lists[now], next)
                       : t->decoders[i].kind->apply(t->decoders[i].state, &lists[now], next);
        now = !now;
        if (joins) break;
    }
    const spar__pieces *made = &lists[now];
    size_t n_suffix = suffix ? strlen(suffix) : 0;
    if (!status && made->count == 3) {
        const char *bytes = made->bytes.bytes + made->ends[0];
        size_t length = made->ends[1] - made->ends[0];
        bool ends = n_suffix && length >= n_suffix &&
                    !memcmp(bytes + length - n_suffix, suffix, n_suffix);
        status = spar__buffer_add(out, bytes, length - (ends ? n_suffix : 0));
        if (!status && ends) status = spar__buffer_add(out, " ", 1);
    }
    spar__pieces_free(&lists[0]);
    spar__pieces_free(&lists[1]);
    return status;
}

static spar_status decode_pieces(const spar_tokenizer *t, const int32_t *ids, size_t count,
                                 spar__pieces *pieces) {
    if (t->model->decode) return t->model->decode(t, ids, count, &pieces->bytes);
    for (size_t i = 0; i < count; i++) {
        size_t n;
        char room[SPAR__MAX_ADDED];
        const char *bytes = decoded_piece(t, ids[i], &n, room);
        if (t->spaced && i) SPAR_TRY(spar__buffer_add(&pieces->bytes, " ", 1));
        SPAR_TRY(spar__pieces_add(pieces, bytes, n));
    }
    return SPAR_OK;
}

spar_status spar_tokenizer_decode(const spar_tokenizer *t, const int32_t *ids, size_t count,
                                  char **text, size_t *length) {
    spar__pieces lists[2] = {{.bytes = spar__buffer_make(SIZE_MAX)},
                             {.bytes = spar__buffer_make(SIZE_MAX)}};
    spar__text made = spar__text_make(false);
    int now = 0;
    spar_status status;
    SPAR_TRY_GOTO(done, check_ids(t, ids, count));
    SPAR_TRY_GOTO(done, decode_pieces(t, ids, count, &lists[0]));
    for (int i = 0; i < t->n_decoders; i++) {
        if (t->byte_level && t->decoders[i].kind == &spar__decoder_byte_level) continue;
        spar__pieces *next = &lists[!now];
        next->count = next->bytes.length = 0;
        SPAR_TRY_GOTO(done,
                      t->decoders[i].kind->apply(t->decoders[i].state, &lists[now], next));
        now = !now;
    }
    SPAR_TRY_GOTO(done, spar__repair(lists[now].bytes.bytes, lists[now].bytes.length, &made));
    if (!spar__buffer_text(&made.bytes)) {
        status = SPAR_ERR_MEMORY;
        goto done;
    }
    *text = made.bytes.bytes;
    *length = made.bytes.length;
    made.bytes.bytes = NULL;
done:
    spar__pieces_free(&lists[0]);
    spar__pieces_free(&lists[1]);
    spar__text_free(&made);
    return status;
}

/* ---- What there is -------------------------------------------------------------------------- */

const char *spar_tokenizer_piece(const spar_tokenizer *t, int32_t id, size_t *length) {
    if (!t->shown.pool) return piece_of(t, id, length);
    bool known = id >= 0 && id < t->shown.size && (t->shown.flags[id] & SPAR__PIECE_DEFINED);
    *length = known ? t->shown.length[id] : 0;
    return known ? spar__vocab_bytes(&t->shown, id) : "";
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
    spar__vocab_free(&t->shown);
    spar__added_free(&t->added);
    spar__added_free(&t->control);
    spar__free(t->json);
    spar__free(t);
}
