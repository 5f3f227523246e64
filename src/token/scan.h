/* Hand-written scanners for the expressions that most tokenizers use. Each gives exactly what the
 * expression gives (the property tests compare them with PCRE2), in one pass over the text. */
#ifndef SPAR_TOKEN_SCAN_H
#define SPAR_TOKEN_SCAN_H

#include <stddef.h>

/* The end of the piece that begins at `at` < length of a valid UTF-8 text. */
typedef size_t (*spar__scanner)(const unsigned char *text, size_t at, size_t length);

typedef struct spar__pattern {
    const char *name;       /* of the training option and of GGUF's tokenizer.ggml.pre */
    const char *expression; /* as tokenizer.json writes it */
    spar__scanner scan;
} spar__pattern;

const spar__pattern *spar__pattern_named(const char *name);
const spar__pattern *spar__pattern_equal(const char *expression);
/* For walking through all of them; NULL after the last. */
const spar__pattern *spar__pattern_at(size_t index);

#endif
