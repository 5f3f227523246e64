/* What generation_config.json says of the tokens to come, whichever way they are chosen: ends, and tokens that are
 * forced, forbidden or made less likely, as transformers' generate has them. */
#ifndef SPAR_GENERATE_SPECIAL_H
#define SPAR_GENERATE_SPECIAL_H

#include "model/model.h"

enum { SPAR__MOST_SPECIAL = 512 };

typedef struct spar__special {
    int32_t ends[SPAR__MOST_SPECIAL], banned[SPAR__MOST_SPECIAL], not_first[SPAR__MOST_SPECIAL];
    size_t n_ends, n_banned, n_not_first;
    int32_t forced_first, forced_last; /* −1 = none: after a start token alone; the last there is room for */
    const json_t *sequences; /* of several tokens, whose last may not follow the others; owned by the model */
    int64_t least, least_new; /* tokens before an end: in all, and new ones; 0 = none */
    int64_t ngram;            /* no run of so many tokens comes twice; 0 = off */
    double penalty;           /* logits of tokens seen: divided if positive, else multiplied; 1 = off */
    bool renormalise;         /* scores of beams are probabilities again after all this */
    bool *seen;               /* [vocabulary] all false between calls */
    int32_t vocabulary;
} spar__special;

/* `ignored`: special tokens are ordinary ones. What is read must be freed, also after a failure. */
spar_status spar__special_read(const spar_model *model, bool ignored, spar__special *out);
void spar__special_free(spar__special *special);
bool spar__special_ends(const spar__special *special, int32_t token);
/* The token that must come as number `made`, with `before` tokens in front of it and at most `limit` (0 = any number)
 * made; −1 = any. */
int32_t spar__special_forced(const spar__special *special, size_t before, size_t made, int64_t limit);
/* Changes the logits of what follows tokens [count], of which the first `prompt` were given: forbidden ones become −∞. */
void spar__special_forbid(const spar__special *special, const int32_t *tokens, size_t count, size_t prompt,
                          float *logits);

#endif
