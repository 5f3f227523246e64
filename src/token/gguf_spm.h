/* SentencePiece models among GGUF's tokenizers. */
#ifndef SPAR_TOKEN_GGUF_SPM_H
#define SPAR_TOKEN_GGUF_SPM_H

#include "format/gguf.h"
#include "spar/tokenizer.h"

spar_status spar__spm_from_gguf(const spar__gguf *gguf, bool bpe, spar_tokenizer **out);
/* All keys but those of roles and of what is added. */
spar_status spar__spm_to_gguf(const spar_tokenizer *tokenizer, spar__gguf_writer *writer);

#endif
