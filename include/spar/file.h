/* Whole files: read within a bound, written so that they appear whole or not at all. */
#ifndef SPAR_FILE_H
#define SPAR_FILE_H

#include <stddef.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The whole of a regular file, or of standard input when path is "-": *length bytes and a 0 beyond
 * them, in memory that the caller frees with spar_free. SPAR_ERR_LIMIT when there are more than
 * `maximum` bytes; SPAR_ERR_NOT_FOUND; SPAR_ERR_IO for folders, FIFOs, devices and failed reads;
 * SPAR_ERR_MEMORY. Any thread. */
spar_status spar_file_read(const char *path, size_t maximum, char **bytes, size_t *length);

/* Replaces `path` by a file of these bytes: written under a temporary name beside it, synced,
 * renamed and made durable. On failure (SPAR_ERR_IO, SPAR_ERR_NOT_FOUND for a missing folder,
 * SPAR_ERR_MEMORY) the old file is untouched. Any thread. */
spar_status spar_file_write(const char *path, const void *bytes, size_t length);

/* Makes a folder and the folders above it; those that exist are fine. Any thread. */
spar_status spar_folder_make(const char *path);

#ifdef __cplusplus
}
#endif
#endif
