/* Every query sees every key: encoders, cross-attention. */
#include "attention/interval.h"

static void bounds(const void *options, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    (void)options;
    (void)i;
    *low = 0;
    *high = v->n_keys;
}

static bool sees(const void *options, const spar_pattern_view *v, int64_t i, int64_t j) {
    (void)options;
    (void)i;
    return j >= 0 && j < v->n_keys;
}

static void tile(const void *options, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    (void)part;
    spar__interval_tile(options, v, index, out, bounds);
}

static int64_t keep(const void *options) {
    (void)options;
    return 0;
}

static double seen(const void *options, int64_t length) {
    (void)options;
    return (double)length * (double)length;
}

const spar_pattern_kind spar__pattern_full = {
    "full", NULL, 0, sees, spar__interval_parts, spar__interval_tiles, tile, keep, seen};
