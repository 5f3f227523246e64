/* Help, man pages and completion, written from the tables that options.c parses by. */
#ifndef SPAR_CLI_HELP_H
#define SPAR_CLI_HELP_H

#include "cli.h"

/* Options that every subcommand takes, ended by a zero entry. */
const cli_option *cli_common_options(void);

/* When `argument` asks for help, prints it and returns the exit code, else −1. Besides "--help" two
 * forms serve the installation: "--help=man" (a man page) and "--help=words" (for completion). */
int cli_help(const cli_usage *usage, const char *argument);

#endif
