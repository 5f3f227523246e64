/* A multiplicative layer as the head (Jaszczur et al. 2021, arXiv 2111.12763, section 3.3):
 *     logits[s·M + m] = Σ_d x[d]·D[s,d]·E[m,d] + bias,   M = ⌈vocabulary / S⌉
 * While training, a dense head may take its place in a share of the passes. */
#include <math.h>

#include "head/head.h"
#include "op/modules.h"

typedef struct options {
    int64_t modules;
    double scale, dense_probability;
    bool bias, tied;
} options;

typedef struct layer {
    spar__param *d, *e, *bias;
    spar__param *dense; /* NULL: never */
    int64_t vocabulary;
} layer;

static const spar_option table[] = {
    {"modules", SPAR_OPTION_INT, offsetof(options, modules), 4, 1, 65536, NULL,
     "S; the vocabulary is padded to a multiple of it"},
    {"scale", SPAR_OPTION_REAL, offsetof(options, scale), 1, -1e6, 1e6, NULL, "factor of the logits"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 1, 0, 1, NULL, "a bias for each token"},
    {"dense_probability", SPAR_OPTION_REAL, offsetof(options, dense_probability), 0, 0, 1, NULL,
     "share of training passes with a dense head"},
    {"tied", SPAR_OPTION_BOOL, offsetof(options, tied), 1, 0, 1, NULL, "that dense head is the token embedding"},
    {0}};

static int64_t padded(const spar__shape *s, const options *o) {
    return (s->vocab_size + o->modules - 1) / o->modules;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, spar__param *embedding,
                           void *self) {
    const options *o = opts;
    int64_t d = s->d_model, m = padded(s, o);
    layer l = {.vocabulary = s->vocab_size};
    if (o->modules > s->vocab_size)
        return spar__fail(SPAR_ERR_CONFIG, "model.head.modules: found %lld, expected at most vocab_size, %lld",
                          (long long)o->modules, (long long)s->vocab_size);
    l.d = spar__declare_matrix(b, "output_scale.weight", 0.5, o->modules, d);
    l.e = spar__declare_matrix(b, "output_mix.weight", sqrt(2.0 / (double)(d + m)), m, d);
    if (o->bias) l.bias = spar__declare_vector(b, "output.bias", 0, m * o->modules);
    if (o->dense_probability > 0 && o->tied) l.dense = embedding;
    else if (o->dense_probability > 0)
        l.dense = spar__declare_matrix(b, "output_dense.weight", s->std, s->vocab_size, d);
    if (l.dense && l.dense->value.cols != d)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.head.tied: found true, expected false with an embedding of another width than d_model");
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *logits(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const layer *l = self;
    spar__tensor *scaled = spar__scaled(pass, x, ((const options *)opts)->scale);
    return spar__columns(pass, spar__multiplicative(pass, scaled, l->d, l->e, l->bias), l->vocabulary);
}

static bool draw_dense(spar__pass *pass, const options *o, const layer *l) {
    if (!l->dense || !pass->training) return false;
    spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_NOISE, pass->step, pass->site++);
    return (double)spar__rng_uniform(&rng, 0) < o->dense_probability;
}

static void loss(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, const int32_t *targets,
                 const spar__loss_options *o, double *sum, int64_t *count) {
    const layer *l = self;
    spar__loss_options scaled = *o;
    scaled.logit_scale *= ((const options *)opts)->scale;
    if (draw_dense(pass, opts, l)) spar__head_loss(pass, x, l->dense, NULL, targets, &scaled, sum, count);
    else spar__multiplicative_loss(pass, x, l->d, l->e, l->bias, l->vocabulary, targets, &scaled, sum, count);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    const options *o = opts;
    int64_t m = padded(s, o);
    return s->d_model * (o->modules + m) + (o->bias ? m * o->modules : 0);
}

const spar__head_kind spar__head_sparse = {
    {"sparse", table, sizeof(options)}, sizeof(layer), declare, logits, loss, read_per_token};
