/* The names of pre-tokenisers in GGUF's tokenizer.ggml.pre. */
#ifndef SPAR_TOKEN_GGUF_PRE_H
#define SPAR_TOKEN_GGUF_PRE_H

#include <stdbool.h>

enum { SPAR__PRE_STAGES = 6 };

typedef struct spar__gguf_pre {
    const char *names[16];                         /* the first is the one written */
    const char *expressions[SPAR__PRE_STAGES + 1]; /* applied one after the other */
    bool ignore_merges, add_bos;                   /* where the file does not say */
} spar__gguf_pre;

const spar__gguf_pre *spar__gguf_pre_named(const char *name); /* NULL: not known */
/* The name for these expressions; NULL when there is none. */
const char *spar__gguf_pre_of(const char *const *expressions, int count);

#endif
