/* What the machine has and how fast its memory and disk are: the limits that speeds are held
 * against. */
#include "spar/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/rng.h"

enum { PASSES = 7, AHEAD = 64 /* lines */, HUGE_PAGE = 1 << 21 };

static uint64_t available(void) {
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1) break;
    if (file) fclose(file);
    return kib * 1024;
}

void spar_machine_get(spar_machine *out) {
    const spar__cpu *cpu = spar__cpu_get();
    spar_machine m = {.cores = cpu->cores,
                      .cache_l1d = cpu->cache_l1d,
                      .cache_l2 = cpu->cache_l2,
                      .cache_l3 = cpu->cache_l3,
                      .memory = cpu->memory,
                      .memory_available = available()};
    snprintf(m.cpu, sizeof m.cpu, "%s", cpu->name);
    const struct {
        bool has;
        const char *name;
    } features[] = {
        {cpu->avx2, "avx2"},       {cpu->avx512, "avx512"},
        {cpu->avx512_vnni, "avx512-vnni"}, {cpu->avx512_bf16, "avx512-bf16"},
        {cpu->neon, "neon"},       {cpu->neon_dot, "neon-dot"},
    };
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        size_t n = strlen(m.features);
        if (features[i].has)
            snprintf(m.features + n, sizeof m.features - n, "%s%s", n ? " " : "", features[i].name);
    }
    *out = m;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

/* ---- Memory --------------------------------------------------------------------------------- */

typedef uint64_t vector __attribute__((vector_size(64), may_alias));

/* Widest registers that there are; elsewhere the plain form is chosen when the program starts. */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

/* Four streams of additions, so that no addition waits for the one before; lines of `next` are
 * fetched ahead at the same pace, as the hardware foresees a run but not where the next begins. */
WIDEST static uint64_t read_run(const vector *p, size_t n, const vector *next) {
    vector a = {0}, b = {0}, c = {0}, d = {0};
    for (; n >= 4; n -= 4, p += 4, next += 4) {
        for (int i = 0; i < 4; i++) __builtin_prefetch(next + i);
        a += p[0], b += p[1], c += p[2], d += p[3];
    }
    for (; n; n--) a += *p++;
    a += b + c + d;
    return a[0] ^ a[7];
}

static volatile uint64_t sink; /* keeps the compiler from leaving the reading out */

static double pass_in_order(const char *bytes, size_t length) {
    size_t chunk = (size_t)1 << 20;
    int64_t chunks = (int64_t)(length / chunk);
    uint64_t sum = 0;
    double start = spar__seconds();
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (int64_t i = 0; i < chunks; i++) {
        const vector *p = (const vector *)(const void *)(bytes + (size_t)i * chunk);
        sum += read_run(p, chunk / 64, p + AHEAD);
    }
    double seconds = spar__seconds() - start;
    sink = sum;
    return (double)chunks * (double)chunk / seconds;
}

static double pass_of_pieces(const char *bytes, size_t length, size_t piece, int pass) {
    int64_t pieces = (int64_t)(length / piece), count = pieces / 2;
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, (uint64_t)pass, 0);
    uint64_t sum = 0;
    double start = spar__seconds();
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        const char *here = bytes + piece * spar__rng_below(&rng, (uint64_t)i, (uint64_t)pieces);
        const char *next = bytes + piece * spar__rng_below(&rng, (uint64_t)i + 1, (uint64_t)pieces);
        sum += read_run((const vector *)(const void *)here, piece / 64,
                        (const vector *)(const void *)next);
    }
    double seconds = spar__seconds() - start;
    sink = sum;
    return (double)count * (double)piece / seconds;
}

spar_status spar_machine_bandwidth(size_t piece, double *bytes_per_second) {
    if (piece % 64 || piece > (size_t)1 << 24)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "bandwidth: piece of %zu bytes, expected a multiple of 64 up to 16 MiB",
                          piece);
    size_t length = (size_t)1 << 30;
    uint64_t free_bytes = available();
    while (free_bytes && length > free_bytes / 4 && length > (size_t)1 << 26) length /= 2;
    char *bytes = spar__resize(NULL, length + 2 * HUGE_PAGE, 1);
    if (!bytes) return SPAR_ERR_MEMORY;
    char *aligned = (char *)(((uintptr_t)bytes + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    /* Only a request: large pages keep look-ups of addresses out of the measurement. */
    madvise(aligned, length, MADV_HUGEPAGE);
    int64_t pages = (int64_t)(length / 4096);
    /* Each page is written by the thread that later reads it in order. */
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < pages; i++) memset(aligned + i * 4096, (int)(i & 127), 4096);
    double rates[PASSES];
    for (int i = 0; i < PASSES; i++)
        rates[i] = piece ? pass_of_pieces(aligned, length, piece, i) : pass_in_order(aligned, length);
    spar__free(bytes);
    *bytes_per_second = median(rates, PASSES);
    return SPAR_OK;
}

/* ---- Disk ----------------------------------------------------------------------------------- */

enum { BLOCK = 1 << 20, DISK_BLOCKS = 256, PIECE = 1 << 14 };

static spar_status disk_error(const char *folder, const char *what) {
    return spar__fail(SPAR_ERR_IO, "%s: cannot %s: %s", folder, what, strerror(errno));
}

static bool write_blocks(int fd, char *block) {
    spar__rng rng = spar__rng_for(2, SPAR__RNG_TEST, 0, 0);
    for (size_t i = 0; i < DISK_BLOCKS; i++) {
        /* No two blocks are equal, for disks that store equal ones once. */
        for (size_t j = 0; j < BLOCK; j += 4096) {
            uint32_t words[4];
            spar__rng_at(&rng, i * BLOCK + j, words);
            memcpy(block + j, words, sizeof words);
        }
        for (size_t at = 0; at < BLOCK;) {
            ssize_t n = write(fd, block + at, BLOCK - at);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            at += (size_t)n;
        }
    }
    return fdatasync(fd) == 0;
}

/* Reads `count` runs of `length` bytes, in order or at random. */
static bool read_blocks(int fd, char *block, size_t length, size_t count, bool random) {
    spar__rng rng = spar__rng_for(3, SPAR__RNG_TEST, 0, 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t places = (uint64_t)DISK_BLOCKS * BLOCK / length;
        uint64_t at = random ? spar__rng_below(&rng, i, places) : i;
        ssize_t n = pread(fd, block, length, (off_t)(at * length));
        if (n != (ssize_t)length) return false;
    }
    return true;
}

static spar_status measure_disk(int fd, char *block, const char *folder, spar_disk_speed *out) {
    double bytes = (double)DISK_BLOCKS * BLOCK, start = spar__seconds();
    if (!write_blocks(fd, block)) return disk_error(folder, "write");
    double write_seconds = spar__seconds() - start;
    /* File systems in memory refuse O_DIRECT; dropping the cache does nothing there either. */
    if (fcntl(fd, F_SETFL, O_DIRECT)) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    start = spar__seconds();
    if (!read_blocks(fd, block, BLOCK, DISK_BLOCKS, false)) return disk_error(folder, "read");
    double read_seconds = spar__seconds() - start;
    start = spar__seconds();
    size_t pieces = 2048;
    if (!read_blocks(fd, block, PIECE, pieces, true)) return disk_error(folder, "read");
    double piece_seconds = spar__seconds() - start;
    *out = (spar_disk_speed){bytes / write_seconds, bytes / read_seconds,
                             (double)pieces * PIECE / piece_seconds};
    return SPAR_OK;
}

spar_status spar_machine_disk(const char *folder, spar_disk_speed *out) {
    size_t room = strlen(folder) + 32;
    char *path = spar__alloc(room), *memory = spar__alloc(BLOCK + 4096);
    spar_status status = path && memory ? SPAR_OK : SPAR_ERR_MEMORY;
    int fd = -1;
    if (!status) {
        snprintf(path, room, "%s/.spar-disk-XXXXXX", folder);
        fd = mkstemp(path);
        if (fd < 0) status = disk_error(folder, "write a file in it");
    }
    if (!status) {
        unlink(path);
        char *block = (char *)(((uintptr_t)memory + 4095) & ~(uintptr_t)4095);
        status = measure_disk(fd, block, folder, out);
    }
    if (fd >= 0) close(fd);
    spar__free(memory);
    spar__free(path);
    return status;
}
