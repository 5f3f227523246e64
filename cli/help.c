#include "help.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_positional(const cli_option *o) {
    return o->kind == CLI_POSITIONAL || o->kind == CLI_REST;
}

static bool has_options(const cli_usage *usage) {
    for (const cli_option *o = usage->options; o->name; o++)
        if (!is_positional(o) && !o->required) return true;
    return false;
}

/* "CONFIG --data D [FILE…]": positionals as they come, then the options that must be given. */
static void print_synopsis(const cli_usage *usage) {
    for (const cli_option *o = usage->options; o->name; o++) {
        const char *more = o->kind == CLI_REST ? "…" : "";
        if (is_positional(o))
            printf(o->required ? " %s%s" : " [%s%s]", o->name, more);
        else if (o->required) printf(" --%s %s", o->name, o->argument ? o->argument : "");
    }
    if (has_options(usage)) printf(" [options]");
}

static void print_option(const cli_option *o) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s", is_positional(o) ? "" : "--", o->name,
             o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-22s %s%s\n", left, o->help, o->kind == CLI_LIST ? " (may be repeated)" : "");
}

static int print_help(const cli_usage *usage) {
    printf("Usage: spar %s", usage->command);
    print_synopsis(usage);
    size_t n = strlen(usage->summary);
    bool stopped = n && usage->summary[n - 1] == '.';
    printf("\n%c%s%s\n\n", toupper((unsigned char)usage->summary[0]), usage->summary + 1,
           stopped ? "" : ".");
    for (const cli_option *o = usage->options; o->name; o++) print_option(o);
    printf("Everywhere: --json, --quiet, --threads N, --seed N, --help\n");
    if (usage->example) printf("\nExample:\n  %s\n", usage->example);
    return CLI_OK;
}

/* Text of a man page: backslashes and minus signs are escaped, no line begins with a control. */
static void print_roff(const char *text) {
    if (*text == '.' || *text == '\'') printf("\\&");
    for (; *text; text++) {
        if (*text == '\\') printf("\\e");
        else if (*text == '-') printf("\\-");
        else putchar(*text);
    }
}

static void print_man_option(const cli_option *o) {
    printf(".TP\n.B ");
    if (!is_positional(o)) printf("\\-\\-");
    print_roff(o->name);
    if (o->argument) {
        printf(" \\fI");
        print_roff(o->argument);
        printf("\\fP");
    }
    printf("\n");
    print_roff(o->help);
    printf("%s\n", o->kind == CLI_LIST ? " (may be repeated)" : "");
}

static int print_man(const cli_usage *usage) {
    char title[64];
    snprintf(title, sizeof title, "spar-%s", usage->command);
    for (char *p = title; *p; p++)
        if (*p == ' ') *p = '-';
    printf(".TH %s 1 \"\" \"spar %s\" \"Spar\"\n.SH NAME\n", title, spar_version());
    print_roff(title);
    printf(" \\- ");
    print_roff(usage->summary);
    printf("\n.SH SYNOPSIS\n\\fBspar %s\\fP", usage->command);
    print_synopsis(usage);
    printf("\n.SH OPTIONS\n");
    for (const cli_option *o = usage->options; o->name; o++) print_man_option(o);
    for (const cli_option *o = cli_common_options(); o->name; o++) print_man_option(o);
    printf(".SH EXIT STATUS\n0 success, 1 the work failed, 2 wrong usage, 130 interrupted.\n");
    if (usage->example) {
        printf(".SH EXAMPLE\n.nf\n");
        print_roff(usage->example);
        printf("\n.fi\n");
    }
    printf(".SH SEE ALSO\n.BR spar (1)\n");
    return CLI_OK;
}

static int print_words(const cli_usage *usage) {
    for (const cli_option *o = usage->options; o->name; o++)
        if (!is_positional(o)) printf("--%s\n", o->name);
    for (const cli_option *o = cli_common_options(); o->name; o++) printf("--%s\n", o->name);
    printf("--help\n");
    return CLI_OK;
}

int cli_help(const cli_usage *usage, const char *argument) {
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) return print_help(usage);
    if (strcmp(argument, "--help=man") == 0) return print_man(usage);
    if (strcmp(argument, "--help=words") == 0) return print_words(usage);
    return -1;
}

static void print_commands(const char *within, const cli_command *commands) {
    const char *gap = *within ? " " : "";
    printf("Usage: spar%s%s COMMAND [options]\n", gap, within);
    if (!*within) printf("Trains, evaluates and runs sparse Transformer language models.\n");
    printf("\n");
    for (const cli_command *c = commands; c->name; c++) printf("  %-12s %s\n", c->name, c->summary);
    printf("\nspar%s%s COMMAND --help tells more about a command", gap, within);
    printf(*within ? ".\n" : "; spar --version tells the version.\n");
    if (!*within)
        printf("\nExample:\n  spar generate --model model.gguf --prompt \"In the beginning\"\n");
}

int cli_dispatch(const char *within, const cli_command *commands, int argc, char **argv) {
    const char *gap = *within ? ": " : "", *name = argc > 1 ? argv[1] : NULL, *names[64];
    int n = 0;
    for (const cli_command *c = commands; c->name && n < 64; c++) {
        names[n++] = c->name;
        if (name && strcmp(name, c->name) == 0) return c->run(argc - 1, argv + 1);
    }
    if (!name)
        return cli_misuse("%s%sa command is missing; see spar%s%s --help", within, gap,
                          *within ? " " : "", within);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_commands(within, commands), CLI_OK;
    if (strcmp(name, "--help=commands") == 0) {
        for (int i = 0; i < n; i++) printf("%s\n", names[i]);
        return CLI_OK;
    }
    int near = spar_nearest(name, names, n);
    if (near >= 0)
        return cli_misuse("%s%sunknown command '%s', did you mean '%s'?", within, gap, name,
                          names[near]);
    return cli_misuse("%s%sunknown command '%s'; see spar%s%s --help", within, gap, name,
                      *within ? " " : "", within);
}
