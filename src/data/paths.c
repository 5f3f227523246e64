#include "data/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { MAX_DEPTH = 64 };

static spar_status append(spar__paths *paths, const char *path, uint64_t bytes) {
    if (paths->count == paths->capacity) {
        size_t capacity = paths->capacity ? paths->capacity * 2 : 64;
        char **items = spar__resize(paths->items, capacity, sizeof *items);
        if (!items) return SPAR_ERR_MEMORY;
        paths->items = items;
        paths->capacity = capacity;
    }
    char *copy = spar__copy_string(path);
    if (!copy) return SPAR_ERR_MEMORY;
    paths->items[paths->count++] = copy;
    paths->bytes += bytes;
    return SPAR_OK;
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Not alphasort: its order depends on the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static spar_status add_folder(spar__paths *paths, const char *folder, int depth);

static spar_status add_entry(spar__paths *paths, const char *path, int depth) {
    struct stat about;
    if (lstat(path, &about))
        return spar__fail(SPAR_ERR_IO, "%s: cannot examine: %s", path, strerror(errno));
    if (S_ISDIR(about.st_mode)) return add_folder(paths, path, depth);
    bool link = S_ISLNK(about.st_mode);
    if (link && stat(path, &about)) return SPAR_OK;
    return S_ISREG(about.st_mode) ? append(paths, path, (uint64_t)about.st_size) : SPAR_OK;
}

static spar_status add_folder(spar__paths *paths, const char *folder, int depth) {
    if (depth == MAX_DEPTH)
        return spar__fail(SPAR_ERR_LIMIT, "%s: folders more than %d deep", folder, MAX_DEPTH);
    struct dirent **entries;
    int n = scandir(folder, &entries, not_hidden, by_bytes);
    if (n < 0)
        return spar__fail(SPAR_ERR_IO, "%s: cannot read folder: %s", folder, strerror(errno));
    spar_status status = SPAR_OK;
    for (int i = 0; i < n; i++) {
        if (!status) {
            char *path = spar__path_join(folder, entries[i]->d_name);
            status = path ? add_entry(paths, path, depth + 1) : SPAR_ERR_MEMORY;
            spar__free(path);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

spar_status spar__paths_add(spar__paths *paths, const char *path) {
    if (!strcmp(path, "-")) return append(paths, path, 0);
    struct stat about;
    if (stat(path, &about)) {
        int why = errno;
        return spar__fail(why == ENOENT ? SPAR_ERR_NOT_FOUND : SPAR_ERR_IO, "%s: cannot open: %s",
                          path, strerror(why));
    }
    if (S_ISDIR(about.st_mode)) return add_folder(paths, path, 0);
    if (!S_ISREG(about.st_mode))
        return spar__fail(SPAR_ERR_IO, "%s: neither a regular file nor a folder", path);
    return append(paths, path, (uint64_t)about.st_size);
}

void spar__paths_free(spar__paths *paths) {
    for (size_t i = 0; i < paths->count; i++) spar__free(paths->items[i]);
    spar__free(paths->items);
    *paths = (spar__paths){0};
}
