/* Tokenizers: text to token ids and back, and learning a vocabulary from text.
 *
 * A tokenizer works in the order of Hugging Face's tokenizer.json: special tokens that stand
 * literally in the text are split off, the rest is normalised, cut into pieces, and each piece is
 * turned into ids by a model: byte-pair encoding (Sennrich et al. 2016, "Neural machine translation
 * of rare words with subword units"; on bytes: Radford et al. 2019, "Language models are
 * unsupervised multitask learners"), WordPiece (Devlin et al. 2019, "BERT"), or SentencePiece, which
 * normalises and cuts the whole text by itself (Kudo and Richardson 2018): byte-pair encoding by
 * scores or the unigram model (Kudo 2018, "Subword regularization"). Special tokens of SentencePiece
 * never match text.
 *
 * A tokenizer never changes once it is loaded: any number of threads may use it at once. */
#ifndef SPAR_TOKENIZER_H
#define SPAR_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spar/log.h"
#include "spar/memory.h"
#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_tokenizer spar_tokenizer;

/* Opens a tokenizer.json, Marian's vocab.json with source.spm and target.spm beside it, a vocab.json
 * with merges.txt, a SentencePiece tokenizer.model, a vocab.txt of WordPiece, a folder that holds one
 * of them (looked for in this order), or the tokenizer inside a .gguf file. The caller frees *out with spar_tokenizer_free.
 * SPAR_ERR_FORMAT for what is malformed, SPAR_ERR_UNSUPPORTED, by name, for kinds that are not
 * known; SPAR_ERR_NOT_FOUND when a folder or model holds no tokenizer. */
spar_status spar_tokenizer_open(const char *path, spar_tokenizer **out);

/* Writes a tokenizer.json that Hugging Face's library loads (SentencePiece models: one that only
 * Spar loads, for the library has no exact form of them); the file appears whole or not at all. */
spar_status spar_tokenizer_save(const spar_tokenizer *tokenizer, const char *path);

void spar_tokenizer_free(spar_tokenizer *tokenizer); /* NULL is fine */

enum {
    SPAR_TOKENIZE_SPECIAL = 1, /* add what the tokenizer adds by default: <s>, [CLS] … [SEP] */
    SPAR_TOKENIZE_PLAIN = 2,   /* special tokens in the text are ordinary text */
    SPAR_TOKENIZE_CONTROL = 4, /* SentencePiece's control pieces match text too (chat templates) */
};

/* The ids of text[0 … length). Parts of the text that are not UTF-8 are read as U+FFFD. The caller
 * frees *ids with spar_free (never NULL on success, also when *count is 0). SPAR_ERR_LIMIT when a
 * regular expression of the tokenizer's file needs too many steps on this text. */
spar_status spar_tokenizer_encode(const spar_tokenizer *tokenizer, const char *text, size_t length,
                                  unsigned flags, int32_t **ids, size_t *count);

/* The same with offsets: (*offsets)[i] is where token i begins and ends in the bytes of `text`, through
 * whatever normalisation; what stands for no text (what is added, a blank put in front) is empty there
 * or takes no part. A token of some bytes of a character has just those. The caller frees *offsets
 * with spar_free. */
spar_status spar_tokenizer_encode_offsets(const spar_tokenizer *tokenizer, const char *text,
                                          size_t length, unsigned flags, int32_t **ids,
                                          size_t (**offsets)[2], size_t *count);

/* The text of ids[0 … count), valid UTF-8: each maximal invalid part becomes U+FFFD. *text is also
 * 0-terminated; the caller frees it with spar_free. SPAR_ERR_ARGUMENT for an id out of range. */
spar_status spar_tokenizer_decode(const spar_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                  char **text, size_t *length);

/* The bytes that one token stands for (they need not be whole characters), for streaming: owned by
 * the tokenizer. "" with *length 0 for an id out of range. */
const char *spar_tokenizer_piece(const spar_tokenizer *tokenizer, int32_t id, size_t *length);

/* Number of ids: they run from 0 to size − 1. */
int32_t spar_tokenizer_size(const spar_tokenizer *tokenizer);

/* The ids with a role; −1 when there is none. A tokenizer.json does not state bos, eos and pad:
 * they are then taken from tokenizer_config.json beside it, else recognised by the names in use. */
int32_t spar_tokenizer_bos(const spar_tokenizer *tokenizer);
int32_t spar_tokenizer_eos(const spar_tokenizer *tokenizer);
int32_t spar_tokenizer_pad(const spar_tokenizer *tokenizer);
int32_t spar_tokenizer_unk(const spar_tokenizer *tokenizer);

/* Whether the token is one that controls rather than spells text (<|endoftext|>, [CLS]). */
bool spar_tokenizer_is_special(const spar_tokenizer *tokenizer, int32_t id);

/* The id whose piece is exactly these bytes, or −1. */
int32_t spar_tokenizer_find(const spar_tokenizer *tokenizer, const char *bytes, size_t length);

/* The kind of model: "bpe", "sentencepiece", "marian", "wordpiece", "unigram", "wordlevel". */
const char *spar_tokenizer_kind(const spar_tokenizer *tokenizer);

/* ---- Training ------------------------------------------------------------------------------- */

/* Gives the next piece of the corpus: a document, or a part of one that ends where words do.
 * *text stays valid until the next call; *text NULL ends the corpus. Called from one thread. */
typedef struct spar_text_reader {
    spar_status (*next)(void *context, const char **text, size_t *length);
    void *context;
} spar_text_reader;

typedef struct spar_tokenizer_options {
    /* "bpe": byte-level byte-pair encoding; "unigram" (Kudo 2018), with SentencePiece's
     * normalisation nmt_nfkc; "wordpiece" as BERT uses it; "char": each character is a token. */
    const char *kind;
    int32_t vocab_size;     /* ids in all, special tokens and the 256 bytes included */
    const char *splitter;   /* the expression that cuts text into words: "gpt2", "llama3", "qwen2" */
    const char *const *special; /* special tokens; they get the first ids, in this order */
    int n_special;
    int64_t min_frequency; /* a merge must be seen this often */
    double character_coverage; /* unigram, wordpiece: part of the text whose characters get pieces */
    bool byte_fallback;    /* unigram: other characters become bytes, not <unk> */
    bool lowercase;        /* wordpiece: lower case, accents off */
} spar_tokenizer_options;

/* <|endoftext|> is id 0, and both bos and eos. */
extern const char *const spar_tokenizer_default_special[1];
#define SPAR_TOKENIZER_OPTIONS_INIT                                                                \
    {.kind = "bpe",                                                                                \
     .vocab_size = 8192,                                                                           \
     .splitter = "gpt2",                                                                           \
     .special = spar_tokenizer_default_special,                                                    \
     .n_special = 1,                                                                               \
     .min_frequency = 0,                                                                           \
     .character_coverage = 1}

/* Learns a vocabulary. Ids: special tokens, the 256 bytes, then the merges in the order learned;
 * fewer than vocab_size when the text has no more pairs. Ties go to the pair of lowest ids, so
 * that the result depends on nothing but text and options (it equals that of Hugging Face's
 * BpeTrainer on the same pieces). Special tokens in the text are passed over. Uses the library's
 * threads; `progress` may be NULL. SPAR_ERR_ARGUMENT for options that cannot be met. */
spar_status spar_tokenizer_train(const spar_tokenizer_options *options,
                                 const spar_text_reader *reader, const spar_progress *progress,
                                 spar_tokenizer **out);

#ifdef __cplusplus
}
#endif
#endif
