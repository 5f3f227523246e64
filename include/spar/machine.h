/* The version of the library, its threads, and what the machine can do. */
#ifndef SPAR_MACHINE_H
#define SPAR_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library that runs. */
const char *spar_version(void);

/* How many threads the library computes with: all cores that the process may use unless set; n < 1
 * sets that again. Results do not depend on it. For the whole process; set it while no other
 * thread uses the library. */
void spar_threads_set(int n);
int spar_threads(void);

/* What the processor and the system say of themselves; 0 or "" where they say nothing. */
typedef struct spar_machine {
    char cpu[64];
    char features[96]; /* those that kernels are made for: "avx2 avx512 avx512-vnni" */
    int cores;         /* that this process may run on */
    size_t cache_l1d, cache_l2, cache_l3; /* bytes */
    uint64_t memory, memory_available;    /* bytes */
} spar_machine;
void spar_machine_get(spar_machine *out); /* any thread */

/* The instruction set whose kernels this process uses ("avx512"): the best that there is, or what
 * the environment variable SPAR_ISA names. UNSUPPORTED where it names what the CPU lacks. */
spar_status spar_machine_isa(const char **name);

/* The libraries that Spar is built on and their versions; ends with a zero entry. */
typedef struct spar_library {
    const char *name, *version;
} spar_library;
const spar_library *spar_libraries(void); /* any thread */

/* Measures how fast all threads together read memory that no cache holds, in bytes per second:
 * one after the other when `piece` is 0, else in pieces of that many bytes (a multiple of 64) at
 * random places. The median of several passes, in about a second; takes up to 1 GiB of memory.
 * MEMORY; ARGUMENT for a bad piece. Nothing else should run meanwhile. */
spar_status spar_machine_bandwidth(size_t piece, double *bytes_per_second);

/* Speed of the disk that holds `folder`, past the system's cache where the file system allows it:
 * a file of 256 MiB written and synced, read in order, and read in 16 KiB pieces at random. The
 * file has no name and vanishes. IO. */
typedef struct spar_disk_speed {
    double write, read, read_pieces; /* bytes per second */
} spar_disk_speed;
spar_status spar_machine_disk(const char *folder, spar_disk_speed *out);

#ifdef __cplusplus
}
#endif
#endif
