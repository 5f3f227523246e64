/* Span corruption (Raffel et al. 2020, arXiv 1910.10683, section 3.1.4): spans of tokens are replaced in the source by one
 * sentinel each, and the target lists the sentinels with what they stand for, and a last one. How many
 * tokens and spans there are depends on the length alone, so that all rows are alike; where they lie is drawn
 * by cutting both the hidden and the shown tokens into as many parts at random. */
#include <math.h>

#include "base/rng.h"
#include "data/batches.h"

typedef struct counts {
    size_t tokens, hidden, spans;
} counts;

static counts count(const spar_batches_options *o) {
    counts c = {.tokens = o->length + 1};
    double noise = o->noise > 0 ? o->noise : 0.15, span = o->span > 0 ? o->span : 3;
    c.hidden = (size_t)llround((double)c.tokens * noise);
    if (c.hidden < 1) c.hidden = 1;
    if (c.hidden >= c.tokens) c.hidden = c.tokens - 1;
    c.spans = (size_t)llround((double)c.hidden / span);
    if (c.spans < 1) c.spans = 1;
    if (c.spans > c.tokens - c.hidden) c.spans = c.tokens - c.hidden;
    return c;
}

static spar_status shape(const spar_batches_options *o, size_t *length, size_t *source) {
    counts c = count(o);
    *length = c.hidden + c.spans + 1;
    *source = c.tokens - c.hidden + c.spans;
    if (o->vocab_size < 1 || (uint64_t)o->vocab_size <= c.spans + 1)
        return spar__fail(SPAR_ERR_CONFIG, "model.vocab_size: found %d, expected more than the %zu spans of a row",
                          o->vocab_size, c.spans);
    return SPAR_OK;
}

/* Whether a new part begins at item i (above 0) of n cut into `parts`: selection sampling, one draw an item. */
static bool cuts(spar__rng *rng, uint64_t draw, size_t left, size_t *wanted) {
    if (!*wanted || spar__rng_below(rng, draw, left) >= *wanted) return false;
    (*wanted)--;
    return true;
}

static spar_status fill(const spar_batches *b, uint64_t epoch, uint64_t row, size_t r, spar_batch *batch) {
    const spar_batches_options *o = &b->options;
    counts c = count(o);
    spar__rng rng = spar__rng_for(o->seed, SPAR__RNG_MASK, epoch, row);
    int32_t *source = batch->source + r * b->source, *inputs = batch->inputs + r * b->width;
    int32_t *targets = batch->targets + r * b->width, sentinel = o->vocab_size;
    size_t shown = c.tokens - c.hidden, shown_cuts = c.spans - 1, hidden_cuts = c.spans - 1;
    size_t n_source = 0, n_target = 0, at = 0, i = 0, k = 0;
    while (at < c.tokens) {
        int32_t token;
        do { /* one part that is shown … */
            SPAR_TRY(spar__batches_read(b, epoch, row, at++, 1, &token));
            source[n_source++] = token;
            i++;
        } while (i < shown && !cuts(&rng, i, shown - i, &shown_cuts));
        source[n_source++] = targets[n_target++] = --sentinel;
        do { /* … and one that is hidden */
            SPAR_TRY(spar__batches_read(b, epoch, row, at++, 1, &token));
            targets[n_target++] = token;
            k++;
        } while (k < c.hidden && !cuts(&rng, c.tokens + k, c.hidden - k, &hidden_cuts));
    }
    targets[n_target++] = --sentinel;
    inputs[0] = o->special;
    for (size_t t = 1; t < n_target; t++) inputs[t] = targets[t - 1];
    for (size_t t = 0; batch->first && t < n_target; t++) batch->first[r * b->width + t] = 0;
    return SPAR_OK;
}

const spar__objective spar__objective_denoise = {.name = "denoise", .shape = shape, .fill = fill};
