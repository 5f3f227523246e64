/* spar quantize: a model with its weights in fewer bits. */
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "spar/eval.h"
#include "spar/quantize.h"

typedef struct report {
    json_t *tensors;
    bool first;
} report;

static void on_tensor(void *context, const spar_quantized_tensor *t) {
    report *r = context;
    if (cli.json) {
        json_array_append_new(r->tensors, json_pack("{s:s, s:s, s:s, s:I, s:f}", "name", t->name, "from", t->from,
                                                    "to", t->to, "bytes", (json_int_t)t->bytes, "error", t->error));
        return;
    }
    cli_progress_end();
    if (r->first) printf("%-40s %-6s %-6s %14s %10s\n", "tensor", "from", "to", "bytes", "error");
    r->first = false;
    printf("%-40s %-6s %-6s %14llu %10.5f\n", t->name, t->from, t->to, (unsigned long long)t->bytes, t->error);
}

static spar_status compare(const spar_model *model, const char *path, const char *file,
                           const spar_progress *progress, spar_comparison *out) {
    spar_model *made = NULL;
    char *text = NULL;
    int32_t *ids = NULL;
    size_t length, count;
    spar_status status = spar_model_open(path, &made);
    if (!status) status = cli_read(file, &text, &length);
    if (!status) status = spar_eval_text_ids(model, text, length, &ids, &count);
    if (!status) status = spar_eval_compare(model, made, ids, count, progress, out);
    spar_free(text);
    spar_free(ids);
    spar_model_free(made);
    return status;
}

static int print(const report *r, const spar_quantized *q, const spar_comparison *c) {
    double bits = q->parameters ? 8 * (double)q->bytes / (double)q->parameters : 0;
    if (cli.json) {
        json_t *o = json_pack("{s:I, s:I, s:f, s:f, s:O}", "parameters", (json_int_t)q->parameters, "bytes",
                              (json_int_t)q->bytes, "bits_per_weight", bits, "error", q->error, "tensors",
                              r->tensors);
        if (c)
            json_object_set_new(o, "eval", json_pack("{s:I, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)c->tokens,
                                                     "perplexity_original", exp(c->nll[0]), "perplexity",
                                                     exp(c->nll[1]), "kl_divergence", c->divergence,
                                                     "same_choice", c->agreement));
        return cli_print_json(o);
    }
    printf("%llu bytes, %.2f bits per weight, relative error %.5f\n", (unsigned long long)q->bytes, bits, q->error);
    if (c)
        printf("perplexity %.4f, before %.4f; divergence %.6f nats; the same choice for %.2f %% of %llu tokens\n",
               exp(c->nll[1]), exp(c->nll[0]), c->divergence, 100 * c->agreement, (unsigned long long)c->tokens);
    return CLI_OK;
}

int cmd_quantize(int argc, char **argv) {
    const char *from = NULL, *to = NULL, *importance = NULL, *file = NULL, *type = NULL;
    cli_list rules = {0};
    const cli_option options[] = {
        {"M", CLI_POSITIONAL, &from, NULL, "the model", true},
        {"X", CLI_POSITIONAL, &to, NULL, "the file to write (.gguf)", true},
        {"type", CLI_TEXT, &type, "T", "of weights: q8_0, q6_k, q5_k, q4_k, q4_0, iq4_xs, q3_k, q2_k …", true},
        {"rule", CLI_LIST, &rules, "NAME=T", "another type for tensors like NAME; head=q6_k", false},
        {"imatrix", CLI_TEXT, &importance, "F", "importance of columns, from spar calibrate", false},
        {"eval", CLI_TEXT, &file, "F", "compare with the original on a text", false},
        {0},
    };
    const cli_usage usage = {"quantize", "weights in fewer bits, tensor by tensor", options,
                             "spar quantize run/model.gguf small.gguf --type q4_k --rule head=q6_k"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_model *model;
    spar_progress progress = cli_progress();
    spar_quantized made;
    spar_comparison compared;
    report r = {.tensors = json_array(), .first = true};
    spar_quantize_options o = {.type = type, .rules = rules.items, .n_rules = (size_t)rules.count,
                               .importance = importance, .progress = &progress, .on_tensor = on_tensor,
                               .context = &r};
    spar_status status = spar_model_open(from, &model);
    if (!status) {
        status = spar_quantize(model, to, &o, &made);
        if (!status && file) status = compare(model, to, file, &progress, &compared);
        spar_model_free(model);
    }
    cli_progress_end();
    code = status ? cli_report(status) : print(&r, &made, file ? &compared : NULL);
    json_decref(r.tensors);
    return code;
}
