/* Rows through a layer in chunks, each of which is run again for its backward pass: the memory of the layer's
 * inside does not grow with the rows (Kitaev et al. 2020, arXiv 2001.04451, section 3). */
#ifndef SPAR_OP_CHUNKS_H
#define SPAR_OP_CHUNKS_H

#include "op/op.h"

/* A layer that treats each row by itself and keeps their number: x [rows, any] → [rows, x's width]. */
typedef spar__tensor *(*spar__row_layer)(spar__pass *pass, const void *layer, spar__tensor *x);

/* layer(x), `chunk` rows at a time; 0 or at least as many as there are: at once, and nothing is run again. */
spar__tensor *spar__in_chunks(spar__pass *pass, spar__tensor *x, int64_t chunk, spar__row_layer run,
                              const void *layer);

#endif
