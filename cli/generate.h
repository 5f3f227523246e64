/* The parts of spar generate. */
#ifndef SPAR_CLI_GENERATE_H
#define SPAR_CLI_GENERATE_H

#include "cli.h"
#include "spar/session.h"

typedef struct generate_job {
    const char *model, *prompt, *tokens, *cache_type, *source, *early, *draft, *session, *jsonl;
    int64_t max_tokens, context, beams, n_best, draft_layers, batch;
    double length_penalty;
    bool ignore_eos, lookup;
    cli_list stops, biases;
    spar_sampler_options sampler;
} generate_job;

/* The prompts of a file, several at a time; an exit code. */
int generate_many(const generate_job *job, const spar_model *model);

#endif
