/* A model as the rooms above see it: parameters, and the stack run on a pass. */
#ifndef SPAR_MODEL_MODEL_H
#define SPAR_MODEL_MODEL_H

#include <jansson.h>

#include "op/param.h"
#include "spar/model.h"

struct spar__cache;
struct spar__gguf;
struct spar__st;

/* ---- Configurations as their JSON: sections "model" and "train" ---- */
struct spar_config {
    json_t *root;
};
/* Reads `object` (NULL = {}) by a table of options into the struct at `out`, defaults included. Keys
 * not in the table are refused with the nearest known one, unless they are in `also` (ends with
 * NULL, may be NULL). `where` is the path for messages: "train.optimizer". */
spar_status spar__options_read(const json_t *object, const char *where, const spar_option *options,
                               const char *const *also, void *out);
/* Frees options that were allocated (NULL is fine), with the kinds within them. */
void spar__options_free(const spar_option *options, void *values);

/* ---- Models of weights from elsewhere (family/) ----
 * Built from a "model" section with its parameters described, but no weights; each then gets them,
 * in files that the model adopts or in memory that it owns; then the positions' tables are made. */
spar_status spar__model_build(const json_t *config, spar_model **out);
/* A new model with weights of `type` (NULL: f32), which `fill` makes. */
spar_status spar__model_create_with(const spar_config *config, const char *type,
                                    spar_status (*fill)(spar_model *model, uint64_t seed), uint64_t seed,
                                    spar_model **out);
/* The model closes these with itself; NULL = none. */
void spar__model_adopt(spar_model *model, struct spar__gguf *file, struct spar__st *tensors);
/* Memory for weights that had to be copied, freed with the model; NULL without memory. Once. */
void *spar__model_room(spar_model *model, size_t bytes);
spar_status spar__model_prepare(spar_model *model);
/* What a model file of Spar's own holds; the file is taken over, also on failure. */
spar_status spar__model_from_gguf(struct spar__gguf *file, const char *path, spar_model **out);
/* Whether two models compute the same from the same weights, by what they are made of. */
bool spar__model_same(const spar_model *a, const spar_model *b);
/* The type in which weights of a GGUF type are computed with; false when there is none. */
bool spar__model_type_of_gguf(int gguf_type, spar__type *out);
int spar__model_gguf_type(spar__type type); /* and the other way */
/* What is known of a published model beyond its "model" section: {"family", "config", …}, kept in
 * its files; NULL = nothing. `set` takes `source` over. */
const json_t *spar__model_source(const spar_model *model);
/* What its generation_config.json says under a key, where there is none its config.json; NULL = nothing. */
const json_t *spar__model_generation(const spar_model *model, const char *key);
void spar__model_set_source(spar_model *model, json_t *source);

/* ---- Parameters ---- */
/* The type in which a parameter of a model in `wanted` is stored: vectors, which are few, and rows
 * that no whole number of blocks fills stay f32. */
spar__type spar__stored_type(const spar__param *param, spar__type wanted);
int spar__model_n_params(const spar_model *model);
spar__param *spar__model_param(spar_model *model, int index); /* stable order; tied ones once */
/* Weights as f32 in memory of our own, with gradients: what training needs. Idempotent. */
spar_status spar__model_make_trainable(spar_model *model);
void spar__model_set_tokenizer(spar_model *model, spar_tokenizer *tokenizer); /* taken over */
const json_t *spar__model_config(const spar_model *model); /* the "model" section */
/* The embedding matrix [vocab_size, width] of what is read first (an encoder–decoder's encoder). */
spar__param *spar__model_embedding(const spar_model *model);
const spar__shape *spar__model_shape(const spar_model *model);
/* Of the stack that a parameter belongs to. */
const spar__shape *spar__model_shape_of(const spar_model *model, const char *param);
/* The attention of a layer, without biases by position, for measuring it by itself. */
spar__attend_options spar__model_attention(const spar_model *model, int64_t layer);

/* ---- The stack ----
 * tokens [rows of the pass]. Result: final hidden states [n_rows, d_model], after the last norm. */
spar__tensor *spar__model_hidden(spar__pass *pass, const spar_model *model, const int32_t *tokens);
/* Encoder–decoders: runs the encoder over rows of their own, before spar__model_hidden. Without a cache,
 * sequence i of the pass then looks at sequence i of the sources; with one, the keys and values that
 * each layer of the decoder makes of source i are kept at its slot, and passes over that slot say how
 * many there are (spar__sequence.source). `sources` must last as long as the pass. */
void spar__model_encode(spar__pass *pass, const spar_model *model, const spar__rows *sources,
                        const int32_t *tokens);
/* Logits [rows of hidden, vocab_size]. */
spar__tensor *spar__model_logits_of(spar__pass *pass, const spar_model *model, spar__tensor *hidden);
/* Loss of hidden states against targets [rows]; as spar__head_loss. */
void spar__model_loss(spar__pass *pass, const spar_model *model, spar__tensor *hidden,
                      const int32_t *targets, const spar__loss_options *options, double *sum,
                      int64_t *count);
/* Blocks are recomputed in the backward pass instead of stored. */
void spar__model_set_recompute(spar_model *model, bool recompute);
void spar__model_set_dropout(spar_model *model, double dropout);

/* Bytes of weights that a step of so many tokens, one of each of several sequences, is to read. */
double spar__model_read_bytes(const spar_model *model, int64_t tokens);

/* spar_model_run with somebody who looks at the attention (NULL: nobody). */
spar_status spar__model_run_looking(const spar_model *model, const spar_input *inputs, size_t n_inputs,
                                    const spar__looker *looker, spar_output output, spar_pooling pooling,
                                    float **out, size_t *rows, size_t *columns);

/* A cache for n_slots sequences of up to `context` tokens, fed at most max_chunk tokens at once. */
spar_status spar__model_cache_create(const spar_model *model, int n_slots, int64_t context,
                                     int64_t max_chunk, spar__type type, struct spar__cache **out);
/* Whether the states of a slot, as spar__cache_pack leaves them, are such as its layers make. */
spar_status spar__model_states_check(const spar_model *model, const struct spar__cache *cache, const void *states,
                                     const char *path);
/* The same of the first layers alone (spar__pass.n_layers). */
spar_status spar__model_cache_part(const spar_model *model, int64_t n_layers, int n_slots, int64_t context,
                                   int64_t max_chunk, spar__type type, struct spar__cache **out);
uint64_t spar__model_cache_part_bytes(const spar_model *model, int64_t n_layers, int n_slots, int64_t context,
                                      int64_t max_chunk, spar__type type);
uint64_t spar__model_cache_bytes(const spar_model *model, int n_slots, int64_t context,
                                 int64_t max_chunk, spar__type type);

#endif
