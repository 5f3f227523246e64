/* Marian's tokenizers (Junczys-Dowmunt et al. 2018, "Marian: fast neural machine translation in
 * C++"), as they are published with OPUS-MT: a folder with source.spm, target.spm, vocab.json. */
#ifndef SPAR_TOKEN_MARIAN_H
#define SPAR_TOKEN_MARIAN_H

#include "spar/tokenizer.h"

bool spar__marian_in(const char *folder);
spar_status spar__marian_open(const char *folder, spar_tokenizer **out);
/* Writes the three files. */
spar_status spar__marian_save(const spar_tokenizer *tokenizer, const char *folder);

#endif
