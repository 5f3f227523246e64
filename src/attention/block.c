/* Block-sparse attention: positions are cut into blocks of `block`, and a query sees
 *   window   `window` neighbouring blocks, its own among them: those before it when causal, else as many
 *            on each side;
 *   global   the first `global` blocks; when not causal, queries in them see every key;
 *   random   `random` of the other blocks, drawn for (seed, layer, head, block of the query)
 * (BigBird, Zaheer et al. 2020, arXiv 2007.14062; without the random ones Longformer, Beltagy et al.
 * 2020, arXiv 2004.05150, in blocks). With only a window it is the chunked local attention of
 * Reformer (Kitaev et al. 2020, arXiv 2001.04451).
 *
 * All queries of a block see the same blocks, so a tile never crosses one; its runs are sorted, and
 * those that do not fit into one tile make further parts. */
#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "spar/pattern.h"

enum { MOST_RANDOM = 64, MOST_RUNS = MOST_RANDOM + 2 };

typedef struct options {
    int64_t window, global, random, block, seed;
    bool causal;
} options;

static const spar_option table[] = {
    {"block", SPAR_OPTION_INT, offsetof(options, block), 64, 1, 1 << 24, NULL, "positions of a block"},
    {"window", SPAR_OPTION_INT, offsetof(options, window), 3, 1, 1 << 20, NULL,
     "neighbouring blocks, the own one among them; odd when not causal"},
    {"global", SPAR_OPTION_INT, offsetof(options, global), 0, 0, 1 << 20, NULL,
     "blocks at the beginning that all see"},
    {"random", SPAR_OPTION_INT, offsetof(options, random), 0, 0, MOST_RANDOM, NULL, "blocks drawn at random"},
    {"seed", SPAR_OPTION_INT, offsetof(options, seed), 0, 0, 9007199254740992.0, NULL, "of the random blocks"},
    {"causal", SPAR_OPTION_BOOL, offsetof(options, causal), 1, 0, 1, NULL, "whether later keys are hidden"},
    {0}};

/* Blocks [begin, end). */
typedef struct span {
    int64_t begin, end;
} span;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static span window_of(const options *o, int64_t block, int64_t n_blocks) {
    int64_t side = o->causal ? o->window - 1 : o->window / 2;
    return (span){most(block - side, 0), o->causal ? block + 1 : least(block + side + 1, n_blocks)};
}

/* The random blocks come from those that are neither global nor in the window: candidate c is block
 * global + c, beyond the window when it would lie in it. */
static int draw(const options *o, const spar_pattern_view *v, int64_t block, span window, int64_t n_blocks,
                int64_t out[MOST_RANDOM]) {
    int64_t before = most(window.begin - o->global, 0), beyond = most(window.end, o->global);
    int64_t candidates = before + (o->causal ? 0 : most(n_blocks - beyond, 0));
    int n = (int)least(o->random, candidates);
    spar__rng rng = spar__rng_for((uint64_t)o->seed, SPAR__RNG_BLOCKS, (uint64_t)v->layer << 32 | (uint32_t)v->head,
                                  (uint64_t)block);
    for (int i = 0; i < n; i++) {
        int64_t c = (int64_t)spar__rng_permute(&rng, (uint64_t)i, (uint64_t)candidates), at = i;
        int64_t drawn = c < before ? o->global + c : beyond + c - before;
        for (; at > 0 && out[at - 1] > drawn; at--) out[at] = out[at - 1];
        out[at] = drawn;
    }
    return n;
}

static int append(span *runs, int n, span next) {
    if (next.begin >= next.end) return n;
    if (n && next.begin <= runs[n - 1].end) {
        runs[n - 1].end = most(runs[n - 1].end, next.end);
        return n;
    }
    runs[n] = next;
    return n + 1;
}

/* The blocks that queries of `block` see, as spans that ascend and do not touch. */
static int list(const options *o, const spar_pattern_view *v, int64_t block, span runs[MOST_RUNS]) {
    int64_t n_blocks = (v->n_keys + o->block - 1) / o->block;
    if (!o->causal && block < o->global) return append(runs, 0, (span){0, n_blocks});
    int64_t last = o->causal ? block + 1 : n_blocks, drawn[MOST_RANDOM];
    span window = window_of(o, block, n_blocks);
    int n_drawn = draw(o, v, block, window, n_blocks, drawn), n = 0, i = 0;
    n = append(runs, n, (span){0, least(o->global, last)});
    for (; i < n_drawn && drawn[i] < window.begin; i++) n = append(runs, n, (span){drawn[i], drawn[i] + 1});
    n = append(runs, n, window);
    for (; i < n_drawn; i++) n = append(runs, n, (span){drawn[i], drawn[i] + 1});
    return n;
}

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    const options *o = opts;
    int64_t query = i / o->block, key = j / o->block, drawn[MOST_RANDOM];
    int64_t n_blocks = (v->n_keys + o->block - 1) / o->block;
    if (j < 0 || j >= v->n_keys || (o->causal && j > i)) return false;
    if (key < o->global || (!o->causal && query < o->global)) return true;
    span window = window_of(o, query, n_blocks);
    if (key >= window.begin && key < window.end) return true;
    int n = draw(o, v, query, window, n_blocks, drawn);
    for (int k = 0; k < n; k++)
        if (drawn[k] == key) return true;
    return false;
}

static int parts(const void *opts, const spar_pattern_view *v) {
    (void)v;
    return (int)((((const options *)opts)->random + 2 + SPAR_TILE_RUNS - 1) / SPAR_TILE_RUNS);
}

/* Blocks are cut into cells of at most a tile's queries; `index` counts cells from position 0. */
static int64_t cell_of(const options *o, int64_t query) {
    int64_t each = (o->block + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
    return query / o->block * each + query % o->block / SPAR_TILE_QUERIES;
}

static int64_t tiles(const void *opts, const spar_pattern_view *v, int part) {
    (void)part;
    return v->q_end > v->q_begin ? cell_of(opts, v->q_end - 1) - cell_of(opts, v->q_begin) + 1 : 0;
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    const options *o = opts;
    int64_t each = (o->block + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
    int64_t cell = cell_of(o, v->q_begin) + index, block = cell / each;
    int64_t begin = block * o->block + cell % each * SPAR_TILE_QUERIES;
    int64_t end = least(least(begin + SPAR_TILE_QUERIES, (block + 1) * o->block), v->q_end);
    begin = most(begin, v->q_begin);
    out->q_begin = begin;
    out->q_step = 1;
    out->n_queries = (int)(end - begin);
    for (int64_t i = 0; i < out->n_queries; i++) {
        out->low[i] = 0;
        out->high[i] = o->causal ? begin + i + 1 : v->n_keys;
    }
    span runs[MOST_RUNS];
    int n = list(o, v, block, runs), from = part * SPAR_TILE_RUNS;
    out->n_runs = 0;
    for (int i = from; i < n && i < from + SPAR_TILE_RUNS; i++) {
        int64_t first = runs[i].begin * o->block;
        int64_t last = least(runs[i].end * o->block, o->causal ? end : v->n_keys);
        out->runs[out->n_runs++] = (spar_key_run){first, last - first, 0, 1};
    }
}

/* Random blocks may be any of the past; global ones are columns. */
static int64_t keep(const void *opts) {
    const options *o = opts;
    return o->random || !o->causal ? 0 : o->window * o->block;
}

static void columns(const void *opts, int n_heads, spar_key_run *out) {
    const options *o = opts;
    (void)n_heads;
    *out = (spar_key_run){0, o->global * o->block, 0, o->global > 0};
}

static double seen(const void *opts, int64_t length) {
    const options *o = opts;
    double sum = 0;
    spar_pattern_view v = {.q_end = length, .n_keys = length, .n_heads = 1};
    for (int64_t begin = 0; begin < length; begin += o->block) {
        span runs[MOST_RUNS];
        int n = list(o, &v, begin / o->block, runs);
        double queries = (double)least(o->block, length - begin), keys = 0;
        for (int i = 0; i < n; i++) {
            int64_t first = runs[i].begin * o->block, last = least(runs[i].end * o->block, length);
            keys += (double)(last - first);
        }
        sum += queries * keys - (o->causal ? queries * (queries - 1) / 2 : 0);
    }
    return sum;
}

static bool check(const void *opts, const spar_pattern_shape *shape, char *message, size_t size) {
    const options *o = opts;
    int64_t n_blocks = (shape->context + o->block - 1) / o->block;
    if (!o->causal && o->window % 2 == 0)
        snprintf(message, size, "window: %lld, expected an odd number: as many blocks on each side as on the other",
                 (long long)o->window);
    else if (o->global > n_blocks)
        snprintf(message, size, "global: %lld, expected 0 to %lld, the blocks of %lld in a context of %lld",
                 (long long)o->global, (long long)n_blocks, (long long)o->block, (long long)shape->context);
    else if (o->random > n_blocks)
        snprintf(message, size, "random: %lld, expected 0 to %lld, the blocks of %lld in a context of %lld",
                 (long long)o->random, (long long)n_blocks, (long long)o->block, (long long)shape->context);
    else
        return true;
    return false;
}

const spar_pattern_kind spar__pattern_block = {
    "block", table, sizeof(options), sees, parts, tiles, tile, keep, seen, columns, check};
