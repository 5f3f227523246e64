/* NumPy's .npy files: matrices of token ids read, arrays of floats written.
 *
 * file: "\x93NUMPY", version, length of the header, the header as a Python dict, the elements.
 * Format: numpy.lib.format, versions 1.0 to 3.0; only little-endian elements in C order. */
#ifndef SPAR_FORMAT_NPY_H
#define SPAR_FORMAT_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Reads an int32 matrix [rows, cols], both at least 1; a vector counts as one row. spar__free the
 * values. Another element type is SPAR_ERR_UNSUPPORTED, elements missing or left over are
 * SPAR_ERR_FORMAT. */
spar_status spar__npy_read_i32(const char *path, int64_t *rows, int64_t *cols, int32_t **values);

/* A float32 array of 1 to 4 dimensions, written in pieces of any size; it appears whole at the
 * commit or not at all. */
typedef struct spar__npy_writer spar__npy_writer;
spar_status spar__npy_create(const char *path, int n_dims, const int64_t *shape,
                             spar__npy_writer **out);
spar_status spar__npy_write(spar__npy_writer *writer, const float *values, size_t count);
spar_status spar__npy_commit(spar__npy_writer *writer); /* frees the writer in either case */
void spar__npy_abandon(spar__npy_writer *writer);       /* NULL is fine */

#endif
