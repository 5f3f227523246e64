/* Timing, shared by the benches. */
#ifndef SPAR_BENCH_BENCH_H
#define SPAR_BENCH_BENCH_H

#include "spar/bench.h"
#include "tensor/tensor.h"

typedef struct spar__timing {
    double median, least, most; /* seconds of one run */
} spar__timing;

/* Runs `run` once, then `repeats` times. Runs too short for the clock are made several at a time.
 */
spar_status spar__bench_time(spar_status (*run)(void *context), void *context,
                             const spar_bench_options *options, const char *what,
                             spar__timing *out);
/* The same, with `prepare` (not timed) before each single run. */
spar_status spar__bench_time_prepared(spar_status (*prepare)(void *context),
                                      spar_status (*run)(void *context), void *context,
                                      const spar_bench_options *options, const char *what,
                                      spar__timing *out);
spar_status spar__bench_check(const spar_bench_options *options);

/* Speeds of runs of `tokens` tokens. */
spar_bench_result spar__bench_speed(const spar__timing *timing, double tokens);

/* Bytes of all weights, and multiplications and additions with weights for one token. */
spar_status spar__bench_weights(const spar_model *model, double *bytes, double *bytes_per_token,
                                double *flops_per_token);
double spar__bench_piece(const spar_model *model); /* spar_bench_result.piece_bytes */

/* Uniform in [−1, 1): the same numbers for the same stream. */
void spar__bench_fill(spar__real *values, size_t count, uint64_t stream);
void spar__bench_tokens(int32_t *tokens, size_t count, int32_t vocab_size);

#endif
