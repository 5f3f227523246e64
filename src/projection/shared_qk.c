/* Queries and keys are one dense layer; the keys are brought to unit length, so that the scale of a query
 * matters and that of a key does not (Reformer, Kitaev et al. 2020, arXiv 2001.04451, section 2). What
 * LSH attention needs, and usable with every pattern. */
#include "projection/projection.h"

typedef struct options {
    double eps;
} options;

static const spar_option table[] = {
    {"eps", SPAR_OPTION_REAL, offsetof(options, eps), 1e-6, 0, 1, NULL, "of the keys' normalisation"}, {0}};

enum { QK, V, OUTPUT, LAYERS };

typedef struct layer {
    spar__param *weight[LAYERS], *bias[LAYERS];
    int64_t head_dim;
} layer;

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    (void)opts;
    static const char *const names[LAYERS][2] = {{"attn_qk.weight", "attn_qk.bias"},
                                                 {"attn_v.weight", "attn_v.bias"},
                                                 {"attn_output.weight", "attn_output.bias"}};
    if (s->n_kv_heads != s->n_heads)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.attention.n_kv_heads: %d, expected n_heads, %d, where queries and keys are shared",
                          s->n_kv_heads, s->n_heads);
    int64_t d = s->d_model, width = s->n_heads * s->head_dim;
    layer l = {.head_dim = s->head_dim};
    for (int i = 0; i < LAYERS; i++) {
        int64_t out = i == OUTPUT ? d : width, in = i == OUTPUT ? width : d;
        l.weight[i] = spar__declare_matrix(b, names[i][0], i == OUTPUT ? s->residual_std : s->std, out, in);
        if (i == OUTPUT ? s->output_bias : s->bias) l.bias[i] = spar__declare_vector(b, names[i][1], 0, out);
    }
    *(layer *)self = l;
    return b->status;
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                   spar__tensor *qkv[3]) {
    (void)opts;
    const layer *l = self;
    qkv[0] = spar__linear(pass, x, l->weight[QK], l->bias[QK]);
    qkv[2] = spar__linear(pass, x, l->weight[V], l->bias[V]);
}

static spar__tensor *keys(spar__pass *pass, const void *opts, const void *self, spar__tensor *q) {
    return spar__unit(pass, q, ((const layer *)self)->head_dim, ((const options *)opts)->eps);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    (void)opts;
    const layer *l = self;
    return spar__linear(pass, y, l->weight[OUTPUT], l->bias[OUTPUT]);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    (void)opts;
    int64_t width = s->n_heads * s->head_dim;
    return 3 * s->d_model * width + (s->bias ? 2 * width : 0) + (s->output_bias ? s->d_model : 0);
}

const spar__projection_kind spar__projection_shared_qk = {.kind = {"shared-qk", table, sizeof(options)},
                                                          .self_size = sizeof(layer),
                                                          .declare = declare,
                                                          .inputs = inputs,
                                                          .output = output,
                                                          .read_per_token = read_per_token,
                                                          .keys = keys};
