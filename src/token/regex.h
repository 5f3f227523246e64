/* Expressions that have no scanner of their own, by PCRE2 with limits. */
#ifndef SPAR_TOKEN_REGEX_H
#define SPAR_TOKEN_REGEX_H

#include "base/memory.h"

typedef struct spar__regex spar__regex;

/* `literal`: the expression is plain text. Else it is Oniguruma's (oniguruma.h). */
spar_status spar__regex_compile(const char *expression, bool literal, spar__regex **out);
void spar__regex_free(spar__regex *regex);

/* The matches in a valid UTF-8 text from left to right: begin with {regex, text, length}, end with
 * spar__matches_end. Any thread. */
typedef struct spar__matches {
    const spar__regex *regex;
    const char *text;
    size_t length;
    void *data;
    size_t at, last; /* where the next is looked for, where the last one ended */
    bool any;
} spar__matches;

/* A match may be of nothing, though not where the one before ended. Without a further match *found
 * is false and *begin == *end == length. SPAR_ERR_LIMIT, with the position, when it takes too many
 * steps. */
spar_status spar__matches_next(spar__matches *matches, bool *found, size_t *begin, size_t *end);
void spar__matches_end(spar__matches *matches);

#endif
