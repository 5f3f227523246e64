/* Small decoders of every kind that there is: the tables of kinds are walked. */
#ifndef TESTS_SUPPORT_DECODERS_H
#define TESTS_SUPPORT_DECODERS_H

#include "spar/model.h"

enum { DECODER_VOCABULARY = 61, DECODER_CONTEXT = 96 };

int decoders_count(void);
const char *decoder_text(int index); /* its "model" section, until the next call */
/* Random weights in a type; ends the program where that fails. */
spar_model *decoder_make(int index, const char *type, unsigned seed);

#endif
