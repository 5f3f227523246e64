/* What fuzz targets share: an input as a file, as most parsers open paths. */
#ifndef SPAR_TESTS_FUZZ_H
#define SPAR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A file of these bytes that lives in memory. `path` gets its name; close the result afterwards.
 * −1 when the system refuses. */
static inline int fuzz_file(const uint8_t *bytes, size_t length, char path[32]) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0) return -1;
    if (write(fd, bytes, length) != (ssize_t)length) {
        close(fd);
        return -1;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
