/* What generation_config.json says of single tokens: ends, and tokens that are forced or forbidden. */
#ifndef SPAR_GENERATE_SPECIAL_H
#define SPAR_GENERATE_SPECIAL_H

#include "spar/model.h"

enum { SPAR__MOST_SPECIAL = 64 };

typedef struct spar__special {
    int32_t ends[SPAR__MOST_SPECIAL], banned[SPAR__MOST_SPECIAL], not_first[SPAR__MOST_SPECIAL];
    size_t n_ends, n_banned, n_not_first;
    int32_t forced_first, forced_last; /* −1 = none: after a start token alone; the last there is room for */
} spar__special;

/* `ignored`: special tokens are ordinary ones. */
void spar__special_read(const spar_model *model, bool ignored, spar__special *out);
bool spar__special_ends(const spar__special *special, int32_t token);
/* The token that must come as number `made`, with `before` tokens in front of it and at most `limit` (0 = any number)
 * made; −1 = any. */
int32_t spar__special_forced(const spar__special *special, size_t before, size_t made, int64_t limit);
/* Forbidden tokens among logits become −∞. */
void spar__special_forbid(const spar__special *special, size_t made, float *logits);

#endif
