/* Patterns dealt over the heads of a layer: head h has pattern h mod n of the list. */
#ifndef SPAR_ATTENTION_HEADS_H
#define SPAR_ATTENTION_HEADS_H

#include "spar/pattern.h"

enum { SPAR__HEAD_PATTERNS = 32, SPAR__HEAD_OPTIONS = 2048 };

/* The options of the kind below: patterns and their own options, in one piece that can be compared. */
typedef struct spar__head_patterns {
    int64_t n, used;
    const spar_pattern_kind *kind[SPAR__HEAD_PATTERNS];
    int64_t at[SPAR__HEAD_PATTERNS]; /* of each one's options in `bytes` */
    _Alignas(16) unsigned char bytes[SPAR__HEAD_OPTIONS];
} spar__head_patterns;

/* Not in the table: it is made by a list, not by a name. */
extern const spar_pattern_kind spar__pattern_heads;

/* Appends a copy of a pattern. SPAR_ERR_CONFIG when there is no room. */
spar_status spar__head_patterns_add(spar__head_patterns *list, const spar_pattern_kind *kind,
                                    const void *options);

/* The pattern and options that one head has, whether there is a list or not. */
static inline const spar_pattern_kind *spar__pattern_of_head(const spar_pattern_kind *kind, int head,
                                                             const void **options) {
    if (kind != &spar__pattern_heads) return kind;
    const spar__head_patterns *list = *options;
    int64_t i = head % list->n;
    *options = list->bytes + list->at[i];
    return list->kind[i];
}

#endif
