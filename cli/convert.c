/* spar convert: a model in another type. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/model.h"

int cmd_convert(int argc, char **argv) {
    const char *from = NULL, *to = NULL, *type = NULL;
    const cli_option options[] = {
        {"M", CLI_POSITIONAL, &from, NULL, "the model", true},
        {"X", CLI_POSITIONAL, &to, NULL, "the file to write (.gguf)", true},
        {"type", CLI_TEXT, &type, "T", "a type of weights: bf16, q8_0, q4_k … (as they are)", false},
        {0},
    };
    const cli_usage usage = {"convert", "rewrite a model; lossless where the types are equal", options,
                             "spar convert run/model.gguf small.gguf --type q8_0"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_model *model;
    spar_status status = spar_model_open(from, &model);
    if (status) return cli_report(status);
    char *text = NULL;
    status = spar_model_save(model, NULL, type, to);
    if (!status) status = spar_model_describe(model, &text);
    spar_model_free(model);
    if (status) return cli_report(status);
    json_t *about = json_loads(text, 0, NULL);
    double parameters = json_number_value(json_object_get(about, "parameters"));
    json_decref(about);
    spar_free(text);
    struct stat file;
    if (stat(to, &file)) return cli_fail("%s: cannot be examined", to);
    double bits = 8.0 * (double)file.st_size / (parameters > 0 ? parameters : 1);
    if (cli.json)
        return cli_print_json(json_pack("{s:I, s:f}", "bytes", (json_int_t)file.st_size, "bits_per_weight", bits));
    printf("%lld bytes, %.2f bits per weight\n", (long long)file.st_size, bits);
    return CLI_OK;
}
