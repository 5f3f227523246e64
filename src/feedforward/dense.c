/* y = W2·f(W1·x + b1) + b2 (Vaswani et al. 2017, section 3.3). */
#include "feedforward/feedforward.h"

typedef struct options {
    int64_t d_ff;
    int activation;
    bool bias;
} options;

typedef struct layer {
    spar__param *up, *up_bias, *down, *down_bias;
} layer;

static const spar_option table[] = {
    {"d_ff", SPAR_OPTION_INT, offsetof(options, d_ff), 0, 0, 1 << 24, NULL, "neurons; 0 = 4·d_model"},
    {"activation", SPAR_OPTION_NAME, offsetof(options, activation), SPAR__GELU_TANH, 0, 0,
     spar__activation_names, "of the neurons"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 1, 0, 1, NULL, "biases in both layers"},
    {0}};

static int64_t width(const spar__shape *s, const options *o) {
    return o->d_ff ? o->d_ff : 4 * s->d_model;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model;
    layer l = {0};
    l.up = spar__declare_matrix(b, "ffn_up.weight", s->std, f, d);
    if (o->bias) l.up_bias = spar__declare_vector(b, "ffn_up.bias", 0, f);
    l.down = spar__declare_matrix(b, "ffn_down.weight", s->residual_std, d, f);
    if (o->bias) l.down_bias = spar__declare_vector(b, "ffn_down.bias", 0, d);
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *run(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const options *o = opts;
    const layer *l = self;
    spar__tensor *h = spar__linear(pass, x, l->up, l->up_bias);
    h = spar__activate(pass, h, (spar__activation)o->activation);
    return spar__linear(pass, h, l->down, l->down_bias);
}

static int64_t read_weights(const spar__shape *s, const void *opts, int64_t tokens) {
    (void)tokens;
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model;
    return 2 * f * d + (o->bias ? f + d : 0);
}

const spar__feedforward_kind spar__feedforward_dense = {
    {"dense", table, sizeof(options)}, sizeof(layer), declare, run, read_weights};
