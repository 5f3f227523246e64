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

static const char *text(const json_t *o, const char *key, const char *absent) {
    const char *value = json_string_value(json_object_get(o, key));
    return value ? value : absent;
}

/* "blk.3.attn_q.weight" without what names the layer. */
static const char *short_name(const char *name) {
    const char *at = strstr(name, "blk."), *dot = at ? strchr(at + 4, '.') : NULL;
    return dot ? dot + 1 : name;
}

static void print_tensors(const json_t *tensors) {
    size_t i, d;
    json_t *t, *n;
    json_array_foreach(tensors, i, t) {
        char shape[96] = "";
        json_array_foreach(json_object_get(t, "shape"), d, n) {
            size_t used = strlen(shape);
            snprintf(shape + used, sizeof shape - used, "%s%lld", d ? " × " : "", (long long)json_integer_value(n));
        }
        printf("       %-30s %-8s %s\n", short_name(text(t, "name", "")), text(t, "type", ""), shape);
    }
}

/* Whether two layers have the same kinds and tensors, by their place among the layers. */
static bool same_layer(const json_t *a, const json_t *b) {
    static const char *const keys[] = {"stack", "residual", "attention", "projection", "feedforward", NULL};
    const json_t *s = json_object_get(a, "tensors"), *t = json_object_get(b, "tensors");
    for (int i = 0; keys[i]; i++)
        if (strcmp(text(a, keys[i], ""), text(b, keys[i], "")) != 0) return false;
    if (json_array_size(s) != json_array_size(t)) return false;
    for (size_t i = 0; i < json_array_size(s); i++) {
        const json_t *x = json_array_get(s, i), *y = json_array_get(t, i);
        if (strcmp(short_name(text(x, "name", "")), short_name(text(y, "name", ""))) != 0 ||
            strcmp(text(x, "type", ""), text(y, "type", "")) != 0 ||
            !json_equal(json_object_get(x, "shape"), json_object_get(y, "shape")))
            return false;
    }
    return true;
}

/* Layers that are alike stand in one row, with their tensors below. */
static void print_layers(const json_t *layers) {
    printf("\n%-11s %-10s %-12s %-20s %-14s %12s\n", "layers", "residual", "attention", "projection", "feed-forward",
           "parameters");
    for (size_t i = 0, end; i < json_array_size(layers); i = end) {
        const json_t *l = json_array_get(layers, i);
        char name[32];
        for (end = i + 1; end < json_array_size(layers) && same_layer(l, json_array_get(layers, end));) end++;
        long long first = (long long)number(l, "layer"), n = (long long)(end - i);
        int used = snprintf(name, sizeof name, "%.3s%s%lld", text(l, "stack", ""), json_object_get(l, "stack") ? " " : "", first);
        if (n > 1) snprintf(name + used, sizeof name - (size_t)used, "–%lld", first + n - 1);
        printf("%-11s%s %-10s %-12s %-20s %-14s %12.0f\n", name, n > 1 ? "  " : "", text(l, "residual", ""),
               text(l, "attention", ""), text(l, "projection", ""), text(l, "feedforward", ""), number(l, "parameters"));
        print_tensors(json_object_get(l, "tensors"));
    }
}

static void print_about(const json_t *o) {
    const json_t *tokenizer = json_object_get(o, "tokenizer"), *memory = json_object_get(o, "memory");
    const char *chat = text(o, "chat_template", NULL), *dash = "–";
    printf("architecture     %s\nfamily           %s\nname             %s\nlicence          %s\n",
           text(o, "architecture", dash), text(o, "family", dash), text(o, "name", dash), text(o, "license", dash));
    printf("parameters       %.0f\nbytes            %.0f\nbytes per token  %.0f\nFLOPs per token  %.4g\n",
           number(o, "parameters"), number(o, "bytes"), number(o, "bytes_per_token"), number(o, "flops_per_token"));
    printf("context          %.0f tokens\ncache per 1k     %.0f bytes\nmemory           %.0f bytes at the whole context\n",
           number(o, "context"), number(memory, "cache_1k"), number(memory, "total_context"));
    if (json_is_object(tokenizer))
        printf("tokenizer        %s, %.0f ids\n", text(tokenizer, "kind", ""), number(tokenizer, "size"));
    else printf("tokenizer        –\n");
    printf("chat template    %s\n", chat ? "yes (--json shows it)" : dash);
}

static int of_model(const char *path) {
    spar_model *model;
    char *described;
    spar_status status = spar_model_open(path, &model);
    if (status) return cli_report(status);
    status = spar_model_describe(model, &described);
    spar_model_free(model);
    if (status) return cli_report(status);
    json_t *o = json_loads(described, 0, NULL);
    spar_free(described);
    if (cli.json) return cli_print_json(o);
    print_about(o);
    print_layers(json_object_get(o, "layers"));
    printf("\nothers\n");
    print_tensors(json_object_get(o, "tensors"));
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
