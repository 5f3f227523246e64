/* Four dense layers (Vaswani et al. 2017, section 3.2.2). */
#include "projection/projection.h"

typedef struct layer {
    spar__param *weight[4], *bias[4]; /* q, k, v, output */
} layer;

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    (void)opts;
    static const char *const names[4][2] = {{"attn_q.weight", "attn_q.bias"},
                                            {"attn_k.weight", "attn_k.bias"},
                                            {"attn_v.weight", "attn_v.bias"},
                                            {"attn_output.weight", "attn_output.bias"}};
    int64_t d = s->d_model, q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    int64_t in[4] = {d, d, d, q}, out[4] = {q, kv, kv, d};
    layer l = {0};
    for (int i = 0; i < 4; i++) {
        l.weight[i] = spar__declare_matrix(b, names[i][0], i < 3 ? s->std : s->residual_std, out[i], in[i]);
        if (i == 1 && s->no_key_bias) continue;
        if (i < 3 ? s->bias : s->output_bias)
            l.bias[i] = spar__declare_vector(b, names[i][1], 0, out[i]);
    }
    *(layer *)self = l;
    return b->status;
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                   spar__tensor *qkv[3]) {
    (void)opts;
    const layer *l = self;
    for (int i = 0; i < 3; i++) qkv[i] = spar__linear(pass, x, l->weight[i], l->bias[i]);
}

static void part(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, bool queries,
                 bool values, spar__tensor *qkv[3]) {
    (void)opts;
    const layer *l = self;
    int begin = queries ? 0 : 1, end = queries ? 1 : values ? 3 : 2;
    for (int i = begin; i < end; i++) qkv[i] = spar__linear(pass, x, l->weight[i], l->bias[i]);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    (void)opts;
    const layer *l = self;
    return spar__linear(pass, y, l->weight[3], l->bias[3]);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    (void)opts;
    int64_t q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    return s->d_model * (2 * q + 2 * kv) + (s->bias ? q + 2 * kv : 0) + (s->output_bias ? s->d_model : 0);
}

const spar__projection_kind spar__projection_dense = {.kind = {"dense", NULL, 0},
                                                      .self_size = sizeof(layer),
                                                      .declare = declare,
                                                      .inputs = inputs,
                                                      .output = output,
                                                      .read_per_token = read_per_token,
                                                      .part = part};
