/* spar doctor: what this machine has, how fast it is, and what follows. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "spar/bench.h"
#include "spar/model.h"

typedef struct findings {
    spar_machine machine;
    const char *isa;
    double in_order, pieces[3]; /* bytes per second */
    double f32, bf16, int8;      /* products: operations per second */
    spar_disk_speed disk;
    const char *model; /* NULL: none was named */
    spar_plan plan;
    double model_pieces; /* bytes per second, in pieces of the model's size; 0: it has none */
} findings;

static const size_t piece_sizes[3] = {4096, 8192, 16384};

static spar_status measure(const char *folder, findings *out) {
    spar_progress progress = cli_progress();
    enum { PARTS = 6 };
    size_t own = out->plan.piece_bytes > 1 << 24 ? 1 << 24 : (size_t)out->plan.piece_bytes / 64 * 64;
    spar_status status = SPAR_OK;
    for (int part = 0; part < PARTS && !status; part++) {
        progress.report(progress.context, "measuring", (uint64_t)part, PARTS,
                        part < PARTS - 2 ? "memory" : part < PARTS - 1 ? "products" : "disk");
        if (part == 0) status = spar_machine_bandwidth(0, &out->in_order);
        else if (part < PARTS - 2)
            status = spar_machine_bandwidth(piece_sizes[part - 1], &out->pieces[part - 1]);
        else if (part < PARTS - 1) status = spar_bench_products(&out->f32, &out->bf16, &out->int8);
        else status = spar_machine_disk(folder, &out->disk);
    }
    if (!status && own) status = spar_machine_bandwidth(own, &out->model_pieces);
    cli_progress_end();
    return status;
}

/* Sizes of a model, or of a configuration that would be stored in a type. */
static spar_status plan_model(const char *type, findings *f) {
    size_t n = strlen(f->model);
    if (n > 5 && strcmp(f->model + n - 5, ".json") == 0) {
        spar_config *config;
        spar_status status = spar_config_open(f->model, NULL, 0, &config);
        if (status) return status;
        status = spar_config_plan(config, type, &f->plan);
        spar_config_free(config);
        return status;
    }
    spar_model *model;
    char *text = NULL;
    spar_status status = spar_model_open(f->model, &model);
    if (status) return status;
    status = spar_model_describe(model, &text);
    spar_model_free(model);
    if (status) return status;
    json_t *about = json_loads(text, 0, NULL);
    f->plan.weight_bytes = (uint64_t)json_integer_value(json_object_get(about, "bytes"));
    f->plan.bytes_per_token = (uint64_t)json_integer_value(json_object_get(about, "bytes_per_token"));
    f->plan.piece_bytes = (uint64_t)json_integer_value(json_object_get(about, "piece_bytes"));
    f->plan.flops_per_token = json_number_value(json_object_get(about, "flops_per_token"));
    json_decref(about);
    spar_free(text);
    return SPAR_OK;
}

static double fastest(const findings *f) {
    double most = f->f32 > f->bf16 ? f->f32 : f->bf16;
    return f->int8 > most ? f->int8 : most;
}

static json_t *to_json(const findings *f, bool measured) {
    const spar_machine *m = &f->machine;
    json_t *o = json_pack("{s:s s:s s:s s:s s:i s:i s:I s:I s:I s:I s:I}", "version", spar_version(),
                          "cpu", m->cpu, "features", m->features, "isa", f->isa, "cores", m->cores,
                          "threads", spar_threads(), "cache_l1d", (json_int_t)m->cache_l1d,
                          "cache_l2", (json_int_t)m->cache_l2, "cache_l3", (json_int_t)m->cache_l3,
                          "memory", (json_int_t)m->memory, "memory_available",
                          (json_int_t)m->memory_available);
    json_t *libraries = json_object();
    for (const spar_library *l = spar_libraries(); l->name; l++)
        json_object_set_new(libraries, l->name, json_string(l->version));
    json_object_set_new(o, "libraries", libraries);
    if (!measured) return o;
    json_object_set_new(o, "gb_per_second", json_real(f->in_order / 1e9));
    json_object_set_new(o, "gb_per_second_pieces",
                        json_pack("{s:f s:f s:f}", "4096", f->pieces[0] / 1e9, "8192",
                                  f->pieces[1] / 1e9, "16384", f->pieces[2] / 1e9));
    json_object_set_new(o, "product_gflops", json_pack("{s:f s:f s:f}", "f32", f->f32 / 1e9, "bf16",
                                                       f->bf16 / 1e9, "int8", f->int8 / 1e9));
    if (f->model) {
        double bytes = (double)f->plan.bytes_per_token;
        json_t *model = json_pack("{s:s s:I s:I s:I s:f s:f}", "path", f->model, "bytes",
                                  (json_int_t)f->plan.weight_bytes, "bytes_per_token", (json_int_t)f->plan.bytes_per_token,
                                  "piece_bytes", (json_int_t)f->plan.piece_bytes, "most_tokens_per_second",
                                  f->in_order / bytes, "most_prompt_tokens_per_second", fastest(f) / f->plan.flops_per_token);
        if (f->model_pieces > 0)
            json_object_set_new(model, "most_tokens_per_second_pieces", json_real(f->model_pieces / bytes));
        json_object_set_new(o, "model", model);
    }
    json_object_set_new(o, "disk_gb_per_second",
                        json_pack("{s:f s:f s:f}", "write", f->disk.write / 1e9, "read",
                                  f->disk.read / 1e9, "read_16384", f->disk.read_pieces / 1e9));
    return o;
}

static void print_machine(const findings *f) {
    const spar_machine *m = &f->machine;
    printf("Processor  %s, %d core%s, %d thread%s\n", m->cpu, m->cores, m->cores == 1 ? "" : "s",
           spar_threads(), spar_threads() == 1 ? "" : "s");
    printf("Features   %s; kernels in use: %s\n", *m->features ? m->features : "none known", f->isa);
    printf("Caches     %zu KiB, %zu KiB, %zu MiB\n", m->cache_l1d >> 10, m->cache_l2 >> 10,
           m->cache_l3 >> 20);
    printf("Memory     %.1f GB, %.1f GB available\n", (double)m->memory / 1e9,
           (double)m->memory_available / 1e9);
    printf("Libraries  ");
    int column = 11;
    for (const spar_library *l = spar_libraries(); l->name; l++) {
        int width = (int)(strlen(l->name) + strlen(l->version)) + 3;
        if (column + width > 90) printf("\n%11s", ""), column = 11;
        column += width;
        printf("%s %s%s", l->name, l->version, l[1].name ? ", " : "\n");
    }
}

static void print_speeds(const findings *f) {
    printf("Reading    %.1f GB/s in order; pieces of 4, 8, 16 KiB: %.1f, %.1f, %.1f GB/s\n",
           f->in_order / 1e9, f->pieces[0] / 1e9, f->pieces[1] / 1e9, f->pieces[2] / 1e9);
    printf("Products   %.0f G/s in f32, %.0f in bf16, %.0f in int8 (weights in blocks)\n", f->f32 / 1e9,
           f->bf16 / 1e9, f->int8 / 1e9);
    printf("Disk       writes %.2f, reads %.2f GB/s; pieces of 16 KiB: %.2f GB/s\n",
           f->disk.write / 1e9, f->disk.read / 1e9, f->disk.read_pieces / 1e9);
    printf("\nWhat follows\n");
    printf("  A model that reads 1 GB of weights a token decodes at most %.0f tokens/s;\n"
           "  124M parameters in bf16 (0.25 GB) at most %.0f.\n",
           f->in_order / 1e9, f->in_order / 0.248e9);
    printf("  Weights that are chosen in rows of 8 KiB come at %.0f %% of the full speed.\n",
           100 * f->pieces[1] / f->in_order);
    printf("  Models up to about %.0f GB stay in memory; larger ones are read at the disk's speed.\n",
           (double)f->machine.memory_available * 0.9 / 1e9);
    if (strstr(f->machine.features, "avx512-bf16"))
        printf("  Training in bf16 is the fastest here: \"precision\": \"bf16\".\n");
    else if (*f->machine.features)
        printf("  The processor has no bf16 products: train in f32.\n");
}

static void print_model(const findings *f) {
    const spar_plan *p = &f->plan;
    double bytes = (double)p->bytes_per_token;
    printf("\n%s: %.2f GB, %.1f MB read for a token\n", f->model, (double)p->weight_bytes / 1e9, bytes / 1e6);
    printf("  Decodes at most %.1f tokens/s: %.1f GB/s ÷ %.1f MB.\n", f->in_order / bytes, f->in_order / 1e9,
           bytes / 1e6);
    if (f->model_pieces > 0)
        printf("  A token chooses pieces of %.1f KiB, which come at %.1f GB/s: at most %.1f tokens/s if all were so.\n",
               (double)p->piece_bytes / 1024, f->model_pieces / 1e9, f->model_pieces / bytes);
    printf("  Prompts: at most %.0f tokens/s, by the fastest products.\n", fastest(f) / p->flops_per_token);
    if ((double)p->weight_bytes > 0.9 * (double)f->machine.memory_available)
        printf("  It does not fit into the memory available: weights come from the disk at %.2f GB/s,\n"
               "  so at most %.2f tokens/s for what is read anew.\n",
               f->disk.read / 1e9, f->disk.read / bytes);
}

int cmd_doctor(int argc, char **argv) {
    bool quick = false;
    const char *folder = ".", *type = NULL;
    findings found = {0};
    const cli_option options[] = {
        {"folder", CLI_TEXT, &folder, "DIR", "whose disk is measured (the current folder)"},
        {"model", CLI_TEXT, &found.model, "M", "a model or configuration: what speed it can at best have here"},
        {"type", CLI_TEXT, &type, "T", "of a configuration's weights"},
        {"quick", CLI_FLAG, &quick, NULL, "measure nothing"},
        {0},
    };
    const cli_usage usage = {"doctor", "what this machine has, how fast it is, and what follows",
                             options, "spar doctor --folder /var/tmp"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    spar_machine_get(&found.machine);
    spar_status status = spar_machine_isa(&found.isa);
    if (!status && found.model) status = plan_model(type, &found);
    if (!status && !quick) status = measure(folder, &found);
    if (status) return cli_report(status);
    if (cli.json) return cli_print_json(to_json(&found, !quick));
    print_machine(&found);
    if (!quick) print_speeds(&found);
    if (!quick && found.model) print_model(&found);
    return CLI_OK;
}
