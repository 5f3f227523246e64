/* Batches as a pure function of their index.
 *
 * A split of N tokens holds (N - 1) / length rows from its start. Shuffled, one row less is used
 * (if there are two), so that every epoch can begin at another offset below `length` with the same
 * number of rows; a permutation of the epoch's rows then gives their order. Both are drawn by the
 * epoch's number alone, so any batch is found in O(1). */
#include "data/batches.h"

#include <string.h>

#include "base/rng.h"
#include "base/text.h"

static const spar__objective *const objectives[] = {
#define OBJECTIVE(name) &spar__objective_##name,
#include "data/objective.def"
#undef OBJECTIVE
};
enum { N_OBJECTIVES = sizeof objectives / sizeof *objectives };

static spar_status find_objective(const char *name, const spar__objective **out) {
    const char *names[N_OBJECTIVES];
    for (int i = 0; i < N_OBJECTIVES; i++) {
        names[i] = objectives[i]->name;
        if (!strcmp(names[i], name)) {
            *out = objectives[i];
            return SPAR_OK;
        }
    }
    int near = spar__nearest(name, names, N_OBJECTIVES);
    return spar__fail(SPAR_ERR_CONFIG, "objective: found '%s', expected '%s'", name,
                      names[near < 0 ? 0 : near]);
}

static spar_status make(const spar_batches_options *options, spar_batches **out) {
    const spar__objective *objective = NULL;
    SPAR_TRY(find_objective(options->objective ? options->objective : "causal", &objective));
    if (!options->length || options->length > INT32_MAX - 1)
        return spar__fail(SPAR_ERR_ARGUMENT, "length: found %zu, expected 1 or more",
                          options->length);
    if (!options->batch) return spar__fail(SPAR_ERR_ARGUMENT, "batch: found 0, expected 1 or more");
    if ((unsigned)options->split >= SPAR_DATA_SPLITS)
        return spar__fail(SPAR_ERR_ARGUMENT, "split: found %d", (int)options->split);
    spar_batches *b = spar__alloc(sizeof *b);
    if (!b) return SPAR_ERR_MEMORY;
    b->options = *options;
    b->options.objective = objective->name;
    b->objective = objective;
    b->slack = 1;
    b->width = options->length;
    spar_status status = objective->shape ? objective->shape(&b->options, &b->width, &b->source) : SPAR_OK;
    if (status) {
        spar__free(b);
        return status;
    }
    *out = b;
    return SPAR_OK;
}

spar_status spar_batches_create(const spar_data *data, const spar_batches_options *options,
                                spar_batches **out) {
    spar_batches *b;
    SPAR_TRY(make(options, &b));
    b->data = data;
    uint64_t tokens = data->info.split[b->options.split].tokens, length = b->options.length;
    if (tokens < length + 1) {
        spar_status status = spar__fail(
            SPAR_ERR_ARGUMENT, "%s: split %s has %llu tokens, a row of length %llu needs %llu",
            data->folder, spar__data_split_names[b->options.split], (unsigned long long)tokens,
            (unsigned long long)length, (unsigned long long)length + 1);
        spar_batches_free(b);
        return status;
    }
    b->rows = (tokens - 1) / length;
    if (b->options.order == SPAR_ORDER_SHUFFLED) {
        if (b->rows > 1) b->rows--;
        uint64_t spare = tokens - 1 - b->rows * length;
        b->slack = spare < length ? spare + 1 : length;
    }
    *out = b;
    return SPAR_OK;
}

spar_status spar_batches_from_rows(const int32_t *tokens, uint64_t n_rows,
                                   const spar_batches_options *options, spar_batches **out) {
    if (!n_rows) return spar__fail(SPAR_ERR_ARGUMENT, "rows: found 0, expected 1 or more");
    spar_batches *b;
    SPAR_TRY(make(options, &b));
    b->tokens = tokens;
    b->rows = n_rows;
    *out = b;
    return SPAR_OK;
}

void spar_batches_free(spar_batches *batches) {
    spar__free(batches);
}

void spar_batches_shape(const spar_batches *batches, size_t *length, size_t *source) {
    *length = batches->width;
    *source = batches->source;
}

uint64_t spar_batches_rows(const spar_batches *batches) {
    return batches->rows;
}

/* The epoch and the row within it (after shuffling) of row r of batch `index`. */
static spar_status locate(const spar_batches *b, uint64_t index, size_t r, uint64_t *epoch,
                          uint64_t *row) {
    uint64_t number;
    if (__builtin_mul_overflow(index, (uint64_t)b->options.batch, &number) ||
        __builtin_add_overflow(number, (uint64_t)r, &number))
        return spar__fail(SPAR_ERR_ARGUMENT, "batch index %llu: too large",
                          (unsigned long long)index);
    *epoch = number / b->rows;
    *row = number % b->rows;
    if (b->options.order == SPAR_ORDER_SHUFFLED) {
        spar__rng rng = spar__rng_for(b->options.seed, SPAR__RNG_ORDER, *epoch, b->options.split);
        *row = spar__rng_permute(&rng, *row, b->rows);
    }
    return SPAR_OK;
}

static uint64_t row_start(const spar_batches *b, uint64_t epoch, uint64_t row) {
    uint64_t offset = 0;
    if (b->slack > 1) {
        spar__rng rng = spar__rng_for(b->options.seed, SPAR__RNG_ORDER, epoch,
                                      SPAR_DATA_SPLITS + b->options.split);
        offset = spar__rng_below(&rng, 0, b->slack);
    }
    return offset + row * b->options.length;
}

spar_status spar__batches_read(const spar_batches *b, uint64_t epoch, uint64_t row, size_t offset,
                               size_t count, int32_t *tokens) {
    if (b->data)
        return spar_data_tokens(b->data, b->options.split, row_start(b, epoch, row) + offset, count,
                                tokens);
    memcpy(tokens, b->tokens + row * (b->options.length + 1) + offset, count * sizeof *tokens);
    return SPAR_OK;
}

void spar__batches_first(const spar_batches *b, uint64_t epoch, uint64_t row, int32_t *first) {
    size_t length = b->options.length, t = 0;
    if (!b->data) {
        memset(first, 0, length * sizeof *first);
        return;
    }
    spar_data_split split = b->options.split;
    uint64_t start = row_start(b, epoch, row);
    int32_t begun = 0;
    size_t i = spar__data_find(b->data, split, start);
    for (; t < length; i++) {
        const spar__shard *shard = &b->data->shards[split][i];
        uint64_t from = b->data->starts[split][i], local = start + t - from;
        uint64_t document = spar__shard_find(shard, local);
        while (t < length && start + t - from < shard->header.tokens) {
            local = start + t - from;
            bool continues = !document && (shard->header.flags & SPAR__SHARD_CONTINUES);
            if (t && shard->documents[document].start == local && !continues) begun = (int32_t)t;
            uint64_t end = spar__shard_document_end(shard, document++);
            /* Unverified tables may say anything; a token is passed each time all the same. */
            if (end <= local || end > shard->header.tokens) end = shard->header.tokens;
            for (; t < length && start + t - from < end; t++) first[t] = begun;
        }
    }
}

spar_status spar_batches_get(const spar_batches *b, uint64_t index, int32_t *tokens,
                             int32_t *first) {
    size_t length = b->options.length;
    for (size_t r = 0; r < b->options.batch; r++) {
        uint64_t epoch, row;
        SPAR_TRY(locate(b, index, r, &epoch, &row));
        SPAR_TRY(spar__batches_read(b, epoch, row, 0, length + 1, tokens + r * (length + 1)));
        if (first) spar__batches_first(b, epoch, row, first + r * length);
    }
    return SPAR_OK;
}

spar_status spar_batches_fill(const spar_batches *b, uint64_t index, spar_batch *batch) {
    for (size_t r = 0; r < b->options.batch; r++) {
        uint64_t epoch, row;
        SPAR_TRY(locate(b, index, r, &epoch, &row));
        SPAR_TRY(b->objective->fill(b, epoch, row, r, batch));
    }
    return SPAR_OK;
}
