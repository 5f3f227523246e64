/* Sequences decoded together. */
#include "base/log.h"
#include "bench/bench.h"
#include "model/model.h"
#include "spar/session.h"

static const int sizes[] = {1, 2, 4, 8, 16};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

typedef struct batch {
    spar_batch *batch;
    spar_batch_item *items;
    int32_t *tokens; /* [n, prompt + steps] */
    int64_t prompt, steps, chunk;
    int n;
} batch;

static spar_status begin(void *context) {
    batch *b = context;
    for (int i = 0; i < b->n; i++) {
        const int32_t *tokens = b->tokens + i * (b->prompt + b->steps);
        if (spar_batch_length(b->batch, i) && !spar_batch_cut(b->batch, i, b->prompt)) continue;
        SPAR_TRY(spar_batch_cut(b->batch, i, 0));
        for (int64_t at = 0; at < b->prompt; at += b->chunk) {
            int64_t left = b->prompt - at;
            spar_batch_item item = {.slot = i, .tokens = tokens + at, .count = (size_t)(left < b->chunk ? left : b->chunk)};
            SPAR_TRY(spar_batch_feed(b->batch, &item, 1));
        }
    }
    return SPAR_OK;
}

static spar_status step_by_step(void *context) {
    batch *b = context;
    for (int64_t t = 0; t < b->steps; t++) {
        for (int i = 0; i < b->n; i++)
            b->items[i] = (spar_batch_item){.slot = i, .tokens = b->tokens + i * (b->prompt + b->steps) + b->prompt + t,
                                            .count = 1};
        SPAR_TRY(spar_batch_feed(b->batch, b->items, (size_t)b->n));
    }
    return SPAR_OK;
}

static spar_status measure(const spar_model *model, const spar_bench_options *o, int n, spar__timing *timing,
                           double *cache_bytes) {
    spar_session_options so = SPAR_SESSION_OPTIONS_INIT;
    batch b = {.prompt = o->prompt, .steps = o->tokens, .n = n};
    if (o->cache_type) so.cache_type = o->cache_type;
    so.context = o->prompt + o->tokens;
    b.chunk = so.chunk < so.context ? so.chunk : so.context;
    size_t count;
    if (!spar__mul((size_t)so.context, (size_t)n, &count)) return SPAR_ERR_MEMORY;
    b.tokens = spar__array(count, sizeof *b.tokens);
    b.items = spar__array((size_t)n, sizeof *b.items);
    spar_status status = b.tokens && b.items ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) spar__bench_tokens(b.tokens, count, spar_model_vocab_size(model));
    if (!status) status = spar_batch_create(model, &so, n, &b.batch);
    if (!status) status = spar__bench_time_prepared(begin, step_by_step, &b, o, "batch", timing);
    if (!status) *cache_bytes = (double)spar_batch_cache_bytes(b.batch) / n;
    spar_batch_free(b.batch);
    spar__free(b.items);
    spar__free(b.tokens);
    return status;
}

spar_status spar_bench_batch(const spar_model *model, const spar_bench_options *o, spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    int64_t context = o->prompt + o->tokens, limit = spar_model_context(model);
    if (o->sequences < 0 || o->sequences > 65536)
        return spar__fail(SPAR_ERR_ARGUMENT, "sequences: found %d, expected 1 to 65536", o->sequences);
    if (limit && context > limit)
        return spar__fail(SPAR_ERR_LIMIT, "prompt and tokens: %lld, the model's context is %lld", (long long)context,
                          (long long)limit);
    size_t n = o->sequences ? 1 : N_SIZES;
    spar_bench_part *parts = spar__array(n, sizeof *parts);
    if (!parts) return SPAR_ERR_MEMORY;
    double filled = ((double)o->prompt + (double)o->tokens / 2) / (double)context, bytes, per_token, flops;
    spar_bench_result made = {0};
    spar_status status = spar__bench_weights(model, &bytes, &per_token, &flops);
    for (size_t i = 0; !status && i < n; i++) {
        int sequences = o->sequences ? o->sequences : sizes[i];
        spar__timing timing;
        double cache;
        status = measure(model, o, sequences, &timing, &cache);
        if (status) break;
        made = spar__bench_speed(&timing, (double)sequences * (double)o->tokens);
        made.bytes_per_token = spar__model_read_bytes(model, sequences) / sequences + cache * filled;
        made.flops_per_token = flops;
        parts[i] = (spar_bench_part){.count = sequences, .seconds = timing.median / (double)o->tokens,
                                     .flops = flops * sequences, .bytes_per_token = made.bytes_per_token};
        snprintf(parts[i].name, sizeof parts[i].name, "%d sequence%s", sequences, sequences == 1 ? "" : "s");
    }
    if (status) {
        spar__free(parts);
        return status;
    }
    made.parts = parts;
    made.n_parts = n;
    *out = made;
    return SPAR_OK;
}
