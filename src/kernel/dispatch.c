/* Which instruction set's table is used: SPAR_ISA, or the best one that the CPU has. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/status.h"
#include "kernel/kernel.h"

void spar__fill_scalar(spar__kernels *k);
static bool always(const spar__cpu *cpu) {
    return cpu != NULL;
}
#ifndef SPAR_REAL_DOUBLE
#if defined __x86_64__
void spar__fill_avx2(spar__kernels *k);
void spar__fill_avx512(spar__kernels *k);
static bool has_avx2(const spar__cpu *cpu) {
    return cpu->avx2;
}
static bool has_avx512(const spar__cpu *cpu) {
    return cpu->avx512 && cpu->avx512_vnni && cpu->avx512_bf16;
}
#elif defined __aarch64__
void spar__fill_neon(spar__kernels *k);
static bool has_neon(const spar__cpu *cpu) {
    return cpu->neon && cpu->neon_dot;
}
#endif
#endif

/* From plain to best. */
static const struct {
    const char *name;
    void (*fill)(spar__kernels *k);
    bool (*available)(const spar__cpu *cpu);
} sets[] = {
    {"scalar", spar__fill_scalar, always},
#ifndef SPAR_REAL_DOUBLE
#if defined __x86_64__
    {"avx2", spar__fill_avx2, has_avx2},
    {"avx512", spar__fill_avx512, has_avx512},
#elif defined __aarch64__
    {"neon", spar__fill_neon, has_neon},
#endif
#endif
};
enum { N_SETS = sizeof sets / sizeof *sets };

static spar__kernels filled[N_SETS];
static const spar__kernels *available[N_SETS];
static int n_available;
static const spar__kernels *_Atomic chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_available(void) {
    for (int i = 0; i < N_SETS; i++) {
        if (!sets[i].available(spar__cpu_get())) continue;
        sets[i].fill(&filled[i]);
        available[n_available++] = &filled[i];
    }
}

int spar__kernels_all(const spar__kernels *const **tables) {
    pthread_once(&once, fill_available);
    *tables = available;
    return n_available;
}

spar_status spar__kernels_choose(void) {
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    const char *name = getenv("SPAR_ISA");
    if (!name || !*name) {
        chosen = tables[n - 1];
        return SPAR_OK;
    }
    for (int i = 0; i < n; i++)
        if (strcmp(tables[i]->isa, name) == 0) {
            chosen = tables[i];
            return SPAR_OK;
        }
    char have[128] = "";
    for (int i = 0; i < n; i++) {
        if (i > 0) strcat(have, ", ");
        strcat(have, tables[i]->isa);
    }
    return spar__fail(SPAR_ERR_UNSUPPORTED, "SPAR_ISA: found '%s', expected one of: %s", name,
                      have);
}

const spar__kernels *spar__k(void) {
    const spar__kernels *k = chosen;
    if (k) return k;
    const spar__kernels *const *tables;
    int n = spar__kernels_all(&tables);
    if (spar__kernels_choose() != SPAR_OK) chosen = tables[n - 1];
    return chosen;
}
