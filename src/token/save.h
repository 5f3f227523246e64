/* The files of a tokenizer in a Hugging Face folder. */
#ifndef SPAR_TOKEN_SAVE_H
#define SPAR_TOKEN_SAVE_H

#include <jansson.h>

#include "spar/tokenizer.h"

/* tokenizer.json, or the tokenizer.model of a SentencePiece tokenizer; and tokenizer_config.json:
 * `config` as it came, or (NULL) made from the tokenizer and `chat_template` (NULL = none). */
spar_status spar__tokenizer_save_folder(const spar_tokenizer *tokenizer, const json_t *config,
                                        const char *chat_template, const char *folder);

#endif
