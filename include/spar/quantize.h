/* Weights in fewer bits: quantising a model tensor by tensor, and the calibration that says which
 * columns matter. */
#ifndef SPAR_QUANTIZE_H
#define SPAR_QUANTIZE_H

#include "spar/log.h"
#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What became of one tensor. `error` is the root of its mean square error over that of its values. */
typedef struct spar_quantized_tensor {
    const char *name, *from, *to;
    uint64_t elements, bytes;
    double error;
} spar_quantized_tensor;

typedef struct spar_quantize_options {
    const char *type; /* of all matrices that no rule names */
    /* "PATTERN=TYPE": tensors whose name holds PATTERN or, with * and ?, is like it; "head" and
     * "embedding" are those. The last that fits counts; one that fits nothing is refused. */
    const char *const *rules;
    size_t n_rules;
    const char *importance; /* a file of spar_calibrate, or NULL */
    const spar_progress *progress;
    void (*on_tensor)(void *context, const spar_quantized_tensor *tensor); /* may be NULL */
    void *context;
} spar_quantize_options;

typedef struct spar_quantized {
    uint64_t parameters, bytes; /* of weights */
    double error;               /* over all matrices, relative as above */
} spar_quantized;

/* Writes the model with its matrices in other types. Rows of a tensor are decoded, quantised and
 * written in pieces, so memory for a part of one tensor is enough. Vectors stay f32, and so do
 * matrices whose rows no whole number of blocks fills. Atomic. */
spar_status spar_quantize(const spar_model *model, const char *path, const spar_quantize_options *options,
                          spar_quantized *out);

/* Runs `tokens` through the model and writes, for each matrix, the sum over tokens of the square of
 * what each of its columns was multiplied with: GGUF, tensors NAME.in_sum2 and NAME.counts. */
spar_status spar_calibrate(const spar_model *model, const int32_t *tokens, size_t count,
                           const spar_progress *progress, const char *path);

#ifdef __cplusplus
}
#endif
#endif
