/* y = W2·(f(Wg·x)·(W1·x)) + b2: gated linear units (Shazeer 2020, arXiv 2002.05202); with SiLU it is
 * SwiGLU. */
#include "feedforward/feedforward.h"

typedef struct options {
    int64_t d_ff;
    int activation;
    bool bias;
} options;

typedef struct layer {
    spar__param *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
} layer;

static const spar_option table[] = {
    {"d_ff", SPAR_OPTION_INT, offsetof(options, d_ff), 0, 0, 1 << 24, NULL,
     "neurons; 0 = 8/3·d_model rounded up to a multiple of 32"},
    {"activation", SPAR_OPTION_NAME, offsetof(options, activation), SPAR__SILU, 0, 0,
     spar__activation_names, "of the gate"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 0, 0, 1, NULL, "biases in all three layers"},
    {0}};

static int64_t width(const spar__shape *s, const options *o) {
    return o->d_ff ? o->d_ff : (8 * s->d_model / 3 + 31) / 32 * 32;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model;
    layer l = {0};
    l.gate = spar__declare_matrix(b, "ffn_gate.weight", s->std, f, d);
    if (o->bias) l.gate_bias = spar__declare_vector(b, "ffn_gate.bias", 0, f);
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
    spar__tensor *g = spar__linear(pass, x, l->gate, l->gate_bias);
    spar__tensor *u = spar__linear(pass, x, l->up, l->up_bias);
    spar__tensor *h = spar__gate(pass, g, u, (spar__activation)o->activation);
    return spar__linear(pass, h, l->down, l->down_bias);
}

static int64_t read_weights(const spar__shape *s, const void *opts, int64_t tokens) {
    (void)tokens;
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model;
    return 3 * f * d + (o->bias ? 2 * f + d : 0);
}

const spar__feedforward_kind spar__feedforward_gated = {
    {"gated", table, sizeof(options)}, sizeof(layer), declare, run, read_weights};
