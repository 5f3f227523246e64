/* The command line's entrance: finds the subcommand and runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "spar/machine.h"

/* A build may leave out commands whose libraries it lacks: those are not offered. */
#define COMMAND(name, summary) extern int cmd_##name(int argc, char **argv) __attribute__((weak));
#include "command.def"
#undef COMMAND

static const cli_command known[] = {
#define COMMAND(name, summary) {#name, summary, cmd_##name},
#define COMMAND_AS(symbol, name, summary) {name, summary, cmd_##symbol},
#include "command.def"
#undef COMMAND
    {0},
};

enum { N_KNOWN = sizeof known / sizeof *known };

static int run(int argc, char **argv) {
    cli_command commands[N_KNOWN] = {0};
    int n = 0;
    for (const cli_command *c = known; c->name; c++)
        if (c->run) commands[n++] = *c;
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("spar %s\n", spar_version());
        return CLI_OK;
    }
    /* "spar help train" is "spar train --help". */
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        char *help[] = {argv[0], argc > 2 ? argv[2] : "--help", "--help", NULL};
        return cli_dispatch("", commands, argc > 2 ? 3 : 2, help);
    }
    return cli_dispatch("", commands, argc, argv);
}

int main(int argc, char **argv) {
    int code = run(argc, argv);
    /* A full disk behind standard output shows only here. */
    if (fflush(stdout) || ferror(stdout)) {
        int why = errno;
        if (code == CLI_OK) code = cli_fail("standard output: cannot write: %s", strerror(why));
    }
    return code;
}
