/* The causal objective: each token is predicted from those before it. */
#include "data/batches.h"

static spar_status fill(const spar_batches *b, uint64_t epoch, uint64_t row, size_t r,
                        spar_batch *batch) {
    size_t length = b->options.length, at = r * length;
    SPAR_TRY(spar__batches_read(b, epoch, row, 0, length, batch->inputs + at));
    SPAR_TRY(spar__batches_read(b, epoch, row, 1, length, batch->targets + at));
    if (batch->first) spar__batches_first(b, epoch, row, batch->first + at);
    return SPAR_OK;
}

const spar__objective spar__objective_causal = {.name = "causal", .fill = fill};
