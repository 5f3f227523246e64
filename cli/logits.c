/* spar logits: one forward pass over token ids. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/model.h"

static int print(const float *logits, size_t rows, size_t columns) {
    if (!cli.json) {
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++)
                printf(c + 1 < columns ? "%.9g " : "%.9g\n", (double)logits[r * columns + c]);
        return CLI_OK;
    }
    json_t *all = json_array();
    for (size_t r = 0; r < rows; r++) {
        json_t *row = json_array();
        for (size_t c = 0; c < columns; c++)
            json_array_append_new(row, json_real((double)logits[r * columns + c]));
        json_array_append_new(all, row);
    }
    return cli_print_json(json_pack("{s:[I,I], s:o}", "shape", (json_int_t)rows, (json_int_t)columns, "logits",
                                    all));
}

int cmd_logits(int argc, char **argv) {
    const char *path = NULL, *tokens = NULL, *output = NULL;
    const cli_option options[] = {
        {"model", CLI_TEXT, &path, "M", "the model", true},
        {"tokens", CLI_TEXT, &tokens, "IDS", "token ids, 1,2,3", true},
        {"output", CLI_TEXT, &output, "X.npy", "write float32 [tokens, vocabulary] here", false},
        {0},
    };
    const cli_usage usage = {"logits", "one forward pass over the whole sequence", options,
                             "spar logits --model model.gguf --tokens 1,2,3 --output logits.npy"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    int32_t *ids;
    size_t count;
    spar_model *model;
    spar_status status = cli_ids(tokens, &ids, &count);
    if (status) return cli_report(status);
    status = spar_model_open(path, &model);
    if (status) {
        spar_free(ids);
        return cli_report(status);
    }
    size_t columns = (size_t)spar_model_vocab_size(model);
    float *logits = calloc(count * columns + 1, sizeof *logits);
    status = logits ? spar_model_logits(model, ids, count, logits) : SPAR_ERR_MEMORY;
    if (status) code = cli_report(status);
    else if (output) code = cli_write_npy(output, logits, count, columns);
    else code = print(logits, count, columns);
    free(logits);
    spar_free(ids);
    spar_model_free(model);
    return code;
}
