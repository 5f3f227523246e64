/* Masked tokens (Devlin et al. 2019, arXiv 1810.04805): a share of the tokens is to be found; of these 80 % are hidden by
 * the mask, 10 % become another token, and 10 % stay. Each token's draw depends on its epoch, row and place. */
#include "base/rng.h"
#include "data/batches.h"

static spar_status shape(const spar_batches_options *o, size_t *length, size_t *source) {
    *length = o->length;
    *source = 0;
    if (o->vocab_size < 1 || o->special < 0 || o->special >= o->vocab_size)
        return spar__fail(SPAR_ERR_CONFIG, "train.mask_id: found %d, expected an id below %d", o->special, o->vocab_size);
    return SPAR_OK;
}

static spar_status fill(const spar_batches *b, uint64_t epoch, uint64_t row, size_t r, spar_batch *batch) {
    const spar_batches_options *o = &b->options;
    size_t length = o->length;
    int32_t *inputs = batch->inputs + r * length, *targets = batch->targets + r * length;
    double noise = o->noise > 0 ? o->noise : 0.15;
    spar__rng rng = spar__rng_for(o->seed, SPAR__RNG_MASK, epoch, row);
    SPAR_TRY(spar__batches_read(b, epoch, row, 0, length, inputs));
    for (size_t t = 0; t < length; t++) {
        double draw = (double)spar__rng_uniform(&rng, 2 * t) / noise;
        targets[t] = draw < 1 ? inputs[t] : -1;
        if (draw < 0.8) inputs[t] = o->special;
        else if (draw < 0.9) inputs[t] = (int32_t)spar__rng_below(&rng, 2 * t + 1, (uint64_t)o->vocab_size);
    }
    if (batch->first) spar__batches_first(b, epoch, row, batch->first + r * length);
    return SPAR_OK;
}

const spar__objective spar__objective_masked = {.name = "masked", .shape = shape, .fill = fill};
