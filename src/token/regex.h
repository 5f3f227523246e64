/* Expressions that have no scanner of their own, by PCRE2 with limits. */
#ifndef SPAR_TOKEN_REGEX_H
#define SPAR_TOKEN_REGEX_H

#include "base/memory.h"

typedef struct spar__regex spar__regex;

/* `literal`: the expression is plain text. Oniguruma's meaning of \s (White_Space) is kept. */
spar_status spar__regex_compile(const char *expression, bool literal, spar__regex **out);
void spar__regex_free(spar__regex *regex);

/* The first match at or after `from` in valid UTF-8: *begin == length when there is none. Matches
 * of nothing are passed over. SPAR_ERR_LIMIT, with the position, when it takes too many steps. Any
 * thread. */
spar_status spar__regex_find(const spar__regex *regex, const char *text, size_t from, size_t length,
                             size_t *begin, size_t *end);

#endif
