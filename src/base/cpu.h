/* What the CPU can do, and how many threads the library uses. */
#ifndef SPAR_BASE_CPU_H
#define SPAR_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

typedef struct spar__cpu {
    char name[64]; /* "AMD EPYC 9354P", or the architecture where the system does not say */
    bool avx2, avx512, avx512_vnni, avx512_bf16, neon, neon_dot; /* avx2: with FMA and F16C */
    int cores; /* processors that this process may run on */
    size_t cache_l1d, cache_l2, cache_l3; /* bytes; 0 where unknown */
    size_t memory; /* bytes */
} spar__cpu;

const spar__cpu *spar__cpu_get(void); /* detected once; any thread */

/* Threads that parallel regions use: cores unless set. Process-wide; set it while no other thread
 * works. n < 1 means as many as there are cores. */
void spar__threads_set(int n);
int spar__threads(void);

double spar__seconds(void); /* monotonic clock */

#endif
