/* Prefix LM (Raffel et al. 2020, arXiv 1910.10683, section 3.2.1): the first tokens of a row are given, and the others
 * predicted, each from those before it. The pattern "prefix" shows what is given to all of the row; the others
 * keep it causal, and only what is scored changes. */
#include "base/rng.h"
#include "data/batches.h"

/* At least one token is given and one predicted. */
static size_t prefix_of(const spar_batches *b, uint64_t epoch, uint64_t row) {
    size_t length = b->options.length;
    if (b->options.prefix > 0) {
        size_t n = (size_t)(b->options.prefix * (double)(length + 1));
        return n < 1 ? 1 : n > length ? length : n;
    }
    spar__rng rng = spar__rng_for(b->options.seed, SPAR__RNG_MASK, epoch, row);
    return 1 + (size_t)spar__rng_below(&rng, 0, length);
}

static spar_status fill(const spar_batches *b, uint64_t epoch, uint64_t row, size_t r, spar_batch *batch) {
    size_t length = b->options.length, at = r * length, prefix = prefix_of(b, epoch, row);
    SPAR_TRY(spar__batches_read(b, epoch, row, 0, length, batch->inputs + at));
    SPAR_TRY(spar__batches_read(b, epoch, row, 1, length, batch->targets + at));
    for (size_t t = 0; t + 1 < prefix; t++) batch->targets[at + t] = -1;
    if (batch->first) spar__batches_first(b, epoch, row, batch->first + at);
    if (batch->prefix) batch->prefix[r] = (int32_t)prefix;
    return SPAR_OK;
}

const spar__objective spar__objective_prefix = {.name = "prefix", .fill = fill};
