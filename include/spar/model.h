/* Configurations and models. A configuration is JSON with the sections "model" and "train"; a model
 * is a configuration's "model" section with weights and, usually, a tokenizer. */
#ifndef SPAR_MODEL_H
#define SPAR_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "spar/status.h"
#include "spar/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spar_config spar_config;
typedef struct spar_model spar_model;

/* Reads a configuration file. Each of `settings` ("model.d_model=64", "train.optimizer.lr=1e-3") then
 * replaces or adds a value by its path; values are JSON, and text that is not JSON is a string.
 * `path` NULL starts from an empty object. Unknown keys are refused (SPAR_ERR_CONFIG) with the
 * nearest known one when a model or a trainer is made of it. The caller frees *out. */
spar_status spar_config_open(const char *path, const char *const *settings, size_t n_settings,
                             spar_config **out);
spar_status spar_config_parse(const char *json, size_t length, spar_config **out);
spar_status spar_config_set(spar_config *config, const char *setting);
/* The configuration as JSON text, to be freed with spar_free. */
spar_status spar_config_text(const spar_config *config, char **text);
void spar_config_free(spar_config *config);

/* What a model of a configuration takes, found before anything is allocated. */
typedef struct spar_plan {
    uint64_t parameters;
    uint64_t weight_bytes;           /* as stored in `type` */
    uint64_t bytes_per_token;        /* weights read to decode one token */
    uint64_t piece_bytes;            /* of the pieces that a token chooses; 0: all are read in order */
    uint64_t cache_bytes_per_1k;     /* cache of one sequence at 1,024 tokens, f32 */
    uint64_t train_bytes;            /* weights, gradients, moments and activations of a step */
    double flops_per_token;          /* forward, at the full context */
} spar_plan;
spar_status spar_config_plan(const spar_config *config, const char *type, spar_plan *out);

/* A new model with random weights: reproducible from the seed at any thread count. */
spar_status spar_model_create(const spar_config *config, uint64_t seed, spar_model **out);
/* The same weights rounded to a type (names as for spar_model_save), never all in f32 at once. */
spar_status spar_model_create_as(const spar_config *config, const char *type, uint64_t seed,
                                 spar_model **out);
/* Opens a model file of Spar's own (GGUF), a GGUF file of a published architecture, or a Hugging Face
 * folder (config.json, safetensors, with or without tokenizer files). Weights stay mapped from the
 * files where their layout allows it. A configuration key that may change what is computed, a
 * tensor without a place, and a type that is not read are refused by name. */
spar_status spar_model_open(const char *path, spar_model **out);
/* The names of the types in which weights can be stored: "f32, f16, bf16, q8_0, …". */
const char *spar_type_names(void);
/* Writes one GGUF file with configuration, weights as `type` (NULL = as they are; vectors stay f32), and tokenizer (NULL = the model's own, if any). Atomic. */
spar_status spar_model_save(const spar_model *model, const spar_tokenizer *tokenizer, const char *type,
                            const char *path);

/* Writes a model in the form in which others publish it. */
typedef struct spar_export_options {
    const char *format; /* "folder": a Hugging Face folder; "gguf": a GGUF file as llama.cpp reads it;
                           "spar": as spar_model_save; NULL: "gguf" for a path that ends so, and "spar"
                           where the model has no such form, else "folder" */
    const char *family; /* "llama" …; NULL = the one it came from, else the first that fits */
    const char *type;   /* as for spar_model_save; NULL = as they are */
    const spar_progress *progress;
} spar_export_options;
#define SPAR_EXPORT_OPTIONS_INIT {.format = NULL}

/* Atomic; a folder that is there already must be empty. *format, if not NULL, is what was written.
 * SPAR_ERR_UNSUPPORTED, with the reason, for a model that no family describes. */
spar_status spar_model_export(const spar_model *model, const spar_export_options *options,
                              const char *path, const char **format);
void spar_model_free(spar_model *model);

const spar_tokenizer *spar_model_tokenizer(const spar_model *model); /* NULL when it has none */
int32_t spar_model_vocab_size(const spar_model *model);
/* The token that decoders of encoder–decoders begin with; −1 where the model does not say. */
int32_t spar_model_start(const spar_model *model);
/* Token ids that a published model's files name under `key` ("eos_token_id"), else the tokenizer's end;
 * at most `most`. Returns how many. Of lists of lists those of one id. */
size_t spar_model_special(const spar_model *model, const char *key, int32_t *ids, size_t most);
int64_t spar_model_context(const spar_model *model); /* most positions; 0 = no limit */
/* Tokens of a text at most, for its vector: the context, or less where the model says so. */
int64_t spar_model_text_limit(const spar_model *model);
/* The template by which a published model turns a conversation into text, or NULL. Owned by the model. */
const char *spar_model_chat_template(const spar_model *model);
/* Everything `spar inspect` shows, as JSON text, to be freed with spar_free. */
spar_status spar_model_describe(const spar_model *model, char **json);

/* ---- Running a model in one call. Any thread; several may share a model. ---- */

/* "decoder", "encoder" or "encoder-decoder". */
const char *spar_model_architecture(const spar_model *model);
/* Its head: "tied" and "separate" predict the next token, "masked" the tokens that are masked,
 * "classifier" scores sequences, "embedding" gives a vector for each. Others may come. */
const char *spar_model_head(const spar_model *model);
/* The classifier's name for class `index`; NULL where it has none. */
const char *spar_model_label(const spar_model *model, size_t index);

typedef struct spar_input {
    const int32_t *tokens;
    size_t n_tokens;
    const int32_t *segments; /* token types [n_tokens]; NULL = all are 0 */
    const int32_t *source;   /* encoder–decoders: what the encoder reads */
    size_t n_source;
} spar_input;

typedef enum spar_output {
    SPAR_OUTPUT_LOGITS,    /* what the head gives: a row for each token, or for each sequence */
    SPAR_OUTPUT_STATES,    /* [tokens, d_model] what enters the head */
    SPAR_OUTPUT_EMBEDDING, /* [inputs, d_model] one vector for each sequence */
} spar_output;
typedef enum spar_pooling {
    SPAR_POOLING_OWN,  /* what the model says; the mean where it says nothing */
    SPAR_POOLING_MEAN, /* over the tokens */
    SPAR_POOLING_CLS,  /* the first token */
    SPAR_POOLING_LAST, /* the last one */
} spar_pooling;

/* Runs sequences side by side, nothing padded: their rows, one sequence after the other, are the rows
 * of *out [*rows, *columns], to be freed with spar_free. Embeddings have unit length where the model says
 * so, and means where it says nothing. `pooling` is for embeddings. */
spar_status spar_model_run(const spar_model *model, const spar_input *inputs, size_t n_inputs,
                           spar_output output, spar_pooling pooling, float **out, size_t *rows,
                           size_t *columns);

/* One forward pass over `count` tokens: logits [count, vocab_size] into `out`. For models that
 * predict tokens and need no source. */
spar_status spar_model_logits(const spar_model *model, const int32_t *tokens, size_t count, float *out);

#ifdef __cplusplus
}
#endif
#endif
