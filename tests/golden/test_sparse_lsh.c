/* LSH attention against the authors' code: outputs, buckets and gradients of tests/golden/data/sparse/lsh-*. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attention/lsh.h"
#include "format/safetensors.h"
#include "model/inside.h"
#include "op/op.h"

typedef struct layer_case {
    const char *name, *pattern;
    spar__st *file;
    int64_t batch, time, d, heads, head_dim, rounds, half;
} layer_case;

/* The numbers of a tensor, converted; its axes are c->shape of the caller's knowledge. */
static real *numbers(const layer_case *c, const char *name, int64_t expected) {
    const spar__st_tensor *t;
    if (spar__st_get(c->file, name, &t)) fail_msg("%s", spar_error());
    if ((int64_t)t->elements != expected) fail_msg("%s: %s has %zu numbers", c->name, name, t->elements);
    real *out = malloc(t->elements * sizeof *out);
    for (size_t i = 0; i < t->elements; i++) {
        float number;
        int32_t whole;
        memcpy(&number, (const char *)t->data + 4 * i, 4);
        memcpy(&whole, &number, 4);
        out[i] = t->type == SPAR__ST_I32 ? (real)whole : (real)number;
    }
    return out;
}

/* [heads, a, b] → [heads·b, a]; or, from heads, d_v and d, [d, heads·d_v] for the output. */
static void to_rows(const real *from, real *to, int64_t heads, int64_t a, int64_t b, bool output, bool back) {
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t j = 0; j < b; j++) {
                int64_t stored = (h * a + i) * b + j;
                int64_t ours = output ? j * heads * a + h * a + i : (h * b + j) * a + i;
                if (back) to[stored] = from[ours];
                else to[ours] = from[stored];
            }
}

static void compare(const layer_case *c, const char *what, const real *got, const real *want, int64_t n) {
    double scale = 1;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)(got[i] - want[i])) <= 1e-4 * scale))
            fail_msg("%s: %s[%lld] = %g, expected %g", c->name, what, (long long)i, (double)got[i], (double)want[i]);
}

/* rotations [heads, head_dim, rounds, half] of one batch row → [heads, rounds, half, head_dim] */
static void turn(const layer_case *c, const real *from, real *to) {
    for (int64_t h = 0; h < c->heads; h++)
        for (int64_t i = 0; i < c->head_dim; i++)
            for (int64_t r = 0; r < c->rounds; r++)
                for (int64_t k = 0; k < c->half; k++)
                    to[((h * c->rounds + r) * c->half + k) * c->head_dim + i] =
                        from[((h * c->head_dim + i) * c->rounds + r) * c->half + k];
}

static void check_buckets(const layer_case *c, const spar__content_request *r, spar__pass *pass, const real *want) {
    const spar__arrangement *out[8] = {0};
    spar__lsh_arrange(pass, r, out);
    for (int64_t h = 0; h < c->heads; h++) {
        const spar__lsh_arrangement *a = (const spar__lsh_arrangement *)out[h];
        for (int64_t i = 0; i < c->rounds * c->time; i++)
            if (a->buckets[i] != (int32_t)want[h * c->rounds * c->time + i])
                fail_msg("%s: head %lld, bucket %lld is %d, expected %g", c->name, (long long)h, (long long)i,
                         a->buckets[i], (double)want[h * c->rounds * c->time + i]);
    }
}

enum { QK, V, OUT, WEIGHTS };
static const char *const weight_names[WEIGHTS] = {"param.w_qk", "param.w_v", "param.w_o"};
static const char *const grad_names[WEIGHTS] = {"grad.w_qk", "grad.w_v", "grad.w_o"};

static void run_case(const layer_case *c, int64_t padding) {
    int64_t rows = c->time, all = rows * c->d, n_weight = c->d * c->heads * c->head_dim;
    int64_t n_rotation = c->heads * c->head_dim * c->rounds * c->half;
    spar__shape shape = {.context = rows, .n_heads = (int)c->heads, .head_dim = c->head_dim};
    spar__choice choice;
    json_t *json = json_loads(c->pattern, 0, NULL);
    if (spar__choose_pattern(json, "model", &shape, NULL, &choice)) fail_msg("%s", spar_error());
    json_decref(json);
    spar__lsh_self self = {.factors = spar__lsh_factors_of(choice.options, rows)};
    assert_int_equal(self.factors.half, c->half);
    self.drawn = malloc((size_t)n_rotation * sizeof(real));
    spar__param weight[WEIGHTS] = {0};
    for (int i = 0; i < WEIGHTS; i++) {
        real *stored = numbers(c, weight_names[i], n_weight);
        spar__tensor *t = &weight[i].value;
        *t = (spar__tensor){.rows = i == OUT ? c->d : c->heads * c->head_dim, .needs_grad = true};
        t->cols = n_weight / t->rows;
        t->data = calloc((size_t)n_weight, sizeof(real));
        t->grad = calloc((size_t)n_weight, sizeof(real));
        to_rows(stored, t->data, c->heads, i == OUT ? c->head_dim : c->d, i == OUT ? c->d : c->head_dim, i == OUT, false);
        free(stored);
    }
    real *x = numbers(c, "x", c->batch * all), *y = numbers(c, "y", c->batch * all);
    real *dy = numbers(c, "dy", c->batch * all), *dx = numbers(c, "grad.x", c->batch * all);
    real *rotations = numbers(c, "rotations", c->batch * n_rotation);
    real *buckets = numbers(c, "buckets", c->batch * c->heads * c->rounds * rows);
    spar__arena *arena = spar__arena_create(0);
    for (int64_t b = 0; b < c->batch; b++) {
        turn(c, rotations + b * n_rotation, self.drawn);
        spar__sequence sequence = {.count = rows, .padding = padding};
        spar__rows set = {.n_rows = rows, .n_sequences = 1, .sequences = &sequence};
        spar__pass pass = {.arena = arena, .rows = &set, .recording = true};
        spar__tensor in = {.data = x + b * all, .rows = rows, .cols = c->d, .needs_grad = true};
        spar__attend_options o = {.n_heads = (int)c->heads, .n_kv_heads = (int)c->heads, .head_dim = c->head_dim,
                                  .scale = 1 / sqrt((double)c->head_dim),
                                  .kind = (const spar_pattern_kind *)choice.kind, .pattern = choice.options,
                                  .pattern_self = &self};
        spar__tensor *q = spar__linear(&pass, &in, &weight[QK], NULL);
        spar__tensor *v = spar__linear(&pass, &in, &weight[V], NULL);
        spar__tensor *a = spar__attend(&pass, q, spar__unit(&pass, q, c->head_dim, 1e-6), v, &o);
        spar__tensor *out = spar__linear(&pass, a, &weight[OUT], NULL);
        if (pass.status) fail_msg("%s: %s", c->name, spar_error());
        if (!padding) {
            spar__content_request r = {.options = choice.options, .self = &self, .head_dim = c->head_dim,
                                       .view = {.q_end = rows, .n_keys = rows, .n_heads = (int)c->heads},
                                       .q = spar__data(q), .q_stride = q->cols};
            check_buckets(c, &r, &pass, buckets + b * c->heads * c->rounds * rows);
        }
        compare(c, "y", spar__data(out), y + b * all, all);
        out->grad = dy + b * all;
        out->grad_started = true;
        spar__run_backward(&pass, NULL);
        if (pass.status) fail_msg("%s: %s", c->name, spar_error());
        compare(c, "grad.x", in.grad, dx + b * all, all);
        spar__arena_rewind(arena, (spar__arena_mark){0});
    }
    for (int i = 0; i < WEIGHTS; i++) {
        real *want = numbers(c, grad_names[i], n_weight), *got = malloc((size_t)n_weight * sizeof(real));
        to_rows(weight[i].value.grad, got, c->heads, i == OUT ? c->head_dim : c->d, i == OUT ? c->d : c->head_dim,
                i == OUT, true);
        compare(c, grad_names[i], got, want, n_weight);
        free(want);
        free(got);
        free(weight[i].value.data);
        free(weight[i].value.grad);
    }
    spar__arena_free(arena);
    free(x), free(y), free(dy), free(dx), free(rotations), free(buckets), free(self.drawn);
    spar__free(choice.options);
}

static void run(layer_case c, int64_t padding) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/data/sparse/%s/case.safetensors", c.name);
    if (spar__st_open(path, &c.file)) fail_msg("%s", spar_error());
    run_case(&c, padding);
    spar__st_free(c.file);
}

static void test_one_hash(void **state) {
    (void)state;
    run((layer_case){"lsh-one-hash", "{\"kind\": \"lsh\", \"chunk\": 8, \"rounds\": 1, \"buckets\": 8, \"lookup\": \"sorted\"}",
                     NULL, 1, 32, 16, 2, 8, 1, 4}, 0);
}

static void test_two_hashes(void **state) {
    (void)state;
    run((layer_case){"lsh-two-hashes", "{\"kind\": \"lsh\", \"chunk\": 4, \"rounds\": 2, \"lookup\": \"sorted\"}", NULL, 2, 16,
                     16, 2, 8, 2, 4}, 0);
}

static void test_encoder(void **state) {
    (void)state;
    run((layer_case){"lsh-encoder",
                     "{\"kind\": \"lsh\", \"chunk\": 8, \"rounds\": 2, \"buckets\": [4, 6], \"before\": 1, \"after\": 1, "
                     "\"lookup\": \"sorted\", \"causal\": false}",
                     NULL, 1, 32, 16, 2, 8, 2, 5}, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_hash),
        cmocka_unit_test(test_two_hashes),
        cmocka_unit_test(test_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
