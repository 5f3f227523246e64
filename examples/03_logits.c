/* What a model expects next:   03_logits MODEL.gguf 1,2,3
 * One forward pass over the tokens, and the five likeliest tokens after the last of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "spar/spar.h"

static void print_likeliest(float *logits, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += exp((double)logits[i]);
    for (int place = 1; place <= 5 && place <= n; place++) {
        int32_t best = 0;
        for (int32_t i = 1; i < n; i++)
            if (logits[i] > logits[best]) best = i;
        printf("%d. token %d, probability %.4f\n", place, best, exp((double)logits[best]) / sum);
        logits[best] = -INFINITY;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: 03_logits MODEL.gguf IDS\n");
        return 2;
    }
    spar_model *model = NULL;
    int32_t *tokens = NULL;
    float *logits = NULL;
    size_t count = 0;
    spar_status status = spar_model_open(argv[1], &model);
    if (!status) status = spar_ids_parse(argv[2], &tokens, &count);
    if (!status && count > 0) {
        /* [count, vocab_size] */
        int32_t n = spar_model_vocab_size(model);
        logits = calloc(count * (size_t)n, sizeof *logits);
        if (logits) status = spar_model_logits(model, tokens, count, logits);
        if (logits && !status) print_likeliest(logits + (count - 1) * (size_t)n, n);
    }
    if (status) fprintf(stderr, "%s\n", spar_error());
    free(logits);
    spar_free(tokens);
    spar_model_free(model);
    return status ? 1 : 0;
}
