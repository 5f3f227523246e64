/* Patterns in which a query sees one interval of keys share everything but the interval. */
#ifndef SPAR_ATTENTION_INTERVAL_H
#define SPAR_ATTENTION_INTERVAL_H

#include "spar/pattern.h"

static inline int spar__interval_parts(const void *options, const spar_pattern_view *view) {
    (void)options;
    (void)view;
    return 1;
}

static inline int64_t spar__interval_tiles(const void *options, const spar_pattern_view *view, int part) {
    (void)options;
    (void)part;
    return (view->q_end - view->q_begin + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
}

/* Fills a tile of consecutive queries whose intervals `bounds` gives; both bounds must not fall
 * from one query to the next. */
static inline void spar__interval_tile(const void *options, const spar_pattern_view *view, int64_t index,
                                       spar_tile *out,
                                       void (*bounds)(const void *, const spar_pattern_view *, int64_t,
                                                      int64_t *, int64_t *)) {
    int64_t begin = view->q_begin + index * SPAR_TILE_QUERIES;
    int64_t n = view->q_end - begin < SPAR_TILE_QUERIES ? view->q_end - begin : SPAR_TILE_QUERIES;
    out->q_begin = begin;
    out->q_step = 1;
    out->n_queries = (int)n;
    for (int64_t i = 0; i < n; i++) bounds(options, view, begin + i, &out->low[i], &out->high[i]);
    int64_t width = out->high[n - 1] - out->low[0];
    out->n_runs = width > 0;
    out->runs[0] = (spar_key_run){out->low[0], width, 0, 1};
}

#endif
