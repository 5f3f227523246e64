/* Two dense layers for each of Q, K, V and the output, through a few dimensions between them. */
#include <math.h>

#include "projection/parts.h"

typedef struct options {
    int64_t rank;
} options;

typedef struct layer {
    spar__param *down[4], *down_bias[4], *up[4], *up_bias[4]; /* q, k, v, output */
} layer;

static const spar_option table[] = {
    {"rank", SPAR_OPTION_INT, offsetof(options, rank), 64, 1, 1 << 20, NULL, "dimensions between the two layers"},
    {0}};

static const char *const names[4][4] = {
    {"attn_q_down.weight", "attn_q_down.bias", "attn_q.weight", "attn_q.bias"},
    {"attn_k_down.weight", "attn_k_down.bias", "attn_k.weight", "attn_k.bias"},
    {"attn_v_down.weight", "attn_v_down.bias", "attn_v.weight", "attn_v.bias"},
    {"attn_output_down.weight", "attn_output_down.bias", "attn_output.weight", "attn_output.bias"}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    int64_t r = ((const options *)opts)->rank, d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s);
    layer l = {0};
    for (int i = 0; i < 4; i++) {
        int64_t in = i < 3 ? d : q, out = i == 0 ? q : i < 3 ? kv : d;
        bool bias = i < 3 ? s->bias : s->output_bias;
        l.down[i] = spar__declare_matrix(b, names[i][0], sqrt(2.0 / (double)(in + r)), r, in);
        if (bias) l.down_bias[i] = spar__declare_vector(b, names[i][1], 0, r);
        l.up[i] = spar__declare_matrix(b, names[i][2],
                                       (i < 3 ? 1 : spar__residual_gain(s)) * sqrt(2.0 / (double)(r + out)), out, r);
        if (bias) l.up_bias[i] = spar__declare_vector(b, names[i][3], 0, out);
    }
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *run(spar__pass *pass, const layer *l, int i, spar__tensor *x) {
    return spar__linear(pass, spar__linear(pass, x, l->down[i], l->down_bias[i]), l->up[i], l->up_bias[i]);
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, spar__tensor *qkv[3]) {
    (void)opts;
    for (int i = 0; i < 3; i++) qkv[i] = run(pass, self, i, x);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    (void)opts;
    return run(pass, self, 3, y);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    int64_t r = ((const options *)opts)->rank, d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s);
    int64_t biases = (s->bias ? 3 * r + q + 2 * kv : 0) + (s->output_bias ? r + d : 0);
    return r * (4 * d + 2 * q + 2 * kv) + biases;
}

const spar__projection_kind spar__projection_low_rank = {
    {"low-rank", table, sizeof(options)}, sizeof(layer), declare, inputs, output, read_per_token};
