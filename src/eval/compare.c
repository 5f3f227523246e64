/* A model beside another: for each token of a text the Kullback–Leibler divergence of the second's
 * prediction from the first's, Σ p·log(p/q), and whether both would pick the same token. */
#include <math.h>

#include "base/log.h"
#include "model/model.h"
#include "spar/eval.h"

enum { WINDOW = 512, ROWS = 32 };

typedef struct side {
    const spar_model *model;
    spar__arena *arena;
    spar__tensor *hidden, *logits;
    spar__pass pass;
} side;

static void shift_of(const real *x, int64_t n, double *lse, int64_t *top) {
    int64_t best = 0;
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    for (int64_t i = 0; i < n; i++) sum += exp((double)(x[i] - x[best]));
    *lse = (double)x[best] + log(sum);
    *top = best;
}

static void compare_rows(const side *s, int64_t rows, const int32_t *targets, spar_comparison *sum) {
    double nll[2][ROWS], divergence[ROWS];
    bool same[ROWS];
    int64_t v = s[0].logits->cols;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const real *x[2];
        double lse[2];
        int64_t top[2];
        for (int k = 0; k < 2; k++) {
            x[k] = spar__data(s[k].logits) + r * v;
            shift_of(x[k], v, &lse[k], &top[k]);
            nll[k][r] = lse[k] - (double)x[k][targets[r]];
        }
        divergence[r] = 0;
        for (int64_t i = 0; i < v; i++) {
            double p = (double)x[0][i] - lse[0], q = (double)x[1][i] - lse[1];
            divergence[r] += exp(p) * (p - q);
        }
        same[r] = top[0] == top[1];
    }
    for (int64_t r = 0; r < rows; r++) {
        sum->tokens++;
        sum->nll[0] += nll[0][r];
        sum->nll[1] += nll[1][r];
        sum->divergence += divergence[r];
        sum->agreement += same[r];
    }
}

static spar_status run_window(side *s, const int32_t *tokens, int64_t count, const int32_t *positions,
                              spar_comparison *sum) {
    spar__sequence sequence = {.count = count};
    spar__rows rows = {count, 1, &sequence, positions, NULL};
    for (int k = 0; k < 2; k++) {
        spar__arena_rewind(s[k].arena, (spar__arena_mark){0});
        s[k].pass = (spar__pass){.arena = s[k].arena, .rows = &rows};
        s[k].hidden = spar__model_hidden(&s[k].pass, s[k].model, tokens);
        SPAR_TRY(s[k].pass.status);
    }
    for (int64_t r = 0; r < count; r += ROWS) {
        int64_t n = count - r < ROWS ? count - r : ROWS;
        for (int k = 0; k < 2; k++) {
            spar__arena_mark mark = spar__arena_here(s[k].arena);
            spar__tensor part = {.data = spar__data(s[k].hidden) + r * s[k].hidden->cols,
                                 .rows = n,
                                 .cols = s[k].hidden->cols};
            s[k].logits = spar__model_logits_of(&s[k].pass, s[k].model, &part);
            spar__arena_rewind(s[k].arena, mark);
            SPAR_TRY(s[k].pass.status);
        }
        compare_rows(s, n, tokens + r + 1, sum);
    }
    return SPAR_OK;
}

spar_status spar_eval_compare(const spar_model *first, const spar_model *second, const int32_t *tokens,
                              size_t count, const spar_progress *progress, spar_comparison *out) {
    if (spar_model_vocab_size(first) != spar_model_vocab_size(second))
        return spar__fail(SPAR_ERR_ARGUMENT, "vocabularies of %d and %d tokens cannot be compared",
                          spar_model_vocab_size(first), spar_model_vocab_size(second));
    if (count < 2) return spar__fail(SPAR_ERR_ARGUMENT, "%zu tokens: expected at least 2", count);
    int64_t step = WINDOW;
    int32_t positions[WINDOW];
    side s[2] = {{.model = first}, {.model = second}};
    for (int i = 0; i < WINDOW; i++) positions[i] = i;
    spar_status status = SPAR_OK;
    for (int k = 0; k < 2; k++) {
        int64_t limit = spar_model_context(s[k].model);
        if (limit && limit < step) step = limit;
        if (!(s[k].arena = spar__arena_create(0))) status = SPAR_ERR_MEMORY;
    }
    spar_comparison sum = {0};
    for (size_t at = 0; !status && at + 1 < count; at += (size_t)step) {
        int64_t n = (int64_t)(count - at - 1) < step ? (int64_t)(count - at - 1) : step;
        status = run_window(s, tokens + at, n, positions, &sum);
        if (!status) status = spar__progress(progress, "compare", at + (size_t)n, count - 1, "");
    }
    for (int k = 0; k < 2; k++) spar__arena_free(s[k].arena);
    SPAR_TRY(status);
    double n = (double)sum.tokens;
    sum.nll[0] /= n, sum.nll[1] /= n, sum.divergence /= n, sum.agreement /= n;
    *out = sum;
    return SPAR_OK;
}
