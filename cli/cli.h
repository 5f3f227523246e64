/* What every subcommand shares: options, output, errors, progress. Subcommands use only the public
 * headers in include/spar, this header and Jansson; so a C program can do whatever they do. */
#ifndef SPAR_CLI_H
#define SPAR_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spar/file.h"
#include "spar/log.h"
#include "spar/machine.h"
#include "spar/memory.h"
#include "spar/status.h"
#include "spar/text.h"

/* Exit codes. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

typedef enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char *, pointing into argv */
    CLI_INT,    /* int64_t */
    CLI_REAL,   /* double */
    CLI_LIST,   /* cli_list: may be given several times */
    CLI_POSITIONAL, /* const char *: the next argument that is no option; "name" is for the usage */
    CLI_REST,   /* cli_list: all further arguments that are no options */
} cli_kind;

typedef struct cli_list {
    const char **items;
    int count;
} cli_list;

typedef struct cli_option {
    const char *name;     /* without "--"; for positionals what the usage line shows */
    cli_kind kind;
    void *target;         /* keeps its value when the option is not given */
    const char *argument; /* "N", "FILE" … for the help; NULL for flags */
    const char *help;
    bool required;
} cli_option;

typedef struct cli_usage {
    const char *command;  /* "tokenizer train" */
    const char *summary;  /* one line */
    const cli_option *options; /* ends with a zero entry */
    const char *example;  /* the line that ends --help */
} cli_usage;

/* A subcommand, or one of the second words of a subcommand such as "tokenizer train". */
typedef struct cli_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the name */
} cli_command;

/* Runs the command that argv[1] names. `within` is "" or the first word ("tokenizer"); `commands`
 * ends with a zero entry. Prints the list for --help; an unknown name is a mistake (2). */
int cli_dispatch(const char *within, const cli_command *commands, int argc, char **argv);

/* Options that every subcommand takes, parsed by cli_parse: --json --threads --seed --quiet --help. */
typedef struct cli_common {
    bool json, quiet;
    int64_t threads, seed; /* threads 0 = all cores; seed −1 = not given */
} cli_common;
extern cli_common cli;

/* Parses argv[1…] (argv[0] is the subcommand). Returns −1 to go on, else the exit code: after
 * --help 0, on a mistake 2 with one line on standard error that names the nearest known option. */
int cli_parse(const cli_usage *usage, int argc, char **argv);

/* "spar: MESSAGE" on standard error, one line; returns CLI_FAILED / CLI_USAGE. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The library's message for a failed call; CLI_INTERRUPTED for SPAR_ERR_INTERRUPTED. */
int cli_report(spar_status status);

/* Prints `object` (stolen) as the one line of standard output; CLI_FAILED if that cannot be done. */
int cli_print_json(json_t *object);
/* The same into a file that appears whole; "-" is standard output. */
int cli_write_file(const char *path, const void *bytes, size_t length);

/* "1,2,3" → ids. The caller frees *ids with spar_free. */
spar_status cli_ids(const char *text, int32_t **ids, size_t *count);

/* The whole of a file or of standard input ("-"). The caller frees *bytes with spar_free. */
spar_status cli_read(const char *path, char **bytes, size_t *length);

/* A float32 array [rows, columns] (or [columns] when rows is 0) as .npy. */
int cli_write_npy(const char *path, const float *values, size_t rows, size_t columns);

/* Progress on standard error: a bar with rate and time left on a terminal, otherwise a line now
 * and then; nothing with --quiet. Reports Ctrl-C: the work then stops with an interruption. */
spar_progress cli_progress(void);
void cli_progress_end(void); /* leaves the bar's line */
bool cli_interrupted(void);  /* Ctrl-C was pressed since cli_catch_interrupt */
void cli_catch_interrupt(void);

#define COMMAND(name, summary) int cmd_##name(int argc, char **argv);
#include "command.def"
#undef COMMAND

#endif
