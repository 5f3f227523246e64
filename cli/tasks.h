/* What the commands share that run whole sequences through a model: reading them, and printing numbers. */
#ifndef SPAR_CLI_TASKS_H
#define SPAR_CLI_TASKS_H

#include "cli.h"
#include "spar/model.h"

typedef struct cli_sequence_options {
    const char *tokens, *source, *segments; /* ids, 1,2,3 */
} cli_sequence_options;

typedef struct cli_sequence {
    spar_input input;
    int32_t *tokens, *source, *segments;
} cli_sequence;

/* Like cli_parse, these return −1 to go on, else the exit code, with the mistake told. */

/* All but the tokens may be missing; segments must be as many as the tokens. */
int cli_sequence_read(const cli_sequence_options *options, cli_sequence *out);
void cli_sequence_free(cli_sequence *sequence);

json_t *cli_numbers(const float *values, size_t count);

/* ---- Texts in batches: --text, --file (a line each), --jsonl (a JSON string or {"text"} each) ---- */

typedef struct cli_texts {
    char **items;
    size_t count;
} cli_texts;

/* Exactly one of the three must be given. */
int cli_texts_read(const char *text, const char *file, const char *jsonl, cli_texts *out);
void cli_texts_free(cli_texts *texts);

/* Calls `run` with groups of texts of like length, at most `most` tokens together, in the order of their
 * length; `indices` say which texts they are. Tokens are cut to the model's context with a warning. */
typedef spar_status (*cli_batch)(void *context, const spar_input *inputs, const size_t *indices, size_t count);
int cli_batches(const spar_model *model, const cli_texts *texts, size_t most, cli_batch run, void *context);

#endif
