/* A classifier of whole sequences (Devlin et al. 2019, arXiv 1810.04805): scores = W·f(P·x) + b, where x is
 * the state of the first (or last) token or the mean of all, and P the pooler. */
#include "head/head.h"

typedef struct options {
    int64_t classes;
    int pooling, activation;
    bool pooler, bias;
} options;

typedef struct layer {
    spar__param *pooler, *pooler_bias, *weight, *bias;
} layer;

static const spar_option table[] = {
    {"classes", SPAR_OPTION_INT, offsetof(options, classes), 2, 1, 1 << 20, NULL, "that sequences belong to"},
    {"pooling", SPAR_OPTION_NAME, offsetof(options, pooling), SPAR__POOL_FIRST, 0, 0, spar__pooling_names,
     "of the states of a sequence"},
    {"pooler", SPAR_OPTION_BOOL, offsetof(options, pooler), 1, 0, 1, NULL, "a dense layer before the scores"},
    {"activation", SPAR_OPTION_NAME, offsetof(options, activation), SPAR__TANH, 0, 0, spar__activation_names,
     "of the pooler"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 1, 0, 1, NULL, "of the scores"},
    {0}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, spar__param *embedding,
                           void *self) {
    (void)embedding;
    const options *o = opts;
    layer l = {0};
    if (o->pooler) {
        l.pooler = spar__declare_matrix(b, "cls.weight", s->std, s->d_model, s->d_model);
        l.pooler_bias = spar__declare_vector(b, "cls.bias", 0, s->d_model);
    }
    l.weight = spar__declare_matrix(b, "cls.output.weight", s->std, o->classes, s->d_model);
    if (o->bias) l.bias = spar__declare_vector(b, "cls.output.bias", 0, o->classes);
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *pooled(spar__pass *pass, const options *o, const layer *l, spar__tensor *x) {
    x = spar__pool(pass, x, (spar__pooling)o->pooling);
    if (l->pooler)
        x = spar__activate(pass, spar__linear(pass, x, l->pooler, l->pooler_bias), (spar__activation)o->activation);
    return x;
}

static spar__tensor *logits(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const layer *l = self;
    return spar__linear(pass, pooled(pass, opts, l, x), l->weight, l->bias);
}

static void loss(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                 const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count) {
    const layer *l = self;
    spar__head_loss(pass, pooled(pass, opts, l, x), l->weight, l->bias, targets, o, sum, count);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    const options *o = opts;
    return s->d_model * ((o->pooler ? s->d_model : 0) + o->classes);
}

static int64_t outputs(const spar__shape *s, const void *opts) {
    (void)s;
    return ((const options *)opts)->classes;
}

const spar__head_kind spar__head_classifier = {.kind = {"classifier", table, sizeof(options)},
                                               .self_size = sizeof(layer),
                                               .per_sequence = true,
                                               .declare = declare,
                                               .logits = logits,
                                               .loss = loss,
                                               .read_per_token = read_per_token,
                                               .outputs = outputs};
