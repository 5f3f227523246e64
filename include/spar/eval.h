/* How well a model predicts: nats per token, perplexity, bits per byte. */
#ifndef SPAR_EVAL_H
#define SPAR_EVAL_H

#include "spar/data.h"
#include "spar/log.h"
#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Long texts are read by a sliding window: windows of `context` tokens begin every `stride` tokens,
 * and each predicts what no window before it has. So every token but the first is predicted once,
 * with at least context − stride tokens before it (fewer only at the start). */
typedef struct spar_eval_options {
    int64_t context; /* 0 = the model's */
    int64_t stride;  /* 0 = half the context */
    const spar_progress *progress;
} spar_eval_options;
#define SPAR_EVAL_OPTIONS_INIT {0}

typedef struct spar_evaluation {
    uint64_t tokens;  /* predicted */
    uint64_t bytes;   /* of text; 0 where not known */
    double nll;       /* mean nats per predicted token */
    double perplexity;
    double bits_per_byte; /* NaN where bytes are not known */
} spar_evaluation;

/* A sequence of token ids that stands for `bytes` bytes of text (0 = not known). */
spar_status spar_eval_tokens(const spar_model *model, const int32_t *tokens, size_t count, uint64_t bytes,
                             const spar_eval_options *options, spar_evaluation *out);
/* A text, by the model's tokenizer; the first token is predicted from the end-of-text token where
 * the tokenizer has one. */
spar_status spar_eval_text(const spar_model *model, const char *text, size_t length,
                           const spar_eval_options *options, spar_evaluation *out);
/* A split of packed data, taken as one sequence. */
spar_status spar_eval_data(const spar_model *model, const spar_data *data, spar_data_split split,
                           const spar_eval_options *options, spar_evaluation *out);

/* Encoder–decoders: the target's tokens after the first, given those before and the source. */
spar_status spar_eval_target(const spar_model *model, const int32_t *source, size_t n_source,
                             const int32_t *tokens, size_t count, spar_evaluation *out);

/* The ids that spar_eval_text predicts, its first included; the caller frees them with spar_free. */
spar_status spar_eval_text_ids(const spar_model *model, const char *text, size_t length, int32_t **ids,
                               size_t *count);

/* Two models on the same tokens, in windows of 512. */
typedef struct spar_comparison {
    uint64_t tokens;
    double nll[2];     /* mean nats per token of each */
    double divergence; /* mean Kullback–Leibler divergence of the second from the first, nats */
    double agreement;  /* share of tokens where both find the same token the most probable */
} spar_comparison;
spar_status spar_eval_compare(const spar_model *first, const spar_model *second, const int32_t *tokens,
                              size_t count, const spar_progress *progress, spar_comparison *out);

#ifdef __cplusplus
}
#endif
#endif
