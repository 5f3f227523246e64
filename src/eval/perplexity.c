/* Perplexity by a sliding window (spar/eval.h). Windows are passes without a tape or a cache. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "model/model.h"
#include "spar/eval.h"

typedef struct window {
    spar__arena *arena;
    int32_t *positions, *targets;
} window;

static spar_status run_window(const spar_model *model, const window *w, const int32_t *tokens, int64_t count,
                              double *sum, int64_t *counted) {
    spar__sequence sequence = {.count = count};
    spar__rows rows = {count, 1, &sequence, w->positions, NULL};
    spar__pass pass = {.arena = w->arena, .rows = &rows};
    spar__loss_options o = {.logit_scale = 1};
    spar__arena_rewind(w->arena, (spar__arena_mark){0});
    spar__model_loss(&pass, model, spar__model_hidden(&pass, model, tokens), w->targets, &o, sum, counted);
    return pass.status;
}

static spar_status slide(const spar_model *model, const window *w, const int32_t *tokens, int64_t count,
                         int64_t context, int64_t stride, const spar_progress *progress, double *sum,
                         uint64_t *counted) {
    int64_t predicted = 1; /* tokens before this one need no prediction any more */
    /* The last token is predicted and predicts nothing; it takes part all the same where there is
     * room, for models in which the length of a sequence matters; but not where rows were shifted in training: a
     * start token came in and the last one stayed out. */
    int64_t fed = spar_model_start(model) >= 0 ? count - 1 : count;
    for (int64_t begin = 0; predicted < count; begin += stride) {
        int64_t n = fed - begin < context ? fed - begin : context, of_window = 0;
        double nats = 0;
        for (int64_t i = 0; i < n; i++)
            w->targets[i] =
                begin + i + 1 >= predicted && begin + i + 1 < count ? tokens[begin + i + 1] : -1;
        SPAR_TRY(run_window(model, w, tokens + begin, n, &nats, &of_window));
        *sum += nats;
        *counted += (uint64_t)of_window;
        predicted = begin + n + 1 < count ? begin + n + 1 : count;
        SPAR_TRY(spar__progress(progress, "eval", (uint64_t)predicted, (uint64_t)count, ""));
    }
    return SPAR_OK;
}

spar_status spar_eval_tokens(const spar_model *model, const int32_t *tokens, size_t count, uint64_t bytes,
                             const spar_eval_options *options, spar_evaluation *out) {
    int64_t limit = spar_model_context(model);
    int64_t context = options->context ? options->context : limit;
    if (context < 1 || context > limit)
        return spar__fail(SPAR_ERR_ARGUMENT, "context %lld: expected 1 to %lld", (long long)context,
                          (long long)limit);
    int64_t stride = options->stride ? options->stride : (context + 1) / 2;
    if (stride < 1 || stride > context)
        return spar__fail(SPAR_ERR_ARGUMENT, "stride %lld: expected 1 to %lld", (long long)stride,
                          (long long)context);
    if (count < 2) return spar__fail(SPAR_ERR_ARGUMENT, "%zu tokens: expected at least 2", count);
    window w = {spar__arena_create(0), spar__array((size_t)context, sizeof(int32_t)),
                spar__array((size_t)context, sizeof(int32_t))};
    spar_status status = w.arena && w.positions && w.targets ? SPAR_OK : SPAR_ERR_MEMORY;
    double sum = 0;
    uint64_t counted = 0;
    if (!status) {
        for (int64_t i = 0; i < context; i++) w.positions[i] = (int32_t)i;
        status = slide(model, &w, tokens, (int64_t)count, context, stride, options->progress, &sum, &counted);
    }
    spar__arena_free(w.arena);
    spar__free(w.positions);
    spar__free(w.targets);
    SPAR_TRY(status);
    double nll = sum / (double)counted;
    *out = (spar_evaluation){counted, bytes, nll, exp(nll), bytes ? sum / log(2) / (double)bytes : NAN};
    return SPAR_OK;
}

spar_status spar_eval_target(const spar_model *model, const int32_t *source, size_t n_source,
                             const int32_t *tokens, size_t count, spar_evaluation *out) {
    if (count < 2) return spar__fail(SPAR_ERR_ARGUMENT, "%zu tokens: expected at least 2", count);
    spar_input input = {.tokens = tokens, .n_tokens = count - 1, .source = source, .n_source = n_source};
    float *logits;
    size_t rows, columns;
    SPAR_TRY(spar_model_run(model, &input, 1, SPAR_OUTPUT_LOGITS, SPAR_POOLING_OWN, &logits, &rows, &columns));
    double sum = 0;
    bool known = rows == count - 1;
    for (size_t r = 0; known && r < rows; r++) {
        const float *row = logits + r * columns;
        double top = (double)row[0], total = 0;
        known = tokens[r + 1] >= 0 && (size_t)tokens[r + 1] < columns;
        for (size_t c = 1; c < columns; c++) top = (double)row[c] > top ? (double)row[c] : top;
        for (size_t c = 0; c < columns; c++) total += exp((double)row[c] - top);
        if (known) sum += top + log(total) - (double)row[tokens[r + 1]];
    }
    spar__free(logits);
    if (!known) return spar__fail(SPAR_ERR_ARGUMENT, "tokens: expected ids of a model that predicts tokens");
    double nll = sum / (double)(count - 1);
    *out = (spar_evaluation){count - 1, 0, nll, exp(nll), NAN};
    return SPAR_OK;
}

spar_status spar_eval_text_ids(const spar_model *model, const char *text, size_t length, int32_t **out,
                               size_t *out_count) {
    const spar_tokenizer *tokenizer = spar_model_tokenizer(model);
    if (!tokenizer)
        return spar__fail(SPAR_ERR_ARGUMENT, "the model has no tokenizer: give token ids instead of text");
    int32_t *ids, eos = spar_tokenizer_eos(tokenizer);
    size_t count;
    SPAR_TRY(spar_tokenizer_encode(tokenizer, text, length, 0, &ids, &count));
    size_t lead = eos >= 0 ? 1 : 0;
    int32_t *all = spar__array(count + 1, sizeof *all);
    if (all) {
        all[0] = eos;
        memcpy(all + lead, ids, count * sizeof *ids);
        *out = all;
        *out_count = count + lead;
    }
    spar_free(ids);
    return all ? SPAR_OK : SPAR_ERR_MEMORY;
}

spar_status spar_eval_text(const spar_model *model, const char *text, size_t length,
                           const spar_eval_options *options, spar_evaluation *out) {
    int32_t *ids;
    size_t count;
    SPAR_TRY(spar_eval_text_ids(model, text, length, &ids, &count));
    spar_status status = spar_eval_tokens(model, ids, count, length, options, out);
    spar__free(ids);
    return status;
}

spar_status spar_eval_data(const spar_model *model, const spar_data *data, spar_data_split split,
                           const spar_eval_options *options, spar_evaluation *out) {
    const spar_data_counts *counts = &spar_data_get_info(data)->split[split];
    int32_t *tokens = spar__array(counts->tokens, sizeof *tokens);
    if (!tokens) return SPAR_ERR_MEMORY;
    spar_status status = spar_data_tokens(data, split, 0, counts->tokens, tokens);
    if (!status) status = spar_eval_tokens(model, tokens, counts->tokens, counts->bytes, options, out);
    spar__free(tokens);
    return status;
}
