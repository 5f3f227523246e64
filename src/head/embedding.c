/* No scores: what comes out is the vector of a sequence, pooled from its states and, where wanted, of unit
 * length (Reimers and Gurevych 2019, arXiv 1908.10084).  */
#include "head/head.h"

typedef struct options {
    int pooling;
    bool normalise, pooler;
    int64_t most_tokens;
} options;

static const spar_option table[] = {
    {"pooling", SPAR_OPTION_NAME, offsetof(options, pooling), SPAR__POOL_MEAN, 0, 0, spar__pooling_names,
     "of the states of a sequence"},
    {"normalise", SPAR_OPTION_BOOL, offsetof(options, normalise), 1, 0, 1, NULL, "to unit length"},
    {"most_tokens", SPAR_OPTION_INT, offsetof(options, most_tokens), 0, 0, 1 << 30, NULL,
     "of a text; what follows is cut off (0: all that the context holds)"},
    {"pooler", SPAR_OPTION_BOOL, offsetof(options, pooler), 0, 0, 1, NULL,
     "keeps the weights of a layer on the first token's state, which is not part of the embedding"},
    {0}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, spar__param *embedding,
                           void *self) {
    (void)embedding, (void)self;
    if (((const options *)opts)->pooler) {
        spar__declare_matrix(b, "cls.weight", s->std, s->d_model, s->d_model);
        spar__declare_vector(b, "cls.bias", 0, s->d_model);
    }
    return b->status;
}

static spar__tensor *logits(spar__pass *pass, const void *opts, const void *self, spar__tensor *x) {
    (void)self;
    const options *o = opts;
    spar__tensor *y = spar__pool(pass, x, (spar__pooling)o->pooling);
    return y && o->normalise ? spar__unit_rows(y) : y;
}

static void loss(spar__pass *pass, const void *opts, const void *self, spar__tensor *x,
                 const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count) {
    (void)opts, (void)self, (void)x, (void)targets, (void)o, (void)sum, (void)count;
    spar__stop(pass, spar__fail(SPAR_ERR_UNSUPPORTED, "model.head: 'embedding' has no loss to train by"));
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    (void)s, (void)opts;
    return 0;
}

static int64_t outputs(const spar__shape *s, const void *opts) {
    (void)opts;
    return s->d_model;
}

const spar__head_kind spar__head_embedding = {.kind = {"embedding", table, sizeof(options)},
                                              .self_size = 1,
                                              .per_sequence = true,
                                              .declare = declare,
                                              .logits = logits,
                                              .loss = loss,
                                              .read_per_token = read_per_token,
                                              .outputs = outputs};
