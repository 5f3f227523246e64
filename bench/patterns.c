/* Strided, fixed and block attention: is their time proportional to the keys that are seen, however long the sequence?
 *   bench/patterns [NAME…]
 * One thread, CPU time, a head of 64, the least of rounds in which the lengths take turns. Prints nanoseconds for
 * each key that a query sees, forward and backward, and how far a length lies from their mean. Without
 * names: all but band and causal. */
#include "choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "model/inside.h"

enum { HEAD_DIM = 64, REPEATS = 4, LENGTHS = 3, ALWAYS = 5 };

static const struct {
    const char *name, *text;
    int heads; /* that see different parts */
} patterns[] = {
    {"strided", "{\"kind\": \"strided\", \"stride\": 128}", 1},
    {"strided, heads split", "{\"kind\": \"strided\", \"stride\": 128, \"heads\": \"split\"}", 2},
    {"fixed", "{\"kind\": \"fixed\", \"block\": 128, \"summary\": 8}", 1},
    {"fixed, sub-blocks", "{\"kind\": \"fixed\", \"block\": 128, \"summary\": 8, \"heads\": \"sub-blocks\"}", 2},
    {"block", "{\"kind\": \"block\", \"block\": 64, \"window\": 3, \"global\": 1, \"random\": 3}", 1},
    {"band", "{\"kind\": \"band\", \"width\": 128}", 1},
    {"causal", "\"causal\"", 1},
};

/* A pattern at one length, with what its passes need. */
typedef struct subject {
    spar__choice choice;
    int64_t n;
    int heads;
    real *x;
    spar__arena *arena;
    double least[2]; /* forward, backward: nanoseconds a seen key */
} subject;

static subject make(const char *text, int heads, int64_t n) {
    subject s = {choose(text, n, heads), n, heads, malloc((size_t)(n * heads * HEAD_DIM) * sizeof(real)),
                 spar__arena_create(0), {INFINITY, INFINITY}};
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n * heads * HEAD_DIM; i++) s.x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    return s;
}

static void time_once(subject *s) {
    const spar_pattern_kind *kind = (const spar_pattern_kind *)s->choice.kind;
    spar__sequence sequence = {.count = s->n};
    spar__rows rows = {.n_rows = s->n, .n_sequences = 1, .sequences = &sequence};
    spar__pass pass = {.arena = s->arena, .rows = &rows, .recording = true};
    spar__tensor q = {.data = s->x, .rows = s->n, .cols = s->heads * HEAD_DIM, .needs_grad = true}, k = q, v = q;
    spar__attend_options o = {.n_heads = s->heads, .n_kv_heads = s->heads, .head_dim = HEAD_DIM, .scale = 0.125,
                              .kind = kind, .pattern = s->choice.options};
    double scale = 1e9 / (kind->seen(s->choice.options, s->n) * s->heads), begin = seconds();
    spar__arena_rewind(s->arena, (spar__arena_mark){0});
    spar__tensor *y = spar__attend(&pass, &q, &k, &v, &o);
    s->least[0] = fmin(s->least[0], scale * (seconds() - begin));
    bool add;
    real *dy = spar__grad(&pass, y, &add);
    if (dy) memcpy(dy, s->x, (size_t)(y->rows * y->cols) * sizeof *dy);
    begin = seconds();
    spar__run_backward(&pass, NULL);
    s->least[1] = fmin(s->least[1], scale * (seconds() - begin));
    if (pass.status) fprintf(stderr, "%s\n", spar_error()), exit(1);
}

/* Farthest from the mean, as a part of it. */
static double from_mean(const subject *s, int way) {
    double sum = 0, most = 0;
    for (int i = 0; i < LENGTHS; i++) sum += s[i].least[way] / LENGTHS;
    for (int i = 0; i < LENGTHS; i++) most = fmax(most, fabs(s[i].least[way] / sum - 1));
    return most;
}

static void measure(size_t p, bool first) {
    static const int64_t lengths[LENGTHS] = {4096, 16384, 65536};
    static const char *const passes[] = {"forward", "backward"};
    subject s[LENGTHS];
    bool square = !strcmp(patterns[p].name, "causal"); /* too long at full length */
    for (int i = 0; i < LENGTHS; i++) s[i] = make(patterns[p].text, patterns[p].heads, lengths[i] / (square ? 8 : 1));
    for (int r = 0; r < REPEATS; r++)
        for (int i = 0; i < LENGTHS; i++) time_once(&s[i]);
    for (int w = 0; w < 2; w++) {
        printf("%s\n \"%s, %s\": {", !first || w ? "," : "", patterns[p].name, passes[w]);
        for (int i = 0; i < LENGTHS; i++) printf("\"%lld\": %.3f, ", (long long)s[i].n, s[i].least[w]);
        printf("\"from_mean\": %.2f}", from_mean(s, w));
    }
    for (int i = 0; i < LENGTHS; i++) {
        spar__arena_free(s[i].arena);
        spar__free(s[i].choice.options);
        free(s[i].x);
    }
}

int main(int argc, char **argv) {
    spar__threads_set(1);
    printf("{\"bench\": \"patterns\", \"threads\": 1, \"head\": %d, \"nanoseconds_per_seen_key\": {", HEAD_DIM);
    bool first = true;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        bool wanted = argc == 1 && p < ALWAYS;
        for (int i = 1; i < argc; i++) wanted |= !strcmp(argv[i], patterns[p].name);
        if (wanted) measure(p, first);
        first &= !wanted;
    }
    printf("}}\n");
    return 0;
}
