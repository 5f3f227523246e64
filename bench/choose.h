/* What benches of single attention patterns share: the pattern that a text names, and the processor's time. */
#ifndef BENCH_CHOOSE_H
#define BENCH_CHOOSE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/inside.h"

/* Processor seconds of all threads so far. */
static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Ends the program with a message if the text names no pattern. */
static inline spar__choice choose(const char *text, int64_t context, int heads) {
    spar__shape shape = {.context = context, .n_heads = heads};
    spar__choice out = {0};
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (spar__choose_pattern(value, "model", &shape, NULL, &out)) fprintf(stderr, "%s\n", spar_error()), exit(1);
    json_decref(value);
    return out;
}

#endif
