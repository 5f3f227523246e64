/* Strided attention (Child et al. 2019, arXiv 1904.10509, section 4.2): a query sees the `stride` newest
 * keys, its own included, and every stride-th key before: i − l < j ≤ i, or (i − j) mod l = 0. With
 * heads "split", even heads see the newest keys and odd ones every stride-th, as the paper's
 * factorisation over heads does.
 *
 * Part 0 is the newest keys, part 1 what lies before them. The queries of a tile of part 1 are
 * themselves `stride` apart, so they share their keys. Every key is seen by some later query:
 * nothing may leave the cache. */
#include <math.h>

#include "attention/interval.h"

enum { BOTH, SPLIT };
static const char *const divisions[] = {"both", "split", NULL};

typedef struct options {
    int64_t stride;
    int heads;
} options;

static const spar_option table[] = {
    {"stride", SPAR_OPTION_INT, offsetof(options, stride), NAN, 1, 1 << 24, NULL,
     "newest keys that a query sees, and the distance of those before"},
    {"heads", SPAR_OPTION_NAME, offsetof(options, heads), BOTH, 0, 0, divisions,
     "whether every head sees both parts, or heads see one of them in turn"},
    {0}};

static bool sees_near(const options *o, const spar_pattern_view *v) { return o->heads == BOTH || v->head % 2 == 0; }
static bool sees_far(const options *o, const spar_pattern_view *v) { return o->heads == BOTH || v->head % 2 == 1; }

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    const options *o = opts;
    if (j < 0 || j > i) return false;
    return (sees_near(o, v) && j > i - o->stride) || (sees_far(o, v) && (i - j) % o->stride == 0);
}

static int parts(const void *opts, const spar_pattern_view *v) {
    (void)v;
    return ((const options *)opts)->heads == BOTH ? 2 : 1;
}

/* ---- The newest keys ---- */

static void bounds(const void *opts, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    int64_t l = ((const options *)opts)->stride;
    (void)v;
    *low = i + 1 > l ? i + 1 - l : 0;
    *high = i + 1;
}

/* ---- Every stride-th key: queries from `first` on, in classes of equal remainder ---- */

typedef struct classes {
    int64_t first;           /* the first query that sees any */
    int64_t longer, members; /* `longer` classes have one member more than the others' `members` */
    int64_t tiles_longer, tiles; /* of one class */
    int64_t count;           /* of classes */
} classes;

static int64_t tiles_of(int64_t queries) { return (queries + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES; }

static classes classes_of(const options *o, const spar_pattern_view *v) {
    /* Where both parts are seen, the first stride has nothing before its newest keys. */
    int64_t first = o->heads == BOTH && v->q_begin < o->stride ? o->stride : v->q_begin;
    int64_t n = v->q_end > first ? v->q_end - first : 0;
    classes c = {.first = first, .longer = n % o->stride, .members = n / o->stride};
    c.count = n < o->stride ? n : o->stride;
    c.tiles_longer = tiles_of(c.members + 1);
    c.tiles = tiles_of(c.members);
    return c;
}

static int64_t far_tiles(const options *o, const spar_pattern_view *v) {
    classes c = classes_of(o, v);
    return c.longer * c.tiles_longer + (c.count - c.longer) * c.tiles;
}

static void far_tile(const options *o, const spar_pattern_view *v, int64_t index, spar_tile *out) {
    classes c = classes_of(o, v);
    int64_t class, within, members = c.members + 1, before = c.longer * c.tiles_longer;
    if (index < before) {
        class = index / c.tiles_longer;
        within = index % c.tiles_longer;
    } else {
        class = c.longer + (index - before) / c.tiles;
        within = (index - before) % c.tiles;
        members = c.members;
    }
    int64_t l = o->stride, from = within * SPAR_TILE_QUERIES, n = members - from;
    out->q_begin = c.first + class + from * l;
    out->q_step = l;
    out->n_queries = (int)(n < SPAR_TILE_QUERIES ? n : SPAR_TILE_QUERIES);
    for (int64_t i = 0; i < out->n_queries; i++) {
        out->low[i] = 0;
        out->high[i] = out->q_begin + i * l + 1 - (o->heads == BOTH ? l : 0);
    }
    int64_t remainder = out->q_begin % l, end = out->high[out->n_queries - 1];
    out->n_runs = 1;
    out->runs[0] = (spar_key_run){remainder, 1, l, (end - remainder + l - 1) / l};
}

static int64_t tiles(const void *opts, const spar_pattern_view *v, int part) {
    const options *o = opts;
    return part == 0 && sees_near(o, v) ? spar__interval_tiles(o, v, part) : far_tiles(o, v);
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    const options *o = opts;
    if (part == 0 && sees_near(o, v)) spar__interval_tile(o, v, index, out, bounds);
    else far_tile(o, v, index, out);
}

static int64_t keep(const void *opts) {
    (void)opts;
    return 0;
}

static double seen(const void *opts, int64_t length) {
    const options *o = opts;
    double l = (double)o->stride, n = (double)length, q = floor(n / l), rest = n - q * l;
    double near = n <= l ? n * (n + 1) / 2 : l * (l + 1) / 2 + (n - l) * l;
    double far = l * q * (q - 1) / 2 + rest * q; /* Σ ⌊i/l⌋ */
    return o->heads == BOTH ? near + far : (near + far + n) / 2;
}

const spar_pattern_kind spar__pattern_strided = {
    "strided", table, sizeof(options), sees, parts, tiles, tile, keep, seen};
