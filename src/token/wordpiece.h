/* Descriptions of WordPiece tokenizers whose files hold nothing but the vocabulary. */
#ifndef SPAR_TOKEN_WORDPIECE_H
#define SPAR_TOKEN_WORDPIECE_H

#include <jansson.h>

#include "base/memory.h"

/* BERT's tokenizer.json for {piece: id}. Steals `vocab`, also on failure. */
spar_status spar__wordpiece_json(json_t *vocab, bool lower, json_t **out);
/* No piece but the [SPECIAL] ones has a capital: the model was trained on lower-cased text. */
bool spar__wordpiece_is_lower(const json_t *vocab);

#endif
