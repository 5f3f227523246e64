/* GGUF files: metadata and tensors, read by mmap and written by streaming.
 *
 * Reads versions 2 and 3, little endian, single and split files (NAME-00001-of-0000N.gguf); writes
 * version 3. Every number of a file is distrusted: an open model has lengths within the file,
 * unique names, strings within their lengths, tensors that are aligned, inside
 * the file and apart from each other. Format: github.com/ggml-org/ggml, docs/gguf.md.
 *
 * An open model is immutable: any number of threads may read it. A writer belongs to one thread. */
#ifndef SPAR_FORMAT_GGUF_H
#define SPAR_FORMAT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Tensor types: X(NAME, number in the file, name, elements of a block, bytes of a block). */
#define SPAR__GGUF_TYPE_MAP(X)                                                                     \
    X(F32, 0, "f32", 1, 4)                                                                         \
    X(F16, 1, "f16", 1, 2)                                                                         \
    X(Q4_0, 2, "q4_0", 32, 18)                                                                     \
    X(Q4_1, 3, "q4_1", 32, 20)                                                                     \
    X(Q5_0, 6, "q5_0", 32, 22)                                                                     \
    X(Q5_1, 7, "q5_1", 32, 24)                                                                     \
    X(Q8_0, 8, "q8_0", 32, 34)                                                                     \
    X(Q2_K, 10, "q2_k", 256, 84)                                                                   \
    X(Q3_K, 11, "q3_k", 256, 110)                                                                  \
    X(Q4_K, 12, "q4_k", 256, 144)                                                                  \
    X(Q5_K, 13, "q5_k", 256, 176)                                                                  \
    X(Q6_K, 14, "q6_k", 256, 210)                                                                  \
    X(IQ4_NL, 20, "iq4_nl", 32, 18)                                                                \
    X(IQ4_XS, 23, "iq4_xs", 256, 136)                                                              \
    X(I8, 24, "i8", 1, 1)                                                                          \
    X(I16, 25, "i16", 1, 2)                                                                        \
    X(I32, 26, "i32", 1, 4)                                                                        \
    X(I64, 27, "i64", 1, 8)                                                                        \
    X(F64, 28, "f64", 1, 8)                                                                        \
    X(BF16, 30, "bf16", 1, 2)                                                                      \
    X(TQ1_0, 34, "tq1_0", 256, 54)                                                                 \
    X(TQ2_0, 35, "tq2_0", 256, 66)

typedef enum spar__gguf_type {
#define SPAR__GGUF_TYPE_ENUM(NAME, number, name, block, bytes) SPAR__GGUF_##NAME = number,
    SPAR__GGUF_TYPE_MAP(SPAR__GGUF_TYPE_ENUM)
#undef SPAR__GGUF_TYPE_ENUM
} spar__gguf_type;

typedef struct spar__gguf_traits {
    spar__gguf_type type;
    const char *name;
    size_t block, block_bytes;
} spar__gguf_traits;

const spar__gguf_traits *spar__gguf_traits_of(uint32_t number);     /* NULL: not read here */
const spar__gguf_traits *spar__gguf_traits_named(const char *name); /* "q8_0"; NULL likewise */
/* The name of a number that is known but not read here ("iq2_xxs"), or NULL. */
const char *spar__gguf_foreign_name(uint32_t number);

/* Kinds of metadata values, by their numbers in the file. */
typedef enum spar__gguf_kind {
    SPAR__GGUF_UINT8,
    SPAR__GGUF_INT8,
    SPAR__GGUF_UINT16,
    SPAR__GGUF_INT16,
    SPAR__GGUF_UINT32,
    SPAR__GGUF_INT32,
    SPAR__GGUF_FLOAT32,
    SPAR__GGUF_BOOL,
    SPAR__GGUF_STRING,
    SPAR__GGUF_ARRAY,
    SPAR__GGUF_UINT64,
    SPAR__GGUF_INT64,
    SPAR__GGUF_FLOAT64,
    SPAR__GGUF_N_KINDS
} spar__gguf_kind;
const char *spar__gguf_kind_name(spar__gguf_kind kind); /* "uint32"; never NULL */

/* Bytes in the mapped file, not 0-terminated; may hold any byte. */
typedef struct spar__gguf_string {
    const char *bytes;
    size_t length;
} spar__gguf_string;

/* A value as it lies in the file, little endian, perhaps unaligned; valid while the model is open.
 * Of a string, `bytes` begins behind its length; of an array, at its first element. */
typedef struct spar__gguf_value {
    spar__gguf_kind kind, element; /* element: of an array, else the kind itself */
    size_t count;                  /* elements of an array, else 1 */
    const unsigned char *bytes;
    size_t length;
} spar__gguf_value;

typedef struct spar__gguf_tensor {
    const char *name; /* 0-terminated */
    spar__gguf_type type;
    int n_dims;             /* 1–4 */
    int64_t ne[4];          /* ne[0] is contiguous; 1 beyond n_dims; a row-major [rows, cols]
                               matrix has ne[0] = cols, ne[1] = rows */
    const void *data;       /* aligned as the file says (32 unless it says otherwise) */
    size_t bytes, elements; /* of the data */
} spar__gguf_tensor;

typedef struct spar__gguf spar__gguf;

/* Opens one file, or all files of a split model by the name of the first. What is wrong is
 * SPAR_ERR_FORMAT, a type or version that is not read SPAR_ERR_UNSUPPORTED, more keys (65,536),
 * tensors (262,144) or parts (1,024) than are allowed SPAR_ERR_LIMIT. Memory stays below the
 * file's size + 64 MB whatever the file says. */
spar_status spar__gguf_open(const char *path, spar__gguf **out);
void spar__gguf_free(spar__gguf *gguf); /* NULL is fine; ends every pointer obtained from it */
const char *spar__gguf_path(const spar__gguf *gguf);

/* ---- Metadata ---- */
size_t spar__gguf_n_keys(const spar__gguf *gguf);
/* The i-th key in the order of the file, its value in *value (NULL is fine). */
const char *spar__gguf_key(const spar__gguf *gguf, size_t i, spar__gguf_value *value);
bool spar__gguf_find(const spar__gguf *gguf, const char *key,
                     spar__gguf_value *value); /* or NULL */

/* Typed values. Any integer kind is taken for an integer, and integers and both floats for a real.
 * A value of another kind or out of low…high is SPAR_ERR_FORMAT with a message that names file and
 * key. An absent key is SPAR_ERR_NOT_FOUND, where `_or` functions give the fallback instead. */
spar_status spar__gguf_integer(const spar__gguf *gguf, const char *key, int64_t low, int64_t high,
                               int64_t *out);
spar_status spar__gguf_integer_or(const spar__gguf *gguf, const char *key, int64_t low,
                                  int64_t high, int64_t fallback, int64_t *out);
spar_status spar__gguf_real(const spar__gguf *gguf, const char *key, double *out); /* finite */
spar_status spar__gguf_real_or(const spar__gguf *gguf, const char *key, double fallback,
                               double *out);
spar_status spar__gguf_bool(const spar__gguf *gguf, const char *key, bool *out);
spar_status spar__gguf_bool_or(const spar__gguf *gguf, const char *key, bool fallback, bool *out);
spar_status spar__gguf_text(const spar__gguf *gguf, const char *key, spar__gguf_string *out);
/* A new 0-terminated copy (spar__free); a string that holds a 0 byte is SPAR_ERR_FORMAT. */
spar_status spar__gguf_text_copy(const spar__gguf *gguf, const char *key, char **out);
/* True when the key is there, a string, and equal to `text`. */
bool spar__gguf_text_is(const spar__gguf *gguf, const char *key, const char *text);

/* An array of strings (`texts`) or of integers, reals or bools (`numbers`) of `least` to `most`
 * elements. Strings are walked in order; numbers are indexed (i < value.count). */
spar_status spar__gguf_texts(const spar__gguf *gguf, const char *key, size_t least, size_t most,
                             spar__gguf_value *out);
spar_status spar__gguf_numbers(const spar__gguf *gguf, const char *key, size_t least, size_t most,
                               spar__gguf_value *out);
/* Takes the first remaining string off *texts; false when none is left. */
bool spar__gguf_next_text(spar__gguf_value *texts, spar__gguf_string *out);
int64_t spar__gguf_integer_at(const spar__gguf_value *numbers, size_t i); /* reals truncate */
double spar__gguf_real_at(const spar__gguf_value *numbers, size_t i);

/* ---- Tensors ---- */
size_t spar__gguf_n_tensors(const spar__gguf *gguf);
const spar__gguf_tensor *spar__gguf_tensor_at(const spar__gguf *gguf, size_t i);
const spar__gguf_tensor *spar__gguf_tensor_find(const spar__gguf *gguf, const char *name);
/* The same with a failure that names file and tensor when it is not there (SPAR_ERR_NOT_FOUND). */
spar_status spar__gguf_tensor_get(const spar__gguf *gguf, const char *name,
                                  const spar__gguf_tensor **out);
/* Bytes of ne[0] × … × ne[n_dims − 1] elements; fails with a message about `what` when a size is
 * not positive, ne[0] no multiple of the block, or the product too large. */
spar_status spar__gguf_size(const char *what, const spar__gguf_traits *traits, int n_dims,
                            const int64_t *ne, size_t *elements, size_t *bytes);

/* ---- Writing ----
 * Keys, then tensors, then begin, then the tensors' bytes in the order they were described, in
 * pieces of any size, then commit. The file appears whole at commit or not at all. A failure stays:
 * every later call returns it. Strings and arrays are copied, tensor bytes are not. */
typedef struct spar__gguf_writer spar__gguf_writer;

spar_status spar__gguf_writer_create(spar__gguf_writer **out);
void spar__gguf_writer_free(spar__gguf_writer *writer); /* NULL is fine; abandons what is begun */
/* 32 at the start; 8 to 65536, a power of two. Before the first tensor. */
spar_status spar__gguf_writer_align(spar__gguf_writer *writer, uint32_t alignment);

spar_status spar__gguf_add_integer(spar__gguf_writer *writer, const char *key, spar__gguf_kind kind,
                                   int64_t value);
spar_status spar__gguf_add_u32(spar__gguf_writer *writer, const char *key, uint32_t value);
spar_status spar__gguf_add_f32(spar__gguf_writer *writer, const char *key, float value);
spar_status spar__gguf_add_bool(spar__gguf_writer *writer, const char *key, bool value);
spar_status spar__gguf_add_text(spar__gguf_writer *writer, const char *key, const char *bytes,
                                size_t length);
spar_status spar__gguf_add_texts(spar__gguf_writer *writer, const char *key,
                                 const spar__gguf_string *texts, size_t count);
/* `values` are `count` numbers of the kind (a number kind or bool, one byte each), native order. */
spar_status spar__gguf_add_numbers(spar__gguf_writer *writer, const char *key, spar__gguf_kind kind,
                                   const void *values, size_t count);
/* Any value as read from another file. */
spar_status spar__gguf_add_value(spar__gguf_writer *writer, const char *key,
                                 const spar__gguf_value *value);

spar_status spar__gguf_add_tensor(spar__gguf_writer *writer, const char *name, spar__gguf_type type,
                                  int n_dims, const int64_t *ne);
spar_status spar__gguf_writer_begin(spar__gguf_writer *writer, const char *path);
spar_status spar__gguf_writer_data(spar__gguf_writer *writer, const void *bytes, size_t length);
/* Refuses while bytes are missing. The writer still has to be freed. */
spar_status spar__gguf_writer_commit(spar__gguf_writer *writer);

#endif
