/* Bytes out of a file, decompressed on the way: plain, gzip (RFC 1952, any number of members) or
 * zstd (RFC 8878, any number of frames), told apart by the first bytes. */
#ifndef SPAR_DATA_STREAM_H
#define SPAR_DATA_STREAM_H

#include "base/file.h"

typedef struct spar__stream spar__stream;

/* Opens `path`, which must be a regular file. With fd >= 0 reads from there instead (any kind of
 * file; stays open and the caller's) and `path` is only the name in messages. */
spar_status spar__stream_open(const char *path, int fd, spar__stream **out);
void spar__stream_close(spar__stream *stream); /* NULL is fine */

/* Reads until `capacity` bytes are there or the end is reached; *length 0 only at the end. A
 * compressed stream that stops in the middle is FORMAT. */
spar_status spar__stream_read(spar__stream *stream, void *bytes, size_t capacity, size_t *length);

uint64_t spar__stream_consumed(const spar__stream *stream); /* bytes of the file, as they lie */

#endif
