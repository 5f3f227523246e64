/* Opening models by what lies at a path. */
#ifndef SPAR_FAMILY_OPEN_H
#define SPAR_FAMILY_OPEN_H

#include "family/family.h"

/* A folder with config.json and safetensors. */
spar_status spar__folder_open(const char *path, spar_model **out);
/* A GGUF file of a published architecture; the file is taken over, also on failure. */
spar_status spar__published_open(spar__gguf *file, const char *path, spar_model **out);
/* Takes the tokenizer over and gives it to the model, if it fits. */
spar_status spar__give_tokenizer(spar_model *model, const char *path, spar_tokenizer *tokenizer);

#endif
