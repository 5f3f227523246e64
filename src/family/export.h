/* Writing models in published forms. */
#ifndef SPAR_FAMILY_EXPORT_H
#define SPAR_FAMILY_EXPORT_H

#include "family/outgoing.h"
#include "spar/log.h"

typedef struct spar__export {
    spar_model *model;
    const spar__family *family;
    const spar__type *type; /* NULL = as they are */
    const spar_progress *progress;
    const char *path;
    spar__outgoing out;
} spar__export;

/* The "model" section of a config.json; `path` is for messages. */
spar_status spar__family_translate(const char *path, const spar__family *family, const json_t *config,
                                   const spar__beside *beside, json_t **section);
/* Whether a model of `section` is the same as `model`, but for the order of rotary pairs. */
bool spar__section_fits(const json_t *section, const spar_model *model);
/* The config.json of the model in a family: its own where it came with one, else made from its
 * "model" section; NULL when the family cannot say what the model is. */
json_t *spar__published_config(const spar_model *model, const spar__family *family);
/* Whether the metadata of the family's GGUF files can say what the model is. */
bool spar__gguf_can_say(const spar_model *model, const spar__family *family);
spar_status spar__gguf_write_keys(spar__gguf_writer *writer, const spar_model *model, const spar__family *family);
/* Factors that frequencies are divided by, of scaling "llama3": [*count] (spar__free), else NULL. */
spar_status spar__gguf_rope_factors(const spar_model *model, float **factors, int64_t *count);

/* sentence-transformers' files of a model that ends in an embedding, by name: "modules.json", "1_Pooling/config.json".
 * A new value; NULL where the model has no such file. */
json_t *spar__embedding_file(const spar_model *model, const char *name);

spar_status spar__export_folder(spar__export *e);
spar_status spar__export_gguf(spar__export *e);

#endif
