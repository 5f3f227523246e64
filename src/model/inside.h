/* The inside of a model, shared by the files of this room. */
#ifndef SPAR_MODEL_INSIDE_H
#define SPAR_MODEL_INSIDE_H

#include "block/block.h"
#include "format/gguf.h"
#include "head/head.h"
#include "model/model.h"

struct spar_model {
    json_t *config; /* the "model" section */
    spar__shape shape;
    spar__builder params;
    spar__param *embedding;
    double embedding_scale, dropout;
    spar__norm_layer embedding_norm, final_norm; /* weight NULL = none */
    spar__choice position, head;
    void *position_self, *head_self;
    spar__block *blocks; /* [n_layers] */
    bool recompute;

    void *weights;   /* memory of our own for the weights, or NULL when they lie in `file` */
    real *gradients; /* NULL until made trainable */
    spar__gguf *file;
    spar_tokenizer *tokenizer;
};

/* A model of a "model" section with its parameters described, but no weights. */
spar_status spar__model_build(const json_t *config, spar_model **out);
/* The type in which a parameter of a model in `wanted` is stored: vectors, which are few, and rows
 * that no whole number of blocks fills stay f32. */
spar__type spar__stored_type(const spar__param *param, spar__type wanted);
/* Memory for all weights in a type (not those that are there), and the positions' tables. */
spar_status spar__model_allocate(spar_model *model, spar__type type);
spar_status spar__model_prepare(spar_model *model);

#endif
