/* spar report: several configurations trained on the same data, side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "spar/report.h"

enum { MOST = 64 };

typedef struct job {
    const char *data, *output, *runs, *title;
    cli_list configs, settings;
    int64_t seeds;
    spar_report_variant variants[MOST];
    char names[MOST][64];
} job;

/* "NAME=FILE", or FILE, whose name is then "a/b.json" → "b". */
static int name_variant(job *j, int i, const char **path) {
    const char *text = j->configs.items[i], *equals = strchr(text, '='), *from = text;
    size_t n;
    *path = equals ? equals + 1 : text;
    if (equals) n = (size_t)(equals - text);
    else {
        const char *slash = strrchr(text, '/');
        from = slash ? slash + 1 : text;
        n = strlen(from);
        if (n > 5 && !strcmp(from + n - 5, ".json")) n -= 5;
    }
    if (!n || n > 63) return cli_misuse("report: '%s': expected a name of up to 63 bytes", text);
    snprintf(j->names[i], sizeof j->names[i], "%.*s", (int)n, from);
    j->variants[i].name = j->names[i];
    return -1;
}

/* "NAME:KEY=VALUE" is for one variant, "KEY=VALUE" for all. A key has no colon. */
static const char *setting_for(const char *setting, const char *name) {
    const char *equals = strchr(setting, '='), *colon = strchr(setting, ':');
    if (!colon || (equals && colon > equals)) return setting;
    size_t n = (size_t)(colon - setting);
    return strlen(name) == n && !strncmp(setting, name, n) ? colon + 1 : NULL;
}

static int check_settings(const job *j) {
    for (int s = 0; s < j->settings.count; s++) {
        bool used = false;
        for (int i = 0; i < j->configs.count; i++) used |= setting_for(j->settings.items[s], j->names[i]) != NULL;
        if (!used) {
            const char *text = j->settings.items[s];
            return cli_misuse("report: --set %s: no variant is called '%.*s'", text, (int)strcspn(text, ":"), text);
        }
    }
    return -1;
}

static spar_status open_variant(job *j, int i, const char *path) {
    const char **settings = malloc(((size_t)j->settings.count + 1) * sizeof *settings);
    size_t n = 0;
    if (!settings) return SPAR_ERR_MEMORY;
    for (int s = 0; s < j->settings.count; s++)
        if ((settings[n] = setting_for(j->settings.items[s], j->names[i]))) n++;
    spar_config *config = NULL;
    spar_status status = spar_config_open(path, settings, n, &config);
    j->variants[i].config = config;
    free(settings);
    return status;
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

/* R.html, and beside it R.json and R.png. */
static spar_status write_all(const job *j, const spar_report *report) {
    static const char *const endings[] = {"json", "png"};
    spar_status status = spar_report_write(report, j->output);
    size_t n = strlen(j->output);
    char *path = malloc(n + 1);
    if (!path) return SPAR_ERR_MEMORY;
    for (int i = 0; !status && i < 2 && ends_in(j->output, ".html"); i++) {
        snprintf(path, n + 1, "%.*s%s", (int)n - 4, j->output, endings[i]);
        status = spar_report_write(report, path);
    }
    free(path);
    return status;
}

static int print_report(const job *j, const spar_report *report) {
    char *text;
    spar_status status = spar_report_json(report, &text);
    if (status) return cli_report(status);
    json_t *root = json_loads(text, 0, NULL);
    spar_free(text);
    if (cli.json) return cli_print_json(root);
    json_t *v;
    size_t i;
    printf("%-24s %10s %10s %12s %14s %12s\n", "", "loss", "spread", "parameters", "bytes a token", "tokens/s");
    json_array_foreach(json_object_get(root, "variants"), i, v) {
        const json_t *loss = json_object_get(v, "loss");
        printf("%-24s %10.4f %10.4f %12lld %14lld %12.0f\n", json_string_value(json_object_get(v, "name")),
               json_number_value(json_object_get(loss, "mean")),
               json_number_value(json_object_get(loss, "most")) - json_number_value(json_object_get(loss, "least")),
               (long long)json_integer_value(json_object_get(v, "parameters")),
               (long long)json_integer_value(json_object_get(v, "bytes_per_token")),
               json_number_value(json_object_get(v, "decode_tokens_per_second")));
    }
    printf("%s\n", j->output);
    json_decref(root);
    return CLI_OK;
}

static int run(job *j) {
    spar_report_options options = SPAR_REPORT_OPTIONS_INIT;
    spar_progress progress = cli_progress();
    spar_report *report = NULL;
    spar_data *data = NULL;
    spar_status status = spar_data_open(j->data, 0, &data);
    if (!status) {
        options.data = data;
        options.folder = j->runs;
        options.n_seeds = j->seeds;
        if (cli.seed >= 0) options.first_seed = cli.seed;
        options.title = j->title;
        options.progress = &progress;
        cli_catch_interrupt();
        status = spar_report_create(j->variants, (size_t)j->configs.count, &options, &report);
        cli_progress_end();
    }
    if (!status) status = write_all(j, report);
    int code = status ? cli_report(status) : print_report(j, report);
    spar_report_free(report);
    spar_data_free(data);
    return code;
}

/* R.html → R.runs */
static char *runs_beside(const char *output) {
    size_t n = strlen(output);
    if (ends_in(output, ".html")) n -= 5;
    char *path = malloc(n + sizeof ".runs");
    if (path) sprintf(path, "%.*s.runs", (int)n, output);
    return path;
}

int cmd_report(int argc, char **argv) {
    static job j = {.seeds = 3};
    const cli_option options[] = {
        {"CONFIG", CLI_REST, &j.configs, NULL, "configurations, or NAME=CONFIG; one may be there twice", true},
        {"data", CLI_TEXT, &j.data, "D", "packed data (spar data pack)", true},
        {"output", CLI_TEXT, &j.output, "R.html", "the page; R.json and R.png come beside it", true},
        {"set", CLI_LIST, &j.settings, "KEY=VALUE", "changes all configurations; NAME:KEY=VALUE one", false},
        {"seeds", CLI_INT, &j.seeds, "N", "runs of each (3), with seeds from --seed (1) on", false},
        {"runs", CLI_TEXT, &j.runs, "FOLDER", "where runs are kept, and found again (R.runs)", false},
        {"title", CLI_TEXT, &j.title, "TEXT", "of the page", false},
        {0},
    };
    const cli_usage usage = {"report", "trains variants and compares them on one page", options,
                             "spar report configs/demo.json configs/switch-tiny.json --data data --output r.html"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (j.configs.count > MOST) return cli_misuse("report: more than %d configurations", MOST);
    if (j.seeds < 1 || j.seeds > 1000)
        return cli_misuse("report: --seeds: found %lld, expected 1 to 1000", (long long)j.seeds);
    const char *paths[MOST];
    for (int i = 0; code < 0 && i < j.configs.count; i++) code = name_variant(&j, i, &paths[i]);
    if (code < 0) code = check_settings(&j);
    if (code < 0 && !ends_in(j.output, ".html") && !ends_in(j.output, ".json") && !ends_in(j.output, ".png") &&
        !ends_in(j.output, ".svg"))
        code = cli_misuse("report: --output %s: expected a name that ends in .html, .json, .png or .svg", j.output);
    if (code >= 0) return code;
    char *beside = j.runs ? NULL : runs_beside(j.output);
    if (!j.runs) j.runs = beside;
    spar_status status = j.runs ? SPAR_OK : SPAR_ERR_MEMORY;
    for (int i = 0; !status && i < j.configs.count; i++) status = open_variant(&j, i, paths[i]);
    code = status ? cli_report(status) : run(&j);
    for (int i = 0; i < j.configs.count; i++) spar_config_free((spar_config *)j.variants[i].config);
    free(beside);
    return code;
}
