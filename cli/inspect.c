/* spar inspect: what a model is made of, or what a configuration would take. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/model.h"

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void print_layers(const json_t *layers) {
    printf("\n%5s  %-10s %-12s %-12s %-14s %12s\n", "layer", "residual", "attention", "projection",
           "feed-forward", "parameters");
    size_t i;
    json_t *l;
    json_array_foreach(layers, i, l) {
        printf("%5zu  %-10s %-12s %-12s %-14s %12.0f\n", i, json_string_value(json_object_get(l, "residual")),
               json_string_value(json_object_get(l, "attention")),
               json_string_value(json_object_get(l, "projection")),
               json_string_value(json_object_get(l, "feedforward")), number(l, "parameters"));
    }
}

static int of_model(const char *path) {
    spar_model *model;
    char *text;
    spar_status status = spar_model_open(path, &model);
    if (status) return cli_report(status);
    status = spar_model_describe(model, &text);
    const spar_tokenizer *tokenizer = spar_model_tokenizer(model);
    int32_t ids = tokenizer ? spar_tokenizer_size(tokenizer) : 0;
    spar_model_free(model);
    if (status) return cli_report(status);
    json_t *o = json_loads(text, 0, NULL);
    spar_free(text);
    if (cli.json) return cli_print_json(o);
    printf("architecture     %s\nparameters       %.0f\nbytes            %.0f\nbytes per token  %.0f\n"
           "cache per 1k     %.0f bytes\nFLOPs per token  %.4g\n",
           json_string_value(json_object_get(o, "architecture")), number(o, "parameters"), number(o, "bytes"),
           number(o, "bytes_per_token"), number(o, "cache_bytes_per_1k"), number(o, "flops_per_token"));
    if (ids) printf("tokenizer        %d ids\n", ids);
    print_layers(json_object_get(o, "layers"));
    json_decref(o);
    return CLI_OK;
}

static int of_config(const char *path, const cli_list *settings, const char *type) {
    spar_config *config;
    spar_plan p;
    spar_status status = spar_config_open(path, settings->items, (size_t)settings->count, &config);
    if (status) return cli_report(status);
    status = spar_config_plan(config, type, &p);
    spar_config_free(config);
    if (status) return cli_report(status);
    if (cli.json)
        return cli_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:f}", "parameters", (json_int_t)p.parameters, "bytes",
            (json_int_t)p.weight_bytes, "bytes_per_token", (json_int_t)p.bytes_per_token, "cache_bytes_per_1k",
            (json_int_t)p.cache_bytes_per_1k, "train_bytes", (json_int_t)p.train_bytes, "flops_per_token",
            p.flops_per_token));
    printf("parameters       %llu\nbytes (%s)%*s%llu\nbytes per token  %llu\ncache per 1k     %llu bytes\n"
           "training         %llu bytes\nFLOPs per token  %.4g\n",
           (unsigned long long)p.parameters, type, (int)(9 - strlen(type)), "",
           (unsigned long long)p.weight_bytes, (unsigned long long)p.bytes_per_token,
           (unsigned long long)p.cache_bytes_per_1k, (unsigned long long)p.train_bytes, p.flops_per_token);
    return CLI_OK;
}

int cmd_inspect(int argc, char **argv) {
    const char *path = NULL, *type = "f32";
    cli_list settings = {0};
    const cli_option options[] = {
        {"M", CLI_POSITIONAL, &path, NULL, "a model, or a configuration (.json) to plan", true},
        {"type", CLI_TEXT, &type, "T", "of a configuration's weights", false},
        {"set", CLI_LIST, &settings, "PATH=VALUE", "change the configuration", false},
        {0},
    };
    const cli_usage usage = {"inspect", "parameters, memory, bytes read per token, layers", options,
                             "spar inspect configs/gpt3-175b.json --type q8_0"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    return ends_with(path, ".json") ? of_config(path, &settings, type) : of_model(path);
}
