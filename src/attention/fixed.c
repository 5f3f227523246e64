/* Fixed attention (Child et al. 2019, arXiv 1904.10509, section 4.2): positions are cut into blocks of
 * `block`; a query sees its own block up to itself, and the last `summary` positions of every
 * earlier block. With heads "sub-blocks", head h takes in every earlier block another stretch of
 * `summary` positions: the last, the last but one, …, and begins again.
 *
 * Part 0 is the own block, part 1 the summaries. A cache keeps the newest block and the summaries. */
#include <math.h>
#include <stdio.h>

#include "attention/interval.h"

enum { SAME, SUB_BLOCKS };
static const char *const divisions[] = {"same", "sub-blocks", NULL};

typedef struct options {
    int64_t block, summary;
    int heads;
} options;

static const spar_option table[] = {
    {"block", SPAR_OPTION_INT, offsetof(options, block), NAN, 1, 1 << 24, NULL, "positions of a block"},
    {"summary", SPAR_OPTION_INT, offsetof(options, summary), NAN, 1, 1 << 24, NULL,
     "positions of each earlier block that are seen"},
    {"heads", SPAR_OPTION_NAME, offsetof(options, heads), SAME, 0, 0, divisions,
     "whether all heads see the last positions, or each head another stretch of a block"},
    {0}};

/* Where in a block the positions that a head sees begin. */
static int64_t begin_of(const options *o, int head) {
    int64_t turn = o->heads == SUB_BLOCKS ? head % (o->block / o->summary) : 0;
    return o->block - (turn + 1) * o->summary;
}

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    const options *o = opts;
    int64_t at = j % o->block - begin_of(o, v->head);
    return j >= 0 && j <= i && (j / o->block == i / o->block || (at >= 0 && at < o->summary));
}

static int parts(const void *opts, const spar_pattern_view *v) {
    return v->q_end > ((const options *)opts)->block ? 2 : 1;
}

static void own_block(const void *opts, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    (void)v;
    int64_t block = ((const options *)opts)->block;
    *low = i / block * block;
    *high = i + 1;
}

/* The queries of part 1: the first block has none before it. */
static spar_pattern_view later(const options *o, const spar_pattern_view *v) {
    spar_pattern_view out = *v;
    if (out.q_begin < o->block) out.q_begin = o->block;
    return out;
}

static int64_t tiles(const void *opts, const spar_pattern_view *v, int part) {
    spar_pattern_view w = part ? later(opts, v) : *v;
    return spar__interval_tiles(opts, &w, part);
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    const options *o = opts;
    if (part == 0) {
        spar__interval_tile(o, v, index, out, own_block);
        return;
    }
    spar_pattern_view w = later(o, v);
    int64_t left = w.q_end - w.q_begin - index * SPAR_TILE_QUERIES;
    out->q_begin = w.q_begin + index * SPAR_TILE_QUERIES;
    out->q_step = 1;
    out->n_queries = (int)(left < SPAR_TILE_QUERIES ? left : SPAR_TILE_QUERIES);
    for (int64_t i = 0; i < out->n_queries; i++) {
        out->low[i] = 0;
        out->high[i] = (out->q_begin + i) / o->block * o->block;
    }
    out->n_runs = 1;
    out->runs[0] = (spar_key_run){begin_of(o, v->head), o->summary, o->block,
                                  out->high[out->n_queries - 1] / o->block};
}

static int64_t keep(const void *opts) { return ((const options *)opts)->block; }

static double seen(const void *opts, int64_t length) {
    const options *o = opts;
    double l = (double)o->block, n = (double)length, q = floor(n / l), rest = n - q * l;
    return q * l * (l + 1) / 2 + rest * (rest + 1) / 2 + (double)o->summary * (l * q * (q - 1) / 2 + rest * q);
}

static void columns(const void *opts, int n_heads, spar_key_run *out) {
    const options *o = opts;
    int64_t most = o->block / o->summary, turns = o->heads == SUB_BLOCKS ? n_heads : 1;
    int64_t width = (turns < most ? turns : most) * o->summary;
    *out = (spar_key_run){o->block - width, width, o->block, INT64_MAX};
}

static bool check(const void *opts, const spar_pattern_shape *shape, char *message, size_t size) {
    const options *o = opts;
    (void)shape;
    if (o->summary <= o->block) return true;
    snprintf(message, size, "summary: %lld, expected 1 to the block's %lld", (long long)o->summary,
             (long long)o->block);
    return false;
}

const spar_pattern_kind spar__pattern_fixed = {
    "fixed", table, sizeof(options), sees, parts, tiles, tile, keep, seen, columns, check};
