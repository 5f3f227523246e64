/* The files that a list of paths stands for. */
#ifndef SPAR_DATA_PATHS_H
#define SPAR_DATA_PATHS_H

#include "base/memory.h"

typedef struct spar__paths {
    char **items;
    size_t count, capacity;
    uint64_t bytes; /* of the files together */
} spar__paths;

/* Adds `path` if it is a file or "-", or what is below it if it is a folder: recursively, in byte
 * order of the names, without hidden entries and links to folders. */
spar_status spar__paths_add(spar__paths *paths, const char *path);
void spar__paths_free(spar__paths *paths);

#endif
