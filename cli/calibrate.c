/* spar calibrate: which columns of weights matter, for spar quantize --imatrix. */
#include <stdio.h>

#include "cli.h"
#include "spar/eval.h"
#include "spar/quantize.h"

int cmd_calibrate(int argc, char **argv) {
    const char *path = NULL, *file = NULL, *list = NULL, *output = NULL;
    const cli_option options[] = {
        {"model", CLI_TEXT, &path, "M", "the model", true},
        {"file", CLI_TEXT, &file, "F", "a text like those that the model will meet", false},
        {"tokens", CLI_TEXT, &list, "IDS", "token ids instead of a text", false},
        {"output", CLI_TEXT, &output, "X", "the file to write (.gguf)", true},
        {0},
    };
    const cli_usage usage = {"calibrate", "the importance of columns, for quantize --imatrix", options,
                             "spar calibrate --model run/model.gguf --file text.txt --output importance.gguf"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!file == !list) return cli_misuse("calibrate: expected --file or --tokens");
    spar_model *model;
    char *text = NULL;
    int32_t *ids = NULL;
    size_t length, count = 0;
    spar_progress progress = cli_progress();
    spar_status status = spar_model_open(path, &model);
    if (status) return cli_report(status);
    if (list) status = cli_ids(list, &ids, &count);
    else if (!(status = cli_read(file, &text, &length))) status = spar_eval_text_ids(model, text, length, &ids, &count);
    if (!status) status = spar_calibrate(model, ids, count, &progress, output);
    cli_progress_end();
    spar_free(text);
    spar_free(ids);
    spar_model_free(model);
    if (status) return cli_report(status);
    if (cli.json) return cli_print_json(json_pack("{s:I}", "tokens", (json_int_t)count));
    printf("%zu tokens\n", count);
    return CLI_OK;
}
