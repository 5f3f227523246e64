/* spar doctor: what this machine has, how fast it is, and what follows. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

typedef struct findings {
    spar_machine machine;
    const char *isa;
    double in_order, pieces[3]; /* bytes per second */
    spar_disk_speed disk;
} findings;

static const size_t piece_sizes[3] = {4096, 8192, 16384};

static spar_status measure(const char *folder, findings *out) {
    spar_progress progress = cli_progress();
    enum { PARTS = 5 };
    spar_status status = SPAR_OK;
    for (int part = 0; part < PARTS && !status; part++) {
        progress.report(progress.context, "measuring", (uint64_t)part, PARTS,
                        part < PARTS - 1 ? "memory" : "disk");
        if (part == 0) status = spar_machine_bandwidth(0, &out->in_order);
        else if (part < PARTS - 1)
            status = spar_machine_bandwidth(piece_sizes[part - 1], &out->pieces[part - 1]);
        else status = spar_machine_disk(folder, &out->disk);
    }
    cli_progress_end();
    return status;
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

int cmd_doctor(int argc, char **argv) {
    bool quick = false;
    const char *folder = ".";
    const cli_option options[] = {
        {"folder", CLI_TEXT, &folder, "DIR", "whose disk is measured (the current folder)"},
        {"quick", CLI_FLAG, &quick, NULL, "measure nothing"},
        {0},
    };
    const cli_usage usage = {"doctor", "what this machine has, how fast it is, and what follows",
                             options, "spar doctor --folder /var/tmp"};
    int code = cli_parse(&usage, argc, argv);
    if (code >= 0) return code;
    findings found = {0};
    spar_machine_get(&found.machine);
    spar_status status = spar_machine_isa(&found.isa);
    if (!status && !quick) status = measure(folder, &found);
    if (status) return cli_report(status);
    if (cli.json) return cli_print_json(to_json(&found, !quick));
    print_machine(&found);
    if (!quick) print_speeds(&found);
    return CLI_OK;
}
