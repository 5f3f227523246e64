/* One decoded token through a block of the 17B shape, sparse beside dense, in turn:
 *     build/release/bench/sparse_block [TYPE D HEADS D_FF_DENSE D_FF_SPARSE BLOCK RANK MODULES LENGTH TOKENS]
 * (bf16 9216 96 40960 65536 256 32 64 3 9). Weights are random numbers of useful size; the dense block, which is
 * read between two sparse tokens, is larger than any cache. Bytes touched are those of the pages that the kernel
 * saw referenced in a token, bytes predicted those of the weights that the mathematics needs. */
#include "side.h"

#include <string.h>
#include <sys/mman.h>

#include "base/cpu.h"
#include "block/block.h"
#include "model/inside.h"
#include "op/cache.h"
#include "spar/bench.h"

enum { PAST = 16, POOL = 1 << 20 };

typedef struct shape {
    const char *type;
    long d, heads, dense, sparse, block, rank, modules, length, tokens;
} shape;

typedef struct side {
    spar_model *model;
    spar__cache *cache;
    spar__arena *arena;
    int64_t position;
    double seconds[SIDE_RUNS], cpu[SIDE_RUNS], touched, predicted;
} side;

static real *pool;

/* The weights' whole pages. */
static size_t pages_of(const spar_model *m, char **begin) {
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < spar__model_n_params((spar_model *)m); i++) {
        const spar__tensor *v = &spar__model_param((spar_model *)m, i)->value;
        size_t row = 0;
        spar__row_bytes(v->type, (size_t)v->cols, &row);
        uintptr_t from = (uintptr_t)v->data, end = from + row * (size_t)v->rows;
        if (from < low) low = from;
        if (end > high) high = end;
    }
    low = (low + 4095) & ~(uintptr_t)4095;
    high &= ~(uintptr_t)4095;
    *begin = (char *)low;
    return high > low ? high - low : 0;
}

/* Gives the weights a mapping of their own, whatever lies beside them: whole pages that a child would not get. */
static void mark_weights(const spar_model *m) {
    char *at;
    size_t size = pages_of(m, &at);
    if (size) madvise(at, size, MADV_DONTFORK);
}

/* The weights in small pages, whose marks say what was touched: each piece is written anew. */
static void use_small_pages(const spar_model *m) {
    enum { PIECE = 1 << 22 };
    char *at, *copy = spar__array(PIECE, 1);
    size_t size = copy ? pages_of(m, &at) : 0;
    if (size) madvise(at, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += PIECE) {
        size_t n = size - i < PIECE ? size - i : PIECE;
        memcpy(copy, at + i, n);
        madvise(at + i, n, MADV_DONTNEED);
        memcpy(at + i, copy, n);
    }
    spar__free(copy);
}

static spar_status create(side *s, const shape *p, bool sparse) {
    char text[1024], inside[512];
    if (sparse)
        snprintf(inside, sizeof inside,
                 "\"feedforward\": {\"kind\": \"sparse\", \"mode\": \"straight-through\", \"d_ff\": %ld, \"block\": %ld, "
                 "\"rank\": %ld}, \"projection\": {\"kind\": \"multiplicative-conv\", \"output\": \"none\", "
                 "\"modules\": %ld, \"length\": %ld}",
                 p->sparse, p->block, p->rank, p->modules, p->length);
    else
        snprintf(inside, sizeof inside, "\"feedforward\": {\"kind\": \"dense\", \"activation\": \"relu\", \"d_ff\": %ld}",
                 p->dense);
    int n = snprintf(text, sizeof text,
                     "{\"model\": {\"vocab_size\": 16, \"context\": 64, \"d_model\": %ld, \"n_layers\": 1, \"position\": \"none\", "
                     "\"attention\": {\"n_heads\": %ld}, %s}}",
                     p->d, p->heads, inside);
    spar_config *config;
    SPAR_TRY(spar_config_parse(text, (size_t)n, &config));
    spar_status status = spar_bench_model(config, p->type, &s->model);
    spar_config_free(config);
    SPAR_TRY(status);
    mark_weights(s->model);
    if (!(s->arena = spar__arena_create(0))) return SPAR_ERR_MEMORY;
    return spar__model_cache_create(s->model, 1, 64, 1, SPAR__F32, &s->cache);
}

static spar_status token(side *s, int i) {
    int32_t position = (int32_t)s->position;
    spar__sequence sequence = {.count = 1, .past = s->position};
    spar__rows rows = {1, 1, &sequence, &position, NULL};
    spar__pass pass = {.arena = s->arena, .rows = &rows, .cache = s->cache};
    spar__arena_rewind(s->arena, (spar__arena_mark){0});
    spar__tensor *x = spar__new(&pass, 1, spar__model_shape(s->model)->d_model, false);
    if (!x) return pass.status;
    for (int64_t c = 0; c < x->cols; c++) spar__data(x)[c] = pool[(s->position * 50021 + c) % POOL];
    double begin = spar__seconds(), cpu = side_cpu_seconds();
    spar__block_run(&pass, &s->model->stacks[0].blocks[0], x, false);
    if (i >= 0) s->seconds[i] = spar__seconds() - begin, s->cpu[i] = side_cpu_seconds() - cpu;
    s->position++;
    return pass.status;
}

/* Bytes of the weights' pages referenced since the marks were cleared; the mapping is known by its address. */
static double referenced(const void *at) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[256];
    unsigned long low, high;
    double kb = 0;
    bool within = false;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &low, &high) == 2 && strchr(line, '-') < strchr(line, ' '))
            within = low <= (unsigned long)at && (unsigned long)at < high;
        else if (within && sscanf(line, "Referenced: %lf", &kb) == 1) break;
    }
    if (f) fclose(f);
    return kb * 1024;
}

static spar_status touch(side *s) {
    use_small_pages(s->model);
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) fputs("1", f), fclose(f);
    SPAR_TRY(token(s, -1));
    s->touched = referenced((const char *)s->model->weights + 8192);
    const spar__block *b = &s->model->stacks[0].blocks[0];
    const spar__shape *sizes = spar__model_shape(s->model);
    double n = (double)((const spar__projection_kind *)b->projection.kind)->read_per_token(sizes, b->projection.options);
    n += (double)((const spar__feedforward_kind *)b->feedforward.kind)->read(sizes, b->feedforward.options, 1);
    n += 4.0 * (double)sizes->d_model;
    double all = 0, bytes = 0;
    for (int i = 0; i < spar__model_n_params(s->model); i++) {
        const spar__tensor *v = &spar__model_param(s->model, i)->value;
        size_t row = 0;
        spar__row_bytes(v->type, (size_t)v->cols, &row);
        all += (double)(v->rows * v->cols);
        bytes += (double)row * (double)v->rows;
    }
    s->predicted = n * bytes / all;
    return SPAR_OK;
}

static json_t *describe(side *s, long n) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "seconds_per_token", side_median(s->seconds, (int)n),
                     "cpu_seconds_per_token", side_median(s->cpu, (int)n), "bytes_touched", s->touched,
                     "bytes_predicted", s->predicted, "touched_ratio", s->touched / s->predicted);
}

int main(int argc, char **argv) {
    shape p = {"bf16", 9216, 96, 40960, 65536, 256, 32, 64, 3, 9};
    long *fields[] = {&p.d, &p.heads, &p.dense, &p.sparse, &p.block, &p.rank, &p.modules, &p.length, &p.tokens};
    if (argc > 1) p.type = argv[1];
    for (int i = 2; i < argc && i <= 10; i++) *fields[i - 2] = strtol(argv[i], NULL, 10);
    if (p.tokens < 1 || p.tokens > 40) return fprintf(stderr, "tokens: expected 1 to 40\n"), 2;
    if (!(pool = spar__array(POOL, sizeof *pool))) return side_failed("sparse_block");
    spar__rng rng = spar__rng_for(1, SPAR__RNG_TEST, 0, 0);
    for (uint64_t i = 0; i < POOL; i++) pool[i] = (real)spar__rng_normal(&rng, i);
    side dense = {0}, sparse = {0};
    spar_status status = create(&dense, &p, false);
    if (!status) status = create(&sparse, &p, true);
    for (int i = -2; !status && i < p.tokens; i++) {
        status = token(&dense, i);
        if (!status) status = token(&sparse, i);
    }
    if (!status) status = touch(&dense);
    if (!status) status = touch(&sparse);
    if (status) return side_failed("sparse_block");
    json_t *d = describe(&dense, p.tokens), *s = describe(&sparse, p.tokens);
    double ratio = json_number_value(json_object_get(d, "seconds_per_token")) /
                   json_number_value(json_object_get(s, "seconds_per_token"));
    double cpu = json_number_value(json_object_get(d, "cpu_seconds_per_token")) /
                 json_number_value(json_object_get(s, "cpu_seconds_per_token"));
    json_t *out = json_pack("{s:s, s:s, s:o, s:o, s:f, s:f, s:o}", "bench", "sparse_block", "type", p.type, "dense", d,
                            "sparse", s, "faster", ratio, "faster_cpu", cpu, "machine", side_machine());
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5));
    putchar('\n');
    return 0;
}
