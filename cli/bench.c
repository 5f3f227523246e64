/* spar bench: speed on this machine, beside the machine's limits. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"
#include "spar/bench.h"

typedef struct job {
    const char *what, *path, *type;
    cli_list settings;
    spar_bench_options options;
    bool of_config;
} job;

typedef struct limits {
    double memory, pieces; /* bytes per second: read in order, and as the model's pieces are (or 0) */
    double f32, bf16, int8; /* operations per second */
    int64_t peak; /* the most memory that the process held before the limits were measured, bytes */
} limits;

typedef spar_status (*bench_model)(const spar_model *model, const spar_bench_options *options,
                                   spar_bench_result *out);

static const struct {
    const char *name;
    bench_model run; /* NULL: train */
    int64_t prompt;
} benches[] = {
    {"decode", spar_bench_decode, 16},
    {"batch", spar_bench_batch, 16},
    {"prefill", spar_bench_prefill, 128},
    {"train", NULL, 1},
    {"attention", spar_bench_attention, 2048},
    {"gemm", spar_bench_gemm, 512},
};
enum { N_BENCHES = sizeof benches / sizeof *benches };

static spar_status check_memory(const job *j, const spar_config *config, bool train) {
    spar_plan plan;
    spar_machine machine;
    spar_status status = spar_config_plan(config, j->type, &plan);
    if (status) return status;
    spar_machine_get(&machine);
    uint64_t needed = train ? plan.train_bytes : plan.weight_bytes;
    if (!machine.memory_available || needed <= machine.memory_available) return SPAR_OK;
    cli_fail("%s: takes %.1f GB of memory, %.1f GB are there", j->path, (double)needed / 1e9,
             (double)machine.memory_available / 1e9);
    return SPAR_ERR_LIMIT;
}

static spar_status measure_config(const job *j, int which, spar_bench_result *out, bool *said) {
    spar_config *config;
    spar_model *model = NULL;
    spar_status status =
        spar_config_open(j->path, j->settings.items, (size_t)j->settings.count, &config);
    if (status) return status;
    status = check_memory(j, config, !benches[which].run);
    *said = status == SPAR_ERR_LIMIT;
    if (!status && !benches[which].run) {
        status = spar_bench_train(config, &j->options, out);
    } else if (!status) {
        status = spar_bench_model(config, j->type, &model);
        if (!status) status = benches[which].run(model, &j->options, out);
    }
    spar_model_free(model);
    spar_config_free(config);
    return status;
}

static spar_status measure(const job *j, int which, spar_bench_result *out, bool *said) {
    if (j->of_config) return measure_config(j, which, out, said);
    spar_model *model;
    spar_status status = spar_model_open(j->path, &model);
    if (status) return status;
    status = benches[which].run(model, &j->options, out);
    spar_model_free(model);
    return status;
}

static int64_t peak_memory(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (int64_t)usage.ru_maxrss * 1024;
}

static json_t *to_json(const job *j, const spar_bench_result *r, const limits *l) {
    spar_machine machine;
    const char *isa = "";
    spar_machine_get(&machine);
    spar_machine_isa(&isa);
    json_t *parts = json_array();
    for (size_t i = 0; i < r->n_parts; i++) {
        const spar_bench_part *p = &r->parts[i];
        json_t *part = json_pack("{s:s, s:I, s:f, s:f}", "name", p->name, "count", (json_int_t)p->count, "seconds",
                                 p->seconds, "gflops_per_second", p->flops / p->seconds / 1e9);
        if (p->bytes_per_token > 0)
            json_object_update_new(part, json_pack("{s:f, s:f}", "tokens_per_second", (double)p->count / p->seconds,
                                                   "bytes_per_token", p->bytes_per_token));
        json_array_append_new(parts, part);
    }
    double bytes = r->bytes_per_token * r->tokens_per_second;
    json_t *most = json_pack("{s:f}", "tokens_per_second", l->memory / r->bytes_per_token);
    if (l->pieces > 0) {
        json_object_set_new(most, "piece_bytes", json_real(r->piece_bytes));
        json_object_set_new(most, "gb_per_second_pieces", json_real(l->pieces / 1e9));
        json_object_set_new(most, "tokens_per_second_pieces", json_real(l->pieces / r->bytes_per_token));
    }
    return json_pack(
        "{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:I, s:s, s:s, s:i, s:s, s:o}", "bench",
        j->what, "tokens_per_second", r->tokens_per_second, "slowest", r->slowest, "fastest",
        r->fastest, "bytes_per_token", r->bytes_per_token, "gb_per_second", bytes / 1e9,
        "gflops_per_second", r->flops_per_token * r->tokens_per_second / 1e9,
        "memory_gb_per_second", l->memory / 1e9, "memory_share", bytes / l->memory,
        "product_gflops_f32", l->f32 / 1e9, "product_gflops_bf16", l->bf16 / 1e9,
        "product_gops_int8", l->int8 / 1e9, "limits", most, "peak_bytes", (json_int_t)l->peak, "cpu",
        machine.cpu, "isa", isa, "threads", spar_threads(), "version", spar_version(), "parts",
        parts);
}

static void print_batches(const spar_bench_result *r) {
    printf("\n%-16s %10s %9s %16s\n", "", "tokens/s", "of one", "bytes per token");
    for (size_t i = 0; i < r->n_parts; i++) {
        const spar_bench_part *p = &r->parts[i];
        double rate = (double)p->count / p->seconds, first = (double)r->parts[0].count / r->parts[0].seconds;
        printf("%-16s %10.1f %8.2fx %16.4g\n", p->name, rate, rate / first, p->bytes_per_token);
    }
}

static void print(const spar_bench_result *r, const limits *l) {
    double bytes = r->bytes_per_token * r->tokens_per_second;
    double flops = r->flops_per_token * r->tokens_per_second;
    printf("tokens/s         %.1f (runs from %.1f to %.1f)\n", r->tokens_per_second, r->slowest,
           r->fastest);
    printf("bytes per token  %.4g, so %.2f GB/s: %.0f %% of the %.1f GB/s that memory gives\n",
           r->bytes_per_token, bytes / 1e9, 100 * bytes / l->memory, l->memory / 1e9);
    printf("limit            %.1f tokens/s", l->memory / r->bytes_per_token);
    if (l->pieces > 0)
        printf("; %.1f read in random pieces of %.1f KiB (%.1f GB/s)", l->pieces / r->bytes_per_token,
               r->piece_bytes / 1024, l->pieces / 1e9);
    printf("\narithmetic       %.1f GFLOP/s; products reach %.0f in f32, %.0f in bf16, %.0f in int8\n",
           flops / 1e9, l->f32 / 1e9, l->bf16 / 1e9, l->int8 / 1e9);
    if (r->n_parts && r->parts[0].bytes_per_token > 0) {
        print_batches(r);
        return;
    }
    if (r->n_parts) printf("\n%-40s %6s %12s %10s\n", "", "layers", "seconds", "GFLOP/s");
    for (size_t i = 0; i < r->n_parts; i++)
        printf("%-40s %6lld %12.6f %10.1f\n", r->parts[i].name, (long long)r->parts[i].count,
               r->parts[i].seconds, r->parts[i].flops / r->parts[i].seconds / 1e9);
}

static int run(const job *j, int which) {
    spar_bench_result result;
    limits l = {0};
    bool said = false;
    spar_status status = measure(j, which, &result, &said);
    cli_progress_end();
    if (said) return CLI_FAILED;
    if (status) return cli_report(status);
    l.peak = peak_memory();
    status = spar_machine_bandwidth(0, &l.memory);
    size_t piece = (size_t)result.piece_bytes / 64 * 64;
    if (!status && piece) status = spar_machine_bandwidth(piece, &l.pieces);
    if (!status) status = spar_bench_products(&l.f32, &l.bf16, &l.int8);
    int code = CLI_OK;
    if (status)
        code = cli_report(status);
    else if (cli.json)
        code = cli_print_json(to_json(j, &result, &l));
    else
        print(&result, &l);
    spar_free(result.parts);
    return code;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int cmd_bench(int argc, char **argv) {
    job j = {.options = SPAR_BENCH_OPTIONS_INIT};
    int64_t repeats = j.options.repeats, context = 0, sequences = 0;
    j.options.prompt = 0;
    const cli_option options[] = {
        {"WHAT", CLI_POSITIONAL, &j.what, NULL, "decode, batch, prefill, train, attention or gemm", true},
        {"M", CLI_POSITIONAL, &j.path, NULL, "a model, or a configuration (.json)", true},
        {"type", CLI_TEXT, &j.type, "T", "of a configuration's weights: f32, bf16, f16, q8_0",
         false},
        {"prompt", CLI_INT, &j.options.prompt, "N",
         "tokens of the prompt or sequence, rows of products", false},
        {"context", CLI_INT, &context, "N", "decode, batch: tokens before those that are timed (16)", false},
        {"sequences", CLI_INT, &sequences, "N", "batch: so many (1, 2, 4, 8 and 16)", false},
        {"cache-type", CLI_TEXT, &j.options.cache_type, "T", "decode, batch, prefill: f32, bf16, f16 or q8_0 (f32)", false},
        {"tokens", CLI_INT, &j.options.tokens, "N", "tokens decoded in a run (32)", false},
        {"repeats", CLI_INT, &repeats, "N", "runs, of which the median counts (5)", false},
        {"set", CLI_LIST, &j.settings, "PATH=VALUE", "change the configuration", false},
        {0},
    };
    const cli_usage usage = {"bench", "speed on this machine, beside the machine's limits", options,
                             "spar bench decode configs/gpt2.json --type bf16"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    int which = 0;
    while (which < N_BENCHES && strcmp(benches[which].name, j.what) != 0) which++;
    if (which == N_BENCHES)
        return cli_misuse("bench: found '%s', expected decode, batch, prefill, train, attention or gemm",
                          j.what);
    j.of_config = ends_with(j.path, ".json");
    if (!j.of_config && (j.type || j.settings.count))
        return cli_misuse("bench: --type and --set are for configurations (.json)");
    if (!j.of_config && !benches[which].run)
        return cli_misuse("bench train: expected a configuration (.json), found %s", j.path);
    if (!benches[which].run && j.type)
        return cli_misuse("bench train: --type: set train.precision instead");
    bool decodes = benches[which].run == spar_bench_decode || benches[which].run == spar_bench_batch;
    if (context && (!decodes || j.options.prompt))
        return cli_misuse("bench %s: --context is for decode and batch, instead of --prompt", j.what);
    if (sequences && benches[which].run != spar_bench_batch)
        return cli_misuse("bench %s: --sequences is for batch", j.what);
    if (sequences < 0 || sequences > 65536)
        return cli_misuse("bench: --sequences: found %lld, expected 1 to 65536", (long long)sequences);
    j.options.sequences = (int)sequences;
    if (context) j.options.prompt = context;
    if (!j.options.prompt) j.options.prompt = benches[which].prompt;
    j.options.repeats = repeats < 1 || repeats > 1000000 ? 0 : (int)repeats;
    spar_progress progress = cli_progress();
    j.options.progress = &progress;
    cli_catch_interrupt();
    return run(&j, which);
}
