/* spar init: a model with random weights, for shape and speed work. */
#include <stdio.h>

#include "cli.h"
#include "spar/model.h"

int cmd_init(int argc, char **argv) {
    const char *path = NULL, *output = NULL, *type = "f32", *tokenizer_path = NULL;
    cli_list settings = {0};
    const cli_option options[] = {
        {"CONFIG", CLI_POSITIONAL, &path, NULL, "configuration (JSON)", true},
        {"output", CLI_TEXT, &output, "X.gguf", "the model to write", true},
        {"type", CLI_TEXT, &type, "T", "a type of weights: f32, bf16, q8_0, q4_k …", false},
        {"tokenizer", CLI_TEXT, &tokenizer_path, "T", "a tokenizer to put into it", false},
        {"set", CLI_LIST, &settings, "PATH=VALUE", "change the configuration", false},
        {0},
    };
    const cli_usage usage = {"init", "random weights of a configuration", options,
                             "spar init configs/gpt2.json --output random.gguf --type bf16"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_config *config;
    spar_model *model = NULL;
    spar_tokenizer *tokenizer = NULL;
    spar_plan plan;
    spar_status status = spar_config_open(path, settings.items, (size_t)settings.count, &config);
    if (status) return cli_report(status);
    if (!status && tokenizer_path) status = spar_tokenizer_open(tokenizer_path, &tokenizer);
    if (!status) status = spar_config_plan(config, type, &plan);
    if (!status) status = spar_model_create_as(config, type, cli.seed < 0 ? 0 : (uint64_t)cli.seed, &model);
    if (!status) status = spar_model_save(model, tokenizer, NULL, output);
    spar_model_free(model);
    spar_tokenizer_free(tokenizer);
    spar_config_free(config);
    if (status) return cli_report(status);
    if (cli.json)
        return cli_print_json(json_pack("{s:I, s:I}", "parameters", (json_int_t)plan.parameters, "bytes",
                                        (json_int_t)plan.weight_bytes));
    printf("%llu parameters, %llu bytes\n", (unsigned long long)plan.parameters,
           (unsigned long long)plan.weight_bytes);
    return CLI_OK;
}
