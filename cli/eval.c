/* spar eval: perplexity and bits per byte. */
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "spar/eval.h"

typedef struct job {
    const char *model, *file, *data, *tokens, *source;
    int64_t context, stride;
} job;

static spar_status evaluate(const job *j, const spar_model *model, const spar_eval_options *o,
                            spar_evaluation *out) {
    spar_status status;
    if (j->tokens) {
        int32_t *ids;
        size_t count;
        status = cli_ids(j->tokens, &ids, &count);
        if (status) return status;
        int32_t *source = NULL;
        size_t n_source = 0;
        if (j->source) status = cli_ids(j->source, &source, &n_source);
        if (!status)
            status = j->source ? spar_eval_target(model, source, n_source, ids, count, out)
                               : spar_eval_tokens(model, ids, count, 0, o, out);
        spar_free(source);
        spar_free(ids);
    } else if (j->file) {
        char *text;
        size_t length;
        status = cli_read(j->file, &text, &length);
        if (status) return status;
        status = spar_eval_text(model, text, length, o, out);
        spar_free(text);
    } else {
        spar_data *data;
        status = spar_data_open(j->data, 0, &data);
        if (status) return status;
        status = spar_eval_data(model, data, SPAR_DATA_VALID, o, out);
        spar_data_free(data);
    }
    return status;
}

static int print(const spar_evaluation *e) {
    if (cli.json) {
        json_t *o = json_pack("{s:I, s:f, s:f}", "tokens", (json_int_t)e->tokens, "nll", e->nll, "perplexity",
                              e->perplexity);
        json_object_set_new(o, "bits_per_byte",
                            isnan(e->bits_per_byte) ? json_null() : json_real(e->bits_per_byte));
        return cli_print_json(o);
    }
    printf("tokens         %llu\nnats per token %.4f\nperplexity     %.3f\n", (unsigned long long)e->tokens,
           e->nll, e->perplexity);
    if (!isnan(e->bits_per_byte)) printf("bits per byte  %.4f\n", e->bits_per_byte);
    return CLI_OK;
}

int cmd_eval(int argc, char **argv) {
    job j = {0};
    const cli_option options[] = {
        {"model", CLI_TEXT, &j.model, "M", "the model", true},
        {"file", CLI_TEXT, &j.file, "F", "a text (- is standard input)", false},
        {"data", CLI_TEXT, &j.data, "D", "packed data: its validation split", false},
        {"tokens", CLI_TEXT, &j.tokens, "IDS", "token ids, 1,2,3", false},
        {"source", CLI_TEXT, &j.source, "IDS", "encoder–decoders: what the encoder reads", false},
        {"context", CLI_INT, &j.context, "N", "tokens of a window (the model's context)", false},
        {"stride", CLI_INT, &j.stride, "N", "tokens between windows (half the context)", false},
        {0},
    };
    const cli_usage usage = {"eval", "nats per token over all tokens; long texts by a sliding window", options,
                             "spar eval --model run/model.gguf --file test.txt"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    if (!!j.file + !!j.data + !!j.tokens != 1)
        return cli_misuse("eval: expected one of --file, --data and --tokens");
    spar_model *model;
    spar_status status = spar_model_open(j.model, &model);
    if (status) return cli_report(status);
    spar_progress progress = cli_progress();
    spar_eval_options o = {j.context, j.stride, &progress};
    spar_evaluation result;
    status = evaluate(&j, model, &o, &result);
    cli_progress_end();
    spar_model_free(model);
    return status ? cli_report(status) : print(&result);
}
