/* Safetensors: what is written is read back; lies are refused with messages that name the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/safetensors.h"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static void refused(spar_status status, spar_status expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

static void round_trip(void **state) {
    (void)state;
    const char *path = scratch("a.safetensors");
    const int64_t matrix[] = {2, 3}, empty[] = {4, 0}, *scalar = NULL;
    const float weights[] = {1, 2, 3, 4, 5, 6};
    const int64_t step = 77;
    spar__st_writer *w;
    spar__st *st;
    const spar__st_tensor *t;
    ok(spar__st_writer_create(&w));
    ok(spar__st_add_metadata(w, "format", "pt"));
    ok(spar__st_add_tensor(w, "weight \"é\"", SPAR__ST_F32, 2, matrix));
    ok(spar__st_add_tensor(w, "empty", SPAR__ST_BF16, 2, empty));
    ok(spar__st_add_tensor(w, "step", SPAR__ST_I64, 0, scalar));
    ok(spar__st_writer_begin(w, path));
    ok(spar__st_writer_data(w, weights, 5));
    ok(spar__st_writer_data(w, (const char *)weights + 5, sizeof weights - 5));
    ok(spar__st_writer_data(w, &step, 8));
    ok(spar__st_writer_commit(w));
    spar__st_writer_free(w);
    ok(spar__st_open(path, &st));
    assert_int_equal(spar__st_n_tensors(st), 3);
    assert_string_equal(spar__st_tensor_at(st, 0)->name, "empty");
    assert_string_equal(spar__st_metadata(st, "format"), "pt");
    assert_null(spar__st_metadata(st, "none"));
    ok(spar__st_get(st, "weight \"é\"", &t));
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[1], 3);
    assert_memory_equal(t->data, weights, sizeof weights);
    ok(spar__st_get(st, "step", &t));
    assert_int_equal(t->elements, 1);
    assert_memory_equal(t->data, &step, 8);
    ok(spar__st_get(st, "empty", &t));
    assert_int_equal(t->bytes, 0);
    refused(spar__st_get(st, "no", &t), SPAR_ERR_NOT_FOUND, "a.safetensors: tensor 'no'");
    spar__st_free(st);
    spar__st_free(NULL);
    spar__st_writer_free(NULL);
}

static void writer_refuses(void **state) {
    (void)state;
    const char *path = scratch("w.safetensors");
    const int64_t odd[] = {-1, 0}, huge[] = {(int64_t)1 << 40, (int64_t)1 << 40}, two[] = {2};
    spar__st_writer *w;
    ok(spar__st_writer_create(&w));
    refused(spar__st_add_tensor(w, "t", SPAR__ST_U8, 2, odd), SPAR_ERR_ARGUMENT,
            "'t': a size is negative");
    refused(spar__st_writer_begin(w, path), SPAR_ERR_ARGUMENT, "'t'"); /* the failure stays */
    spar__st_writer_free(w);
    ok(spar__st_writer_create(&w));
    refused(spar__st_add_tensor(w, "t", SPAR__ST_U8, 2, huge), SPAR_ERR_ARGUMENT, "too large");
    spar__st_writer_free(w);
    ok(spar__st_writer_create(&w));
    ok(spar__st_add_tensor(w, "t", SPAR__ST_U8, 1, two));
    refused(spar__st_add_tensor(w, "t", SPAR__ST_U8, 1, two), SPAR_ERR_ARGUMENT, "name is taken");
    spar__st_writer_free(w);
    ok(spar__st_writer_create(&w));
    ok(spar__st_add_tensor(w, "t", SPAR__ST_U8, 1, two));
    ok(spar__st_writer_begin(w, path));
    ok(spar__st_writer_data(w, "a", 1));
    refused(spar__st_writer_commit(w), SPAR_ERR_ARGUMENT, "1 bytes written, expected 2");
    spar__st_writer_free(w);
    ok(spar__st_writer_create(&w));
    ok(spar__st_writer_begin(w, path));
    refused(spar__st_writer_data(w, "a", 1), SPAR_ERR_ARGUMENT, "beyond the last tensor");
    spar__st_writer_free(w);
    assert_false(spar__file_exists(path));
}

/* A file with this header, its length as stated, and so many bytes of data. */
static const char *file_with(const char *name, const char *header, size_t data) {
    static char bytes[4096];
    uint64_t length = strlen(header);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    return scratch_file(name, bytes, 8 + length + data);
}

static void lies(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        spar_status status;
        const char *part;
    } cases[] = {
        {"[]", 0, SPAR_ERR_FORMAT, "header is an array, expected an object"},
        {"{", 0, SPAR_ERR_FORMAT, "x.safetensors:1:1"},
        {"{\"w\":3}", 0, SPAR_ERR_FORMAT, "tensor 'w': found an integer"},
        {"{\"w\":{}}", 0, SPAR_ERR_NOT_FOUND, "tensor 'w': key 'dtype'"},
        {"{\"w\":{\"dtype\":\"F8_E4M3\"}}", 0, SPAR_ERR_UNSUPPORTED,
         "'w': dtype 'F8_E4M3' is not read"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, SPAR_ERR_FORMAT,
         "'w': key 'shape'"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         SPAR_ERR_FORMAT, "'w': more elements"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
         SPAR_ERR_FORMAT, "'w': more bytes"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, SPAR_ERR_FORMAT,
         "'w': key 'shape'"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         SPAR_ERR_UNSUPPORTED, "'w': 9 dimensions"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, SPAR_ERR_FORMAT,
         "0 to 8, the data have 4 bytes"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, SPAR_ERR_FORMAT,
         "4 to 0"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, SPAR_ERR_FORMAT,
         "3 numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, SPAR_ERR_FORMAT,
         "4 bytes, type and shape need 8"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, SPAR_ERR_FORMAT,
         "a hole in the data"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, SPAR_ERR_FORMAT,
         "8 bytes of data, the tensors have 4"},
        {"{\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8, SPAR_ERR_FORMAT, "tensor 'w': begins at 4, expected 8: tensors overlap"},
        {"{\"w\":{},\"w\":{}}", 0, SPAR_ERR_FORMAT, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, SPAR_ERR_FORMAT,
         "__metadata__: key 'a': found an integer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spar__st *st = NULL;
        const char *path = file_with("x.safetensors", cases[i].header, cases[i].data);
        refused(spar__st_open(path, &st), cases[i].status, cases[i].part);
        assert_null(st);
    }
    spar__st *st;
    const uint64_t lengths[] = {1, 100000001, (uint64_t)1 << 31, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        refused(spar__st_open(scratch_file("h.safetensors", &lengths[i], 8), &st), SPAR_ERR_FORMAT,
                "at most 0 fit");
    refused(spar__st_open(scratch_file("four", "abcd", 4), &st), SPAR_ERR_FORMAT,
            "4 bytes, not a safetensors");
}

#define SHARD(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"

static void sharded(void **state) {
    (void)state;
    spar__st *st;
    char folder[256], name[512];
    snprintf(folder, sizeof folder, "%s", scratch("model"));
    ok(spar__make_folder(folder));
    refused(spar__st_open(folder, &st), SPAR_ERR_NOT_FOUND, "model/model.safetensors");
    file_with("model/one.safetensors", SHARD("a"), 2);
    file_with("model/two.safetensors", SHARD("b"), 2);
    static const struct {
        const char *index;
        spar_status status;
        const char *part;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", SPAR_OK, ""},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", SPAR_ERR_FORMAT,
         "tensor 'b': is not in 'one.safetensors'"},
        {"{\"weight_map\":{\"a\":\"../model/one.safetensors\"}}", SPAR_ERR_FORMAT,
         "tensor 'a': expected the name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", SPAR_ERR_FORMAT, "tensor 'a': expected the name"},
        {"{\"weight_map\":{\"a\":\"no.safetensors\"}}", SPAR_ERR_NOT_FOUND, "no.safetensors"},
        {"{\"weight_map\":[]}", SPAR_ERR_FORMAT, "key 'weight_map': found an array"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_file("model/model.safetensors.index.json", cases[i].index, strlen(cases[i].index));
        spar_status status = spar__st_open(folder, &st);
        if (cases[i].status) {
            refused(status, cases[i].status, cases[i].part);
            continue;
        }
        ok(status);
        assert_int_equal(spar__st_n_tensors(st), 2);
        assert_non_null(spar__st_find(st, "b"));
        spar__st_free(st);
    }
    file_with("model/two.safetensors",
              "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
              "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
              2);
    scratch_file("model/model.safetensors.index.json", cases[0].index, strlen(cases[0].index));
    snprintf(name, sizeof name, "%s/model.safetensors.index.json", folder);
    refused(spar__st_open(name, &st), SPAR_ERR_FORMAT, "tensor 'a': stands there twice");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(lies),
        cmocka_unit_test(sharded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
