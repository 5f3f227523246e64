#include "token/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/buffer.h"

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 262144, MAX_EXPRESSION = 65536 };

struct spar__regex {
    pcre2_code *code;
    pcre2_match_context *context;
};

/* PCRE2's \s also takes U+180E, which is no white space: spell it as the property. */
static spar_status translate(const char *expression, spar__buffer *out) {
    for (const char *p = expression; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            const char *property = *p == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
            if (*p == 's' || *p == 'S') SPAR_TRY(spar__buffer_add(out, property, strlen(property)));
            else SPAR_TRY(spar__buffer_add(out, p - 1, 2));
        } else {
            SPAR_TRY(spar__buffer_add(out, p, 1));
        }
    }
    return SPAR_OK;
}

spar_status spar__regex_compile(const char *expression, bool literal, spar__regex **out) {
    spar__buffer text = spar__buffer_make(MAX_EXPRESSION);
    spar__regex *regex = spar__alloc(sizeof *regex);
    spar_status status = regex ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status)
        status = literal ? spar__buffer_add(&text, expression, strlen(expression))
                         : translate(expression, &text);
    if (status) goto failed;
    uint32_t flags = literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP;
    int error;
    PCRE2_SIZE at;
    regex->code = pcre2_compile((PCRE2_SPTR)text.bytes, text.length, flags, &error, &at, NULL);
    if (!regex->code) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(error, message, sizeof message);
        status = spar__fail(SPAR_ERR_FORMAT, "expression '%.200s': %s", expression, message);
        goto failed;
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* slower, but right, where it fails */
    regex->context = pcre2_match_context_create(NULL);
    if (!regex->context) {
        status = spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
        goto failed;
    }
    pcre2_set_match_limit(regex->context, MATCH_LIMIT);
    pcre2_set_heap_limit(regex->context, HEAP_LIMIT_KIB);
    spar__buffer_free(&text);
    *out = regex;
    return SPAR_OK;
failed:
    spar__buffer_free(&text);
    spar__regex_free(regex);
    return status;
}

void spar__regex_free(spar__regex *regex) {
    if (!regex) return;
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
    spar__free(regex);
}

spar_status spar__regex_find(const spar__regex *regex, const char *text, size_t from, size_t length,
                             size_t *begin, size_t *end) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data) return spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
    uint32_t flags = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, flags, data,
                            regex->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its frames on the heap */
        found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, flags | PCRE2_NO_JIT, data,
                            regex->context);
    spar_status status = SPAR_OK;
    if (found == PCRE2_ERROR_NOMATCH) {
        *begin = *end = length;
    } else if (found < 0) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(found, message, sizeof message);
        status = spar__fail(SPAR_ERR_LIMIT, "text at byte %zu: the tokenizer's expression: %s",
                            from, message);
    } else {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
        *begin = at[0];
        *end = at[1] > at[0] ? at[1] : at[0] + 1;
    }
    pcre2_match_data_free(data);
    return status;
}
