/* A training step of the gated sparse model beside the dense one of equal parameters, step by step in turn:
 *     build/release/bench/sparse_train [D D_FF BLOCK LAYERS HEADS BATCH LENGTH VOCABULARY STEPS]
 * (512 2048 16 8 8 4 512 4096 5). */
#include "side.h"

#include "base/cpu.h"
#include "bench/bench.h"
#include "train/trainer.h"

typedef struct side {
    spar_model *model;
    spar_batches *batches;
    spar_config *config;
    int32_t *rows;
    spar__trainer trainer;
    double seconds[SIDE_RUNS], cpu[SIDE_RUNS];
    double loss;
    uint64_t parameters;
} side;

typedef struct shape {
    long d, d_ff, block, layers, heads, batch, length, vocabulary, steps;
} shape;

static spar_status create(side *s, const shape *p, bool sparse) {
    /* The controller's weights, rank 32, are neurons of the dense model. */
    long controller = 32 * (p->d + p->d_ff) + p->d_ff, more = controller / (2 * p->d + 1);
    char text[1024], feedforward[200];
    if (sparse)
        snprintf(feedforward, sizeof feedforward, "\"kind\": \"sparse\", \"d_ff\": %ld, \"block\": %ld, \"rank\": 32",
                 p->d_ff, p->block);
    else
        snprintf(feedforward, sizeof feedforward, "\"kind\": \"dense\", \"d_ff\": %ld, \"activation\": \"relu\"",
                 p->d_ff + more);
    int n = snprintf(text, sizeof text,
                     "{\"model\": {\"vocab_size\": %ld, \"context\": %ld, \"d_model\": %ld, \"n_layers\": %ld, "
                     "\"position\": \"rotary\", \"attention\": {\"n_heads\": %ld}, \"feedforward\": {%s}}, "
                     "\"train\": {\"batch\": %ld, \"length\": %ld, \"steps\": 1000}}",
                     p->vocabulary, p->length, p->d, p->layers, p->heads, feedforward, p->batch, p->length);
    SPAR_TRY(spar_config_parse(text, (size_t)n, &s->config));
    SPAR_TRY(spar_model_create(s->config, 1, &s->model));
    spar_plan plan;
    SPAR_TRY(spar_config_plan(s->config, NULL, &plan));
    s->parameters = plan.parameters;
    size_t count = (size_t)(p->batch * (p->length + 1));
    if (!(s->rows = spar__array(count, sizeof *s->rows))) return SPAR_ERR_MEMORY;
    spar__bench_tokens(s->rows, count, (int32_t)p->vocabulary);
    spar_batches_options o = SPAR_BATCHES_OPTIONS;
    o.length = (size_t)p->length;
    o.batch = (size_t)p->batch;
    o.order = SPAR_ORDER_SEQUENTIAL;
    SPAR_TRY(spar_batches_from_rows(s->rows, (size_t)p->batch, &o, &s->batches));
    const json_t *section = json_object_get(s->config->root, "train");
    spar__train_settings set;
    SPAR_TRY(spar__train_settings_read(section, &set));
    return spar__trainer_create(&s->trainer, &set, section, s->model, s->batches, NULL);
}

static spar_status step(side *s, int i) {
    spar__step_record record;
    double begin = spar__seconds(), cpu = side_cpu_seconds();
    SPAR_TRY(spar__trainer_step(&s->trainer, 1000, &record));
    if (i >= 0) {
        s->seconds[i] = spar__seconds() - begin;
        s->cpu[i] = side_cpu_seconds() - cpu;
    }
    s->loss = record.loss;
    return SPAR_OK;
}

static json_t *describe(side *s, long steps) {
    return json_pack("{s:f, s:f, s:I, s:f}", "seconds_per_step", side_median(s->seconds, (int)steps),
                     "cpu_seconds_per_step", side_median(s->cpu, (int)steps), "parameters", (json_int_t)s->parameters,
                     "loss", s->loss);
}

int main(int argc, char **argv) {
    shape p = {512, 2048, 16, 8, 8, 4, 512, 4096, 5};
    long *fields[] = {&p.d, &p.d_ff, &p.block, &p.layers, &p.heads, &p.batch, &p.length, &p.vocabulary, &p.steps};
    for (int i = 1; i < argc && i <= 9; i++) *fields[i - 1] = strtol(argv[i], NULL, 10);
    if (p.steps < 1 || p.steps > SIDE_RUNS) return fprintf(stderr, "steps: expected 1 to %d\n", SIDE_RUNS), 2;
    side dense = {0}, sparse = {0};
    spar_status status = create(&dense, &p, false);
    if (!status) status = create(&sparse, &p, true);
    for (int i = -1; !status && i < p.steps; i++) {
        status = step(&dense, i);
        if (!status) status = step(&sparse, i);
    }
    if (status) return side_failed("sparse_train");
    json_t *d = describe(&dense, p.steps), *s = describe(&sparse, p.steps);
    double ratio = json_number_value(json_object_get(d, "seconds_per_step")) /
                   json_number_value(json_object_get(s, "seconds_per_step"));
    double cpu = json_number_value(json_object_get(d, "cpu_seconds_per_step")) /
                 json_number_value(json_object_get(s, "cpu_seconds_per_step"));
    json_t *out = json_pack("{s:s, s:[i,i,i,i,i,i,i,i], s:o, s:o, s:f, s:f, s:o}", "bench", "sparse_train", "shape",
                            (int)p.d, (int)p.d_ff, (int)p.block, (int)p.layers, (int)p.heads, (int)p.batch,
                            (int)p.length, (int)p.vocabulary, "dense", d, "sparse", s, "faster", ratio, "faster_cpu",
                            cpu, "machine", side_machine());
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5));
    putchar('\n');
    return 0;
}
