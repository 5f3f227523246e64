/* spar logits: one forward pass over token ids. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/model.h"
#include "tasks.h"

static int print(const float *logits, size_t rows, size_t columns) {
    if (!cli.json) {
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++)
                printf(c + 1 < columns ? "%.9g " : "%.9g\n", (double)logits[r * columns + c]);
        return CLI_OK;
    }
    json_t *all = json_array();
    for (size_t r = 0; r < rows; r++)
        json_array_append_new(all, cli_numbers(logits + r * columns, columns));
    return cli_print_json(json_pack("{s:[I,I], s:o}", "shape", (json_int_t)rows, (json_int_t)columns, "logits",
                                    all));
}

int cmd_logits(int argc, char **argv) {
    const char *path = NULL, *output = NULL;
    cli_sequence_options ids = {0};
    const cli_option options[] = {
        {"model", CLI_TEXT, &path, "M", "the model", true},
        {"tokens", CLI_TEXT, &ids.tokens, "IDS", "token ids, 1,2,3", true},
        {"source", CLI_TEXT, &ids.source, "IDS", "encoder–decoders: ids for the encoder", false},
        {"segments", CLI_TEXT, &ids.segments, "IDS", "token types, 0,0,1 (all 0)", false},
        {"output", CLI_TEXT, &output, "X.npy", "write float32 [rows, columns] here", false},
        {0},
    };
    const cli_usage usage = {"logits", "one forward pass over the whole sequence", options,
                             "spar logits --model model.gguf --tokens 1,2,3 --output logits.npy"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    cli_sequence sequence;
    spar_model *model;
    code = cli_sequence_read(&ids, &sequence);
    if (code >= 0) return code;
    float *logits = NULL;
    size_t rows, columns;
    spar_status status = spar_model_open(path, &model);
    if (!status) {
        status = spar_model_run(model, &sequence.input, 1, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &logits, &rows, &columns);
        spar_model_free(model);
    }
    cli_sequence_free(&sequence);
    if (status) return cli_report(status);
    code = output ? cli_write_npy(output, logits, rows, columns) : print(logits, rows, columns);
    spar_free(logits);
    return code;
}
