/* Your own attention pattern: every query sees the first `sinks` keys of the text and the `width`
 * newest ones (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks").
 * docs/howto-attention-pattern.md walks through it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "spar/model.h"
#include "spar/pattern.h"

typedef struct sink_options {
    int64_t sinks, width;
} sink_options;

static const spar_option table[] = {
    {"sinks", SPAR_OPTION_INT, offsetof(sink_options, sinks), 4, 0, 1 << 20, NULL,
     "first keys, which every query sees"},
    {"width", SPAR_OPTION_INT, offsetof(sink_options, width), NAN, 1, 1 << 24, NULL,
     "newest keys that a query sees"},
    {0},
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static bool sees(const void *options, const spar_pattern_view *view, int64_t i, int64_t j) {
    const sink_options *o = options;
    (void)view;
    return j >= 0 && j <= i && (j < o->sinks || j > i - o->width);
}

/* Part 0 is the newest keys, part 1 the sinks that are older than those. */
static int parts(const void *options, const spar_pattern_view *view) {
    const sink_options *o = options;
    return o->sinks > 0 && view->q_end > o->width ? 2 : 1;
}

/* Queries before `width` see the sinks among their newest keys: part 1 begins after them. */
static int64_t first_query(const sink_options *o, const spar_pattern_view *view, int part) {
    return part == 0 ? view->q_begin : most(view->q_begin, o->width);
}

static int64_t tiles(const void *options, const spar_pattern_view *view, int part) {
    int64_t queries = view->q_end - first_query(options, view, part);
    return (queries + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
}

static void tile(const void *options, const spar_pattern_view *view, int part, int64_t index,
                 spar_tile *out) {
    const sink_options *o = options;
    out->q_begin = first_query(o, view, part) + index * SPAR_TILE_QUERIES;
    out->q_step = 1;
    out->n_queries = (int)least(view->q_end - out->q_begin, SPAR_TILE_QUERIES);
    for (int n = 0; n < out->n_queries; n++) {
        int64_t query = out->q_begin + n, oldest = most(query + 1 - o->width, 0);
        out->low[n] = part == 0 ? oldest : 0;
        out->high[n] = part == 0 ? query + 1 : least(oldest, o->sinks);
    }
    /* One run of keys holds what any query of the tile sees. */
    int64_t begin = out->low[0], end = out->high[out->n_queries - 1];
    out->n_runs = 1;
    out->runs[0] = (spar_key_run){begin, end - begin, 0, 1};
}

/* The sinks never leave the cache, so all keys are kept. */
static int64_t keep(const void *options) {
    (void)options;
    return 0;
}

static double seen(const void *options, int64_t length) {
    const sink_options *o = options;
    double sum = 0;
    for (int64_t i = 0; i < length; i++) {
        int64_t newest = least(i + 1, o->width);
        sum += (double)(newest + least(i + 1 - newest, o->sinks));
    }
    return sum;
}

static const spar_pattern_kind sink = {"sink", table, sizeof(sink_options), sees, parts,
                                       tiles,  tile,  keep,                 seen};

static const char config_text[] =
    "{\"model\": {\"architecture\": \"decoder\", \"vocab_size\": 16, \"context\": 128,"
    "             \"d_model\": 32, \"n_layers\": 1, \"position\": \"rotary\","
    "             \"attention\": {\"n_heads\": 2, \"pattern\":"
    "                             {\"kind\": \"sink\", \"sinks\": 2, \"width\": 8}},"
    "             \"feedforward\": {\"kind\": \"dense\", \"d_ff\": 64}}}";

enum { LENGTH = 40, VOCABULARY = 16 };
static float before[LENGTH * VOCABULARY], after[LENGTH * VOCABULARY];

int main(void) {
    spar_config *config = NULL;
    spar_model *model = NULL;
    spar_status status = spar_pattern_register(&sink);
    if (!status) status = spar_config_parse(config_text, strlen(config_text), &config);
    if (!status) status = spar_model_create(config, 1, &model);
    int32_t tokens[LENGTH] = {0};
    for (int changed = 0; changed < LENGTH && !status; changed += 13) {
        for (int i = 0; i < LENGTH; i++) tokens[i] = i * 7 % VOCABULARY;
        status = spar_model_logits(model, tokens, LENGTH, before);
        tokens[changed] = (tokens[changed] + 1) % VOCABULARY;
        if (!status) status = spar_model_logits(model, tokens, LENGTH, after);
        size_t last = (LENGTH - 1) * VOCABULARY;
        bool same = memcmp(before + last, after + last, VOCABULARY * sizeof *after) == 0;
        printf("another token at %2d: the prediction after token %d is %s\n", changed, LENGTH - 1,
               same ? "the same" : "another one");
    }
    if (status) fprintf(stderr, "%s\n", spar_error());
    spar_model_free(model);
    spar_config_free(config);
    return status ? 1 : 0;
}
