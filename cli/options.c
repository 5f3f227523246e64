/* Options: what a subcommand's table says is what is parsed, and what --help, the man pages and
 * the shell completion show. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "help.h"

cli_common cli = {.seed = -1};

static const cli_option common[] = {
    {"json", CLI_FLAG, &cli.json, NULL, "one JSON object on standard output, nothing else there"},
    {"quiet", CLI_FLAG, &cli.quiet, NULL, "no progress"},
    {"threads", CLI_INT, &cli.threads, "N", "threads to compute with; 0: one for each core"},
    {"seed", CLI_INT, &cli.seed, "N", "seed of everything random"},
    {0},
};

const cli_option *cli_common_options(void) { return common; }

/* Pointers of CLI_LIST and CLI_REST values: room for all of argv in each of them. */
static const char **list_room;

static bool is_positional(const cli_option *o) {
    return o->kind == CLI_POSITIONAL || o->kind == CLI_REST;
}

static const cli_option *find(const cli_option *options, const char *name, size_t length) {
    for (; options->name; options++)
        if (!is_positional(options) && strlen(options->name) == length &&
            strncmp(options->name, name, length) == 0)
            return options;
    return NULL;
}

static int unknown(const cli_usage *usage, const char *name, size_t length) {
    const char *names[128];
    int n = 0;
    for (const cli_option *o = usage->options; o->name && n < 100; o++)
        if (!is_positional(o)) names[n++] = o->name;
    for (const cli_option *o = common; o->name; o++) names[n++] = o->name;
    names[n++] = "help";
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(length < 60 ? length : 60), name);
    int near = spar_nearest(text, names, n);
    if (near >= 0)
        return cli_misuse("%s: unknown option --%s, did you mean --%s?", usage->command, text,
                          names[near]);
    return cli_misuse("%s: unknown option --%s; see spar %s --help", usage->command, text,
                      usage->command);
}

static int set_value(const cli_usage *usage, const cli_option *o, const char *text) {
    char *end;
    errno = 0;
    if (o->kind == CLI_INT) {
        long long value = strtoll(text, &end, 10);
        if (end == text || *end || errno)
            return cli_misuse("%s: --%s: found '%s', expected a whole number", usage->command,
                              o->name, text);
        *(int64_t *)o->target = value;
    } else if (o->kind == CLI_REAL) {
        double value = strtod(text, &end);
        if (end == text || *end || !isfinite(value))
            return cli_misuse("%s: --%s: found '%s', expected a number", usage->command, o->name,
                              text);
        *(double *)o->target = value;
    } else if (o->kind == CLI_LIST || o->kind == CLI_REST) {
        cli_list *list = o->target;
        list->items[list->count++] = text;
    } else {
        *(const char **)o->target = text;
    }
    return -1;
}

static int make_lists(const cli_usage *usage, int argc) {
    size_t lists = 0;
    for (const cli_option *o = usage->options; o->name; o++)
        lists += o->kind == CLI_LIST || o->kind == CLI_REST;
    list_room = calloc(lists * (size_t)argc + 1, sizeof *list_room);
    if (!list_room) return cli_fail("out of memory");
    const char **room = list_room;
    for (const cli_option *o = usage->options; o->name; o++) {
        if (o->kind != CLI_LIST && o->kind != CLI_REST) continue;
        *(cli_list *)o->target = (cli_list){room, 0};
        room += argc;
    }
    return -1;
}

/* One "--name", "--name value" or "--name=value" at argv[*at]. */
static int parse_option(const cli_usage *usage, char **argv, int argc, int *at, bool *given) {
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const cli_option *o = find(usage->options, name, length);
    if (o) given[o - usage->options] = true;
    else o = find(common, name, length);
    if (!o) return unknown(usage, name, length);
    const char *value = name[length] ? name + length + 1 : NULL;
    if (o->kind == CLI_FLAG) {
        if (value) return cli_misuse("%s: --%s takes no value", usage->command, o->name);
        *(bool *)o->target = true;
        return -1;
    }
    if (!value && *at + 1 == argc)
        return cli_misuse("%s: --%s needs a value: --%s %s", usage->command, o->name, o->name,
                          o->argument ? o->argument : "VALUE");
    return set_value(usage, o, value ? value : argv[++*at]);
}

static int parse_positional(const cli_usage *usage, const char *text, bool *given) {
    for (const cli_option *o = usage->options; o->name; o++) {
        if (!is_positional(o) || (o->kind == CLI_POSITIONAL && given[o - usage->options])) continue;
        given[o - usage->options] = true;
        return set_value(usage, o, text);
    }
    return cli_misuse("%s: unexpected argument '%s'; see spar %s --help", usage->command, text,
                      usage->command);
}

static int check_required(const cli_usage *usage, const bool *given) {
    for (const cli_option *o = usage->options; o->name; o++) {
        if (!o->required || given[o - usage->options]) continue;
        return cli_misuse("%s: %s%s%s%s is missing; see spar %s --help", usage->command,
                          is_positional(o) ? "" : "--", o->name, o->argument ? " " : "",
                          o->argument ? o->argument : "", usage->command);
    }
    return -1;
}

static void log_line(void *context, spar_log_level level, const char *line) {
    (void)context;
    if (level == SPAR_LOG_INFO && cli.quiet) return;
    cli_progress_end();
    fprintf(stderr, "spar: %s%s\n", level == SPAR_LOG_WARNING ? "warning: " : "", line);
}

int cli_parse(const cli_usage *usage, int argc, char **argv) {
    enum { MOST = 64 };
    bool given[MOST] = {false}, only_positional = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) break;
        int help = cli_help(usage, argv[i]);
        if (help >= 0) return help;
    }
    int code = make_lists(usage, argc);
    for (int i = 1; code < 0 && i < argc; i++) {
        const char *text = argv[i];
        if (only_positional || text[0] != '-' || !text[1])
            code = parse_positional(usage, text, given);
        else if (strcmp(text, "--") == 0) only_positional = true;
        else if (text[1] != '-')
            code = cli_misuse("%s: unknown option %s; options begin with --", usage->command, text);
        else code = parse_option(usage, argv, argc, &i, given);
    }
    if (code < 0) code = check_required(usage, given);
    if (code >= 0) return code;
    if (cli.threads < 0 || cli.threads > 4096)
        return cli_misuse("%s: --threads: found %lld, expected 0 to 4096", usage->command,
                          (long long)cli.threads);
    if (cli.threads) spar_threads_set((int)cli.threads);
    spar_log_set(log_line, NULL);
    return -1;
}
