/* Attention patterns: which keys a query may see. A pattern is data, not a kernel: it answers, for
 * a tile of queries, which runs of keys are to be visited and which interval of them each query
 * sees; one forward and one backward kernel serve all patterns, in time proportional to what is
 * seen. Positions count from 0 within a sequence. See docs/howto-attention-pattern.md. */
#ifndef SPAR_PATTERN_H
#define SPAR_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPAR_TILE_QUERIES = 64, SPAR_TILE_RUNS = 8 };

/* Keys begin + s·step + [0, width) for s < count. An interval is {begin, width, 0, 1}. */
typedef struct spar_key_run {
    int64_t begin, width, step, count;
} spar_key_run;

/* One tile of work: queries q_begin + i·q_step (i < n_queries) against the keys of its runs. Query i
 * sees those keys j with low[i] ≤ j < high[i]. Runs ascend and do not overlap. */
typedef struct spar_tile {
    int64_t q_begin, q_step;
    int n_queries, n_runs;
    spar_key_run runs[SPAR_TILE_RUNS];
    int64_t low[SPAR_TILE_QUERIES], high[SPAR_TILE_QUERIES];
} spar_tile;

/* What is asked for: queries [q_begin, q_end) of a sequence that has n_keys keys so far. */
typedef struct spar_pattern_view {
    int64_t q_begin, q_end, n_keys;
    int64_t prefix; /* length of a bidirectional prefix given with the sequence; 0 = none */
    int head, n_heads, layer;
    const void *arranged; /* what a pattern that chooses by content has made of the queries, or NULL */
} spar_pattern_view;

/* What a pattern's options are checked against. */
typedef struct spar_pattern_shape {
    int64_t context; /* most positions of a sequence */
    int n_heads;
} spar_pattern_shape;

/* One option of a kind, a member of its options struct. */
typedef enum spar_option_type {
    SPAR_OPTION_INT,
    SPAR_OPTION_REAL,
    SPAR_OPTION_BOOL,
    SPAR_OPTION_NAME,
    SPAR_OPTION_INTS, /* a list, or one number for a list of one; a default of 0 is the empty list */
    SPAR_OPTION_REALS, /* a list, empty by default */
    SPAR_OPTION_KIND, /* for kinds of the library's own: a kind within the kind */
} spar_option_type;
enum { SPAR_MOST_INTS = 8 };
typedef struct spar_ints {
    int64_t n, at[SPAR_MOST_INTS];
} spar_ints;
enum { SPAR_MOST_REALS = 256 };
typedef struct spar_reals {
    int64_t n;
    double at[SPAR_MOST_REALS];
} spar_reals;
typedef struct spar_option {
    const char *key;
    spar_option_type type;     /* int64_t, double, bool, int (an index into names), spar_ints, spar_reals */
    size_t offset;             /* offsetof within the options struct */
    double fallback, least, most; /* the default (NAN: required), and the range allowed */
    const char *const *names;  /* for SPAR_OPTION_NAME, ends with NULL */
    const char *help;
    const void *room; /* for SPAR_OPTION_KIND: where its kinds are */
} spar_option;

/* A kind of pattern. Functions are pure and may be called on any thread. A query may be in at most
 * one tile of each part; over all parts each (query, key) it sees is visited exactly once. */
typedef struct spar_pattern_kind {
    const char *name;
    const spar_option *options; /* ends with a zero entry */
    size_t options_size;
    bool (*sees)(const void *options, const spar_pattern_view *view, int64_t query, int64_t key);
    int (*parts)(const void *options, const spar_pattern_view *view);
    int64_t (*tiles)(const void *options, const spar_pattern_view *view, int part);
    void (*tile)(const void *options, const spar_pattern_view *view, int part, int64_t index,
                 spar_tile *out);
    /* How many of the newest keys a cache must keep for queries still to come, the query's own
     * included; 0 = all. */
    int64_t (*keep)(const void *options);
    /* Keys that a causal sequence of `length` sees in all, for plans of FLOPs. */
    double (*seen)(const void *options, int64_t length);
    /* Optional. Older keys that a cache keeps besides the newest: begin + s·step + [0, width) for s <
     * count; `keep` must be positive. NULL or an empty run: none. */
    void (*columns)(const void *options, int n_heads, spar_key_run *out);
    /* Optional. Whether options that are each in range fit one another and the model; if not, says
     * into `message` which key does not, what it is, and which values fit. */
    bool (*check)(const void *options, const spar_pattern_shape *shape, char *message, size_t size);
    const struct spar__content *content; /* the library's own that choose by content; else NULL */
} spar_pattern_kind;

/* Makes a pattern of the caller's known by its name to configurations read from now on. `kind` and
 * what it points to must stay valid. SPAR_ERR_ARGUMENT when the name is taken. Not while other
 * threads work. */
spar_status spar_pattern_register(const spar_pattern_kind *kind);
const spar_pattern_kind *spar_pattern_find(const char *name); /* NULL when there is none */
const spar_pattern_kind *spar_pattern_at(int index);          /* NULL beyond the last */

#ifdef __cplusplus
}
#endif
#endif
