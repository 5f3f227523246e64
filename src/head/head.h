/* Head kinds (head.def): from hidden states to logits. */
#ifndef SPAR_HEAD_HEAD_H
#define SPAR_HEAD_HEAD_H

#include "op/param.h"

typedef struct spar__head_kind {
    spar__kind kind;
    size_t self_size;
    /* `embedding` is the token embedding [vocab_size, its width]. */
    spar_status (*declare)(spar__builder *builder, const spar__shape *shape, const void *options,
                           spar__param *embedding, void *self);
    spar__tensor *(*logits)(spar__pass *pass, const void *options, const void *self, spar__tensor *x);
    /* As spar__head_loss. */
    void (*loss)(spar__pass *pass, const void *options, const void *self, spar__tensor *x,
                 const int32_t *targets, const spar__loss_options *o, double *sum, int64_t *count);
    int64_t (*read_per_token)(const spar__shape *shape, const void *options);
    int64_t (*outputs)(const spar__shape *shape, const void *options); /* columns; NULL = vocab_size */
    bool per_sequence; /* one row of logits for each sequence, not for each token */
} spar__head_kind;

const spar__kind *spar__head_at(int index); /* NULL beyond the last */

#endif
