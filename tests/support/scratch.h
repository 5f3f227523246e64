/* A folder of the test program's own, removed with what is in it when the program ends. */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <stddef.h>

/* "FOLDER/name", in one of eight buffers that are used in turn. */
const char *scratch(const char *name);
/* Writes a file and returns its path, as scratch() does; ends the program when it cannot. */
const char *scratch_file(const char *name, const void *bytes, size_t length);

#endif
