/* The masked-token head (Devlin et al. 2019, arXiv 1810.04805): logits = W·norm(f(A·x + a)) + b, with W
 * the token embedding or a matrix of its own. */
#include "head/head.h"

typedef struct options {
    int activation;
    double eps;
    bool tied, bias;
} options;

typedef struct layer {
    spar__param *dense, *dense_bias, *norm, *norm_bias, *weight, *bias;
} layer;

static const spar_option table[] = {
    {"activation", SPAR_OPTION_NAME, offsetof(options, activation), SPAR__GELU, 0, 0, spar__activation_names, ""},
    {"eps", SPAR_OPTION_REAL, offsetof(options, eps), 1e-12, 0, 1, NULL, "of the norm"},
    {"tied", SPAR_OPTION_BOOL, offsetof(options, tied), 1, 0, 1, NULL, "the token embedding is the last layer"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 1, 0, 1, NULL, "a bias for each token"},
    {0}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, spar__param *embedding,
                           void *self) {
    const options *o = opts;
    int64_t width = embedding->value.cols;
    layer l = {0};
    l.dense = spar__declare_matrix(b, "mlm_dense.weight", s->std, width, s->d_model);
    l.dense_bias = spar__declare_vector(b, "mlm_dense.bias", 0, width);
    l.norm = spar__declare_vector(b, "mlm_norm.weight", 1, width);
    l.norm_bias = spar__declare_vector(b, "mlm_norm.bias", 0, width);
    l.weight = o->tied ? embedding : spar__declare_matrix(b, "output.weight", s->std, s->vocab_size, width);
    if (o->bias) l.bias = spar__declare_vector(b, "output.bias", 0, s->vocab_size);
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *transform(spar__pass *pass, const options *o, const layer *l, spar__tensor *x) {
    x = spar__linear(pass, x, l->dense, l->dense_bias);
    x = spar__activate(pass, x, (spar__activation)o->activation);
    return spar__norm(pass, x, l->norm, l->norm_bias, o->eps, true);
}

static spar__tensor *logits(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const layer *l = self;
    return spar__linear(pass, transform(pass, opts, l, x), l->weight, l->bias);
}

static void loss(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                 const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count) {
    const layer *l = self;
    spar__head_loss(pass, transform(pass, opts, l, x), l->weight, l->bias, targets, o, sum, count);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    return s->d_model * s->d_model + s->vocab_size * (s->d_model + ((const options *)opts)->bias);
}

const spar__head_kind spar__head_masked = {.kind = {"masked", table, sizeof(options)},
                                           .self_size = sizeof(layer),
                                           .declare = declare,
                                           .logits = logits,
                                           .loss = loss,
                                           .read_per_token = read_per_token};
