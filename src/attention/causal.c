/* A query sees its own key and all earlier ones (GPT). */
#include "attention/interval.h"

static void bounds(const void *options, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    (void)options;
    (void)v;
    *low = 0;
    *high = i + 1;
}

static bool sees(const void *options, const spar_pattern_view *v, int64_t i, int64_t j) {
    (void)options;
    (void)v;
    return j >= 0 && j <= i;
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
    return (double)length * ((double)length + 1) / 2;
}

const spar_pattern_kind spar__pattern_causal = {
    "causal", NULL, 0, sees, spar__interval_parts, spar__interval_tiles, tile, keep, seen};
