/* One neuron of each block of N is active for a token, chosen by a controller of low rank (Jaszczur et al. 2021,
 * arXiv 2111.12763, section 3.1):
 *     g = M2·(M1·x) + mb;   y = Σ_b f[b]·relu(W1[b,c]·x)·W2[b,c] + b2,   c[b] = argmax g[b]
 * The mathematics of choosing and of its gradient is in op/sparse.h. With `shared`, that many further
 * neurons are always on, as in a dense layer: y += Wd·relu(Wu·x). */
#include <math.h>
#include <stdio.h>

#include "feedforward/feedforward.h"
#include "op/chunks.h"
#include "op/sparse.h"

typedef struct options {
    int64_t d_ff, block, rank, shared, chunk;
    int mode;
    bool times_controller, kernel_scaling;
    double temperature, quant_prob, balance;
} options;

typedef struct layer {
    spar__param *down, *up, *up_bias, *neurons, *bias, *shared_up, *shared_down;
    spar__sparse_options sparse;
} layer;

enum { GATED, STRAIGHT_THROUGH, MAX_BLOCK = 65536 };
static const char *const modes[] = {"gated", "straight-through", NULL};

static const spar_option table[] = {
    {"d_ff", SPAR_OPTION_INT, offsetof(options, d_ff), 0, 0, 1 << 24, NULL, "neurons; 0 = 4·d_model"},
    {"block", SPAR_OPTION_INT, offsetof(options, block), 16, 1, MAX_BLOCK, NULL,
     "neurons of which one is chosen; divides d_ff"},
    {"rank", SPAR_OPTION_INT, offsetof(options, rank), 0, 0, 1 << 20, NULL,
     "of the controller; 0 = d_model / block"},
    {"shared", SPAR_OPTION_INT, offsetof(options, shared), 0, 0, 1 << 24, NULL,
     "neurons beside the blocks that are always on"},
    {"mode", SPAR_OPTION_NAME, offsetof(options, mode), GATED, 0, 0, modes,
     "gated: always one neuron, times its probability; straight-through: as published"},
    {"temperature", SPAR_OPTION_REAL, offsetof(options, temperature), -1, -1, 1e6, NULL,
     "of the noise in training; -1 = 0 when gated, else 0.1"},
    {"quant_prob", SPAR_OPTION_REAL, offsetof(options, quant_prob), 0.3, 0, 1, NULL,
     "straight-through: how often a training pass is hard"},
    {"multiply_by_controller_output", SPAR_OPTION_BOOL, offsetof(options, times_controller), 0, 0, 1, NULL,
     "straight-through: hidden values times their probability"},
    {"kernel_scaling", SPAR_OPTION_BOOL, offsetof(options, kernel_scaling), 0, 0, 1, NULL,
     "new output weights √block wider"},
    {"balance", SPAR_OPTION_REAL, offsetof(options, balance), 0, 0, 1e6, NULL,
     "weight of a loss that balances the choices"},
    {"chunk", SPAR_OPTION_INT, offsetof(options, chunk), 0, 0, 1 << 24, NULL,
     "rows at a time, to save memory in training; 0 = all"},
    {0}};

static int64_t width(const spar__shape *s, const options *o) {
    return o->d_ff ? o->d_ff : 4 * s->d_model;
}
static int64_t rank_of(const spar__shape *s, const options *o) {
    int64_t rank = o->rank ? o->rank : s->d_model / o->block;
    return rank ? rank : 1;
}

static spar_status check(int64_t f, const options *o) {
    if (f % o->block == 0) {
        if (o->mode == GATED && o->times_controller)
            return spar__fail(SPAR_ERR_CONFIG,
                              "model.feedforward.multiply_by_controller_output: found true, expected false "
                              "with mode 'gated', which does so itself");
        return SPAR_OK;
    }
    int64_t below = o->block, above = o->block;
    while (f % below) below--;
    while (above <= f && f % above) above++;
    char fit[64];
    snprintf(fit, sizeof fit, above > f ? "%lld" : "%lld or %lld", (long long)below, (long long)above);
    return spar__fail(SPAR_ERR_CONFIG, "model.feedforward.block: found %lld, expected a divisor of d_ff, %lld: %s",
                      (long long)o->block, (long long)f, fit);
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model, r = rank_of(s, o);
    SPAR_TRY(check(f, o));
    layer l = {.sparse = {.block = o->block,
                          .gated = o->mode == GATED,
                          .times_controller = o->times_controller,
                          .temperature = o->temperature >= 0 ? o->temperature : o->mode == GATED ? 0 : 0.1,
                          .quant_prob = o->quant_prob,
                          .balance = o->balance}};
    /* Glorot: the variance of both uniform kernels of the original. */
    l.down = spar__declare_matrix(b, "ffn_controller_down.weight", sqrt(2.0 / (double)(d + r)), r, d);
    l.up = spar__declare_matrix(b, "ffn_controller_up.weight", sqrt(2.0 / (double)(r + f)), f, r);
    l.up_bias = spar__declare_vector(b, "ffn_controller_up.bias", 0, f);
    l.neurons = spar__declare_matrix(b, "ffn_neurons.weight", s->std, f, 2 * d);
    if (l.neurons) l.neurons->init_half = s->residual_std * (o->kernel_scaling ? sqrt((double)o->block) : 1);
    l.bias = spar__declare_vector(b, "ffn_neurons.bias", 0, d);
    if (o->shared) {
        l.shared_up = spar__declare_matrix(b, "ffn_shared_up.weight", s->std, o->shared, d);
        l.shared_down = spar__declare_matrix(b, "ffn_shared_down.weight", s->residual_std, d, o->shared);
    }
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *run_rows(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    spar__tensor *g = spar__linear(pass, spar__linear(pass, x, l->down, NULL), l->up, l->up_bias);
    spar__tensor *y = spar__sparse(pass, x, g, l->neurons, l->bias, &l->sparse);
    if (!l->shared_up) return y;
    spar__tensor *h = spar__activate(pass, spar__linear(pass, x, l->shared_up, NULL), SPAR__RELU);
    return spar__sum(pass, y, spar__linear(pass, h, l->shared_down, NULL));
}

static spar__tensor *run(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    return spar__in_chunks(pass, x, ((const options *)opts)->chunk, run_rows, self);
}

static int64_t read_weights(const spar__shape *s, const void *opts, int64_t tokens) {
    const options *o = opts;
    int64_t f = width(s, o), d = s->d_model, r = rank_of(s, o);
    int64_t chosen = llround((double)(f / o->block) * spar__distinct(o->block, 1, tokens));
    return r * (d + f) + f + (chosen + o->shared) * 2 * d + d;
}

static int64_t piece(const spar__shape *s, const void *opts) {
    (void)opts;
    return 2 * s->d_model;
}

const spar__feedforward_kind spar__feedforward_sparse = {
    {"sparse", table, sizeof(options)}, sizeof(layer), declare, run, read_weights, .piece = piece};
