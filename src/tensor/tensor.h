/* Tensors: row-major matrices [rows, cols] of a type, with a gradient where one is wanted.
 *
 * Activations have one row for each token. Higher ranks live only in a parameter's shape. */
#ifndef SPAR_TENSOR_TENSOR_H
#define SPAR_TENSOR_TENSOR_H

#include "base/memory.h"

/* The number that operations compute in. The f64 variant of the build exists to check gradients
 * against finite differences with the very same source. */
#ifdef SPAR_REAL_DOUBLE
typedef double spar__real;
#else
typedef float spar__real;
#endif

/* SPAR__F32 means spar__real (so 8 bytes in the f64 variant). Files store the names. */
typedef enum spar__type {
#define TYPE(NAME, name, block, bytes) SPAR__##NAME,
#define BLOCK_TYPE TYPE
#include "tensor/type.def"
#undef TYPE
#undef BLOCK_TYPE
    SPAR__N_TYPES
} spar__type;

typedef struct spar__type_traits {
    const char *name;
    int block; /* elements of a block */
    size_t block_bytes;
} spar__type_traits;
const spar__type_traits *spar__type_of(spar__type type);
bool spar__type_find(const char *name, spar__type *out);
/* "f32, f16, bf16, q8_0 …", for messages. */
const char *spar__type_names(void);
/* Bytes of a row of `cols` elements (a multiple of the block); false on overflow or a remainder. */
bool spar__row_bytes(spar__type type, size_t cols, size_t *bytes);
/* The same of n numbers known to be whole blocks within a row that is there. */
static inline size_t spar__bytes_of(spar__type type, int64_t n) {
    const spar__type_traits *t = spar__type_of(type);
    return (size_t)(n / t->block) * t->block_bytes;
}

typedef struct spar__tensor {
    void *data;
    spar__type type;
    int64_t rows, cols;
    spar__real *grad;  /* [rows, cols], NULL until a backward pass needs it */
    bool grad_started; /* grad holds a sum already: add to it, else overwrite */
    bool needs_grad;   /* some parameter below it is trained */
    bool grad_taken;   /* by the pass: it may serve another tensor when this one is done */
    uint16_t *half;    /* bf16 copy for products, made at most once a pass; NULL = none */
} spar__tensor;

static inline spar__real *spar__data(const spar__tensor *t) { return (spar__real *)t->data; }

#endif
