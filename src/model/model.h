/* A model as the rooms above see it: parameters, and the stack run on a pass. */
#ifndef SPAR_MODEL_MODEL_H
#define SPAR_MODEL_MODEL_H

#include <jansson.h>

#include "op/param.h"
#include "spar/model.h"

struct spar__cache;

/* ---- Configurations as their JSON: sections "model" and "train" ---- */
struct spar_config {
    json_t *root;
};
/* Reads `object` (NULL = {}) by a table of options into the struct at `out`, defaults included. Keys
 * not in the table are refused with the nearest known one, unless they are in `also` (ends with
 * NULL, may be NULL). `where` is the path for messages: "train.optimizer". */
spar_status spar__options_read(const json_t *object, const char *where, const spar_option *options,
                               const char *const *also, void *out);

/* ---- Parameters ---- */
int spar__model_n_params(const spar_model *model);
spar__param *spar__model_param(spar_model *model, int index); /* stable order; tied ones once */
/* Weights as f32 in memory of our own, with gradients: what training needs. Idempotent. */
spar_status spar__model_make_trainable(spar_model *model);
void spar__model_set_tokenizer(spar_model *model, spar_tokenizer *tokenizer); /* taken over */
const json_t *spar__model_config(const spar_model *model); /* the "model" section */
const spar__shape *spar__model_shape(const spar_model *model);
/* The attention of a layer, without biases by position, for measuring it by itself. */
spar__attend_options spar__model_attention(const spar_model *model, int64_t layer);

/* ---- The stack ----
 * tokens [rows of the pass]. Result: final hidden states [n_rows, d_model], after the last norm. */
spar__tensor *spar__model_hidden(spar__pass *pass, const spar_model *model, const int32_t *tokens);
/* Logits [rows of hidden, vocab_size]. */
spar__tensor *spar__model_logits_of(spar__pass *pass, const spar_model *model, spar__tensor *hidden);
/* Loss of hidden states against targets [rows]; as spar__head_loss. */
void spar__model_loss(spar__pass *pass, const spar_model *model, spar__tensor *hidden,
                      const int32_t *targets, const spar__loss_options *options, double *sum,
                      int64_t *count);
/* Blocks are recomputed in the backward pass instead of stored. */
void spar__model_set_recompute(spar_model *model, bool recompute);
void spar__model_set_dropout(spar_model *model, double dropout);

/* A cache for n_slots sequences of up to `context` tokens, fed at most max_chunk tokens at once. */
spar_status spar__model_cache_create(const spar_model *model, int n_slots, int64_t context,
                                     int64_t max_chunk, spar__type type, struct spar__cache **out);
uint64_t spar__model_cache_bytes(const spar_model *model, int n_slots, int64_t context,
                                 int64_t max_chunk, spar__type type);

#endif
