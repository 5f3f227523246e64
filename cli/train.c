/* spar train: a configuration and data to a model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "spar/session.h"
#include "spar/train.h"

typedef struct job {
    const char *config, *data, *output, *order;
    cli_list settings;
    spar_train_options options;
} job;

static int print_result(const job *j, const spar_train_result *r) {
    if (cli.json)
        return cli_print_json(
            json_pack("{s:I, s:o, s:o, s:f}", "step", (json_int_t)r->step, "loss",
                      isfinite(r->loss) ? json_real(r->loss) : json_null(), "valid_loss",
                      isfinite(r->valid_loss) ? json_real(r->valid_loss) : json_null(),
                      "tokens_per_second", r->tokens_per_second));
    printf("%s/model.gguf: step %llu, loss %.4f", j->output, (unsigned long long)r->step, r->loss);
    if (isfinite(r->valid_loss)) printf(", validation loss %.4f", r->valid_loss);
    printf(", %.0f tokens/s\n", r->tokens_per_second);
    return CLI_OK;
}

/* What the model writes by now, on standard error. */
static spar_status show_sample(void *context, const spar_model *model, uint64_t step,
                               const char *prompt) {
    (void)context;
    const spar_tokenizer *tokenizer = spar_model_tokenizer(model);
    if (!tokenizer || cli.quiet) return SPAR_OK;
    int32_t *ids = NULL, start = spar_tokenizer_eos(tokenizer);
    size_t count = 0;
    spar_session *session = NULL;
    spar_session_options options = SPAR_SESSION_OPTIONS_INIT;
    spar_generate_options generate = SPAR_GENERATE_OPTIONS_INIT;
    spar_generation out;
    generate.max_tokens = 64;
    generate.sampler.temperature = 0.8;
    spar_status status = spar_tokenizer_encode(tokenizer, prompt, strlen(prompt), 0, &ids, &count);
    if (!status) status = spar_session_create(model, &options, &session);
    if (!status)
        status = spar_generate(session, count ? ids : &start, count ? count : 1, &generate, &out);
    if (!status) {
        cli_progress_end();
        fprintf(stderr, "step %llu: %s%s\n", (unsigned long long)step, prompt, out.text);
        spar_generation_free(&out);
    }
    spar_session_free(session);
    spar_free(ids);
    return status;
}

static spar_status train(job *j, spar_config *config, spar_train_result *result) {
    spar_data *data = NULL;
    spar_status status = j->data ? spar_data_open(j->data, 0, &data) : SPAR_OK;
    if (status) return status;
    spar_progress progress = cli_progress();
    j->options.data = data;
    j->options.output = j->output;
    j->options.progress = &progress;
    j->options.sample = show_sample;
    cli_catch_interrupt();
    status = spar_train(config, &j->options, result);
    cli_progress_end();
    spar_data_free(data);
    return status;
}

static int run(job *j) {
    spar_config *config;
    spar_train_result result;
    spar_status status =
        spar_config_open(j->config, j->settings.items, (size_t)j->settings.count, &config);
    if (status) return cli_report(status);
    if (cli.seed >= 0) {
        char setting[64];
        snprintf(setting, sizeof setting, "train.seed=%lld", (long long)cli.seed);
        status = spar_config_set(config, setting);
    }
    if (!status) status = train(j, config, &result);
    spar_config_free(config);
    return status ? cli_report(status) : print_result(j, &result);
}

int cmd_train(int argc, char **argv) {
    job j = {.options = SPAR_TRAIN_OPTIONS_INIT};
    const cli_option options[] = {
        {"CONFIG", CLI_POSITIONAL, &j.config, NULL,
         "configuration (JSON); may be left out with --init or --resume", false},
        {"output", CLI_TEXT, &j.output, "RUN", "folder of the run: model.gguf, metrics.db …", true},
        {"data", CLI_TEXT, &j.data, "D", "packed data (spar data pack)", false},
        {"tokens-file", CLI_TEXT, &j.options.tokens_file, "X.npy",
         "instead of --data: int32 rows of length + 1 tokens", false},
        {"order", CLI_TEXT, &j.order, "ORDER", "of rows: shuffled (the default) or sequential",
         false},
        {"set", CLI_LIST, &j.settings, "KEY=VALUE", "changes a value of the configuration", false},
        {"init", CLI_TEXT, &j.options.init, "M", "starts from the weights of a model", false},
        {"resume", CLI_FLAG, &j.options.resume, NULL, "goes on from the last checkpoint in RUN",
         false},
        {"log", CLI_TEXT, &j.options.log, "F.jsonl", "one JSON object a step", false},
        {0},
    };
    const cli_usage usage = {"train", "trains a model", options,
                             "spar train configs/demo.json --data data --output run"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!j.data == !j.options.tokens_file)
        return cli_misuse("train: expected one of --data and --tokens-file");
    if (!j.config && !j.options.init && !j.options.resume)
        return cli_misuse("train: expected a configuration, --init or --resume");
    if (j.order && strcmp(j.order, "sequential") && strcmp(j.order, "shuffled"))
        return cli_misuse("train: --order: found '%s', expected shuffled or sequential", j.order);
    if (j.order && strcmp(j.order, "sequential") == 0) j.options.order = SPAR_ORDER_SEQUENTIAL;
    return run(&j);
}
