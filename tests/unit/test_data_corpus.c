/* Documents out of files: formats, boundaries, compression, bad bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "spar/data.h"

static char folder[64];

static const char *at(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t length) {
    assert_int_equal(spar__write_file(at(name), bytes, length), SPAR_OK);
}
static void put_text(const char *name, const char *text) {
    put(name, text, strlen(text));
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/spar-corpus-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* All documents, each followed by '|', pieces within one joined by '+'. */
static spar_status read_paths(const char *const *paths, size_t n, spar_corpus_options options,
                              char *out, size_t room) {
    spar_corpus *corpus;
    spar_status status = spar_corpus_open(paths, n, &options, &corpus);
    if (status) return status;
    size_t used = 0;
    bool within = false;
    spar_corpus_piece piece;
    while (!(status = spar_corpus_next(corpus, &piece))) {
        assert_int_equal(piece.starts, !within);
        if (within) out[used++] = '+';
        assert_true(used + piece.length + 3 < room);
        memcpy(out + used, piece.text, piece.length);
        used += piece.length;
        within = !piece.ends;
        if (!within) out[used++] = '|';
    }
    out[used] = 0;
    spar_corpus_free(corpus);
    return status == SPAR_ERR_NOT_FOUND ? SPAR_OK : status;
}

static spar_status read_one(const char *name, spar_corpus_options options, char *out, size_t room) {
    const char *path = at(name);
    return read_paths(&path, 1, options, out, room);
}

static void expect(const char *name, spar_corpus_options options, const char *documents) {
    char out[4096];
    assert_int_equal(read_one(name, options, out, sizeof out), SPAR_OK);
    assert_string_equal(out, documents);
}

static void test_text(void **state) {
    (void)state;
    put_text("a.txt", "one\n\ntwo\n\n\n\nthree");
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    expect("a.txt", options, "one\n\ntwo\n\n\n\nthree|");
    options.separator = "\n\n";
    expect("a.txt", options, "one|two|three|");
    put_text("empty.txt", "");
    expect("empty.txt", options, "");
    put_text("bom.txt", "\xef\xbb\xbfh\xc3\xa9");
    expect("bom.txt", options, "h\xc3\xa9|");
}

static void test_folder_in_byte_order(void **state) {
    (void)state;
    mkdir(at("f"), 0777);
    mkdir(at("f/Z"), 0777);
    put_text("f/b.txt", "b");
    put_text("f/Z/c.txt", "c");
    put_text("f/a.txt", "a");
    put_text("f/.hidden", "h");
    assert_int_equal(symlink("..", at("f/loop")), 0);
    assert_int_equal(mkfifo(at("f/fifo"), 0666), 0);
    expect("f", SPAR_CORPUS_OPTIONS, "c|a|b|");
    char out[64];
    assert_int_equal(read_one("missing", SPAR_CORPUS_OPTIONS, out, sizeof out), SPAR_ERR_NOT_FOUND);
    assert_int_equal(read_one("f/fifo", SPAR_CORPUS_OPTIONS, out, sizeof out), SPAR_ERR_IO);
}

static void test_jsonl(void **state) {
    (void)state;
    put_text("a.jsonl", "{\"text\": \"one\\ntwo\", \"n\": 1}\n\n{\"text\":\"\"}\n\"three\"\n"
                        "{\"other\": 1, \"text\": \"f\\u00e9\"}");
    expect("a.jsonl", SPAR_CORPUS_OPTIONS, "one\ntwo|three|f\xc3\xa9|");
    char out[256];
    put_text("b.jsonl", "{\"text\": \"one\"}\n{\"body\": \"two\"}\n");
    assert_int_equal(read_one("b.jsonl", SPAR_CORPUS_OPTIONS, out, sizeof out), SPAR_ERR_FORMAT);
    assert_non_null(strstr(spar_error(), "line 2"));
    assert_non_null(strstr(spar_error(), "'text'"));
    put_text("c.jsonl", "{\"text\": \"one\"\n");
    assert_int_equal(read_one("c.jsonl", SPAR_CORPUS_OPTIONS, out, sizeof out), SPAR_ERR_FORMAT);
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    options.key = "body";
    put_text("d.ndjson", "{\"body\": \"two\"}");
    expect("d.ndjson", options, "two|");
    options.format = SPAR_CORPUS_TEXT;
    expect("d.ndjson", options, "{\"body\": \"two\"}|");
}

static void test_invalid_utf8(void **state) {
    (void)state;
    put("bad.txt", "abc\xffxyz\xe2\x82", 9);
    char out[64];
    assert_int_equal(read_one("bad.txt", SPAR_CORPUS_OPTIONS, out, sizeof out), SPAR_ERR_FORMAT);
    assert_non_null(strstr(spar_error(), "bad.txt"));
    assert_non_null(strstr(spar_error(), "offset 3"));
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    options.replace_invalid = true;
    expect("bad.txt", options, "abc\xef\xbf\xbdxyz\xef\xbf\xbd|");
}

/* 300 kB of lines, so that windows, pieces and decoders all come to their ends. */
static char *long_text(size_t *length) {
    enum { LINES = 6000 };
    char *text = malloc(LINES * 64), *p = text;
    for (int i = 0; i < LINES; i++)
        p += sprintf(p, "line %d of a text with na\xc3\xafve \xe2\x82\xac words\n%s", i,
                     i % 7 ? "" : "\n");
    *length = (size_t)(p - text);
    return text;
}

static void test_pieces(void **state) {
    (void)state;
    size_t length;
    char *text = long_text(&length), *out = malloc(2 * length);
    put("long.txt", text, length);
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    options.max_piece = 4096;
    assert_int_equal(read_one("long.txt", options, out, 2 * length), SPAR_OK);
    size_t used = 0, pieces = 0;
    for (char *p = out; *p; p++) {
        if (*p == '+')
            pieces++;
        else if (*p != '|')
            assert_int_equal(*p, text[used++]);
        if (*p == '+') assert_int_equal(p[1], '\n');
    }
    assert_int_equal(used, length);
    assert_in_range(pieces, length / 4096, length / 2048);
    free(text);
    free(out);
}

static void test_separators_at_piece_ends(void **state) {
    (void)state;
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    options.max_piece = 4096;
    options.separator = "<SEP>";
    char text[9000], out[9100];
    for (size_t n = 4080; n < 4110; n++) {
        memset(text, 'x', sizeof text);
        memcpy(text + n, "<SEP>", 5);
        put("sep.txt", text, n + 5 + 3);
        assert_int_equal(read_one("sep.txt", options, out, sizeof out), SPAR_OK);
        assert_null(strstr(out, "SEP"));
        size_t xs = 0, ends = 0;
        for (char *p = out; *p; p++) xs += *p == 'x', ends += *p == '|';
        assert_int_equal(xs, n + 3);
        assert_int_equal(ends, 2);
    }
}

static void test_compressed(void **state) {
    (void)state;
    size_t length;
    char *text = long_text(&length), *out = malloc(2 * length), *expected = malloc(2 * length);
    put("plain.txt", text, length);
    assert_int_equal(read_one("plain.txt", SPAR_CORPUS_OPTIONS, expected, 2 * length), SPAR_OK);

    gzFile gz = gzopen(at("text.gz"), "wb");
    gzwrite(gz, text, 1000);
    gzclose(gz);
    gz = gzopen(at("text.gz"), "ab"); /* a second member */
    gzwrite(gz, text + 1000, (unsigned)(length - 1000));
    gzclose(gz);
    assert_int_equal(read_one("text.gz", SPAR_CORPUS_OPTIONS, out, 2 * length), SPAR_OK);
    assert_string_equal(out, expected);

    size_t bound = ZSTD_compressBound(length);
    char *packed = malloc(2 * bound);
    size_t n = ZSTD_compress(packed, bound, text, 1000, 3);
    n += ZSTD_compress(packed + n, bound, text + 1000, length - 1000, 3);
    put("text.zst", packed, n);
    assert_int_equal(read_one("text.zst", SPAR_CORPUS_OPTIONS, out, 2 * length), SPAR_OK);
    assert_string_equal(out, expected);

    put("cut.zst", packed, n - 5);
    assert_int_equal(read_one("cut.zst", SPAR_CORPUS_OPTIONS, out, 2 * length), SPAR_ERR_FORMAT);
    char *bytes;
    size_t gz_length;
    assert_int_equal(spar__read_file(at("text.gz"), 1 << 24, &bytes, &gz_length), SPAR_OK);
    put("cut.gz", bytes, gz_length - 3);
    assert_int_equal(read_one("cut.gz", SPAR_CORPUS_OPTIONS, out, 2 * length), SPAR_ERR_FORMAT);
    bytes[gz_length / 2] ^= 64;
    put("flip.gz", bytes, gz_length);
    assert_int_equal(read_one("flip.gz", SPAR_CORPUS_OPTIONS, out, 2 * length), SPAR_ERR_FORMAT);
    spar__free(bytes);
    free(packed);
    free(text);
    free(out);
    free(expected);
}

static void test_standard_input_twice(void **state) {
    (void)state;
    put_text("in.txt", "from standard input");
    assert_non_null(freopen(at("in.txt"), "r", stdin));
    const char *path = "-";
    spar_corpus_options options = SPAR_CORPUS_OPTIONS;
    spar_corpus *corpus;
    spar_corpus_piece piece;
    assert_int_equal(spar_corpus_open(&path, 1, &options, &corpus), SPAR_OK);
    assert_int_equal(spar_corpus_keep(corpus), SPAR_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(spar_corpus_next(corpus, &piece), SPAR_OK);
        assert_int_equal(piece.length, strlen("from standard input"));
        assert_int_equal(spar_corpus_next(corpus, &piece), SPAR_ERR_NOT_FOUND);
        assert_int_equal(spar_corpus_rewind(corpus), SPAR_OK);
    }
    spar_corpus_free(corpus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),       cmocka_unit_test(test_folder_in_byte_order),
        cmocka_unit_test(test_jsonl),      cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_separators_at_piece_ends),
        cmocka_unit_test(test_compressed), cmocka_unit_test(test_standard_input_twice),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
