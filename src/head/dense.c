/* logits = scale·(W·x) + b. Tied: W is the token embedding (Press and Wolf 2016, arXiv 1608.05859). */
#include "head/head.h"

typedef struct options {
    double scale;
    bool bias;
} options;

typedef struct layer {
    spar__param *weight, *bias;
} layer;

static const spar_option table[] = {
    {"scale", SPAR_OPTION_REAL, offsetof(options, scale), 1, -1e6, 1e6, NULL, "factor of the logits"},
    {"bias", SPAR_OPTION_BOOL, offsetof(options, bias), 0, 0, 1, NULL, "a bias for each token"},
    {0}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, spar__param *weight,
                           void *self) {
    const options *o = opts;
    layer l = {.weight = weight};
    if (weight && weight->value.cols != s->d_model)
        return spar__fail(SPAR_ERR_CONFIG, "model.head: 'tied' needs an embedding of width %lld, it has %lld",
                          (long long)s->d_model, (long long)weight->value.cols);
    if (o->bias) l.bias = spar__declare_vector(b, "output.bias", 0, s->vocab_size);
    *(layer *)self = l;
    return b->status;
}

static spar_status declare_separate(spar__builder *b, const spar__shape *s, const void *opts,
                                    spar__param *embedding, void *self) {
    (void)embedding;
    return declare(b, s, opts, spar__declare_matrix(b, "output.weight", s->std, s->vocab_size, s->d_model),
                   self);
}

static spar__tensor *logits(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    const options *o = opts;
    const layer *l = self;
    return spar__linear(pass, spar__scaled(pass, x, o->scale), l->weight, l->bias);
}

static void loss(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                 const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count) {
    const layer *l = self;
    spar__loss_options scaled = *o;
    scaled.logit_scale *= ((const options *)opts)->scale;
    spar__head_loss(pass, x, l->weight, l->bias, targets, &scaled, sum, count);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    return s->vocab_size * (s->d_model + ((const options *)opts)->bias);
}

const spar__head_kind spar__head_tied = {.kind = {"tied", table, sizeof(options)},
                                         .self_size = sizeof(layer),
                                         .declare = declare,
                                         .logits = logits,
                                         .loss = loss,
                                         .read_per_token = read_per_token};
const spar__head_kind spar__head_separate = {.kind = {"separate", table, sizeof(options)},
                                             .self_size = sizeof(layer),
                                             .declare = declare_separate,
                                             .logits = logits,
                                             .loss = loss,
                                             .read_per_token = read_per_token};
