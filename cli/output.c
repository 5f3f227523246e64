/* What goes out, and what comes in: messages, JSON, files, arrays, token ids. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* One line whatever is quoted in it: control characters become '?'. */
static void say(const char *format, va_list args) {
    char line[2048];
    vsnprintf(line, sizeof line, format, args);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    cli_progress_end();
    fflush(stdout);
    fprintf(stderr, "spar: %s\n", line);
}

int cli_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_misuse(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return CLI_USAGE;
}

int cli_report(spar_status status) {
    if (status == SPAR_OK) return CLI_OK;
    const char *message = spar_error();
    cli_fail("%s", *message ? message : spar_status_text(status));
    return status == SPAR_ERR_INTERRUPTED ? CLI_INTERRUPTED : CLI_FAILED;
}

int cli_print_json(json_t *object) {
    /* Ten digits: one more than a float32 needs to come back as it was. */
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(object);
    if (!text) return cli_fail("the result cannot be written as JSON");
    int failed = puts(text) < 0;
    free(text);
    return failed ? cli_fail("standard output: cannot write: %s", strerror(errno)) : CLI_OK;
}

int cli_write_file(const char *path, const void *bytes, size_t length) {
    if (strcmp(path, "-") != 0) return cli_report(spar_file_write(path, bytes, length));
    if (fwrite(bytes, 1, length, stdout) != length)
        return cli_fail("standard output: cannot write: %s", strerror(errno));
    return CLI_OK;
}

spar_status cli_ids(const char *text, int32_t **ids, size_t *count) {
    return spar_ids_parse(text, ids, count);
}

spar_status cli_read(const char *path, char **bytes, size_t *length) {
    return spar_file_read(path, SIZE_MAX / 4, bytes, length);
}

/* The .npy format, version 1.0 (numpy.lib.format): magic, version, header length, header, data. */
int cli_write_npy(const char *path, const float *values, size_t rows, size_t columns) {
    enum { PREFIX = 10, HEADER = 128 };
    char shape[64];
    size_t count = rows ? rows * columns : columns;
    if ((rows && count / rows != columns) || count > (SIZE_MAX - HEADER) / sizeof *values)
        return cli_fail("%s: %zu rows of %zu values are too many", path, rows, columns);
    if (rows) snprintf(shape, sizeof shape, "(%zu, %zu)", rows, columns);
    else snprintf(shape, sizeof shape, "(%zu,)", columns);
    size_t length = HEADER + count * sizeof *values;
    char *bytes = malloc(length);
    if (!bytes) return cli_fail("out of memory: %zu bytes", length);
    memset(bytes, ' ', HEADER);
    memcpy(bytes, "\x93NUMPY\x01\x00\x76\x00", PREFIX);
    int n = snprintf(bytes + PREFIX, HEADER - PREFIX,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    bytes[PREFIX + n] = ' ';
    bytes[HEADER - 1] = '\n';
    if (count) memcpy(bytes + HEADER, values, count * sizeof *values);
    int code = cli_write_file(path, bytes, length);
    free(bytes);
    return code;
}
