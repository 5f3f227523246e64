#include "token/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/buffer.h"
#include "token/oniguruma.h"

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 262144, MAX_EXPRESSION = 65536 };

struct spar__regex {
    pcre2_code *code;
    pcre2_match_context *context;
};

spar_status spar__regex_compile(const char *expression, bool literal, spar__regex **out) {
    spar__buffer text = spar__buffer_make(MAX_EXPRESSION);
    spar__regex *regex = spar__alloc(sizeof *regex);
    spar_status status = regex ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status)
        status = literal ? spar__buffer_add(&text, expression, strlen(expression))
                         : spar__oniguruma_translate(expression, &text);
    pcre2_compile_context *context = NULL;
    if (!status && !(context = pcre2_compile_context_create(NULL)))
        status = spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
    if (status) goto failed;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    uint32_t flags = literal ? PCRE2_UTF | PCRE2_LITERAL
                             : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
    int error;
    PCRE2_SIZE at;
    regex->code = pcre2_compile((PCRE2_SPTR)text.bytes, text.length, flags, &error, &at, context);
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
    pcre2_compile_context_free(context);
    spar__buffer_free(&text);
    *out = regex;
    return SPAR_OK;
failed:
    pcre2_compile_context_free(context);
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

void spar__matches_end(spar__matches *m) { pcre2_match_data_free(m->data); }

/* The first match at or after `from`, of nothing too. */
static spar_status find(spar__matches *m, size_t from, bool *found, size_t *begin, size_t *end) {
    if (!m->data && !(m->data = pcre2_match_data_create(1, NULL)))
        return spar__fail(SPAR_ERR_MEMORY, "out of memory: regular expression");
    const spar__regex *regex = m->regex;
    PCRE2_SPTR text = (PCRE2_SPTR)m->text;
    uint32_t flags = PCRE2_NO_UTF_CHECK;
    int result = pcre2_match(regex->code, text, m->length, from, flags, m->data, regex->context);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its frames on the heap */
        result = pcre2_match(regex->code, text, m->length, from, flags | PCRE2_NO_JIT, m->data,
                             regex->context);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(result, message, sizeof message);
        return spar__fail(SPAR_ERR_LIMIT, "text at byte %zu: the tokenizer's expression: %s", from,
                          message);
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    *found = result >= 0;
    *begin = *found ? at[0] : m->length;
    *end = *found ? at[1] : m->length;
    if (*begin > *end) *begin = *end; /* \K within a lookahead */
    return SPAR_OK;
}

spar_status spar__matches_next(spar__matches *m, bool *found, size_t *begin, size_t *end) {
    while (m->at <= m->length) {
        SPAR_TRY(find(m, m->at, found, begin, end));
        if (!*found || *begin < *end || !m->any || *end != m->last) {
            m->at = m->last = *end;
            m->any = true;
            return SPAR_OK;
        }
        /* Nothing, where the last match ended: on from the next character. */
        do m->at++;
        while (m->at < m->length && ((unsigned char)m->text[m->at] & 0xC0) == 0x80);
    }
    *found = false;
    *begin = *end = m->length;
    return SPAR_OK;
}
