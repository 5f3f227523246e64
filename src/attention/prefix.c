/* Prefix LM: the first keys are seen by all, the rest causally (Raffel et al. 2020, arXiv 1910.10683,
 * section 3.2.1). The length comes with each sequence, or, when that is 0, from the option. */
#include "attention/interval.h"

typedef struct options {
    int64_t length;
} options;

static const spar_option table[] = {{"length", SPAR_OPTION_INT, offsetof(options, length), 0, 0, 1 << 24, NULL,
                                     "keys seen by all, where a sequence does not say"},
                                    {0}};

static int64_t length_of(const void *opts, const spar_pattern_view *v) {
    int64_t n = v->prefix ? v->prefix : ((const options *)opts)->length;
    return n < v->n_keys ? n : v->n_keys;
}

static void bounds(const void *opts, const spar_pattern_view *v, int64_t i, int64_t *low, int64_t *high) {
    int64_t n = length_of(opts, v);
    *low = 0;
    *high = i + 1 > n ? i + 1 : n;
}

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    return j >= 0 && (j <= i || j < length_of(opts, v));
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    (void)part;
    spar__interval_tile(opts, v, index, out, bounds);
}

static int64_t keep(const void *opts) {
    (void)opts;
    return 0;
}

static double seen(const void *opts, int64_t length) {
    int64_t n = ((const options *)opts)->length;
    double prefix = (double)(n < length ? n : length), all = (double)length;
    return all * (all + 1) / 2 + prefix * (prefix - 1) / 2;
}

const spar_pattern_kind spar__pattern_prefix = {
    "prefix", table, sizeof(options), sees, spar__interval_parts, spar__interval_tiles, tile, keep, seen};
