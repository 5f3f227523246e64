/* A report is its JSON; the page and the pictures are drawn from it.
 *
 *     {"title", "seeds": n, "variants": [{"name", "config", "parameters", "weight_bytes",
 *         "bytes_per_token", "cache_bytes_per_1k", "decode_tokens_per_second",
 *         "loss": {"mean", "least", "most"},                    nats per token, of validation
 *         "train_tokens_per_second", "activation_bytes",         means over the runs
 *         "runs": [{"seed", "folder", "step", "tokens", "loss", "valid_loss",
 *                   "train_tokens_per_second", "activation_bytes",
 *                   "curve": {"tokens": […], "loss": […]}, "validation": {…}}]}]} */
#ifndef SPAR_REPORT_REPORT_H
#define SPAR_REPORT_REPORT_H

#include <jansson.h>

#include "base/buffer.h"
#include "spar/plot.h"
#include "spar/report.h"

struct spar_report {
    json_t *root;
};

/* One run: trains, or takes what is there; appends to the variant's "runs". */
spar_status spar__report_run(const spar_report_variant *variant, const spar_report_options *options,
                             int64_t seed, json_t *runs);
/* What a variant is and how fast it decodes, from the first of its runs. */
spar_status spar__report_describe(const spar_report_options *options, json_t *variant);

/* Pictures: loss against bytes per token, and against the tokens trained on. `draw` is called once. */
typedef spar_status (*spar__report_draw)(void *context, const spar_plot *plot);
spar_status spar__report_frontier(const json_t *root, spar__report_draw draw, void *context);
spar_status spar__report_curves(const json_t *root, spar__report_draw draw, void *context);

/* Horizontal bars of a number of each variant, as inline SVG. */
typedef struct spar__report_bars {
    const char *title, *unit, *key;
    bool spread; /* the key is an object of mean, least, most; drawn as points, not from 0 */
    double scale;
} spar__report_bars;
spar_status spar__report_bars_add(spar__buffer *page, const json_t *root, const spar__report_bars *bars);

spar_status spar__report_page(const json_t *root, spar__buffer *page);

#endif
