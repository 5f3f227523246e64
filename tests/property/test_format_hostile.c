/* Files that lie: every truncation of a small file, every flip of a bit in its header, and numbers
 * that overflow in place of its own, give an error or content that can be read to the last byte.
 * Meant to run with sanitizers too. Memory stays below the file's size + 64 MB. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <xxhash.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/safetensors.h"

/* Opens a file and reads all that it offers: a hash of it in *content. */
typedef spar_status (*reader)(const char *path, uint64_t *content);

typedef struct bytes {
    char *at;
    size_t length;
} bytes;

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static bytes load(const char *path) {
    bytes b;
    ok(spar__read_file(path, 1 << 20, &b.at, &b.length));
    return b;
}

static void mix(uint64_t *hash, const void *data, size_t length) {
    *hash = XXH3_64bits_withSeed(length ? data : "", length, *hash);
}

/* ---- GGUF ---------------------------------------------------------------------------------- */

static void read_key(const spar__gguf *g, size_t i, uint64_t *hash) {
    spar__gguf_value v;
    spar__gguf_string s;
    int64_t n;
    double x;
    bool b;
    char *copy = NULL;
    const char *key = spar__gguf_key(g, i, &v);
    mix(hash, key, strlen(key));
    mix(hash, v.bytes, v.length);
    if (!spar__gguf_integer(g, key, INT64_MIN, INT64_MAX, &n)) mix(hash, &n, sizeof n);
    if (!spar__gguf_real(g, key, &x)) mix(hash, &x, sizeof x);
    if (!spar__gguf_bool(g, key, &b)) mix(hash, &b, sizeof b);
    if (!spar__gguf_text_copy(g, key, &copy)) mix(hash, copy, strlen(copy));
    spar__free(copy);
    if (!spar__gguf_texts(g, key, 0, SIZE_MAX, &v))
        while (spar__gguf_next_text(&v, &s)) mix(hash, s.bytes, s.length);
    if (!spar__gguf_numbers(g, key, 0, SIZE_MAX, &v))
        for (size_t k = 0; k < v.count; k++) {
            n = spar__gguf_integer_at(&v, k);
            x = spar__gguf_real_at(&v, k);
            mix(hash, &n, sizeof n);
            mix(hash, &x, sizeof x);
        }
}

static spar_status read_gguf(const char *path, uint64_t *content) {
    spar__gguf *g;
    SPAR_TRY(spar__gguf_open(path, &g));
    uint64_t hash = 0;
    for (size_t i = 0; i < spar__gguf_n_keys(g); i++) read_key(g, i, &hash);
    for (size_t i = 0; i < spar__gguf_n_tensors(g); i++) {
        const spar__gguf_tensor *t = spar__gguf_tensor_at(g, i);
        assert_ptr_equal(spar__gguf_tensor_find(g, t->name), t);
        mix(&hash, t->name, strlen(t->name));
        mix(&hash, t->ne, sizeof t->ne);
        mix(&hash, t->data, t->bytes);
    }
    spar__gguf_free(g);
    *content = hash;
    return SPAR_OK;
}

/* Returns the length of the header, description of the tensors included. */
static size_t write_gguf(const char *path) {
    const spar__gguf_string words[] = {{"ab", 2}, {"", 0}, {"c", 1}};
    const uint16_t numbers[] = {1, 2, 3};
    const bool flags[] = {true, false};
    const int64_t ne[] = {32, 2};
    const char data[68 + 256] = {1, 2, 3};
    spar__gguf_writer *w;
    ok(spar__gguf_writer_create(&w));
    ok(spar__gguf_writer_align(w, 32));
    ok(spar__gguf_add_text(w, "name", "small", 5));
    ok(spar__gguf_add_texts(w, "words", words, 3));
    ok(spar__gguf_add_numbers(w, "numbers", SPAR__GGUF_UINT16, numbers, 3));
    ok(spar__gguf_add_numbers(w, "flags", SPAR__GGUF_BOOL, flags, 2));
    ok(spar__gguf_add_f32(w, "x", 1.5f));
    ok(spar__gguf_add_tensor(w, "q", SPAR__GGUF_Q8_0, 2, ne));
    ok(spar__gguf_add_tensor(w, "f", SPAR__GGUF_F32, 2, ne)); /* ends the file without padding */
    ok(spar__gguf_writer_begin(w, path));
    ok(spar__gguf_writer_data(w, data, sizeof data));
    ok(spar__gguf_writer_commit(w));
    spar__gguf_writer_free(w);
    bytes b = load(path);
    size_t length = b.length - 256 - 96;
    spar__free(b.at);
    return length;
}

/* ---- Safetensors --------------------------------------------------------------------------- */

static spar_status read_safetensors(const char *path, uint64_t *content) {
    spar__st *st;
    SPAR_TRY(spar__st_open(path, &st));
    uint64_t hash = 0;
    for (size_t i = 0; i < spar__st_n_tensors(st); i++) {
        const spar__st_tensor *t = spar__st_tensor_at(st, i);
        assert_ptr_equal(spar__st_find(st, t->name), t);
        mix(&hash, t->name, strlen(t->name));
        mix(&hash, t->shape, (size_t)t->n_dims * sizeof *t->shape);
        mix(&hash, t->data, t->bytes);
    }
    const char *text = spar__st_metadata(st, "format");
    if (text) mix(&hash, text, strlen(text));
    spar__st_free(st);
    *content = hash;
    return SPAR_OK;
}

static size_t write_safetensors(const char *path) {
    const int64_t shape[] = {3, 4}, one[] = {5};
    const char data[24 + 20] = {1, 2, 3};
    spar__st_writer *w;
    ok(spar__st_writer_create(&w));
    ok(spar__st_add_metadata(w, "format", "pt"));
    ok(spar__st_add_tensor(w, "half", SPAR__ST_F16, 2, shape));
    ok(spar__st_add_tensor(w, "ids", SPAR__ST_I32, 1, one));
    ok(spar__st_writer_begin(w, path));
    ok(spar__st_writer_data(w, data, sizeof data));
    ok(spar__st_writer_commit(w));
    spar__st_writer_free(w);
    bytes b = load(path);
    size_t length = b.length - sizeof data;
    spar__free(b.at);
    return length;
}

/* ---- Checkpoints --------------------------------------------------------------------------- */

static spar_status read_checkpoint(const char *path, uint64_t *content) {
    spar__checkpoint *c;
    SPAR_TRY(spar__checkpoint_open(path, &c));
    uint64_t hash = spar__checkpoint_step(c);
    for (size_t i = 0; i < spar__checkpoint_n_sections(c); i++) {
        const char *name = spar__checkpoint_name_at(c, i);
        const void *data;
        size_t length;
        ok(spar__checkpoint_section(c, name, &data, &length));
        mix(&hash, name, strlen(name));
        mix(&hash, data, length);
    }
    spar__checkpoint_free(c);
    *content = hash;
    return SPAR_OK;
}

static void write_checkpoint(const char *folder) {
    spar__checkpoint_writer *w;
    ok(spar__checkpoint_create(folder, 7, &w));
    ok(spar__checkpoint_add(w, "weights", "0123456789", 10));
    ok(spar__checkpoint_add(w, "moments", "abcdefghijklmnopqrstuvwxyz", 26));
    ok(spar__checkpoint_commit(w, 2));
}

/* ---- Mutations ----------------------------------------------------------------------------- */

/* Reads a mutated file; what is read must be, where `same`, what the file held before. */
static bool survives(reader read, const char *data, size_t length, uint64_t before, bool same) {
    uint64_t content = 0;
    if (read(scratch_file("mutant", data, length), &content)) {
        assert_true(strlen(spar_error()) > 0);
        return false;
    }
    if (same) assert_int_equal(content, before);
    return true;
}

static void truncate_everywhere(reader read, const bytes *file, uint64_t before) {
    for (size_t n = 0; n < file->length; n++)
        if (survives(read, file->at, n, before, false)) fail_msg("%zu bytes were taken", n);
}

static void flip_bits(reader read, const bytes *file, size_t length, uint64_t before, bool same) {
    for (size_t bit = 0; bit < 8 * length; bit++) {
        file->at[bit / 8] ^= (char)(1 << bit % 8);
        survives(read, file->at, file->length, before, same);
        file->at[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static const uint64_t numbers[] = {0, UINT64_MAX, (uint64_t)1 << 31, INT64_MAX};

/* Puts each number, 4 and 8 bytes wide, at every place of the header. */
static void put_numbers(reader read, const bytes *file, size_t length) {
    for (size_t at = 0; at + 8 <= length; at++)
        for (size_t i = 0; i < 8; i++) {
            char kept[8];
            memcpy(kept, file->at + at, 8);
            memcpy(file->at + at, &numbers[i / 2], i % 2 ? 4 : 8);
            survives(read, file->at, file->length, 0, false);
            memcpy(file->at + at, kept, 8);
        }
}

static void hostile_gguf(void **state) {
    (void)state;
    const char *path = scratch("small.gguf");
    uint64_t before;
    size_t header = write_gguf(path);
    bytes file = load(path);
    ok(read_gguf(path, &before));
    truncate_everywhere(read_gguf, &file, before);
    flip_bits(read_gguf, &file, header, before, false);
    put_numbers(read_gguf, &file, header);
    spar__free(file.at);
}

/* Puts each number, as text, in place of every number in the header. */
static void put_json_numbers(const bytes *file, size_t header) {
    static const char *const texts[] = {
        "0",  "-1",    "2147483648", "9223372036854775807", "1e400", "18446744073709551616",
        "[]", "\"4\"", "null"};
    for (size_t at = 8; at < header; at++) {
        size_t digits = 0;
        if (!isdigit((unsigned char)file->at[at - 1]))
            while (isdigit((unsigned char)file->at[at + digits])) digits++;
        for (size_t i = 0; digits && i < sizeof texts / sizeof *texts; i++) {
            char mutant[2048];
            size_t n = strlen(texts[i]), rest = file->length - at - digits;
            uint64_t length = header - 8 - digits + n;
            memcpy(mutant, &length, 8);
            memcpy(mutant + 8, file->at + 8, at - 8);
            memcpy(mutant + at, texts[i], n);
            memcpy(mutant + at + n, file->at + at + digits, rest);
            survives(read_safetensors, mutant, at + n + rest, 0, false);
        }
    }
}

static void hostile_safetensors(void **state) {
    (void)state;
    const char *path = scratch("small.safetensors");
    uint64_t before;
    size_t header = write_safetensors(path);
    bytes file = load(path);
    ok(read_safetensors(path, &before));
    truncate_everywhere(read_safetensors, &file, before);
    flip_bits(read_safetensors, &file, header, before, false);
    put_numbers(read_safetensors, &file, 16);
    put_json_numbers(&file, header);
    spar__free(file.at);
}

static void hostile_checkpoint(void **state) {
    (void)state;
    const char *folder = scratch("run");
    uint64_t before;
    write_checkpoint(folder);
    const char *path = scratch("run/checkpoint-7");
    bytes file = load(path);
    ok(read_checkpoint(path, &before));
    truncate_everywhere(read_checkpoint, &file, before);
    flip_bits(read_checkpoint, &file, file.length, before, true);
    put_numbers(read_checkpoint, &file, 64);
    spar__free(file.at);
}

/* A checksum does not stop who makes it anew: the table's numbers are held against the file too. */
static void forged_checkpoint(void **state) {
    (void)state;
    const char *folder = scratch("forged");
    write_checkpoint(folder);
    bytes file = load(scratch("forged/checkpoint-7"));
    uint64_t table, table_hash, header_hash;
    memcpy(&table, file.at + 32, 8);
    for (size_t at = 16; at + 8 <= file.length; at += at == 40 ? table - 40 : 1)
        for (size_t i = 0; i < 4; i++) {
            char kept[64], old[8];
            memcpy(kept, file.at, 64);
            memcpy(old, file.at + at, 8);
            memcpy(file.at + at, &numbers[i], 8);
            table_hash = XXH3_64bits(file.at + table, file.length - table);
            memcpy(file.at + 48, &table_hash, 8);
            header_hash = XXH3_64bits(file.at, 56);
            memcpy(file.at + 56, &header_hash, 8);
            survives(read_checkpoint, file.at, file.length, 0, false);
            memcpy(file.at + at, old, 8);
            memcpy(file.at, kept, 64);
        }
    spar__free(file.at);
}

static void memory_stays_small(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer keeps freed memory */
#else
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    assert_in_range(usage.ru_maxrss, 0, 64 * 1024);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_gguf),       cmocka_unit_test(hostile_safetensors),
        cmocka_unit_test(hostile_checkpoint), cmocka_unit_test(forged_checkpoint),
        cmocka_unit_test(memory_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
