/* Rows of a split, as objectives see them. */
#ifndef SPAR_DATA_BATCHES_H
#define SPAR_DATA_BATCHES_H

#include "data/data.h"

/* What makes a batch's arrays from rows: one file in objective/ and one line in objective.def. */
typedef struct spar__objective {
    const char *name;
    /* Tokens of a row's inputs, and of its source (encoder–decoders); NULL: `length`, and none. Where the
     * options do not suffice, the length becomes 0 and the message says why. */
    spar_status (*shape)(const spar_batches_options *options, size_t *length, size_t *source);
    /* Fills row r of `batch` from row `row` of `epoch`. */
    spar_status (*fill)(const spar_batches *batches, uint64_t epoch, uint64_t row, size_t r,
                        spar_batch *batch);
} spar__objective;

#define OBJECTIVE(name) extern const spar__objective spar__objective_##name;
#include "data/objective.def"
#undef OBJECTIVE

struct spar_batches {
    spar_batches_options options;
    const spar__objective *objective;
    const spar_data *data; /* NULL with rows in memory */
    const int32_t *tokens; /* the rows in memory */
    size_t width, source;  /* of the rows that the objective makes */
    uint64_t rows, slack;  /* slack: rows of an epoch begin at 0 … slack - 1 tokens */
};

/* Tokens offset … offset + count - 1 of a row (at most length + 1 in all). */
spar_status spar__batches_read(const spar_batches *batches, uint64_t epoch, uint64_t row,
                               size_t offset, size_t count, int32_t *tokens);
/* For the first `length` tokens of a row, where in the row their documents begin. */
void spar__batches_first(const spar_batches *batches, uint64_t epoch, uint64_t row, int32_t *first);

#endif
