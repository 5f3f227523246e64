#include "base/cpu.h"
#include "spar/machine.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static spar__cpu cpu;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_name(void) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(cpu.name, sizeof cpu.name, "%s", colon);
        break;
    }
    if (file) fclose(file);
    if (cpu.name[0]) return;
#if defined __aarch64__
    snprintf(cpu.name, sizeof cpu.name, "aarch64");
#elif defined __x86_64__
    snprintf(cpu.name, sizeof cpu.name, "x86-64");
#else
    snprintf(cpu.name, sizeof cpu.name, "unknown");
#endif
}

static size_t size_or_zero(int what) {
    long n = sysconf(what);
    return n > 0 ? (size_t)n : 0;
}

static void detect(void) {
    read_name();
#ifdef __x86_64__
    __builtin_cpu_init();
    cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
    cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
    cpu.avx512_vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
    cpu.avx512_bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
#endif
#ifdef __aarch64__
    cpu.neon = true;
    cpu.neon_dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
    cpu_set_t set;
    cpu.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    cpu.cache_l1d = size_or_zero(_SC_LEVEL1_DCACHE_SIZE);
    cpu.cache_l2 = size_or_zero(_SC_LEVEL2_CACHE_SIZE);
    cpu.cache_l3 = size_or_zero(_SC_LEVEL3_CACHE_SIZE);
    cpu.memory = size_or_zero(_SC_PHYS_PAGES) * size_or_zero(_SC_PAGESIZE);
}

const spar__cpu *spar__cpu_get(void) {
    pthread_once(&once, detect);
    return &cpu;
}

void spar__threads_set(int n) { omp_set_num_threads(n < 1 ? spar__cpu_get()->cores : n); }

int spar__threads(void) { return omp_get_max_threads(); }

void spar_threads_set(int n) { spar__threads_set(n); }
int spar_threads(void) { return spar__threads(); }
const char *spar_version(void) { return SPAR_VERSION; }

double spar__seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
