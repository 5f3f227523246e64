/* The parts of a tokenizer. Text runs through them in the order of tokenizer.json:
 *
 *     added tokens ─ normalisers ─ splitters ─ model ─ (what is added before and after)
 *
 * and ids back through the decoders. Every kind of normaliser, splitter, model and decoder is a
 * row of its table, named as tokenizer.json names it: one file and one line of its .def. */
#ifndef SPAR_TOKEN_TOKENIZER_H
#define SPAR_TOKEN_TOKENIZER_H

#include <jansson.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "spar/tokenizer.h"
#include "token/added.h"
#include "token/trace.h"
#include "token/vocab.h"

typedef struct spar__ids {
    int32_t *at;
    size_t count, capacity;
} spar__ids;
spar_status spar__ids_grow(spar__ids *ids, size_t more);
static inline spar_status spar__ids_add(spar__ids *ids, int32_t id) {
    if (ids->count == ids->capacity) SPAR_TRY(spar__ids_grow(ids, 1));
    ids->at[ids->count++] = id;
    return SPAR_OK;
}

/* One text on its way through: the state of one call, so that tokenizers themselves stay constant.
 * `take` receives the pieces in order: the model's ids, or a trainer's counts. */
typedef struct spar__run {
    const spar_tokenizer *tokenizer;
    spar_status (*take)(struct spar__run *run, const char *piece, size_t length);
    void *context;   /* of `take` */
    spar__ids ids;
    void *scratch;   /* the model's, grown as needed; freed with spar__free */
    size_t scratch_bytes;
    void *cache;     /* the model's; freed with spar__free */
    const char *unknown; /* SentencePiece: where a run of unknown characters began */
    const spar__view *view; /* what pieces point into; NULL when nobody asks where they came from */
    const char *start;      /* the text that begins where the source does */
    bool wants_spans;
    spar__span *spans; /* of each id, in the source */
    size_t n_spans, span_capacity;
} spar__run;

/* At least so many bytes at run->scratch; what was there is lost. */
spar_status spar__run_scratch(spar__run *run, size_t bytes);
/* With run->wants_spans a model says for each id which bytes of its piece it stands for. */
spar_status spar__run_span_add(spar__run *run, spar__span span);
static inline spar_status spar__run_span(spar__run *run, const char *begin, const char *end) {
    return run->wants_spans ? spar__run_span_add(run, spar__view_source(run->view, begin, end))
                            : SPAR_OK;
}
/* Goes on with `made`, which a splitter made from text[0 … length) of the current view: handed to
 * spar__run_split(run, level, …) whole, or to `split` when that is given. */
spar_status spar__run_made(spar__run *run, int level, const spar__text *made, const char *text,
                           spar_status (*split)(const void *state, spar__run *run, int level,
                                                const char *text, size_t length),
                           const void *state);

/* `open` reads the settings from the part's JSON object into *state (NULL if it has none). */
typedef struct spar__normalizer_kind {
    const char *name;
    spar_status (*open)(const json_t *settings, void **state);
    void (*free)(void *state);
    /* Appends the normalised text to `out`. */
    spar_status (*apply)(const void *state, const char *text, size_t length, spar__text *out);
} spar__normalizer_kind;

typedef struct spar__splitter_kind {
    const char *name;
    spar_status (*open)(const json_t *settings, void **state);
    void (*free)(void *state);
    /* Hands each piece of the text to spar__run_split(run, level + 1, …). */
    spar_status (*split)(const void *state, spar__run *run, int level, const char *text,
                         size_t length);
} spar__splitter_kind;

typedef struct spar__model_kind {
    const char *name, *kind; /* in tokenizer.json; in Spar */
    spar_status (*open)(spar_tokenizer *tokenizer, const json_t *settings);
    void (*free)(void *state);
    spar_status (*encode)(const spar_tokenizer *tokenizer, spar__run *run, const char *piece,
                          size_t length);
    /* Appends the text of ids in range; NULL: the decoders do it. */
    spar_status (*decode)(const spar_tokenizer *tokenizer, const int32_t *ids, size_t count,
                          spar__buffer *out);
    bool whole; /* fills vocabulary and roles itself and takes the text as it is */
} spar__model_kind;

/* Decoders turn a list of pieces into another; at the end the list is joined. */
typedef struct spar__pieces {
    spar__buffer bytes;
    size_t *ends;
    size_t count, capacity;
} spar__pieces;
spar_status spar__pieces_add(spar__pieces *pieces, const char *bytes, size_t length);
void spar__pieces_free(spar__pieces *pieces);

typedef struct spar__decoder_kind {
    const char *name;
    spar_status (*open)(const json_t *settings, void **state);
    void (*free)(void *state);
    spar_status (*apply)(const void *state, const spar__pieces *in, spar__pieces *out);
} spar__decoder_kind;

#define NORMALIZER(name) extern const spar__normalizer_kind spar__normalizer_##name;
#include "token/normalizer.def"
#undef NORMALIZER
#define SPLITTER(name) extern const spar__splitter_kind spar__splitter_##name;
#include "token/splitter.def"
#undef SPLITTER
#define MODEL(name) extern const spar__model_kind spar__model_##name;
#include "token/model.def"
#undef MODEL
#define DECODER(name) extern const spar__decoder_kind spar__decoder_##name;
#include "token/decoder.def"
#undef DECODER

extern const spar__splitter_kind spar__splitter_spelling; /* bytes to characters; in no table */
spar_status spar__spell_text(const char *text, size_t length, spar__text *out);
bool spar__metaspace_from_start(const void *state); /* it asks where the source begins */
spar_status spar__piece_shown(const spar_tokenizer *tokenizer, int32_t id, const char *suffix,
                              spar__buffer *out);
/* What the decoder ByteLevel does to pieces one by one. */
spar_status spar__unspell_pieces(const spar__pieces *in, spar__pieces *out);
/* Appends a copy of text with each maximal invalid part replaced by U+FFFD. */
spar_status spar__repair(const char *text, size_t length, spar__text *out);
/* The byte that <0x00> … <0xFF> stands for, −1 when the piece is none of them. */
int spar__byte_piece(const char *piece, size_t length);

enum { SPAR__MAX_STAGES = 16, SPAR__MAX_AROUND = 16 };

struct spar_tokenizer {
    spar__vocab vocab;
    spar__vocab shown; /* what pieces stand for, where that is not what they are; else empty */
    spar__added added;
    spar__added control; /* SentencePiece's control pieces, which match only when asked for */
    struct {
        const spar__normalizer_kind *kind;
        void *state;
    } normalizers[SPAR__MAX_STAGES];
    struct {
        const spar__splitter_kind *kind;
        void *state;
    } splitters[SPAR__MAX_STAGES];
    struct {
        const spar__decoder_kind *kind;
        void *state;
    } decoders[SPAR__MAX_STAGES];
    int n_normalizers, n_splitters, n_decoders;
    bool byte_level;  /* the vocabulary spells bytes as characters; here it holds the bytes */
    bool spelled;     /* the vocabulary spells bytes as characters and keeps them so */
    bool from_start;  /* a splitter asks what begins where the source does */
    bool spaced;      /* no decoder: pieces are joined by blanks */
    const spar__model_kind *model;
    void *model_state;
    int32_t before[SPAR__MAX_AROUND], after[SPAR__MAX_AROUND];
    int n_before, n_after;
    int32_t bos, eos, pad, unk;
    char *json; /* the tokenizer.json that says all this */
    size_t json_length;
};

/* Runs one text up to `run->take`; `flags` as in spar_tokenizer_encode. Added tokens go to
 * run->ids, or nowhere when run->take is not the model's. */
spar_status spar__run_text(spar__run *run, const char *text, size_t length, unsigned flags);
spar_status spar__run_split(spar__run *run, int level, const char *text, size_t length);
void spar__run_free(spar__run *run);

/* A tokenizer from a parsed tokenizer.json and its text (NULL: written from what was parsed), and
 * from the text alone. `name` is for messages. */
spar_status spar__tokenizer_from_json(const char *name, const json_t *root, const char *text,
                                      size_t length, spar_tokenizer **out);
spar_status spar__tokenizer_from_text(const char *name, const char *text, size_t length,
                                      spar_tokenizer **out);

/* A new tokenizer.json object of byte-level BPE. Steals `vocab` and `merges`, also on failure. */
spar_status spar__bpe_json(json_t *vocab, json_t *merges, const char *splitter,
                           const char *const *special, int n_special, json_t **out);

#endif
