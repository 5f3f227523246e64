/* The inside of a model, shared by the files of this room. */
#ifndef SPAR_MODEL_INSIDE_H
#define SPAR_MODEL_INSIDE_H

#include "block/block.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "head/head.h"
#include "model/model.h"

/* The layers that one kind of sequence runs through. A model is one stack (a decoder or an encoder) or
 * two (encoder–decoder): what differs between them is what the sections "encoder" and "decoder" of
 * its configuration say; the rest they have in common. */
typedef struct spar__stack {
    const char *name; /* "encoder" or "decoder" */
    char prefix[8];   /* of its parameters: "", or "enc." and "dec." where there are two */
    char where[24];   /* its section, for messages: "model" or "model.encoder" */
    json_t *config;   /* the "model" section with its own section merged into it */
    spar__shape shape;
    spar__param *embedding; /* the first stack's, unless it has its own */
    spar__param *widen, *narrow; /* between an embedding of another width and d_model; NULL = none */
    spar__param *widen_bias;
    bool project_sum;       /* after positions and segments were added */
    spar__param *segments;  /* [token types, width], or NULL */
    spar__param *convolution, *convolution_bias; /* beside the first layer, or NULL (model/stack.c) */
    spar__norm_layer convolution_norm;
    spar__activation convolution_activation;
    int64_t convolution_width;
    double embedding_scale, dropout;
    spar__norm_layer embedding_norm, final_norm; /* weight NULL = none */
    spar__choice position;
    void *position_self;
    spar__block *blocks; /* [shape.n_layers] */
    spar__param *project, *project_bias; /* behind the last layer (joined encoders), or NULL */
} spar__stack;

enum { SPAR__MAX_STACKS = 2 };

struct spar_model {
    json_t *config; /* the "model" section */
    spar__builder params;
    const char *architecture;
    spar__stack stacks[SPAR__MAX_STACKS]; /* as they run: the last one's output enters the head */
    int n_stacks;
    bool joined, project_memory; /* the decoder's rows follow the encoder's (joined.c) */
    spar__choice head;
    void *head_self;
    bool recompute;

    void *weights;   /* memory of our own for weights; those that are not there lie in a file */
    bool owned;      /* all of them lie in `weights` */
    real *gradients; /* NULL until made trainable */
    spar__gguf *file;
    spar__st *tensors;
    json_t *source; /* where a published model comes from (family/), or NULL */
    spar_tokenizer *tokenizer;
};

static inline spar__stack *spar__model_last(const spar_model *m) {
    return (spar__stack *)&m->stacks[m->n_stacks - 1];
}

/* Width of what leaves a stack. */
int64_t spar__stack_width(const spar__stack *stack);
/* The layers of a stack on x, without what comes before and after them. */
spar__tensor *spar__stack_blocks(spar__pass *pass, const spar_model *m, const spar__stack *s, spar__tensor *x);

/* ---- Decoders whose rows follow their encoder's (joined.c) ---- */

spar_status spar__joined_check(const spar_model *m, const spar__stack *s);
/* The decoder's layers on x and on what is before it in pass->shared or the cache. */
spar__tensor *spar__joined_run(spar__pass *pass, const spar_model *m, const spar__stack *s, spar__tensor *x);
/* The pass's rows, as they stand in the cache behind their sources. */
const spar__rows *spar__joined_shifted(spar__pass *pass);
/* Keeps in the cache what the decoder's layers make of an encoder's output. */
void spar__joined_keep(spar__pass *pass, const spar_model *m, const spar__stack *s, const spar__rows *sources,
                       spar__tensor *memory);

/* ---- Choosing kinds (choose.c) ---- */

typedef const spar__kind *(*spar__kind_table)(int index);

/* `value` is a name, "name:value of its first option", or an object with "kind"; NULL takes the
 * table's `fallback`. */
spar_status spar__choose(const json_t *value, const char *where, const char *key, spar__kind_table at,
                         const char *fallback, spar__choice *out);
/* A layer's pattern; a list is dealt over its heads (pattern.c). */
spar_status spar__choose_pattern(const json_t *value, const char *where, const spar__shape *shape,
                                 const char *fallback, spar__choice *out);
spar_status spar__choose_residual(const json_t *value, const char *where, const spar__residual_kind **out);
/* The same object, or the item of a list that is repeated over the layers. */
const json_t *spar__of_layer(const json_t *value, int64_t layer);
/* `base` with `over` put over it, object by object; an object of another kind replaces the whole. */
json_t *spar__merged(const json_t *base, const json_t *over);
/* Adds to a description where the model comes from, its tokenizer and its memory (about.c). */
void spar__model_about(const spar_model *model, double weight_bytes, json_t *description);
/* How the tensors of a file are written; what is NULL is left out. */
typedef struct spar__model_writing {
    spar__type (*type_for)(void *context, const spar__param *param); /* one that fits its rows */
    /* *out: weights of the columns [cols], or NULL; valid until the next call. */
    spar_status (*importance)(void *context, const spar__param *param, const float **out);
    /* After each tensor; error and size are Σ (difference)² and Σ value², 0 where it was copied. */
    spar_status (*wrote)(void *context, const spar__param *param, spar__type type, double error, double size);
    void *context;
} spar__model_writing;
spar_status spar__model_write(const spar_model *model, const spar_tokenizer *tokenizer,
                              const spar__model_writing *how, const char *path);
/* Memory for all weights in a type. */
spar_status spar__model_allocate(spar_model *model, spar__type type);

#endif
