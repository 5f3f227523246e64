/* The bytes of a checkpoint and the names in its folder, for the files that read and write them. */
#ifndef SPAR_FORMAT_CHECKPOINT_LAYOUT_H
#define SPAR_FORMAT_CHECKPOINT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SPAR__CHECKPOINT_PREFIX "checkpoint-"
#define SPAR__CHECKPOINT_MAGIC  "SPARCKPT"
enum { SPAR__CHECKPOINT_VERSION = 1, SPAR__CHECKPOINT_ALIGN = 64, SPAR__CHECKPOINT_NAME = 65535 };

/* At the start of the file. Hashes are XXH3-64 with seed 0. */
typedef struct spar__checkpoint_header {
    char magic[8];
    uint32_t version, zero;
    uint64_t step, file_length;
    uint64_t table_offset, n_sections; /* the table ends with the file */
    uint64_t table_hash, header_hash;  /* of the table; of the 56 bytes before it */
} spar__checkpoint_header;

/* A row of the table; the name follows it without a terminator. */
typedef struct spar__checkpoint_entry {
    uint64_t name_length, offset, length, hash;
} spar__checkpoint_entry;
enum { SPAR__CHECKPOINT_ENTRY = sizeof(spar__checkpoint_entry) };

/* Reads "checkpoint-STEP"; *rest is what follows ("" of a checkpoint, ".PID.tmp" of one that was
 * being written). */
bool spar__checkpoint_name_read(const char *name, uint64_t *step, const char **rest);
/* Steps of a folder's checkpoints, newest first; spar__free(*out). */
spar_status spar__checkpoint_list(const char *folder, uint64_t **out, size_t *count);
char *spar__checkpoint_file(const char *folder, uint64_t step); /* new; NULL: no memory */

#endif
