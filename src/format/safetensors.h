/* Safetensors: files of named tensors, read by mmap and written by streaming.
 *
 * file: u64 length of the header, the header in JSON, the data. The header's members are tensors,
 * {"dtype": "F32", "shape": […], "data_offsets": [begin, end]}, and "__metadata__", a map of
 * strings. Everything is distrusted: the header is at most 100 MB and inside the file, offsets
 * agree with type and shape, and the tensors fill the data without overlap and without a hole, as
 * the reference demands. Format: github.com/huggingface/safetensors.
 *
 * What is open is immutable: any number of threads may read it. A writer belongs to one thread. */
#ifndef SPAR_FORMAT_SAFETENSORS_H
#define SPAR_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* X(NAME, bytes of an element); the name is the dtype of the file. Others are refused by name. */
#define SPAR__ST_TYPE_MAP(X)                                                                       \
    X(F32, 4) X(F16, 2) X(BF16, 2) X(F64, 8) X(I32, 4) X(I64, 8) X(U8, 1) X(BOOL, 1)

typedef enum spar__st_type {
#define SPAR__ST_TYPE_ENUM(NAME, size) SPAR__ST_##NAME,
    SPAR__ST_TYPE_MAP(SPAR__ST_TYPE_ENUM)
#undef SPAR__ST_TYPE_ENUM
        SPAR__ST_N_TYPES
} spar__st_type;

const char *spar__st_type_name(spar__st_type type); /* "F32" */
size_t spar__st_type_size(spar__st_type type);      /* bytes of an element */

enum { SPAR__ST_DIMS = 8 };

typedef struct spar__st_tensor {
    const char *name; /* 0-terminated */
    spar__st_type type;
    int n_dims;                   /* 0 (a scalar) to 8 */
    int64_t shape[SPAR__ST_DIMS]; /* row-major: the last is contiguous; a size may be 0 */
    const void *data;             /* perhaps unaligned: copy from it, do not cast it */
    size_t bytes, elements;
} spar__st_tensor;

typedef struct spar__st spar__st;

/* Opens FILE.safetensors, or all files that FILE.index.json names (beside it), or what stands in
 * a folder under the usual names model.safetensors or model.safetensors.index.json. SPAR_ERR_FORMAT
 * for what is wrong, SPAR_ERR_UNSUPPORTED for a type that is not read, SPAR_ERR_LIMIT for more
 * than 524,288 values in a header or 1,024 files. */
spar_status spar__st_open(const char *path, spar__st **out);
void spar__st_free(spar__st *st); /* NULL is fine; ends every pointer obtained from it */
const char *spar__st_path(const spar__st *st);

size_t spar__st_n_tensors(const spar__st *st);
const spar__st_tensor *spar__st_tensor_at(const spar__st *st, size_t i);    /* sorted by name */
const spar__st_tensor *spar__st_find(const spar__st *st, const char *name); /* or NULL */
spar_status spar__st_get(const spar__st *st, const char *name, const spar__st_tensor **out);
/* A string of "__metadata__" of the (first) file, or NULL. */
const char *spar__st_metadata(const spar__st *st, const char *key);

/* ---- Writing ----
 * Metadata and tensors, then begin, then the tensors' bytes in the order they were described, in
 * pieces of any size, then commit: the file appears whole or not at all. A failure stays: every
 * later call returns it. Transformers wants the metadata "format": "pt". */
typedef struct spar__st_writer spar__st_writer;

spar_status spar__st_writer_create(spar__st_writer **out);
void spar__st_writer_free(spar__st_writer *writer); /* NULL is fine; abandons what is begun */
spar_status spar__st_add_metadata(spar__st_writer *writer, const char *key, const char *value);
spar_status spar__st_add_tensor(spar__st_writer *writer, const char *name, spar__st_type type,
                                int n_dims, const int64_t *shape);
spar_status spar__st_writer_begin(spar__st_writer *writer, const char *path);
spar_status spar__st_writer_data(spar__st_writer *writer, const void *bytes, size_t length);
/* Refuses while bytes are missing. The writer still has to be freed. */
spar_status spar__st_writer_commit(spar__st_writer *writer);

#endif
