/* Parameters, listed by the kinds that own them. The one list drives initialisation, loading, saving,
 * the optimiser and gradient checks; none of these know the kinds. */
#ifndef SPAR_OP_PARAM_H
#define SPAR_OP_PARAM_H

#include "op/op.h"

/* What every kind of projection, feed-forward, position and head begins with. */
typedef struct spar__kind {
    const char *name;
    const spar_option *options; /* ends with a zero entry; NULL = none */
    size_t options_size;
} spar__kind;

/* A kind with its options, as read from a configuration. */
typedef struct spar__choice {
    const spar__kind *kind; /* first member of its table row */
    void *options;          /* owned */
} spar__choice;

/* What an option of type SPAR_OPTION_KIND, whose member is a spar__choice, has as `room`. */
typedef struct spar__kind_room {
    const spar__kind *(*at)(int index); /* NULL beyond the last */
    const char *fallback;               /* when the option is not given */
} spar__kind_room;

/* The sizes that kinds are declared for. */
typedef struct spar__shape {
    int64_t d_model, n_layers, context, vocab_size;
    int n_heads, n_kv_heads;
    int64_t head_dim;
    bool bias, output_bias; /* of the attention's projections */
    int64_t embedding_width; /* of what is added to the embedding: d_model, if it is not projected after */
    bool no_key_bias;       /* although the others have one */
    bool encoder;           /* rows see what comes after them */
    double std;             /* of new matrices */
    double residual_std;    /* of matrices that write into the residual stream */
} spar__shape;

typedef struct spar__builder {
    spar__param **params; /* owned by the model */
    int n_params, capacity;
    char prefix[64]; /* put before each name: "blk.3." */
    spar_status status;
} spar__builder;

/* A matrix (or more dimensions), normal with deviation `std`; weight decay applies to it. Nothing is
 * allocated but the description. NULL, with the builder's status set, without memory. */
spar__param *spar__declare(spar__builder *builder, const char *name, double std, int n_dims,
                           const int64_t *shape);
static inline spar__param *spar__declare_matrix(spar__builder *b, const char *name, double std,
                                                int64_t out, int64_t in) {
    return spar__declare(b, name, std, 2, (int64_t[]){out, in});
}
/* A vector of n equal values. */
spar__param *spar__declare_vector(spar__builder *builder, const char *name, double value, int64_t n);
void spar__param_free(spar__param *param);

#endif
