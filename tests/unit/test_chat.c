/* Chat templates: texts that jinja2 gives with the settings of the transformers library
 * (tests/golden/data/chat/templates.json; null where it refuses), and what is refused or limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/scratch.h"
#include "spar/chat.h"
#include "spar/memory.h"

static spar_status render(const char *source, const char *variables, char **text) {
    spar_chat_template *t;
    size_t length;
    spar_status status = spar_chat_template_parse("t", source, strlen(source), &t);
    if (status) return status;
    status = spar_chat_template_render(t, variables, text, &length);
    if (!status) assert_int_equal(length, strlen(*text));
    spar_chat_template_free(t);
    return status;
}

static void test_reference(void **state) {
    (void)state;
    json_t *cases = json_load_file("tests/golden/data/chat/templates.json", 0, NULL), *one;
    size_t i;
    assert_true(json_array_size(cases) > 10);
    json_array_foreach(cases, i, one) {
        const char *want = json_string_value(json_object_get(one, "text"));
        const char *name = json_string_value(json_object_get(one, "name"));
        char *variables = json_dumps(json_object_get(one, "variables"), 0), *text;
        spar_status status =
            render(json_string_value(json_object_get(one, "template")), variables, &text);
        if (!status != (want != NULL)) fail_msg("%s: %s", name, status ? spar_error() : "not refused");
        if (want && strcmp(text, want)) fail_msg("%s: '%s', expected '%s'", name, text, want);
        if (!status) spar_free(text);
        free(variables);
    }
    json_decref(cases);
}

static void refused(const char *source, spar_status expected, const char *part) {
    char *text;
    spar_status status = render(source, "{\"x\": [1, 2]}", &text);
    if (status != expected || !strstr(spar_error(), part))
        fail_msg("'%.60s': status %d, '%s', expected %d, '%s'", source, status,
                 status ? spar_error() : "", expected, part);
}

static void test_refused(void **state) {
    (void)state;
    refused("a\n{% include 'b' %}", SPAR_ERR_UNSUPPORTED, "line 2: statement 'include'");
    refused("{{ x|pprint }}", SPAR_ERR_UNSUPPORTED, "line 1: filter 'pprint'");
    refused("\n\n{{ x is odder }}", SPAR_ERR_UNSUPPORTED, "line 3: test 'odder'");
    refused("{{ 'a'.encode() }}", SPAR_ERR_UNSUPPORTED, "method 'encode'");
    refused("{{ lipsum() }}", SPAR_ERR_UNSUPPORTED, "function 'lipsum'");
    refused("{{ x.append(3) }}", SPAR_ERR_UNSUPPORTED, "method 'append'");
    refused("{% for a in x recursive %}{% endfor %}", SPAR_ERR_UNSUPPORTED, "recursive");
    refused("{{ raise_exception('no') }}", SPAR_ERR_ARGUMENT, "line 1: no");
    refused("{{ y.z }}", SPAR_ERR_FORMAT, "'y' is undefined");
    refused("{% set x.a = 1 %}", SPAR_ERR_FORMAT, "no namespace");
    refused("{{ 1 / 0 }}", SPAR_ERR_FORMAT, "division by zero");
    refused("{{ 'a' + 1 }}", SPAR_ERR_FORMAT, "operator '+'");
    refused("{% if x %}", SPAR_ERR_FORMAT, "found 'the end'");
    refused("{{ x", SPAR_ERR_FORMAT, "a tag has no end");
    refused("{{ 'x }}", SPAR_ERR_FORMAT, "a string has no end");
    refused("{{ x ? 1 }}", SPAR_ERR_FORMAT, "character '?'");
    refused("{% break %}", SPAR_ERR_FORMAT, "loop");
    refused("{% raw %}", SPAR_ERR_FORMAT, "endraw");
}

/* Templates that would take for ever, or all memory, or all of the stack. */
static void test_limits(void **state) {
    (void)state;
    refused("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            SPAR_ERR_LIMIT, "steps");
    refused("{{ range(10000000) }}", SPAR_ERR_FORMAT, "range of more than");
    refused("{{ 'abc' * 1000000000 }}", SPAR_ERR_FORMAT, "too long");
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", SPAR_ERR_FORMAT, "too deeply");
    refused("{% set n = namespace() %}{% set n.a = [n] %}", SPAR_ERR_FORMAT, "hold itself");
    refused("{% set n = namespace(v=[]) %}{% for i in range(5000) %}{% set n.v = [n.v] %}{% endfor %}",
            SPAR_ERR_FORMAT, "too deeply");
    refused("{% set n = namespace(v='ab') %}{% for i in range(60) %}{% set n.v = n.v + n.v %}"
            "{% endfor %}", SPAR_ERR_LIMIT, "bytes");
    enum { DEPTH = 100000 };
    char *deep = malloc(2 * DEPTH + 8);
    static const char *const opens[] = {"-", "not ", "["};
    for (int i = 0; i < 3; i++) {
        size_t at = 3, unit = strlen(opens[i]);
        memcpy(deep, "{{ ", 3);
        while (at + unit < DEPTH) memcpy(deep + at, opens[i], unit), at += unit;
        for (size_t n = at; i == 2 && n > 3; n--) deep[at++] = ']';
        memcpy(deep + at, " }}", 4);
        refused(deep, SPAR_ERR_LIMIT, "too deeply");
    }
    free(deep);
}

/* A template cut anywhere is an error or a shorter text. */
static void test_truncated(void **state) {
    (void)state;
    static const char whole[] =
        "{%- macro m(a, b='x') -%}{{ a ~ b }}{%- endmacro %}{# c #}{% set n = namespace(i=0) %}"
        "{% for k, v in {'a': [1, 2.5], 'b': \"\\u00e9\"}.items() if v is defined %}{{ m(k)|upper }}"
        "{% set n.i = n.i + 1 %}{% else %}none{% endfor %}{{ x[::-1] }}{% raw %}{{{% endraw %}";
    for (size_t n = 0; n < sizeof whole; n++) {
        spar_chat_template *t;
        char *text;
        size_t length;
        char *part = malloc(n + 1);
        memcpy(part, whole, n);
        if (!spar_chat_template_parse("t", part, n, &t)) {
            if (!spar_chat_template_render(t, "{\"x\": [1, 2]}", &text, &length)) spar_free(text);
            spar_chat_template_free(t);
        }
        free(part);
    }
}

static void test_find(void **state) {
    (void)state;
    char folder[1024], *source;
    snprintf(folder, sizeof folder, "%s", scratch(""));
    static const char config[] = "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"r\"}, "
                                 "{\"name\": \"default\", \"template\": \"d\"}]}";
    assert_int_equal(spar_chat_template_find(folder, &source), SPAR_ERR_NOT_FOUND);
    scratch_file("tokenizer_config.json", config, strlen(config));
    assert_int_equal(spar_chat_template_find(folder, &source), SPAR_OK);
    assert_string_equal(source, "d");
    spar_free(source);
    scratch_file("chat_template.jinja", "file", 4);
    assert_int_equal(spar_chat_template_find(folder, &source), SPAR_OK);
    assert_string_equal(source, "file");
    spar_free(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
