/* Text → packed shards → batches.
 *
 *     spar_corpus   documents out of text files, folders, JSONL, compressed or not
 *     spar_data_pack   tokenises a corpus into a folder of shards (docs/data.md has the format)
 *     spar_data     such a folder, mapped for reading; shared freely between threads
 *     spar_batches  rows of a split in a shuffled or sequential order, any of them in O(1)
 *
 * The example of a training loop:
 *
 *     spar_data *data;
 *     spar_batches *batches;
 *     spar_batches_options options = SPAR_BATCHES_OPTIONS;
 *     options.length = 256, options.batch = 16;
 *     spar_data_open("data", 0, &data);
 *     spar_batches_create(data, &options, &batches);
 *     for (uint64_t step = 0; step < steps; step++)
 *         spar_batches_get(batches, step, tokens, NULL);
 */
#ifndef SPAR_DATA_H
#define SPAR_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spar/log.h"
#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_tokenizer spar_tokenizer;

/* ---- Corpus: documents out of files ----------------------------------------------------------
 * Paths are files, folders (recursively, in byte order of the names; hidden entries, symbolic
 * links to folders and what is no regular file are passed over) or "-" for standard input. Files
 * compressed by gzip or zstd are recognised by their first bytes. A file is one document, or many
 * with a separator; in JSONL every line is a document. */
typedef enum spar_corpus_format {
    SPAR_CORPUS_AUTO, /* JSONL where the name ends in .jsonl or .ndjson (.gz, .zst), else text */
    SPAR_CORPUS_TEXT,
    SPAR_CORPUS_JSONL,
} spar_corpus_format;

typedef struct spar_corpus_options {
    spar_corpus_format format;
    const char *key;       /* JSONL: the key of the text; NULL = "text" */
    const char *separator; /* text: what stands between documents, taken out; NULL = none */
    bool replace_invalid;  /* invalid UTF-8 becomes U+FFFD instead of an error */
    size_t max_piece;      /* most bytes of text given at once; 0 = 256 KiB; at least 4 KiB */
} spar_corpus_options;
#define SPAR_CORPUS_OPTIONS ((spar_corpus_options){SPAR_CORPUS_AUTO, NULL, NULL, false, 0})

/* A stretch of valid UTF-8. Documents longer than max_piece come in several, cut where the usual
 * pre-tokenisers cut too: before a line break, else a space, that follows a letter or digit. */
typedef struct spar_corpus_piece {
    const char *text; /* owned by the corpus, valid until the next call */
    size_t length;
    bool starts, ends; /* the piece begins, ends its document */
} spar_corpus_piece;

typedef struct spar_corpus spar_corpus;

/* `paths` [n_paths] and the strings of `options` are copied. IO where a path does not exist. */
spar_status spar_corpus_open(const char *const *paths, size_t n_paths,
                             const spar_corpus_options *options, spar_corpus **out);
void spar_corpus_free(spar_corpus *corpus);
/* The next piece; NOT_FOUND (without a message) after the last. Empty documents are passed over.
 * FORMAT names the file and the byte offset or line of invalid UTF-8 or JSON; LIMIT for a line of
 * JSONL above 256 MiB. One thread at a time. */
spar_status spar_corpus_next(spar_corpus *corpus, spar_corpus_piece *piece);
/* Back to the first document. Standard input is kept in a temporary file for it if `keep` was
 * called before the first piece. */
spar_status spar_corpus_rewind(spar_corpus *corpus);
spar_status spar_corpus_keep(spar_corpus *corpus);
/* Bytes read of the bytes there are in files, compressed as they lie; total 0 when not known. */
void spar_corpus_progress(const spar_corpus *corpus, uint64_t *done, uint64_t *total);

/* ---- Packing ----------------------------------------------------------------------------------
 */
typedef enum spar_data_split {
    SPAR_DATA_TRAIN,
    SPAR_DATA_VALID,
    SPAR_DATA_SPLITS,
} spar_data_split;

/* Which text is kept for validation. */
typedef enum spar_pack_split {
    SPAR_PACK_AUTO,     /* by document where 20 or more are to be expected in validation, or tail */
    SPAR_PACK_DOCUMENT, /* a document whole, chosen by a hash of its text (first piece) and `seed`
                         */
    SPAR_PACK_TAIL,     /* the end of every document, by bytes */
} spar_pack_split;

typedef struct spar_pack_options {
    double valid; /* fraction for validation, in [0, 1); 0 = none */
    spar_pack_split split;
    uint64_t seed;
    uint64_t shard_tokens;         /* most tokens in a shard; 0 = 128 Mi */
    bool no_eos;                   /* no end-of-document token, though the tokenizer has one */
    const spar_progress *progress; /* NULL is fine */
} spar_pack_options;
#define SPAR_PACK_OPTIONS ((spar_pack_options){0.01, SPAR_PACK_AUTO, 0, 0, false, NULL})

typedef struct spar_data_counts {
    uint64_t tokens;    /* with the end-of-document tokens */
    uint64_t documents; /* of which at least a part is in the split */
    uint64_t bytes;     /* of text, UTF-8 */
    uint64_t shards;
} spar_data_counts;

typedef struct spar_data_info {
    uint64_t vocab_size;
    uint64_t tokenizer_hash; /* xxh3-64 of the tokenizer's saved form */
    int32_t eos;             /* the end-of-document token, -1 when there is none */
    int token_bytes;         /* 2 or 4 */
    uint64_t documents;      /* in all; one whose tail was cut off is in both splits */
    spar_data_counts split[SPAR_DATA_SPLITS];
} spar_data_info;

/* Tokenises all of `corpus` into `folder` (made if need be; shards that an earlier packing left
 * there are replaced) together with data.json and a copy of the tokenizer, tokenizer.json.
 * An older packing stays whole until the new shards are all there; data.json is written last, so a
 * folder that has one is whole. Parallel over pieces; the result does not depend on the number of
 * threads. `info` may be NULL. */
spar_status spar_data_pack(const spar_tokenizer *tokenizer, spar_corpus *corpus, const char *folder,
                           const spar_pack_options *options, spar_data_info *info);

/* ---- Reading ----------------------------------------------------------------------------------
 */
typedef struct spar_data spar_data;

enum { SPAR_DATA_NO_VERIFY = 1 }; /* leaves the shards' checksums unchecked (headers always are) */

/* Maps all shards and checks them. FORMAT where any number or checksum is wrong, IO where a file
 * is missing. The result is immutable: any thread. */
spar_status spar_data_open(const char *folder, unsigned flags, spar_data **out);
void spar_data_free(spar_data *data);
const spar_data_info *spar_data_get_info(const spar_data *data);
/* The path of the tokenizer that made the data, for spar_tokenizer_open. Owned by `data`. */
const char *spar_data_tokenizer(const spar_data *data);
/* Copies tokens start … start + count - 1 of a split, shards taken as one run. ARGUMENT beyond the
 * end. Token ids are below info.vocab_size (FORMAT otherwise). Any thread. */
spar_status spar_data_tokens(const spar_data *data, spar_data_split split, uint64_t start,
                             size_t count, int32_t *tokens);

/* ---- Batches ----------------------------------------------------------------------------------
 */
typedef enum spar_batches_order {
    SPAR_ORDER_SHUFFLED,   /* each epoch cuts rows at another offset and permutes them */
    SPAR_ORDER_SEQUENTIAL, /* rows one after the other from the start, again after the last */
} spar_batches_order;

typedef struct spar_batches_options {
    spar_data_split split;
    size_t length; /* tokens that are predicted in a row; a row has length + 1 */
    size_t batch;  /* rows in a batch */
    uint64_t seed;
    spar_batches_order order;
    const char *objective; /* a name of src/data/objective.def; NULL = "causal" */
    /* masked, denoise: share of the tokens that are hidden (0 = 0.15), mean length of the hidden spans
     * (denoise; 0 = 3), the ids below which tokens lie, and the mask's or the decoder's first id. Spans are
     * told by the ids vocab_size − 1, vocab_size − 2, …: T5's sentinels. */
    double noise, span;
    int32_t vocab_size, special;
    double prefix; /* prefix: share of a row that is given; 0 = drawn for each row */
} spar_batches_options;
#define SPAR_BATCHES_OPTIONS                                                                       \
    ((spar_batches_options){SPAR_DATA_TRAIN, 0, 1, 0, SPAR_ORDER_SHUFFLED, NULL, 0, 0, 0, 0, 0})

typedef struct spar_batches spar_batches;

/* Rows are windows of length + 1 tokens every `length` tokens, so each token is predicted once in
 * an epoch, save fewer than 2 · length at the ends. `data` must outlive the batches. ARGUMENT when
 * the split has fewer than length + 1 tokens. */
spar_status spar_batches_create(const spar_data *data, const spar_batches_options *options,
                                spar_batches **out);
/* Batches over rows in memory instead: `tokens` [n_rows, length + 1], kept by the caller until
 * after the free. Each row counts as one document. `split` is not used. */
spar_status spar_batches_from_rows(const int32_t *tokens, uint64_t n_rows,
                                   const spar_batches_options *options, spar_batches **out);
void spar_batches_free(spar_batches *batches);

uint64_t spar_batches_rows(const spar_batches *batches); /* in an epoch */

/* Batch `index` (0, 1, …, without end): row r of it is row index · batch + r of the epochs one
 * after the other. A pure function of the data, the options and index: resuming is calling it with
 * the next index. Any thread.
 *     tokens [batch, length + 1]
 *     first  [batch, length]  position within the row of the first token of the document that
 *                             token t belongs to (0 where it began before the row); NULL is fine.
 * With the causal objective tokens[r][t + 1] is predicted after tokens[r][0 … t]. */
spar_status spar_batches_get(const spar_batches *batches, uint64_t index, int32_t *tokens,
                             int32_t *first);

/* What an objective makes of rows. All arrays are the caller's; [batch, length]. */
typedef struct spar_batch {
    int32_t *inputs;
    int32_t *targets; /* -1 where nothing is predicted */
    int32_t *first;   /* as above; NULL is fine */
    int32_t *source;  /* [batch, source] what the encoder reads, where the objective has one */
    int32_t *prefix;  /* [batch] tokens of each row that are given, where the objective has such; NULL is fine */
} spar_batch;
/* Tokens of a row of inputs, targets and first (causal: options.length), and of source (0 = none). */
void spar_batches_shape(const spar_batches *batches, size_t *length, size_t *source);
/* Batch `index` as the objective wants it. causal: inputs and targets are the rows without their
 * last and first token. prefix: the same, but the first tokens are given and not predicted. masked (Devlin et al. 2019): of the tokens that are chosen 80 % become the mask, 10 %
 * another token, and these are the targets. denoise (Raffel et al. 2020): spans are taken out of the source
 * and are what the decoder says. Any thread. */
spar_status spar_batches_fill(const spar_batches *batches, uint64_t index, spar_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
