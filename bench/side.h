/* What benches of two models side by side share: medians, and the JSON that says where they ran. */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "spar/spar.h"

enum { SIDE_RUNS = 64 };

static int side_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double side_median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, side_compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Processor seconds of all threads so far: what others on the machine hardly change. */
static inline double side_cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static inline json_t *side_machine(void) {
    spar_machine machine;
    const char *isa = "";
    char commit[48] = "";
    spar_machine_get(&machine);
    spar_machine_isa(&isa);
    FILE *git = popen("git rev-parse --short HEAD 2>/dev/null", "r");
    if (git && !fgets(commit, sizeof commit, git)) commit[0] = 0;
    if (git) pclose(git);
    for (char *c = commit; *c; c++)
        if (*c == '\n') *c = 0;
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "cpu", machine.cpu, "isa", isa, "threads", spar_threads(), "version",
                     spar_version(), "commit", commit);
}

static inline int side_failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, spar_error());
    return 1;
}

#endif
