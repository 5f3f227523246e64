/* Published model families (family.def): a family translates its configuration into a "model" section
 * and its tensor names into ours, and back. It holds no arithmetic: what a family computes is a
 * choice of kinds that any model can make.
 *
 * Three formats meet in the "model" section: config.json of a Hugging Face folder, metadata of a
 * GGUF file, and Spar's own files. See docs/howto-family.md. */
#ifndef SPAR_FAMILY_FAMILY_H
#define SPAR_FAMILY_FAMILY_H

#include <limits.h>

#include "format/gguf.h"
#include "model/model.h"

/* ---- Tensors --------------------------------------------------------------------------------- */

/* How rows of one of our parameters lie in a published tensor. A vector is a column of rows. */
typedef enum spar__form {
    SPAR__SAME,       /* in their order, behind those of the parts before */
    SPAR__TRANSPOSED, /* published as [in, out]: our rows are its columns, likewise in order */
    SPAR__PER_HEAD,   /* published as [n_heads, parts, head_dim, …] */
    SPAR__SLABS,      /* published as [n_heads, in, …]: our rows of a head are its columns */
    SPAR__COLUMN_AND_ROW, /* the first half of each row is a column of one tensor, the second a row of
                             another, named after "|" */
    SPAR__HALVES,     /* for rotary pairs (i, i + n/2): a model of pairs (2i, 2i + 1) has the rows of */
    SPAR__ADJACENT    /* each head in another order; and the other way round */
} spar__form;

/* `{i}` is a layer in both names; where layers of a list of feed-forwards are the attentions of one block, as
 * Terraformer's, `{b}` and `{j}` in their names are the block and the attention; `{e}` in theirs is an expert: our parameter is a stack of such
 * tensors. Names without ".weight" or ".bias" stand for both. Rules with the same published name
 * are the parts of one tensor. "A|B" is A, or B where there is no A. The first rule that fits counts. */
typedef struct spar__tensor_rule {
    const char *ours, *theirs; /* theirs "/NAME": without the family's prefix */
    spar__form form;
    int part, parts; /* from 0; 0 of 0 = the whole */
    const char *with; /* the rule holds only where the model has this parameter too; NULL = always */
    /* Sizes of the published tensor where they are not those of a matrix or vector, as letters: r and c, our rows and
     * columns; H heads, N neurons of a block, R rounds of hashes; 1; f what remains; after "|" those of the second of
     * two tensors. They are written; read is what has as many numbers. */
    const char *shape;
} spar__tensor_rule;

/* ---- Configurations -------------------------------------------------------------------------- */

/* Reads config.json key by key. The first failure is kept and later reads give their fallback, so
 * that a family reads as a list. Keys that nobody asked for are refused in the end, unless they are
 * known to change nothing. */
typedef struct spar__config_reader {
    const char *path; /* for messages */
    const json_t *config;
    json_t *used; /* keys asked for */
    spar_status status;
    const struct spar__beside *beside; /* NULL: what lies in the folder of `path` */
} spar__config_reader;

/* What will lie beside a config.json that is to be written. */
typedef struct spar__beside {
    bool (*tensor)(const struct spar__beside *beside, const char *name);
    json_t *(*file)(const struct spar__beside *beside, const char *name); /* a new value, or NULL */
} spar__beside;

/* After the last read: the first failure, or a key that nobody knows. */
spar_status spar__config_finish(spar__config_reader *);

#define SPAR__REQUIRED INT64_MIN
int64_t spar__config_integer(spar__config_reader *, const char *key, int64_t fallback);
double spar__config_real(spar__config_reader *, const char *key, double fallback);
bool spar__config_bool(spar__config_reader *, const char *key, bool fallback);
const char *spar__config_text(spar__config_reader *, const char *key, const char *fallback);
/* The one of `values` (ends with NULL; the first is the fallback) that `key` holds; anything else fails,
 * saying what was `expected`. */
const char *spar__config_one_of(spar__config_reader *r, const char *key, const char *const *values,
                                const char *expected);
/* The value itself, borrowed; NULL where there is none or null. */
const json_t *spar__config_value(spar__config_reader *, const char *key);
/* `key`, or `other` where only that is there: names that transformers takes for the same. */
const char *spar__config_either(spar__config_reader *, const char *key, const char *other);
/* Whether the folder of config.json has a tensor of this name. */
bool spar__config_tensor(spar__config_reader *, const char *name);
/* Whether both are there with the same bytes. */
bool spar__config_same_tensors(spar__config_reader *, const char *a, const char *b);
bool spar__config_has(const spar__config_reader *, const char *key); /* there and not null */
/* The name of one of our activations. */
const char *spar__config_activation(spar__config_reader *, const char *key, const char *fallback);
const char *spar__activation_published(const char *ours); /* "gelu-tanh" → "gelu_new" */
const char *spar__activation_ours(const char *published); /* and back; NULL where it is none of ours */
/* Refuses any value but `expected`: the key changes what is computed and only this is known. */
void spar__config_only(spar__config_reader *, const char *key, bool expected, bool fallback);
void spar__config_fail(spar__config_reader *, const char *key, const char *expected);
/* The "position" section of rotary positions, from both styles of rope keys; and back (the keys
 * rope_theta, rope_scaling and partial_rotary_factor of `config`). */
json_t *spar__config_rope(spar__config_reader *, double base, double fraction, const char *pairs);
void spar__publish_rope(json_t *config, const json_t *position);

/* ---- A family -------------------------------------------------------------------------------- */

typedef struct spar__family {
    const char *name;          /* "gpt2" */
    const char *const *types;  /* values of "model_type" in config.json, end with NULL */
    bool (*is)(const json_t *config); /* which family of several with one type; NULL = this */
    const char *const *prefixes; /* that tensor names may have, the first is written; NULL = none */
    const spar__tensor_rule *tensors;
    const char *const *ignored; /* tensors that carry no weights of their own: "*.attn.bias" */
    /* config.json → a new "model" section; and back, NULL when the model is none of this family. */
    json_t *(*read)(spar__config_reader *reader);
    json_t *(*publish)(const json_t *model);
    /* Whether tensors are named as `tensors` writes them in folders with this config.json; NULL = always. */
    bool (*kept)(const json_t *config);

    const char *gguf; /* general.architecture, or NULL: has no GGUF form */
    const spar__tensor_rule *gguf_tensors; /* where names are not ours; NULL = all are */
    /* The metadata → a new "model" section, `decoder` being what spar__gguf_decoder made of the
     * common keys; NULL: that section, with the family's own fixed parts merged in. */
    const char *gguf_model; /* JSON: fixed parts of the "model" section */
    /* Whether this family, of several with one architecture, is the one of a file; NULL = yes. */
    bool (*gguf_is)(const spar__gguf *file);
} spar__family;

const spar__family *spar__family_at(int index);              /* NULL beyond the last */
const spar__family *spar__family_named(const char *name);    /* by its own name */
const spar__family *spar__family_of_config(const json_t *config); /* by its "model_type" */
const spar__family *spar__family_of_gguf(const spar__gguf *file);
/* "gpt2, llama, …" for messages. */
void spar__family_list(char *out, size_t room);

/* Members of "model" sections, with the defaults that they have when absent. */
int64_t spar__model_integer(const json_t *model, const char *path, int64_t fallback);
double spar__model_real(const json_t *model, const char *path, double fallback);
bool spar__model_flag(const json_t *model, const char *path, bool fallback);
/* The name of a kind, given as text or as an object with "kind"; "attention.pattern". */
const char *spar__model_kind(const json_t *model, const char *path, const char *fallback);
const json_t *spar__model_value(const json_t *model, const char *path); /* or NULL */
/* A member of a section of the layer of a parameter ("dec.blk.3.ffn_up.weight"), be it the stack's own, for all or one
 * of a list: the feedforward's "block". */
int64_t spar__layer_integer(const json_t *model, const char *param, const char *section, const char *key, int64_t fallback);

#endif
