/* SentencePiece models (Kudo and Richardson 2018, "SentencePiece: a simple and language independent
 * subword tokenizer and detokenizer for neural text processing"): what tokenizer.model holds, and
 * the two ways to cut text with it: byte-pair encoding by scores, and the unigram language model
 * (Kudo 2018, "Subword regularization"). */
#ifndef SPAR_TOKEN_SPM_H
#define SPAR_TOKEN_SPM_H

#include "token/merge.h"
#include "token/vocab.h"
#include "token/trie.h"

enum { SPAR__SPM_NORMAL = 1, SPAR__SPM_UNKNOWN, SPAR__SPM_CONTROL, SPAR__SPM_USER, SPAR__SPM_UNUSED,
       SPAR__SPM_BYTE };
enum { SPAR__SPM_UNIGRAM = 1, SPAR__SPM_BPE = 2 };
#define SPAR__SPM_BLANK "\xE2\x96\x81" /* U+2581, which stands for a blank */

typedef struct spar__spm_piece {
    const char *bytes;
    size_t length;
    float score;
    uint8_t type;
} spar__spm_piece;

typedef struct spar__spm {
    unsigned char *file; /* the bytes of tokenizer.model, which all pointers go into */
    size_t file_length;
    spar__spm_piece *pieces;
    int32_t count;
    int algorithm;
    int32_t unk, bos, eos, pad; /* −1 = none */
    const char *unk_surface;    /* what <unk> decodes to */
    size_t unk_surface_length;
    bool byte_fallback, suffix; /* suffix: the dummy blank goes to the end */
    bool dummy_prefix, remove_extra, escape;
    const unsigned char *map; /* units of the normalisation trie, little endian */
    size_t map_units;
    const char *map_strings;
    size_t map_strings_length;
    bool map_starts[256]; /* whether a key of the map begins with the byte */

    /* Made from the above. */
    spar__trie trie, user; /* pieces that match text; those that are found before normalisation */
    bool has_user;
    int32_t byte_id[256];
    float lowest;  /* score of normal pieces */
    float *scores; /* unigram: of all; user-defined ones have such that they are taken always */
    spar__merges merges;
    const spar__vocab *outside; /* unknown text that is in it becomes −1 − its id there; or NULL */
    bool blank_inside; /* a piece has a blank after another character: words are not apart */
} spar__spm;

/* Reads a tokenizer.model; the file's bytes are taken over also on failure. Every count and length
 * is checked. */
spar_status spar__spm_read(unsigned char *file, size_t length, spar__spm *out);
void spar__spm_free(spar__spm *spm);
/* What is made from what was read; once. */
spar_status spar__spm_prepare(spar__spm *spm);
/* A piece with blanks in `room`, which has its length; how many bytes. */
size_t spar__spm_shown(const char *piece, size_t length, char *room);
/* Appends the file of a model with these pieces and settings. */
spar_status spar__spm_write(const spar__spm *spm, spar__buffer *out);

/* A tokenizer from the bytes of a tokenizer.model. add_bos, add_eos: 1, 0, or −1 for the usual: bos
 * first, or eos last where there is no bos. */
spar_status spar__tokenizer_from_spm(const char *name, const void *file, size_t length, int add_bos,
                                     int add_eos, spar_tokenizer **out);

spar_status spar__spm_normalize(const spar__spm *spm, const char *text, size_t length,
                                spar__text *out);

/* Appends the ids of a text to run->ids. */
spar_status spar__spm_encode(const spar__spm *spm, spar__run *run, const char *text, size_t length);
/* Those of normalised text. */
spar_status spar__spm_bpe_prepare(spar__spm *spm);
spar_status spar__spm_bpe(const spar__spm *spm, spar__run *run, const char *text, size_t length);
spar_status spar__spm_unigram(const spar__spm *spm, spar__run *run, const char *text,
                              size_t length);
/* Appends an unknown character: its bytes, or <unk> unless `again` (one just before). */
spar_status spar__spm_unknown(const spar__spm *spm, spar__run *run, const char *bytes,
                              size_t length, bool again);
/* Bytes of the UTF-8 character at text, at most `length`, 1 for an invalid byte. */
size_t spar__spm_width(const char *text, size_t length);

#endif
