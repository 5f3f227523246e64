/* How fast models run on this machine, and what holds them back. Nothing else should run meanwhile:
 * each figure is the median of `repeats` runs after a first one that is not counted. */
#ifndef SPAR_BENCH_H
#define SPAR_BENCH_H

#include "spar/log.h"
#include "spar/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_bench_options {
    int64_t prompt; /* tokens of a prompt, of a sequence under attention, rows of a product */
    int64_t tokens; /* tokens decoded in a run */
    int repeats;    /* runs that count */
    const char *cache_type; /* of sessions, as in their options; NULL = f32 */
    int sequences;          /* of a batch; 0 = 1, 2, 4, 8 and 16 */
    const spar_progress *progress; /* NULL is fine */
} spar_bench_options;
#define SPAR_BENCH_OPTIONS_INIT                                                                    \
    { .prompt = 128, .tokens = 32, .repeats = 5 }

/* One operation out of several. */
typedef struct spar_bench_part {
    char name[96];
    int64_t count;  /* how many of it a forward pass has */
    double seconds; /* of one, median */
    double flops;   /* of one */
    double bytes_per_token; /* of a batch; 0 where it is not told */
} spar_bench_part;

typedef struct spar_bench_result {
    double tokens_per_second; /* median */
    double slowest, fastest;  /* the same of the slowest and the fastest run */
    double bytes_per_token;   /* that must be read from memory, at the least */
    double piece_bytes;       /* of the pieces of weights that tokens choose; 0: they are read in order */
    double flops_per_token;   /* of products with weights, or of attention */
    spar_bench_part *parts;   /* [n_parts], the caller's, for spar_free; NULL = none */
    size_t n_parts;
} spar_bench_result;

/* Tokens one by one after a prompt, as text is written: every weight is read for each, so
 * bytes_per_token is that of the weights and, half way, of the cache. LIMIT where prompt + tokens
 * exceed the model's context. Like all below: MEMORY; ARGUMENT for options below 1; INTERRUPTED by
 * progress; `out` is written on success; uses the library's threads, one call at a time. */
spar_status spar_bench_decode(const spar_model *model, const spar_bench_options *options,
                              spar_bench_result *out);
/* A prompt, as many tokens at once as a session takes. */
spar_status spar_bench_prefill(const spar_model *model, const spar_bench_options *options,
                               spar_bench_result *out);
/* The same for several sequences that are fed together: a part for each number of them, of which `count` is that
 * number and `seconds` the time of a step; the speeds are those of the last. Rows that sparse layers choose count as
 * often as independent choices would differ. */
spar_status spar_bench_batch(const spar_model *model, const spar_bench_options *options,
                             spar_bench_result *out);
/* Steps of training as the section "train" says, on random tokens: forward, backward, update. */
spar_status spar_bench_train(const spar_config *config, const spar_bench_options *options,
                             spar_bench_result *out);
/* Attention alone, forward and backward, over one sequence of `prompt` tokens (which may exceed the
 * model's context): a part for each different pattern of the model's layers. */
spar_status spar_bench_attention(const spar_model *model, const spar_bench_options *options,
                                 spar_bench_result *out);
/* The products of `prompt` rows with matrices of the shapes that the model has, in f32 and in bf16:
 * a part for each. Speeds in tokens are those of f32. */
spar_status spar_bench_gemm(const spar_model *model, const spar_bench_options *options,
                            spar_bench_result *out);

/* A new model for timing, with weights of `type` (NULL: f32): random like those of spar_model_create_as but laid in
 * copies, so that billions take seconds. The caller frees it. */
spar_status spar_bench_model(const spar_config *config, const char *type, spar_model **out);

/* Operations per second of dense products (1,536³) on this machine; `int8`: of weights in q8_0 with vectors
 * of 8 bits, as prompts of quantised models have them. */
spar_status spar_bench_products(double *f32, double *bf16, double *int8);

#ifdef __cplusplus
}
#endif
#endif
