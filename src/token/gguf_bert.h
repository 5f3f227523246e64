/* WordPiece among GGUF's tokenizers. */
#ifndef SPAR_TOKEN_GGUF_BERT_H
#define SPAR_TOKEN_GGUF_BERT_H

#include "format/gguf.h"
#include "spar/tokenizer.h"

spar_status spar__wordpiece_from_gguf(const spar__gguf *gguf, spar_tokenizer **out);
/* All keys but those of roles. */
spar_status spar__wordpiece_to_gguf(const spar_tokenizer *tokenizer, spar__gguf_writer *writer);

#endif
