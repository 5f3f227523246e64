/* Checkpoints: named sections of bytes in one file, which is whole or not there.
 *
 * A folder holds checkpoint-STEP files. A new one is written under a temporary name, synced,
 * renamed, and made durable by syncing the folder; only then are older ones removed. So a crash at
 * any instant, or a full disk, leaves the newest of before. Every section and the header carry an
 * XXH3 checksum; who opens the newest gets the newest that is whole.
 *
 * file: header (64 bytes), sections (each at a multiple of 64), table of sections. All numbers
 * little endian. docs/formats.md has the layout.
 *
 * A writer belongs to one thread; an open checkpoint is immutable. One run writes into a folder. */
#ifndef SPAR_FORMAT_CHECKPOINT_H
#define SPAR_FORMAT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct spar__checkpoint_writer spar__checkpoint_writer;

/* Begins the checkpoint of a step; makes the folder when it is not there, and removes temporary
 * files that a killed run left in it. */
spar_status spar__checkpoint_create(const char *folder, uint64_t step,
                                    spar__checkpoint_writer **out);
/* Begins a section, which ends at the next one or at the commit. Names are unique, 1 to 65,535
 * bytes. Then its bytes, in pieces of any size: they go to the file at once, without a copy. A
 * failure stays: every later call returns it. */
spar_status spar__checkpoint_begin(spar__checkpoint_writer *writer, const char *name);
spar_status spar__checkpoint_write(spar__checkpoint_writer *writer, const void *bytes,
                                   size_t length);
/* Begins a section and writes all of it. */
spar_status spar__checkpoint_add(spar__checkpoint_writer *writer, const char *name,
                                 const void *bytes, size_t length);
/* Makes it durable, then removes all but the newest `keep` (at least 1) up to this step. A failure
 * leaves the folder's checkpoints as they were; one to remove an older one is only logged. Frees
 * the writer in either case. */
spar_status spar__checkpoint_commit(spar__checkpoint_writer *writer, int keep);
void spar__checkpoint_abandon(spar__checkpoint_writer *writer); /* NULL is fine */

typedef struct spar__checkpoint spar__checkpoint;

/* Opens the newest checkpoint of a folder that is whole. Says through the log which ones it passed
 * over and why. SPAR_ERR_NOT_FOUND when there is none at all; when none is whole, the failure of
 * the newest. */
spar_status spar__checkpoint_open_newest(const char *folder, spar__checkpoint **out);
/* Opens one file and verifies every checksum, which reads it once. */
spar_status spar__checkpoint_open(const char *path, spar__checkpoint **out);
void spar__checkpoint_free(spar__checkpoint *checkpoint); /* NULL is fine */

uint64_t spar__checkpoint_step(const spar__checkpoint *checkpoint);
const char *spar__checkpoint_path(const spar__checkpoint *checkpoint);
size_t spar__checkpoint_n_sections(const spar__checkpoint *checkpoint);
const char *spar__checkpoint_name_at(const spar__checkpoint *checkpoint, size_t i); /* in order */
/* The bytes of a section, mapped, 64-byte aligned, valid while the checkpoint is open.
 * SPAR_ERR_NOT_FOUND when it has none of that name. */
spar_status spar__checkpoint_section(const spar__checkpoint *checkpoint, const char *name,
                                     const void **bytes, size_t *length);
/* The same for a section that must have this length, else SPAR_ERR_FORMAT. */
spar_status spar__checkpoint_exact(const spar__checkpoint *checkpoint, const char *name,
                                   size_t length, const void **bytes);

#endif
