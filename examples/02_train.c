/* Trains a small model on packed data:   02_train DATA RUN
 * DATA is a folder made by `spar data pack`; RUN is where model.gguf will be. */
#include <stdio.h>
#include <string.h>

#include "spar/spar.h"

static const char config_text[] =
    "{\"model\": {\"architecture\": \"decoder\", \"context\": 64, \"d_model\": 64, \"n_layers\": 2,"
    "             \"position\": \"rotary\", \"head\": \"tied\","
    "             \"attention\": {\"n_heads\": 4,"
    "                             \"pattern\": [\"causal\", {\"kind\": \"band\", \"width\": 16}]},"
    "             \"feedforward\": {\"kind\": \"dense\", \"d_ff\": 256}},"
    " \"train\": {\"steps\": 20, \"batch\": 4, \"optimizer\": {\"kind\": \"adamw\", \"lr\": 2e-3},"
    "             \"schedule\": {\"kind\": \"cosine\", \"warmup\": 5}}}";

static int report(void *context, const char *what, uint64_t done, uint64_t total,
                  const char *text) {
    (void)context;
    fprintf(stderr, "%s %llu of %llu  %s\n", what, (unsigned long long)done,
            (unsigned long long)total, text);
    return 0; /* another value would save a checkpoint and stop */
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: 02_train DATA RUN\n");
        return 2;
    }
    spar_config *config = NULL;
    spar_data *data = NULL;
    spar_progress progress = {report, NULL};
    spar_train_options options = SPAR_TRAIN_OPTIONS_INIT;
    spar_train_result result;
    spar_status status = spar_config_parse(config_text, strlen(config_text), &config);
    if (!status) status = spar_data_open(argv[1], 0, &data);
    options.output = argv[2];
    options.data = data;
    options.progress = &progress;
    if (!status) status = spar_train(config, &options, &result);
    if (status) fprintf(stderr, "%s\n", spar_error());
    else
        printf("step %llu, loss %.4f, validation loss %.4f, %.0f tokens a second\n",
               (unsigned long long)result.step, result.loss, result.valid_loss,
               result.tokens_per_second);
    spar_data_free(data);
    spar_config_free(config);
    return status ? 1 : 0;
}
