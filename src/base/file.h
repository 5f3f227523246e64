/* Files: mapped for reading, whole or not at all for writing. Only regular files are opened. */
#ifndef SPAR_BASE_FILE_H
#define SPAR_BASE_FILE_H

#include <stdio.h>

#include "base/memory.h"

/* A file mapped read-only and private. `bytes` is NULL when the file is empty. */
typedef struct spar__map {
    const unsigned char *bytes;
    size_t length;
} spar__map;

/* Refuses (SPAR_ERR_IO) what is not a regular file: folders, FIFOs, devices. */
spar_status spar__map_open(const char *path, spar__map *out);
void spar__map_close(spar__map *map);

/* The whole of a regular file in memory, 0-terminated beyond *length, at most `maximum` bytes;
 * "-" is standard input. The caller frees *bytes with spar__free. */
spar_status spar__read_file(const char *path, size_t maximum, char **bytes, size_t *length);

/* A file that appears whole or not at all: written under a temporary name beside `path`, which
 * spar__writer_commit syncs, renames over `path`, and makes durable by syncing the folder. */
typedef struct spar__writer spar__writer;
spar_status spar__writer_open(const char *path, spar__writer **out);
spar_status spar__writer_write(spar__writer *writer, const void *bytes, size_t length);
/* Overwrites `length` bytes at `offset`, which were written before (a header filled in late). */
spar_status spar__writer_patch(spar__writer *writer, uint64_t offset, const void *bytes,
                               size_t length);
uint64_t spar__writer_offset(const spar__writer *writer);
/* Ends the writer in either case; on failure the old file, if any, is untouched. */
spar_status spar__writer_commit(spar__writer *writer);
void spar__writer_abandon(spar__writer *writer); /* NULL is fine */

spar_status spar__write_file(const char *path, const void *bytes, size_t length); /* whole */
spar_status spar__sync_folder(const char *folder);
spar_status spar__make_folder(const char *path); /* and its parents; existing ones are fine */
bool spar__file_exists(const char *path);
bool spar__folder_exists(const char *path);
/* "folder/name" in a new string, or NULL when there is no memory. */
char *spar__path_join(const char *folder, const char *name);

/* For torture tests: the n-th write, sync or rename from now fails (ENOSPC), with `onward` every
 * later one too; 0 switches it off. Returns how many were made since the last call. */
size_t spar__write_fail_at(size_t n, bool onward);

/* For crash tests: called after each durable step of a replacement, with its name. NULL = none. */
extern void (*spar__write_observer)(const char *step);

#endif
