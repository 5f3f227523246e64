/* Expressions in the syntax of Oniguruma, in which tokenizer.json is written, as PCRE2 has them. */
#ifndef SPAR_TOKEN_ONIGURUMA_H
#define SPAR_TOKEN_ONIGURUMA_H

#include "base/buffer.h"

/* Appends the translation. What has none is refused by name. PCRE2 must then compile it with
 * PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE, and with \n alone for a newline. */
spar_status spar__oniguruma_translate(const char *expression, spar__buffer *out);

#endif
