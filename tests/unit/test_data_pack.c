/* Packing and reading back: splits, shards, batches, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "spar/data.h"
#include "spar/tokenizer.h"

static char folder[64];
static spar_tokenizer *tokenizer;

static const char *at(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

/* Bytes only: with 257 ids there is room for no merge, so a token is a byte. */
static spar_status no_text(void *context, const char **text, size_t *length) {
    bool *given = context;
    *text = *given ? NULL : "ab";
    *length = *given ? 0 : 2;
    *given = true;
    return SPAR_OK;
}

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/spar-pack-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    bool given = false;
    spar_text_reader reader = {no_text, &given};
    spar_tokenizer_options options = SPAR_TOKENIZER_OPTIONS_INIT;
    options.vocab_size = 257;
    return spar_tokenizer_train(&options, &reader, NULL, &tokenizer);
}

static int teardown(void **state) {
    (void)state;
    spar_tokenizer_free(tokenizer);
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static spar_data_info pack(const char *from, const char *to, const char *separator,
                           spar_pack_options options) {
    spar_corpus_options how = SPAR_CORPUS_OPTIONS;
    how.separator = separator;
    how.max_piece = 4096;
    spar_corpus *corpus;
    spar_data_info info;
    assert_int_equal(spar_corpus_open(&from, 1, &how, &corpus), SPAR_OK);
    assert_int_equal(spar_data_pack(tokenizer, corpus, to, &options, &info), SPAR_OK);
    spar_corpus_free(corpus);
    return info;
}

static spar_data *open_data(const char *path) {
    spar_data *data;
    assert_int_equal(spar_data_open(path, 0, &data), SPAR_OK);
    return data;
}

/* The text of a split, an eos as '|'. The caller frees. */
static char *text_of(const spar_data *data, spar_data_split split) {
    const spar_data_info *info = spar_data_get_info(data);
    size_t n = (size_t)info->split[split].tokens;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    char *text = malloc(n + 1);
    assert_int_equal(spar_data_tokens(data, split, 0, n, ids), SPAR_OK);
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *piece = spar_tokenizer_piece(tokenizer, ids[i], &length);
        text[i] = ids[i] == info->eos ? '|' : piece[0];
    }
    text[n] = 0;
    free(ids);
    return text;
}

/* n documents of a few words, "\n\n" between them. */
static size_t write_documents(const char *path, int n) {
    char *text = malloc((size_t)n * 64), *p = text;
    for (int i = 0; i < n; i++) p += sprintf(p, "document %d has %d words\n\n", i, i % 9);
    size_t length = (size_t)(p - text);
    assert_int_equal(spar__write_file(path, text, length), SPAR_OK);
    free(text);
    return length;
}

static void test_split_by_document(void **state) {
    (void)state;
    size_t length = write_documents(at("many.txt"), 2000);
    spar_pack_options options = SPAR_PACK_OPTIONS;
    options.valid = 0.1;
    spar_data_info info = pack(at("many.txt"), at("many"), "\n\n", options);
    uint64_t train = info.split[0].documents, valid = info.split[1].documents;
    assert_int_equal(train + valid, 2000);
    assert_int_equal(info.documents, 2000);
    assert_in_range(valid, 150, 250);
    assert_int_equal(info.split[0].bytes + info.split[1].bytes, length - 2 * 2000);
    assert_int_equal(info.split[0].tokens, info.split[0].bytes + train);
    spar_data *data = open_data(at("many"));
    char *text = text_of(data, SPAR_DATA_VALID);
    size_t ends = 0;
    for (char *p = text; *p; p++) ends += *p == '|';
    assert_int_equal(ends, valid);
    free(text);
    spar_data_free(data);
    spar_tokenizer *copy;
    assert_int_equal(spar_tokenizer_open(at("many/tokenizer.json"), &copy), SPAR_OK);
    assert_int_equal(spar_tokenizer_size(copy), 257);
    spar_tokenizer_free(copy);
}

static void test_split_by_tail(void **state) {
    (void)state;
    spar_pack_options options = SPAR_PACK_OPTIONS;
    options.valid = 0.1;
    assert_int_equal(spar__write_file(at("few.txt"), "0123456789#abcdefghi\xc3\xa9#x", 24),
                     SPAR_OK);
    spar_data_info info = pack(at("few.txt"), at("few"), "#", options);
    assert_int_equal(info.split[0].documents, 2);
    spar_data *data = open_data(at("few"));
    char *train = text_of(data, SPAR_DATA_TRAIN), *valid = text_of(data, SPAR_DATA_VALID);
    assert_string_equal(train, "012345678|abcdefghi|");
    assert_string_equal(valid, "9|\xc3\xa9|x|");
    free(train);
    free(valid);
    spar_data_free(data);

    size_t length = write_documents(at("one.txt"), 1000);
    info = pack(at("one.txt"), at("one"), NULL, options);
    assert_int_equal(info.documents, 1);
    assert_int_equal(info.split[0].bytes, (uint64_t)(0.9 * (double)length));
    assert_int_equal(info.split[0].bytes + info.split[1].bytes, length);
    assert_int_equal(info.split[0].tokens, info.split[0].bytes + 1);
    options.valid = 0;
    info = pack(at("one.txt"), at("one"), NULL, options);
    assert_int_equal(info.split[0].bytes, length);
    assert_int_equal(info.split[1].shards, 0);
    assert_false(spar__file_exists(at("one/valid-00000.bin")));
}

static void expect_same_file(const char *a, const char *b) {
    char *x, *y;
    size_t n, m;
    assert_int_equal(spar__read_file(a, 1 << 24, &x, &n), SPAR_OK);
    assert_int_equal(spar__read_file(b, 1 << 24, &y, &m), SPAR_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    spar__free(x);
    spar__free(y);
}

static void test_threads_and_shard_sizes(void **state) {
    (void)state;
    write_documents(at("many.txt"), 3000);
    spar_pack_options options = SPAR_PACK_OPTIONS;
    options.valid = 0.05;
    spar__threads_set(1);
    pack(at("many.txt"), at("t1"), "\n\n", options);
    spar__threads_set(3);
    pack(at("many.txt"), at("t3"), "\n\n", options);
    spar__threads_set(0);
    expect_same_file(at("t1/data.json"), at("t3/data.json"));
    expect_same_file(at("t1/train-00000.bin"), at("t3/train-00000.bin"));

    options.shard_tokens = 1000; /* documents go on over shards */
    spar_data_info small = pack(at("many.txt"), at("small"), "\n\n", options);
    spar_data *a = open_data(at("t1")), *b = open_data(at("small"));
    const spar_data_info *whole = spar_data_get_info(a);
    assert_true(small.split[0].shards > 50);
    assert_int_equal(small.split[0].tokens, whole->split[0].tokens);
    assert_int_equal(small.split[0].documents, whole->split[0].documents);
    assert_int_equal(small.split[0].bytes, whole->split[0].bytes);
    char *x = text_of(a, SPAR_DATA_TRAIN), *y = text_of(b, SPAR_DATA_TRAIN);
    assert_string_equal(x, y);
    free(x);
    free(y);

    /* The documents in rows are the same through both, whatever the shards. */
    spar_batches_options how = SPAR_BATCHES_OPTIONS;
    how.length = 100;
    how.batch = 4;
    spar_batches *of_a, *of_b;
    assert_int_equal(spar_batches_create(a, &how, &of_a), SPAR_OK);
    assert_int_equal(spar_batches_create(b, &how, &of_b), SPAR_OK);
    int32_t tokens[2][4 * 101], first[2][4 * 100];
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(spar_batches_get(of_a, i, tokens[0], first[0]), SPAR_OK);
        assert_int_equal(spar_batches_get(of_b, i, tokens[1], first[1]), SPAR_OK);
        assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
        assert_memory_equal(first[0], first[1], sizeof first[0]);
        for (int r = 0; r < 4; r++) {
            int32_t begun = 0;
            for (int t = 0; t < 100; t++) {
                if (t && tokens[0][r * 101 + t - 1] == whole->eos) begun = t;
                assert_int_equal(first[0][r * 100 + t], begun);
            }
        }
    }
    spar_batches_free(of_a);
    spar_batches_free(of_b);
    spar_data_free(a);
    spar_data_free(b);

    options.shard_tokens = 0; /* a smaller packing leaves no old shards behind */
    pack(at("many.txt"), at("small"), "\n\n", options);
    assert_false(spar__file_exists(at("small/train-00001.bin")));
}

/* ---- Batches ------------------------------------------------------------------------------ */

static void test_every_row_once(void **state) {
    (void)state;
    char text[1500 * 7 + 1];
    for (int i = 0; i < 1500; i++) sprintf(text + 7 * i, "%06d ", i);
    assert_int_equal(spar__write_file(at("numbers.txt"), text, strlen(text)), SPAR_OK);
    spar_pack_options options = SPAR_PACK_OPTIONS;
    pack(at("numbers.txt"), at("rows"), NULL, options);
    spar_data *data = open_data(at("rows"));
    size_t n = (size_t)spar_data_get_info(data)->split[0].tokens;
    int32_t *all = malloc(n * sizeof *all), row[18];
    assert_int_equal(spar_data_tokens(data, SPAR_DATA_TRAIN, 0, n, all), SPAR_OK);
    spar_batches_options how = SPAR_BATCHES_OPTIONS;
    how.length = 17;
    spar_batches *batches;
    assert_int_equal(spar_batches_create(data, &how, &batches), SPAR_OK);
    uint64_t rows = spar_batches_rows(batches);
    assert_in_range(rows, n / 17 - 2, n / 17);
    /* The text is all different numbers, so that a row's place in it can be found. */
    size_t offsets[3], in_order = 0;
    char *seen = malloc(n);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        memset(seen, 0, n);
        size_t least = n, previous = 0;
        for (uint64_t i = 0; i < rows; i++) {
            assert_int_equal(spar_batches_get(batches, epoch * rows + i, row, NULL), SPAR_OK);
            size_t place = 0;
            while (place + 18 <= n && memcmp(all + place, row, sizeof row)) place++;
            assert_true(place + 18 <= n);
            assert_false(seen[place]);
            seen[place] = 1;
            if (place < least) least = place;
            in_order += place == previous + 17;
            previous = place;
        }
        assert_in_range(least, 0, 16);
        offsets[epoch] = least;
        for (uint64_t i = 0; i < rows; i++) assert_true(seen[least + i * 17]);
    }
    assert_true(offsets[0] != offsets[1] || offsets[1] != offsets[2]);
    assert_true(in_order < rows / 10);
    spar_batches_free(batches);
    free(seen);
    free(all);
    spar_data_free(data);
}

static void test_resumed_sequential_and_rows(void **state) {
    (void)state;
    spar_data *data = open_data(at("rows"));
    spar_batches_options how = SPAR_BATCHES_OPTIONS;
    how.length = 8;
    how.batch = 5;
    how.seed = 7;
    spar_batches *a, *b;
    int32_t x[45], y[45], first[40];
    assert_int_equal(spar_batches_create(data, &how, &a), SPAR_OK);
    assert_int_equal(spar_batches_create(data, &how, &b), SPAR_OK);
    for (uint64_t i = 0; i < 50; i++) assert_int_equal(spar_batches_get(a, i, x, NULL), SPAR_OK);
    assert_int_equal(spar_batches_get(b, 49, y, NULL), SPAR_OK);
    assert_memory_equal(x, y, sizeof x);
    int32_t inputs[40], targets[40];
    spar_batch batch = {inputs, targets, first};
    assert_int_equal(spar_batches_fill(b, 49, &batch), SPAR_OK);
    for (int r = 0; r < 5; r++) {
        assert_memory_equal(inputs + r * 8, x + r * 9, 8 * sizeof *x);
        assert_memory_equal(targets + r * 8, x + r * 9 + 1, 8 * sizeof *x);
    }
    assert_int_equal(spar_batches_get(b, UINT64_MAX, y, NULL), SPAR_ERR_ARGUMENT);
    spar_batches_free(b);
    how.seed = 8;
    assert_int_equal(spar_batches_create(data, &how, &b), SPAR_OK);
    assert_int_equal(spar_batches_get(b, 49, y, NULL), SPAR_OK);
    assert_memory_not_equal(x, y, sizeof x);
    spar_batches_free(a);
    spar_batches_free(b);

    how.order = SPAR_ORDER_SEQUENTIAL;
    assert_int_equal(spar_batches_create(data, &how, &a), SPAR_OK);
    int32_t start[41];
    assert_int_equal(spar_batches_get(a, 0, x, NULL), SPAR_OK);
    assert_int_equal(spar_data_tokens(data, SPAR_DATA_TRAIN, 0, 41, start), SPAR_OK);
    for (int r = 0; r < 5; r++) assert_memory_equal(x + r * 9, start + r * 8, 9 * sizeof *x);
    spar_batches_free(a);

    int32_t rows[3 * 9];
    for (int i = 0; i < 27; i++) rows[i] = i;
    assert_int_equal(spar_batches_from_rows(rows, 3, &how, &a), SPAR_OK);
    assert_int_equal(spar_batches_get(a, 1, x, first), SPAR_OK);
    for (int i = 0; i < 45; i++) assert_int_equal(x[i], (5 * 9 + i) % 27);
    for (int i = 0; i < 40; i++) assert_int_equal(first[i], 0);
    spar_batches_free(a);

    how.length = 1 << 20;
    assert_int_equal(spar_batches_create(data, &how, &a), SPAR_ERR_ARGUMENT);
    how.length = 8;
    how.objective = "casual";
    assert_int_equal(spar_batches_create(data, &how, &a), SPAR_ERR_CONFIG);
    assert_non_null(strstr(spar_error(), "'causal'"));
    spar_data_free(data);
}

/* ---- Files that lie ----------------------------------------------------------------------- */

static void read_all(const char *path, unsigned flags) {
    spar_data *data;
    if (spar_data_open(path, flags, &data)) return;
    spar_batches_options how = SPAR_BATCHES_OPTIONS;
    how.length = 16;
    how.batch = 2;
    spar_batches *batches;
    int32_t tokens[34], first[32];
    if (!spar_batches_create(data, &how, &batches)) {
        for (uint64_t i = 0; i < spar_batches_rows(batches); i++)
            (void)spar_batches_get(batches, i, tokens, first);
        spar_batches_free(batches);
    }
    spar_data_free(data);
}

static void test_damage(void **state) {
    (void)state;
    write_documents(at("tiny.txt"), 12);
    spar_pack_options options = SPAR_PACK_OPTIONS;
    options.valid = 0;
    pack(at("tiny.txt"), at("tiny"), "\n\n", options);
    char *bytes;
    size_t length;
    spar_data *data;
    assert_int_equal(spar__read_file(at("tiny/train-00000.bin"), 1 << 20, &bytes, &length),
                     SPAR_OK);
    FILE *file = fopen(at("tiny/train-00000.bin"), "r+b");
    for (size_t bit = 0; bit < 8 * length; bit++) {
        char flipped = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        pwrite(fileno(file), &flipped, 1, (off_t)(bit / 8));
        assert_int_not_equal(spar_data_open(at("tiny"), 0, &data), SPAR_OK);
        read_all(at("tiny"), SPAR_DATA_NO_VERIFY);
        pwrite(fileno(file), &bytes[bit / 8], 1, (off_t)(bit / 8));
    }
    for (size_t n = length; n-- > 0;) {
        assert_int_equal(ftruncate(fileno(file), (off_t)n), 0);
        assert_int_not_equal(spar_data_open(at("tiny"), SPAR_DATA_NO_VERIFY, &data), SPAR_OK);
    }
    fclose(file);
    assert_int_equal(spar__write_file(at("tiny/train-00000.bin"), bytes, length), SPAR_OK);
    spar__free(bytes);
    spar_data_free(open_data(at("tiny")));

    assert_int_equal(spar__read_file(at("tiny/data.json"), 1 << 20, &bytes, &length), SPAR_OK);
    for (size_t n = 0; n + 2 < length; n++) {
        assert_int_equal(spar__write_file(at("tiny/data.json"), bytes, n), SPAR_OK);
        assert_int_not_equal(spar_data_open(at("tiny"), 0, &data), SPAR_OK);
    }
    spar__free(bytes);
    assert_int_not_equal(spar_data_open(at("missing"), 0, &data), SPAR_OK);
}

static void test_failing_writes_and_memory(void **state) {
    (void)state;
    write_documents(at("tiny.txt"), 40);
    spar_pack_options options = SPAR_PACK_OPTIONS;
    spar_corpus_options how = SPAR_CORPUS_OPTIONS;
    const char *path = at("tiny.txt");
    char to[256];
    snprintf(to, sizeof to, "%s", at("torture"));
    spar__threads_set(1);
    for (int memory = 0; memory < 2; memory++) {
        spar_status status = SPAR_ERR_IO;
        for (size_t n = 1; status; n++) {
            memory ? spar__alloc_fail_at(n, true) : spar__write_fail_at(n, true);
            spar_corpus *corpus = NULL;
            status = spar_corpus_open(&path, 1, &how, &corpus);
            if (!status) status = spar_data_pack(tokenizer, corpus, to, &options, NULL);
            memory ? spar__alloc_fail_at(0, false) : spar__write_fail_at(0, false);
            spar_corpus_free(corpus);
            spar_data *data = NULL;
            if (!spar_data_open(to, 0, &data)) spar_data_free(data); /* whole, or not there */
            assert_true(n < 100000);
        }
    }
    spar__threads_set(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_by_document),           cmocka_unit_test(test_split_by_tail),
        cmocka_unit_test(test_threads_and_shard_sizes),     cmocka_unit_test(test_every_row_once),
        cmocka_unit_test(test_resumed_sequential_and_rows), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_failing_writes_and_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
