/* A query sees the `width` newest keys, its own included: GPT-3's banded layers (as in Child et al.
 * 2019, arXiv 1904.10509), GPT-Neo's local ones, Mistral's sliding window. The cache is a ring. */
#include <math.h>

#include "attention/interval.h"

typedef struct options {
    int64_t width;
} options;

static const spar_option table[] = {
    {"width", SPAR_OPTION_INT, offsetof(options, width), NAN, 1, 1 << 24, NULL, "keys a query sees"}, {0}};

static int64_t width_of(const void *opts) { return ((const options *)opts)->width; }

static void bounds(const void *opts, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    (void)v;
    int64_t k = width_of(opts);
    *low = i + 1 > k ? i + 1 - k : 0;
    *high = i + 1;
}

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    (void)v;
    return j >= 0 && j <= i && j > i - width_of(opts);
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    (void)part;
    spar__interval_tile(opts, v, index, out, bounds);
}

static double seen(const void *opts, int64_t length) {
    double k = (double)width_of(opts), n = (double)length;
    return n <= k ? n * (n + 1) / 2 : k * (k + 1) / 2 + (n - k) * k;
}

const spar_pattern_kind spar__pattern_band = {
    "band", table, sizeof(options), sees, spar__interval_parts, spar__interval_tiles, tile, width_of, seen};
