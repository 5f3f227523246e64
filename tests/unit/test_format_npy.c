/* .npy: token matrices as NumPy writes them; floats as NumPy reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/npy.h"

static void refused(spar_status status, spar_status expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

/* A file of version 1 with this header and `count` int32 numbers 0, 1, 2, … */
static const char *file_with(const char *header, int count) {
    char bytes[1024];
    size_t n = strlen(header);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (char)n;
    bytes[9] = 0;
    memcpy(bytes + 10, header, n);
    for (int32_t i = 0; i < count; i++) memcpy(bytes + 10 + n + 4 * (size_t)i, &i, 4);
    return scratch_file("t.npy", bytes, 10 + n + 4 * (size_t)count);
}

#define HEADER(type, order, shape)                                                                 \
    "{'descr': " type ", 'fortran_order': " order ", 'shape': " shape ", }\n"

static void reads(void **state) {
    (void)state;
    int64_t rows, cols;
    int32_t *values;
    const char *path = file_with(HEADER("'<i4'", "False", "(2, 3)"), 6);
    assert_int_equal(spar__npy_read_i32(path, &rows, &cols, &values), SPAR_OK);
    assert_int_equal(rows, 2);
    assert_int_equal(cols, 3);
    assert_int_equal(values[5], 5);
    spar__free(values);
    path = file_with(HEADER("'<i4'", "False", "(6,)"), 6);
    assert_int_equal(spar__npy_read_i32(path, &rows, &cols, &values), SPAR_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(cols, 6);
    spar__free(values);
}

static void lies(void **state) {
    (void)state;
    static const struct {
        const char *header;
        spar_status status;
        const char *part;
    } cases[] = {
        {HEADER("'<i8'", "False", "(2, 3)"), SPAR_ERR_UNSUPPORTED, "found '<i8', expected '<i4'"},
        {HEADER("'<i4'", "True", "(2, 3)"), SPAR_ERR_UNSUPPORTED, "fortran_order"},
        {HEADER("'<i4'", "False", "(2, 3, 1)"), SPAR_ERR_FORMAT, "more than 2 dimensions"},
        {HEADER("'<i4'", "False", "()"), SPAR_ERR_FORMAT, "one or two sizes"},
        {HEADER("'<i4'", "False", "(0, 6)"), SPAR_ERR_FORMAT, "one or two sizes"},
        {HEADER("'<i4'", "False", "(2, 4)"), SPAR_ERR_FORMAT, "24 bytes of elements"},
        {HEADER("'<i4'", "False", "(2, 2)"), SPAR_ERR_FORMAT, "24 bytes of elements"},
        {HEADER("'<i4'", "False", "(4294967296, 4294967296)"), SPAR_ERR_FORMAT, "24 bytes"},
        {HEADER("'<i4'", "False", "(99999999999999999999,)"), SPAR_ERR_FORMAT, "'shape'"},
        {HEADER("'<i4'", "False", "(-1, 6)"), SPAR_ERR_FORMAT, "'shape'"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2", SPAR_ERR_FORMAT, "'shape'"},
        {"", SPAR_ERR_UNSUPPORTED, "fortran_order"},
    };
    int64_t rows, cols;
    int32_t *values;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(spar__npy_read_i32(file_with(cases[i].header, 6), &rows, &cols, &values),
                cases[i].status, cases[i].part);
    refused(spar__npy_read_i32(scratch_file("e.npy", "", 0), &rows, &cols, &values),
            SPAR_ERR_FORMAT, "not an .npy");
    /* Every truncation is refused. */
    char *whole;
    size_t length;
    const char *path = file_with(HEADER("'<i4'", "False", "(2, 3)"), 6);
    assert_int_equal(spar__read_file(path, 4096, &whole, &length), SPAR_OK);
    for (size_t n = 0; n < length; n++) {
        path = scratch_file("cut.npy", whole, n);
        assert_int_not_equal(spar__npy_read_i32(path, &rows, &cols, &values), SPAR_OK);
    }
    spar__free(whole);
}

static void writes(void **state) {
    (void)state;
    const int64_t shape[] = {2, 3}, huge[] = {INT64_MAX, INT64_MAX};
    const float values[] = {1, 2, 3, 4, 5, 6};
    spar__npy_writer *w;
    const char *path = scratch("w.npy");
    assert_int_equal(spar__npy_create(path, 2, shape, &w), SPAR_OK);
    assert_int_equal(spar__npy_write(w, values, 4), SPAR_OK);
    assert_int_equal(spar__npy_write(w, values + 4, 2), SPAR_OK);
    refused(spar__npy_write(w, values, 1), SPAR_ERR_ARGUMENT, "beyond the array");
    assert_int_equal(spar__npy_commit(w), SPAR_OK);
    char *bytes;
    size_t length;
    assert_int_equal(spar__read_file(path, 4096, &bytes, &length), SPAR_OK);
    const char *expected = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3,), } ";
    assert_int_equal(length, 192 + sizeof values);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00\xB6\x00", 10);
    assert_memory_equal(bytes + 10, expected, strlen(expected));
    assert_int_equal(bytes[191], '\n');
    assert_memory_equal(bytes + 192, values, sizeof values);
    spar__free(bytes);
    refused(spar__npy_create(path, 2, huge, &w), SPAR_ERR_ARGUMENT, "too large");
    const char *other = scratch("missing.npy");
    assert_int_equal(spar__npy_create(other, 1, shape, &w), SPAR_OK);
    refused(spar__npy_commit(w), SPAR_ERR_ARGUMENT, "2 elements are missing");
    assert_false(spar__file_exists(other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(lies),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
