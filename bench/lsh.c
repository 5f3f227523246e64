/* LSH attention: does the time of a token stay the same as sequences grow, and how many of the keys that exact
 * attention weights most does a query meet?
 *   bench/lsh [heads]
 * One thread, CPU time, forward and backward, buckets twice the chunks of the sequence. Recall is of the 8 largest
 * scores before a query, for tokens that are one of 256 vectors with noise (a repeated vocabulary) and for
 * independent ones. */
#include "choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention/lsh.h"
#include "base/cpu.h"
#include "model/inside.h"

enum { HEAD_DIM = 64, TOP = 8, SAMPLES = 64, REPEATS = 5 };

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* CPU microseconds of a token, forward and backward. */
static double time_of(const char *pattern, int64_t n, int heads) {
    spar__choice c = choose(pattern, n, heads);
    const spar_pattern_kind *kind = (const spar_pattern_kind *)c.kind;
    spar__lsh_self self = {.factors = kind->content ? spar__lsh_factors_of(c.options, n) : (spar__lsh_factors){0}};
    spar__shape shape = {.context = n, .n_heads = heads, .head_dim = HEAD_DIM};
    if (kind->content) kind->content->prepare(&shape, 0, c.options, &self);
    int64_t cols = heads * HEAD_DIM;
    real *x = malloc((size_t)(n * cols) * sizeof *x);
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n * cols; i++) x[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    spar__arena *arena = spar__arena_create(0);
    spar__sequence s = {.count = n};
    spar__rows rows = {.n_rows = n, .n_sequences = 1, .sequences = &s};
    double best[REPEATS];
    for (int r = 0; r < REPEATS; r++) {
        spar__arena_rewind(arena, (spar__arena_mark){0});
        spar__pass pass = {.arena = arena, .rows = &rows, .recording = true};
        spar__tensor q = {.data = x, .rows = n, .cols = cols, .needs_grad = true}, v = q;
        spar__attend_options o = {.n_heads = heads, .n_kv_heads = heads, .head_dim = HEAD_DIM, .scale = 0.125, .kind = kind,
                                  .pattern = c.options, .pattern_self = &self};
        double begin = seconds();
        spar__tensor *y = spar__attend(&pass, &q, spar__unit(&pass, &q, HEAD_DIM, 1e-6), &v, &o);
        bool add;
        real *dy = spar__grad(&pass, y, &add);
        memcpy(dy, x, (size_t)(n * cols) * sizeof *dy);
        spar__run_backward(&pass, NULL);
        if (pass.status) fprintf(stderr, "%s\n", spar_error()), exit(1);
        best[r] = 1e6 * (seconds() - begin) / (double)n;
    }
    qsort(best, REPEATS, sizeof *best, ascending);
    spar__arena_free(arena);
    if (kind->content) kind->content->release(&self);
    free(x);
    spar__free(c.options);
    return best[REPEATS / 2];
}

static double recall(int64_t n, int rounds, bool repeated) {
    char text[160];
    snprintf(text, sizeof text, "{\"kind\": \"lsh\", \"rounds\": %d}", rounds);
    spar__choice c = choose(text, n, 1);
    const spar__lsh_options *o = c.options;
    const spar__content *content = ((const spar_pattern_kind *)c.kind)->content;
    spar__lsh_self self = {.factors = spar__lsh_factors_of(o, n)};
    spar__shape shape = {.context = n, .n_heads = 1, .head_dim = HEAD_DIM};
    content->prepare(&shape, 0, o, &self);
    real *q = malloc((size_t)(n * HEAD_DIM) * sizeof *q);
    spar__rng rng = spar__rng_for(2, SPAR__RNG_TEST, 0, 0), words = spar__rng_for(3, SPAR__RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = spar__rng_below(&words, (uint64_t)(i + (1 << 20)), 256);
        for (int64_t k = 0; k < HEAD_DIM; k++) {
            real noise = (real)spar__rng_normal(&rng, (uint64_t)(i * HEAD_DIM + k));
            q[i * HEAD_DIM + k] = repeated ? (real)spar__rng_normal(&words, word * HEAD_DIM + (uint64_t)k) + (real)0.3 * noise : noise;
        }
    }
    spar__arena *arena = spar__arena_create(0);
    spar__pass pass = {.arena = arena};
    spar__content_request r = {.options = o, .self = &self, .head_dim = HEAD_DIM, .q = q, .q_stride = HEAD_DIM,
                               .view = {.q_end = n, .n_keys = n, .n_heads = 1}};
    const spar__arrangement *out[1];
    spar__lsh_arrange(&pass, &r, out);
    const int32_t *buckets = ((const spar__lsh_arrangement *)out[0])->buckets;
    char *met = malloc((size_t)n);
    double *score = malloc((size_t)n * sizeof *score), found = 0;
    for (int s = 0; s < SAMPLES; s++) {
        int64_t i = n / 2 + (int64_t)s * (n / 2 - 1) / SAMPLES;
        memset(met, 0, (size_t)n);
        for (int64_t round = 0; round < rounds; round++)
            for (int64_t j = i, left = o->chunk * (o->before + 1); j-- > 0 && left;)
                if (buckets[round * n + j] == buckets[round * n + i]) met[j] = 1, left--;
        for (int64_t j = 0; j < i; j++) {
            const real *a = q + i * HEAD_DIM, *b = q + j * HEAD_DIM;
            score[j] = (double)spar__k()->dot(a, b, HEAD_DIM) / sqrt((double)spar__k()->dot(b, b, HEAD_DIM));
        }
        for (int k = 0; k < TOP; k++) {
            int64_t top = 0;
            for (int64_t j = 1; j < i; j++)
                if (score[j] > score[top]) top = j;
            found += met[top];
            score[top] = -1e30;
        }
    }
    spar__arena_free(arena);
    content->release(&self);
    spar__free(c.options);
    free(q), free(met), free(score);
    return found / (SAMPLES * TOP);
}

int main(int argc, char **argv) {
    static const char *const patterns[] = {"{\"kind\": \"lsh\"}", "{\"kind\": \"lsh\", \"lookup\": \"sorted\"}"};
    static const int64_t lengths[] = {4096, 16384, 65536};
    int heads = argc > 1 ? atoi(argv[1]) : 1;
    spar__threads_set(1);
    printf("{\"bench\": \"lsh\", \"threads\": 1, \"heads\": %d", heads);
    for (int p = 0; p < 2; p++) {
        double t[3];
        for (int i = 0; i < 3; i++) t[i] = time_of(patterns[p], lengths[i], heads);
        printf(",\n \"%s\": {\"microseconds_per_token\": {\"4096\": %.2f, \"16384\": %.2f, \"65536\": %.2f}, \"ratio\": %.2f}",
               p ? "sorted" : "buckets", t[0], t[1], t[2], t[2] / t[0]);
    }
    for (int repeated = 1; repeated >= 0; repeated--) {
        printf(",\n \"recall_of_top_%d_at_4096_%s\": {", TOP, repeated ? "repeated" : "independent");
        for (int rounds = 1; rounds <= 16; rounds *= 2)
            printf("%s\"%d\": %.3f", rounds > 1 ? ", " : "", rounds, recall(4096, rounds, repeated));
        printf("}");
    }
    printf("}\n");
    return 0;
}
