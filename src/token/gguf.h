/* A tokenizer in the metadata of a GGUF file: the keys tokenizer.ggml.* as llama.cpp writes them,
 * and the whole tokenizer.json under tokenizer.huggingface.json, which is preferred. */
#ifndef SPAR_TOKEN_GGUF_H
#define SPAR_TOKEN_GGUF_H

#include "format/gguf.h"
#include "spar/tokenizer.h"

spar_status spar__tokenizer_open_gguf(const char *path, spar_tokenizer **out);
/* SPAR_ERR_NOT_FOUND when the file has no tokenizer. */
spar_status spar__tokenizer_from_gguf(const spar__gguf *gguf, spar_tokenizer **out);
spar_status spar__tokenizer_to_gguf(const spar_tokenizer *tokenizer, spar__gguf_writer *writer);

#endif
