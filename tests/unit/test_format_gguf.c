/* GGUF: what is written is read back; lies are refused with messages that name the place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/gguf.h"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static void refused(spar_status status, spar_status expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

static const int64_t square[] = {3, 2}, blocks[] = {64, 2, 2};

/* Writes a file with a key of every kind and two tensors, one in blocks. */
static void write_sample(const char *path, uint32_t alignment) {
    spar__gguf_writer *w;
    const spar__gguf_string words[] = {{"a", 1}, {"", 0}, {"b\0c", 3}};
    const int16_t shorts[] = {-3, 0, 300};
    const float floats[] = {1, 2, 3, 4, 5, 6};
    unsigned char q[8 * 34];
    for (size_t i = 0; i < sizeof q; i++) q[i] = (unsigned char)i;
    ok(spar__gguf_writer_create(&w));
    if (alignment != 32) ok(spar__gguf_writer_align(w, alignment));
    ok(spar__gguf_add_text(w, "general.architecture", "spar", 4));
    ok(spar__gguf_add_u32(w, "a.u32", 4000000000u));
    ok(spar__gguf_add_integer(w, "a.i8", SPAR__GGUF_INT8, -5));
    ok(spar__gguf_add_integer(w, "a.u64", SPAR__GGUF_UINT64, INT64_MAX));
    ok(spar__gguf_add_f32(w, "a.f32", 0.5f));
    ok(spar__gguf_add_bool(w, "a.bool", true));
    ok(spar__gguf_add_texts(w, "a.texts", words, 3));
    ok(spar__gguf_add_numbers(w, "a.shorts", SPAR__GGUF_INT16, shorts, 3));
    ok(spar__gguf_add_tensor(w, "square", SPAR__GGUF_F32, 2, square));
    ok(spar__gguf_add_tensor(w, "blocks", SPAR__GGUF_Q8_0, 3, blocks));
    ok(spar__gguf_writer_begin(w, path));
    ok(spar__gguf_writer_data(w, floats, 7));
    ok(spar__gguf_writer_data(w, (const char *)floats + 7, sizeof floats - 7));
    ok(spar__gguf_writer_data(w, q, sizeof q));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
}

static void check_keys(const spar__gguf *g) {
    int64_t n;
    double x;
    bool b;
    spar__gguf_string s;
    spar__gguf_value v;
    char *copy;
    ok(spar__gguf_integer(g, "a.u32", 0, UINT32_MAX, &n));
    assert_int_equal(n, 4000000000);
    ok(spar__gguf_integer(g, "a.i8", -128, 0, &n));
    assert_int_equal(n, -5);
    refused(spar__gguf_integer(g, "a.i8", 0, 9, &n), SPAR_ERR_FORMAT,
            "a.i8': found -5, expected 0 to 9");
    refused(spar__gguf_integer(g, "a.u64", 0, INT64_MAX, &n), SPAR_ERR_FORMAT, "a.u64");
    refused(spar__gguf_integer(g, "a.f32", 0, 9, &n), SPAR_ERR_FORMAT,
            "found float32, expected an int");
    refused(spar__gguf_integer(g, "none", 0, 9, &n), SPAR_ERR_NOT_FOUND, "'none'");
    ok(spar__gguf_integer_or(g, "none", 0, 9, 77, &n));
    assert_int_equal(n, 77);
    ok(spar__gguf_real(g, "a.f32", &x));
    assert_true(x == 0.5);
    ok(spar__gguf_real(g, "a.i8", &x));
    assert_true(x == -5);
    ok(spar__gguf_real_or(g, "none", 2.5, &x));
    assert_true(x == 2.5);
    ok(spar__gguf_bool(g, "a.bool", &b));
    assert_true(b);
    ok(spar__gguf_bool_or(g, "none", false, &b));
    assert_false(b);
    assert_true(spar__gguf_text_is(g, "general.architecture", "spar"));
    assert_false(spar__gguf_text_is(g, "general.architecture", "spa"));
    ok(spar__gguf_text_copy(g, "general.architecture", &copy));
    assert_string_equal(copy, "spar");
    spar__free(copy);
    refused(spar__gguf_texts(g, "a.texts", 4, 9, &v), SPAR_ERR_FORMAT,
            "found 3 elements, expected 4");
    refused(spar__gguf_texts(g, "a.shorts", 0, 9, &v), SPAR_ERR_FORMAT, "found array of int16");
    ok(spar__gguf_texts(g, "a.texts", 3, 3, &v));
    assert_true(spar__gguf_next_text(&v, &s) && s.length == 1 && s.bytes[0] == 'a');
    assert_true(spar__gguf_next_text(&v, &s) && s.length == 0);
    assert_true(spar__gguf_next_text(&v, &s) && s.length == 3 && !memcmp(s.bytes, "b\0c", 3));
    assert_false(spar__gguf_next_text(&v, &s));
    ok(spar__gguf_numbers(g, "a.shorts", 0, 9, &v));
    assert_int_equal(spar__gguf_integer_at(&v, 0), -3);
    assert_true(spar__gguf_real_at(&v, 2) == 300);
}

static void round_trip(void **state) {
    (void)state;
    for (uint32_t alignment = 8; alignment <= 65536; alignment *= 2) {
        const char *path = scratch("sample.gguf");
        spar__gguf *g;
        const spar__gguf_tensor *t;
        write_sample(path, alignment);
        ok(spar__gguf_open(path, &g));
        check_keys(g);
        assert_int_equal(spar__gguf_n_tensors(g), 2);
        ok(spar__gguf_tensor_get(g, "square", &t));
        assert_int_equal(t->n_dims, 2);
        assert_int_equal(t->ne[0], 3);
        assert_int_equal(t->ne[3], 1);
        assert_int_equal(t->bytes, 24);
        assert_true(((const float *)t->data)[5] == 6);
        assert_ptr_equal(spar__gguf_tensor_at(g, 1), spar__gguf_tensor_find(g, "blocks"));
        t = spar__gguf_tensor_at(g, 1);
        assert_int_equal(t->type, SPAR__GGUF_Q8_0);
        assert_int_equal(t->elements, 256);
        assert_int_equal(t->bytes, 272);
        assert_int_equal(((const unsigned char *)t->data)[271], 271 & 255);
        assert_null(spar__gguf_tensor_find(g, "squar"));
        refused(spar__gguf_tensor_get(g, "no", &t), SPAR_ERR_NOT_FOUND, "tensor 'no'");
        spar__gguf_free(g);
    }
    spar__gguf_free(NULL);
    spar__gguf_writer_free(NULL);
}

/* Every key copied as a raw value gives the same file. */
static void copies(void **state) {
    (void)state;
    const char *from = scratch("from.gguf"), *to = scratch("to.gguf");
    spar__gguf *g;
    spar__gguf_writer *w;
    write_sample(from, 32);
    ok(spar__gguf_open(from, &g));
    ok(spar__gguf_writer_create(&w));
    for (size_t i = 0; i < spar__gguf_n_keys(g); i++) {
        spar__gguf_value v;
        const char *key = spar__gguf_key(g, i, &v);
        ok(spar__gguf_add_value(w, key, &v));
    }
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++) {
        const spar__gguf_tensor *t = spar__gguf_tensor_at(g, i);
        ok(spar__gguf_add_tensor(w, t->name, t->type, t->n_dims, t->ne));
    }
    ok(spar__gguf_writer_begin(w, to));
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++)
        ok(spar__gguf_writer_data(w, spar__gguf_tensor_at(g, i)->data,
                                  spar__gguf_tensor_at(g, i)->bytes));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    spar__gguf_free(g);
    char *a, *b;
    size_t n, m;
    ok(spar__read_file(from, 1 << 20, &a, &n));
    ok(spar__read_file(to, 1 << 20, &b, &m));
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    spar__free(a);
    spar__free(b);
}

static spar__gguf_writer *fresh(void) {
    spar__gguf_writer *w;
    ok(spar__gguf_writer_create(&w));
    return w;
}

static void writer_refuses(void **state) {
    (void)state;
    const char *path = scratch("refused.gguf");
    const int64_t ragged[] = {33}, none[] = {0};
    spar__gguf_writer *w = fresh();
    refused(spar__gguf_add_integer(w, "x", SPAR__GGUF_UINT8, 256), SPAR_ERR_ARGUMENT,
            "256 is no uint8");
    refused(spar__gguf_writer_begin(w, path), SPAR_ERR_ARGUMENT, "256"); /* the failure stays */
    spar__gguf_writer_free(w);
    w = fresh();
    refused(spar__gguf_add_tensor(w, "r", SPAR__GGUF_Q8_0, 1, ragged), SPAR_ERR_FORMAT,
            "multiple of 32");
    spar__gguf_writer_free(w);
    w = fresh();
    refused(spar__gguf_add_tensor(w, "z", SPAR__GGUF_F32, 1, none), SPAR_ERR_FORMAT, "ne[0] is 0");
    spar__gguf_writer_free(w);
    w = fresh();
    ok(spar__gguf_add_u32(w, "k", 1));
    ok(spar__gguf_add_u32(w, "k", 2));
    refused(spar__gguf_writer_begin(w, path), SPAR_ERR_ARGUMENT, "key 'k': given twice");
    spar__gguf_writer_free(w);
    w = fresh();
    ok(spar__gguf_add_tensor(w, "t", SPAR__GGUF_F32, 2, square));
    ok(spar__gguf_writer_begin(w, path));
    ok(spar__gguf_writer_data(w, "1234", 4));
    refused(spar__gguf_writer_commit(w), SPAR_ERR_ARGUMENT, "4 bytes written, expected 24");
    spar__gguf_writer_free(w);
    w = fresh();
    ok(spar__gguf_writer_begin(w, path));
    refused(spar__gguf_writer_data(w, "1", 1), SPAR_ERR_ARGUMENT, "beyond the last tensor");
    spar__gguf_writer_free(w);
    assert_false(spar__file_exists(path));
}

/* Three parts: keys in the first alone, tensors in all. */
static void write_part(const char *name, int number, int count, int tensors, const char *tensor) {
    spar__gguf_writer *w = fresh();
    const int64_t ne[] = {1};
    float value = (float)number;
    ok(spar__gguf_add_integer(w, "split.no", SPAR__GGUF_UINT16, number));
    ok(spar__gguf_add_integer(w, "split.count", SPAR__GGUF_UINT16, count));
    ok(spar__gguf_add_integer(w, "split.tensors.count", SPAR__GGUF_INT32, tensors));
    ok(spar__gguf_add_tensor(w, tensor, SPAR__GGUF_F32, 1, ne));
    ok(spar__gguf_writer_begin(w, scratch(name)));
    ok(spar__gguf_writer_data(w, &value, 4));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
}

static void split_model(void **state) {
    (void)state;
    spar__gguf *g;
    const spar__gguf_tensor *t;
    const char *first = "m-00001-of-00003.gguf";
    write_part(first, 0, 3, 3, "a");
    write_part("m-00002-of-00003.gguf", 1, 3, 3, "b");
    refused(spar__gguf_open(scratch(first), &g), SPAR_ERR_NOT_FOUND, "m-00003-of-00003.gguf");
    write_part("m-00003-of-00003.gguf", 2, 3, 3, "c");
    ok(spar__gguf_open(scratch(first), &g));
    assert_int_equal(spar__gguf_n_tensors(g), 3);
    ok(spar__gguf_tensor_get(g, "c", &t));
    assert_true(*(const float *)t->data == 2);
    spar__gguf_free(g);
    refused(spar__gguf_open(scratch("m-00002-of-00003.gguf"), &g), SPAR_ERR_FORMAT, "part 2 of 3");
    write_part("m-00003-of-00003.gguf", 1, 3, 3, "c");
    refused(spar__gguf_open(scratch(first), &g), SPAR_ERR_FORMAT, "expected 3 of 3");
    write_part("m-00003-of-00003.gguf", 2, 3, 3, "b");
    refused(spar__gguf_open(scratch(first), &g), SPAR_ERR_FORMAT, "tensor 'b': stands there twice");
    write_part(first, 0, 3, 4, "a");
    write_part("m-00003-of-00003.gguf", 2, 3, 4, "c");
    refused(spar__gguf_open(scratch(first), &g), SPAR_ERR_FORMAT, "split.tensors.count': 4");
    write_part("odd.gguf", 0, 3, 3, "a");
    refused(spar__gguf_open(scratch("odd.gguf"), &g), SPAR_ERR_FORMAT, "-00001-of-00003.gguf");
}

/* A header made by hand: numbers as they are, then strings with their lengths. */
typedef struct bytes {
    unsigned char at[512];
    size_t n;
} bytes;

static void put(bytes *b, uint64_t number, size_t size) {
    memcpy(b->at + b->n, &number, size);
    b->n += size;
}
static void put_text(bytes *b, const char *text) {
    put(b, strlen(text), 8);
    memcpy(b->at + b->n, text, strlen(text));
    b->n += strlen(text);
}
static bytes head(uint32_t version, uint64_t tensors, uint64_t keys) {
    bytes b = {{0}, 0};
    put(&b, 0x46554747, 4);
    put(&b, version, 4);
    put(&b, tensors, 8);
    put(&b, keys, 8);
    return b;
}
static void tensor(bytes *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                   uint64_t offset) {
    put_text(b, name);
    put(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) put(b, ne[i], 8);
    put(b, type, 4);
    put(b, offset, 8);
}
static void refused_bytes(const bytes *b, spar_status expected, const char *part) {
    spar__gguf *g = NULL;
    refused(spar__gguf_open(scratch_file("hand.gguf", b->at, b->n), &g), expected, part);
    assert_null(g);
}

static void lies(void **state) {
    (void)state;
    bytes b = head(1, 0, 0);
    refused_bytes(&b, SPAR_ERR_UNSUPPORTED, "version 1, expected 2 or 3");
    b = head(0x03000000, 0, 0);
    refused_bytes(&b, SPAR_ERR_UNSUPPORTED, "big-endian");
    b = head(3, UINT64_MAX, 0);
    refused_bytes(&b, SPAR_ERR_FORMAT, "18446744073709551615 tensors, at most 0 fit");
    b = head(3, 0, 1u << 31);
    refused_bytes(&b, SPAR_ERR_FORMAT, "2147483648 keys");
    b = (bytes){"GGML", 4};
    refused_bytes(&b, SPAR_ERR_FORMAT, "not a GGUF file");
    b = head(3, 0, 1);
    put(&b, UINT64_MAX, 8);
    put(&b, 0, 8);
    refused_bytes(&b, SPAR_ERR_FORMAT, "name of a key at byte 32");
    b = head(3, 0, 1);
    put_text(&b, "k");
    put(&b, 13, 4);
    put(&b, 0, 8);
    refused_bytes(&b, SPAR_ERR_FORMAT, "key 'k': kind of value 13");
    b = head(3, 0, 1);
    put_text(&b, "k");
    put(&b, SPAR__GGUF_BOOL, 4);
    put(&b, 2, 1);
    refused_bytes(&b, SPAR_ERR_FORMAT, "key 'k': bool 2");
    b = head(3, 0, 1);
    put_text(&b, "k");
    put(&b, SPAR__GGUF_ARRAY, 4);
    for (int i = 0; i < 8; i++) put(&b, SPAR__GGUF_ARRAY, 4), put(&b, 1, 8);
    refused_bytes(&b, SPAR_ERR_LIMIT, "key 'k': arrays nested deeper");
    b = head(3, 0, 1);
    put_text(&b, "k");
    put(&b, SPAR__GGUF_ARRAY, 4);
    put(&b, SPAR__GGUF_UINT64, 4);
    put(&b, (uint64_t)1 << 61, 8); /* times eight bytes is 0 in 64 bits */
    put(&b, 0, 8);
    refused_bytes(&b, SPAR_ERR_FORMAT,
                  "key 'k': 2305843009213693952 values, the file has room for 1");
    b = head(3, 0, 1);
    put_text(&b, "general.alignment");
    put(&b, SPAR__GGUF_UINT32, 4);
    put(&b, 48, 4);
    refused_bytes(&b, SPAR_ERR_FORMAT, "general.alignment': 48");
}

static void lying_tensors(void **state) {
    (void)state;
    const uint64_t huge[] = {(uint64_t)1 << 32, (uint64_t)1 << 32}, one[] = {8}, zero[] = {0},
                   negative[] = {UINT64_MAX}, near[] = {(uint64_t)1 << 62};
    const uint64_t five[] = {1, 1, 1, 1, 1};
    struct {
        uint32_t n_dims;
        const uint64_t *ne;
        uint32_t type;
        uint64_t offset;
        spar_status status;
        const char *part;
    } cases[] = {
        {2, huge, 0, 0, SPAR_ERR_FORMAT, "more elements than can be counted"},
        {1, near, 0, 0, SPAR_ERR_FORMAT, "more bytes than can be counted"},
        {1, zero, 0, 0, SPAR_ERR_FORMAT, "ne[0] is 0"},
        {1, negative, 0, 0, SPAR_ERR_FORMAT, "ne[0] is 18446744073709551615"},
        {5, five, 0, 0, SPAR_ERR_FORMAT, "5 dimensions"},
        {0, five, 0, 0, SPAR_ERR_FORMAT, "0 dimensions"},
        {1, one, 16, 0, SPAR_ERR_UNSUPPORTED, "type iq2_xxs is not read"},
        {1, one, 99, 0, SPAR_ERR_FORMAT, "unknown type 99"},
        {1, one, 8, 0, SPAR_ERR_FORMAT, "rows of 8 elements, q8_0 needs a multiple of 32"},
        {1, one, 0, 8, SPAR_ERR_FORMAT, "offset 8, expected a multiple of 32"},
        {1, one, 0, 64, SPAR_ERR_FORMAT, "32 bytes at offset 64, the data have 64 bytes"},
        {1, one, 0, UINT64_MAX - 31, SPAR_ERR_FORMAT, "at offset 18446744073709551584"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = head(3, 1, 0);
        tensor(&b, "w", cases[i].n_dims, cases[i].ne, cases[i].type, cases[i].offset);
        b.n = (b.n + 31) / 32 * 32 + 64;
        refused_bytes(&b, cases[i].status, cases[i].part);
        assert_non_null(strstr(spar_error(), "'w'"));
    }
    bytes b = head(3, 2, 0);
    tensor(&b, "v", 1, one, 28, 0);
    tensor(&b, "w", 1, one, 0, 32);
    b.n = (b.n + 31) / 32 * 32 + 64;
    refused_bytes(&b, SPAR_ERR_FORMAT, "tensor 'w': overlaps tensor 'v'");
    b = head(3, 2, 0);
    tensor(&b, "w", 1, one, 0, 0);
    tensor(&b, "w", 1, one, 0, 32);
    b.n = (b.n + 31) / 32 * 32 + 64;
    refused_bytes(&b, SPAR_ERR_FORMAT, "tensor 'w': stands there twice");
}

static void only_regular_files(void **state) {
    (void)state;
    spar__gguf *g;
    const char *fifo = scratch("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refused(spar__gguf_open(fifo, &g), SPAR_ERR_IO, "not a regular file");
    refused(spar__gguf_open("/dev/zero", &g), SPAR_ERR_IO, "not a regular file");
    refused(spar__gguf_open(scratch_file("empty", "", 0), &g), SPAR_ERR_FORMAT, "not a GGUF file");
    refused(spar__gguf_open(scratch("absent"), &g), SPAR_ERR_NOT_FOUND, "absent");
}

static void types(void **state) {
    (void)state;
    assert_string_equal(spar__gguf_traits_of(14)->name, "q6_k");
    assert_int_equal(spar__gguf_traits_named("tq1_0")->type, 34);
    assert_null(spar__gguf_traits_named("q8"));
    assert_null(spar__gguf_traits_of(9));
    assert_string_equal(spar__gguf_foreign_name(39), "mxfp4");
}

/* With the n-th allocation failing, opening and writing fail cleanly or succeed. */
static void memory_runs_out(void **state) {
    (void)state;
    const char *path = scratch("torture.gguf");
    write_sample(path, 32);
    for (size_t n = 1;; n++) {
        spar__gguf *g = NULL;
        spar__alloc_fail_at(n, false);
        spar_status status = spar__gguf_open(path, &g);
        bool reached = spar__alloc_fail_at(0, false) >= n;
        assert_int_equal(status, reached ? SPAR_ERR_MEMORY : SPAR_OK);
        spar__gguf_free(g);
        if (!reached) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(copies),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(split_model),
        cmocka_unit_test(lies),
        cmocka_unit_test(lying_tensors),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(types),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
