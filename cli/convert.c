/* spar convert: a model in another form or type. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/model.h"

static const char *const forms[][2] = {{"hf", "folder"}, {"gguf", "gguf"}, {"spar", "spar"}};

static double bytes_of(const char *path) {
    static const char *const names[] = {"model.safetensors", NULL};
    struct stat file;
    char inside[4096];
    if (stat(path, &file)) return 0;
    if (!S_ISDIR(file.st_mode)) return (double)file.st_size;
    snprintf(inside, sizeof inside, "%s/%s", path, names[0]);
    return stat(inside, &file) ? 0 : (double)file.st_size;
}

static spar_status convert(const char *from, const char *to, spar_export_options *options, const char **form,
                           double *parameters) {
    spar_model *model;
    char *text = NULL;
    spar_progress progress = cli_progress();
    spar_status status = spar_model_open(from, &model);
    if (status) return status;
    cli_catch_interrupt();
    options->progress = &progress;
    status = spar_model_export(model, options, to, form);
    cli_progress_end();
    if (!status) status = spar_model_describe(model, &text);
    spar_model_free(model);
    if (status) return status;
    json_t *about = json_loads(text, 0, NULL);
    *parameters = json_number_value(json_object_get(about, "parameters"));
    json_decref(about);
    spar_free(text);
    return SPAR_OK;
}

int cmd_convert(int argc, char **argv) {
    const char *from = NULL, *to = NULL, *form = NULL;
    spar_export_options o = SPAR_EXPORT_OPTIONS_INIT;
    const cli_option options[] = {
        {"M", CLI_POSITIONAL, &from, NULL, "the model", true},
        {"X", CLI_POSITIONAL, &to, NULL, "what to write: a file (.gguf), else a Hugging Face folder", true},
        {"to", CLI_TEXT, &form, "FORM", "hf: folder; gguf: as llama.cpp reads it; spar: Spar's own", false},
        {"family", CLI_TEXT, &o.family, "F", "of the published form: gpt2, llama … (its own)", false},
        {"type", CLI_TEXT, &o.type, "T", "a type of weights: bf16, q8_0, q4_k … (as they are)", false},
        {0},
    };
    const cli_usage usage = {"convert", "rewrites a model; lossless where the types are equal", options,
                             "spar convert run/model.gguf small.gguf --type q8_0"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    for (size_t i = 0; form && !o.format && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(form, forms[i][0]) == 0) o.format = forms[i][1];
    if (form && !o.format) return cli_misuse("convert: --to: found '%s', expected hf, gguf or spar", form);
    double parameters = 0;
    const char *written = NULL;
    spar_status status = convert(from, to, &o, &written, &parameters);
    if (status) return cli_report(status);
    double bytes = bytes_of(to), bits = 8 * bytes / (parameters > 0 ? parameters : 1);
    if (strcmp(written, "folder") == 0) written = "hf";
    if (cli.json)
        return cli_print_json(json_pack("{s:I, s:f, s:s}", "bytes", (json_int_t)bytes, "bits_per_weight", bits, "form",
                                        written));
    printf("%s: form %s, %.0f bytes, %.2f bits per weight\n", to, written, bytes, bits);
    return CLI_OK;
}
