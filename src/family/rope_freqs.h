/* Scaling "llama3" of rotary positions in GGUF files, where it is a tensor of factors. */
#ifndef SPAR_FAMILY_ROPE_FREQS_H
#define SPAR_FAMILY_ROPE_FREQS_H

#include "family/family.h"

/* What frequency i of n is divided by, as llama.cpp's converter computes it. */
double spar__llama3_factor(double base, int64_t i, int64_t n, double factor, double low, double high,
                           double original_context);
/* Finds the members of scaling "llama3" that give the factors of rope_freqs.weight and puts them into
 * `position`; refuses factors that come from no such scaling. */
spar_status spar__rope_freqs_read(const spar__gguf *file, json_t *position, int64_t n);

#endif
