/* A shard: a file of token ids with its documents and checksums. Little-endian.
 *
 *     offset  bytes  field
 *          0      8  "SPARDATA"
 *          8      4  version, 1
 *         12      2  width: bytes of a token, 2 or 4
 *         14      2  flags: bit 0, the first document continues from the shard before
 *         16      8  tokens, at least 1
 *         24      8  documents begun or continued here, at least 1
 *         32      8  vocab_size: every token is below it
 *         40      8  xxh3-64 of the tokens with their padding
 *         48      8  xxh3-64 of the document table
 *         56      8  xxh3-64 of the 56 bytes before
 *         64         the tokens, padded with zeros to a multiple of 8 bytes
 *                    the table: for each document its first token and its bytes of text (8 + 8)
 *
 * The table's first tokens begin with 0 and ascend. The file's length is what these add up to. */
#ifndef SPAR_DATA_SHARD_H
#define SPAR_DATA_SHARD_H

#include <xxhash.h>

#include "base/file.h"

enum { SPAR__SHARD_CONTINUES = 1 };

typedef struct spar__shard_document {
    uint64_t start, bytes;
} spar__shard_document;

typedef struct spar__shard_header {
    char magic[8];
    uint32_t version;
    uint16_t width, flags;
    uint64_t tokens, documents, vocab_size;
    uint64_t tokens_hash, documents_hash, hash;
} spar__shard_header;
_Static_assert(sizeof(spar__shard_header) == 64, "the header is 64 bytes");

/* ---- Writing ------------------------------------------------------------------------------- */
typedef struct spar__shard_writer {
    spar__writer *file; /* NULL while none is open */
    XXH3_state_t *hash;
    spar__shard_header header;
    spar__shard_document *documents;
    size_t capacity;
} spar__shard_writer;

/* `continues`: the document of the first tokens began in the shard before. */
spar_status spar__shard_begin(spar__shard_writer *writer, const char *path, size_t vocab_size,
                              bool continues);
/* Begins a document at the next token. */
spar_status spar__shard_document_begin(spar__shard_writer *writer);
/* Adds tokens to the newest document, and bytes of text to its count. */
spar_status spar__shard_add(spar__shard_writer *writer, const int32_t *tokens, size_t count,
                            uint64_t bytes);
/* Ends the shard; *hash is the header's. The writer can begin another. */
spar_status spar__shard_end(spar__shard_writer *writer, uint64_t *hash);
void spar__shard_writer_free(spar__shard_writer *writer);

/* ---- Reading ------------------------------------------------------------------------------- */
typedef struct spar__shard {
    spar__map map;
    spar__shard_header header;
    const unsigned char *tokens;
    const spar__shard_document *documents; /* [header.documents] */
} spar__shard;

/* Maps and checks; with `verify` also the checksums and the table. */
spar_status spar__shard_open(const char *path, bool verify, spar__shard *out);
void spar__shard_close(spar__shard *shard);
/* Tokens start … start + count - 1, which must be there. False when one is not below vocab_size. */
bool spar__shard_read(const spar__shard *shard, uint64_t start, size_t count, int32_t *tokens);
/* Index of the document that holds the token, and the end of document `index` in tokens. */
uint64_t spar__shard_find(const spar__shard *shard, uint64_t token);
uint64_t spar__shard_document_end(const spar__shard *shard, uint64_t index);

#endif
