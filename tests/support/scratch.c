#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[256];
static pid_t owner; /* children that end must not remove it */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about, (void)kind, (void)where;
    return remove(path);
}

static void remove_all(void) {
    if (getpid() == owner) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/spar-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) perror(folder), exit(1);
    owner = getpid();
    atexit(remove_all);
}

const char *scratch(const char *name) {
    static char paths[8][512];
    static unsigned turn;
    if (!folder[0]) make();
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *scratch_file(const char *name, const void *bytes, size_t length) {
    const char *path = scratch(name);
    unlink(path); /* a file that is truncated and written anew is synced by some file systems */
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file)) perror(path), exit(1);
    return path;
}
