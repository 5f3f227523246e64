/* JSON: limits hold before parsing, errors name the place, members are typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/json.h"
#include "base/memory.h"

static json_t *parse(const char *text) {
    json_t *root = NULL;
    if (spar__json_parse("t.json", text, strlen(text), 1000, &root)) fail_msg("%s", spar_error());
    return root;
}

static void refused(spar_status status, spar_status expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

static void refused_text(const char *text, spar_status expected, const char *part) {
    json_t *root = NULL;
    refused(spar__json_parse("t.json", text, strlen(text), 1000, &root), expected, part);
    assert_null(root);
}

static void errors_name_the_place(void **state) {
    (void)state;
    refused_text("{\n \"a\": 1,\n \"a\": 2}", SPAR_ERR_FORMAT, "t.json:3:");
    refused_text("{\"a\": 1,,}", SPAR_ERR_FORMAT, "t.json:1:9");
    refused_text("", SPAR_ERR_FORMAT, "t.json:");
    refused_text("3", SPAR_ERR_FORMAT, "t.json:1:");
    refused_text("{\"a\": \"\xFF\"}", SPAR_ERR_FORMAT, "unable to decode");
    refused_text("{\"a\": \"\\u0000\"}", SPAR_ERR_FORMAT, "t.json:1:");
    refused_text("{\"a\": NaN}", SPAR_ERR_FORMAT, "t.json:1:");
    refused_text("{\"a\": \"open", SPAR_ERR_FORMAT, "t.json:1:");
}

static void limits(void **state) {
    (void)state;
    char text[1024];
    for (int depth = 127; depth <= 129; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        if (depth <= SPAR__JSON_DEPTH)
            json_decref(parse(text));
        else
            refused_text(text, SPAR_ERR_LIMIT, "t.json:1:129: nested deeper than 128");
    }
    json_decref(parse("[\"[[[[[[[[\\\"[[[[[[\"]")); /* brackets in strings do not count */
    json_t *root;
    refused(spar__json_parse("t", "[1,2,3,4]", 9, 4, &root), SPAR_ERR_LIMIT, "more than 4 values");
    assert_int_equal(spar__json_parse("t", "[1,2,3,4]", 9, 5, &root), SPAR_OK);
    json_decref(root);
}

static void long_integers(void **state) {
    (void)state;
    json_t *root =
        parse("[1000000000000000019884624838656, 9223372036854775807, "
              "0.1234567890123456789012, 1e0000000000000000000001, "
              "2E+0000000000000000000001, \"1234567890123456789012\", 9223372036854775808]");
    assert_true(json_real_value(json_array_get(root, 0)) == 1000000000000000019884624838656.0);
    assert_true(json_integer_value(json_array_get(root, 1)) == INT64_MAX);
    assert_true(json_real_value(json_array_get(root, 2)) == 0.1234567890123456789012);
    assert_true(json_real_value(json_array_get(root, 3)) == 10);
    assert_true(json_real_value(json_array_get(root, 4)) == 20);
    assert_string_equal(json_string_value(json_array_get(root, 5)), "1234567890123456789012");
    assert_true(json_real_value(json_array_get(root, 6)) == 0x1p63);
    json_decref(root);
}

static void members(void **state) {
    (void)state;
    json_t *o = parse(
        "{\"i\": 5, \"r\": 0.5, \"s\": \"x\", \"b\": true, \"n\": null, \"a\": [1], \"o\": {}}");
    json_t *value;
    int64_t n;
    double x;
    bool b;
    const char *s;
    assert_int_equal(spar__json_integer(o, "w", "i", 0, 9, &n), SPAR_OK);
    assert_int_equal(n, 5);
    refused(spar__json_integer(o, "w", "i", 0, 4, &n), SPAR_ERR_FORMAT,
            "w: key 'i': found 5, expected 0 to 4");
    refused(spar__json_integer(o, "w", "s", 0, 4, &n), SPAR_ERR_FORMAT,
            "found a string, expected an integer");
    refused(spar__json_integer(o, "w", "z", 0, 4, &n), SPAR_ERR_NOT_FOUND, "w: key 'z'");
    assert_int_equal(spar__json_integer_or(o, "w", "n", 0, 4, 3, &n), SPAR_OK);
    assert_int_equal(n, 3);
    refused(spar__json_integer_or(o, "w", "r", 0, 4, 3, &n), SPAR_ERR_FORMAT, "a real number");
    assert_int_equal(spar__json_real(o, "w", "i", &x), SPAR_OK);
    assert_true(x == 5);
    assert_int_equal(spar__json_real_or(o, "w", "z", 1.5, &x), SPAR_OK);
    assert_true(x == 1.5);
    assert_int_equal(spar__json_bool(o, "w", "b", &b), SPAR_OK);
    assert_true(b);
    refused(spar__json_bool_or(o, "w", "i", true, &b), SPAR_ERR_FORMAT, "true or false");
    assert_int_equal(spar__json_string(o, "w", "s", &s), SPAR_OK);
    assert_string_equal(s, "x");
    assert_int_equal(spar__json_string_or(o, "w", "z", "y", &s), SPAR_OK);
    assert_string_equal(s, "y");
    assert_int_equal(spar__json_array(o, "w", "a", &value), SPAR_OK);
    assert_int_equal(json_array_size(value), 1);
    refused(spar__json_object(o, "w", "a", &value), SPAR_ERR_FORMAT,
            "an array, expected an object");
    refused(spar__json_get(value, "w", "a", &value), SPAR_ERR_FORMAT,
            "found an array, expected an object");
    refused(spar__json_bool_or(value, "w", "a", true, &b), SPAR_ERR_FORMAT, "expected an object");
    json_decref(o);
}

static void text(void **state) {
    (void)state;
    json_t *root;
    char *copy;
    const char *path = scratch_file("a.json", "{\"b\": 0.1, \"a\": [1]}", 20);
    assert_int_equal(spar__json_read(path, &root), SPAR_OK);
    assert_int_equal(spar__json_text(root, 0, &copy), SPAR_OK);
    assert_string_equal(copy, "{\"b\": 0.10000000000000001, \"a\": [1]}");
    spar__free(copy);
    json_decref(root);
    refused(spar__json_read(scratch("absent.json"), &root), SPAR_ERR_NOT_FOUND, "absent.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(limits),
        cmocka_unit_test(long_integers),
        cmocka_unit_test(members),
        cmocka_unit_test(text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
