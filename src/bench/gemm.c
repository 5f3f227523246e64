/* Dense products of the shapes that a model has. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "kernel/quant.h"
#include "model/model.h"

typedef struct product {
    int64_t rows, out, in;
    real *x, *w, *y;
    uint16_t *x_half, *w_half;
} product;

static spar_status run_f32(void *context) {
    product *p = context;
    return spar__gemm(false, true, p->rows, p->out, p->in, 1, p->x, p->in, p->w, p->in, 0, p->y,
                      p->out);
}

static spar_status run_bf16(void *context) {
    product *p = context;
    return spar__gemm_bf16(false, true, p->rows, p->out, p->in, 1, p->x_half, p->in, p->w_half,
                           p->in, 0, p->y, p->out);
}

static void destroy(product *p) {
    spar__free(p->x);
    spar__free(p->w);
    spar__free(p->y);
    spar__free(p->x_half);
    spar__free(p->w_half);
}

static spar_status create(product *p, int64_t rows, int64_t out, int64_t in) {
    *p = (product){.rows = rows, .out = out, .in = in};
    p->x = spar__array((size_t)rows, (size_t)in * sizeof *p->x);
    p->w = spar__array((size_t)out, (size_t)in * sizeof *p->w);
    p->y = spar__array((size_t)rows, (size_t)out * sizeof *p->y);
    p->x_half = spar__array((size_t)rows, (size_t)in * sizeof *p->x_half);
    p->w_half = spar__array((size_t)out, (size_t)in * sizeof *p->w_half);
    if (!p->x || !p->w || !p->y || !p->x_half || !p->w_half) {
        destroy(p);
        return SPAR_ERR_MEMORY;
    }
    spar__bench_fill(p->x, (size_t)(rows * in), 0);
    spar__bench_fill(p->w, (size_t)(out * in), 1);
    for (int64_t r = 0; r < rows; r++) spar__k()->to_bf16(p->x_half + r * in, p->x + r * in, in);
    for (int64_t r = 0; r < out; r++) spar__k()->to_bf16(p->w_half + r * in, p->w + r * in, in);
    return SPAR_OK;
}

static spar_status measure(int64_t rows, int64_t out, int64_t in, const spar_bench_options *o,
                           spar__timing times[2]) {
    product p;
    SPAR_TRY(create(&p, rows, out, in));
    spar_status status = spar__bench_time(run_f32, &p, o, "f32", &times[0]);
    if (!status) status = spar__bench_time(run_bf16, &p, o, "bf16", &times[1]);
    destroy(&p);
    return status;
}

/* The matrices of the blocks and that of the head, each shape once. */
static size_t list_shapes(spar_model *model, spar_bench_part *parts, int64_t (*shapes)[2]) {
    size_t n = 0;
    for (int i = 0; i <= spar__model_n_params(model); i++) {
        bool head = i == spar__model_n_params(model);
        const spar__param *p = head ? NULL : spar__model_param(model, i);
        if (p && (p->n_dims == 1 || strncmp(p->name, "blk.", 4) != 0)) continue;
        int64_t out = p ? p->value.rows : spar__model_shape(model)->vocab_size;
        int64_t in = p ? p->value.cols : spar__model_shape(model)->d_model;
        size_t k = 0;
        while (k < n && (shapes[k][0] != out || shapes[k][1] != in)) k++;
        if (k == n) {
            shapes[n][0] = out;
            shapes[n++][1] = in;
        }
        parts[2 * k].count++;
    }
    return n;
}

static spar_status measure_all(spar_model *model, const spar_bench_options *o, int64_t (*shapes)[2],
                               spar_bench_result *out) {
    spar_bench_part *parts = out->parts;
    size_t n = list_shapes(model, parts, shapes);
    spar__timing sum = {0};
    double bytes = 0, flops = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t rows = shapes[i][0], cols = shapes[i][1], count = parts[2 * i].count;
        spar__timing t[2];
        SPAR_TRY(measure(o->prompt, rows, cols, o, t));
        for (int half = 0; half < 2; half++) {
            spar_bench_part *p = &parts[2 * i + (size_t)half];
            p->count = count;
            p->seconds = t[half].median;
            p->flops = 2.0 * (double)o->prompt * (double)rows * (double)cols;
            snprintf(p->name, sizeof p->name, "%lld x %lld x %lld, %s", (long long)o->prompt,
                     (long long)rows, (long long)cols, half ? "bf16" : "f32");
        }
        sum.median += (double)count * t[0].median;
        sum.least += (double)count * t[0].least;
        sum.most += (double)count * t[0].most;
        bytes += (double)(count * rows * cols) * sizeof(real);
        flops += (double)count * parts[2 * i].flops;
    }
    *out = spar__bench_speed(&sum, (double)o->prompt);
    out->parts = parts;
    out->n_parts = 2 * n;
    out->bytes_per_token = bytes / (double)o->prompt;
    out->flops_per_token = flops / (double)o->prompt;
    return SPAR_OK;
}

spar_status spar_bench_gemm(const spar_model *model, const spar_bench_options *o,
                            spar_bench_result *out) {
    SPAR_TRY(spar__bench_check(o));
    spar_model *m = (spar_model *)model; /* only read */
    size_t most = (size_t)spar__model_n_params(m) + 1;
    spar_bench_result result = {.parts = spar__array(2 * most, sizeof *result.parts)};
    int64_t(*shapes)[2] = spar__array(most, sizeof *shapes);
    spar_status status = result.parts && shapes ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) status = measure_all(m, o, shapes, &result);
    spar__free(shapes);
    if (status)
        spar__free(result.parts);
    else
        *out = result;
    return status;
}

enum { SIDE = 1536, TILES = SIDE / SPAR__PACKED_OUTPUTS };

typedef struct blocks {
    char *w, *packed;
    real *y;
    size_t row_bytes;
} blocks;

static spar_status multiply_blocks(void *context) {
    const blocks *b = context;
    const spar__kernels *k = spar__k();
    size_t packed_bytes = spar__packed_bytes(SIDE);
#pragma omp parallel for schedule(dynamic)
    for (int t = 0; t < TILES; t++)
        for (int r = 0; r < SIDE; r += SPAR__PACKED_ROWS) {
            int o = t * SPAR__PACKED_OUTPUTS;
            spar__packed_tile tile = {.w = b->w + (size_t)o * b->row_bytes, .row_bytes = b->row_bytes,
                                      .n_out = SPAR__PACKED_OUTPUTS, .n_rows = SPAR__PACKED_ROWS, .n = SIDE,
                                      .x = b->packed + (size_t)r * packed_bytes, .y = b->y + (int64_t)r * SIDE + o,
                                      .y_stride = SIDE, .alpha = 1};
            k->packed_tile[SPAR__Q8_0](&tile);
        }
    return SPAR_OK;
}

static spar_status measure_blocks(const spar_bench_options *o, double *rate) {
    const spar__kernels *k = spar__k();
    blocks b = {0};
    *rate = 0;
    if (!k->packed_tile[SPAR__Q8_0] || !spar__row_bytes(SPAR__Q8_0, SIDE, &b.row_bytes)) return SPAR_OK;
    b.w = spar__array(SIDE, b.row_bytes);
    b.packed = spar__array(SIDE, spar__packed_bytes(SIDE));
    b.y = spar__array((size_t)SIDE * SIDE, sizeof *b.y);
    spar_status status = b.w && b.packed && b.y ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) {
        spar__bench_fill(b.y, (size_t)SIDE * SIDE, 3);
        for (size_t i = 0; i < SIDE; i++) {
            k->encode[SPAR__Q8_0](b.w + i * b.row_bytes, b.y + i * SIDE, SIDE);
            k->pack(b.packed + i * spar__packed_bytes(SIDE), b.y + i * SIDE, SIDE);
        }
        spar__timing t;
        status = spar__bench_time(multiply_blocks, &b, o, "int8", &t);
        if (!status) *rate = 2.0 * SIDE * SIDE * SIDE / t.median;
    }
    spar__free(b.w);
    spar__free(b.packed);
    spar__free(b.y);
    return status;
}

spar_status spar_bench_products(double *f32, double *bf16, double *int8) {
    spar_bench_options o = SPAR_BENCH_OPTIONS_INIT;
    spar__timing t[2];
    SPAR_TRY(measure(SIDE, SIDE, SIDE, &o, t));
    *f32 = 2.0 * SIDE * SIDE * SIDE / t[0].median;
    *bf16 = 2.0 * SIDE * SIDE * SIDE / t[1].median;
    return measure_blocks(&o, int8);
}
