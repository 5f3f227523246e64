/* Checkpoints: what is written is read back; a full disk or a crash at any step loses nothing. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "format/checkpoint.h"
#include "spar/log.h"

static void ok(spar_status status) {
    if (status) fail_msg("%s", spar_error());
}

static void refused(spar_status status, spar_status expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(spar_error(), part)) fail_msg("'%s' is not in: %s", part, spar_error());
}

enum { LARGE = 100000 };

/* A checkpoint whose content follows from its step. */
static spar_status save(const char *folder, uint64_t step, int keep) {
    spar__checkpoint_writer *w;
    char large[LARGE];
    memset(large, (int)step, sizeof large);
    SPAR_TRY(spar__checkpoint_create(folder, step, &w));
    spar__checkpoint_add(w, "step", &step, sizeof step);
    spar__checkpoint_begin(w, "weights/é");
    spar__checkpoint_write(w, large, 7);
    spar__checkpoint_write(w, large, LARGE - 7);
    spar__checkpoint_add(w, "empty", NULL, 0);
    return spar__checkpoint_commit(w, keep);
}

static uint64_t check(const spar__checkpoint *c) {
    const void *bytes;
    size_t n;
    uint64_t step;
    ok(spar__checkpoint_exact(c, "step", sizeof step, &bytes));
    memcpy(&step, bytes, sizeof step);
    assert_int_equal(step, spar__checkpoint_step(c));
    ok(spar__checkpoint_section(c, "weights/é", &bytes, &n));
    assert_int_equal(n, LARGE);
    assert_int_equal((uintptr_t)bytes % 64, 0);
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)bytes)[i] != (unsigned char)step) fail_msg("byte %zu", i);
    ok(spar__checkpoint_section(c, "empty", &bytes, &n));
    assert_int_equal(n, 0);
    return step;
}

static uint64_t newest(const char *folder) {
    spar__checkpoint *c;
    ok(spar__checkpoint_open_newest(folder, &c));
    uint64_t step = check(c);
    spar__checkpoint_free(c);
    return step;
}

/* The folder's files, sorted, as one line. */
static const char *files(const char *folder) {
    static char line[1024];
    struct dirent **items;
    int n = scandir(folder, &items, NULL, alphasort);
    line[0] = 0;
    for (int i = 0; i < n; i++) {
        if (items[i]->d_name[0] != '.') {
            strncat(line, items[i]->d_name, sizeof line - strlen(line) - 2);
            strcat(line, " ");
        }
        free(items[i]);
    }
    free(items);
    return line;
}

static char heard[4096];
static void hear(void *context, spar_log_level level, const char *line) {
    (void)context, (void)level;
    strncat(heard, line, sizeof heard - strlen(heard) - 1);
}

static const char *fresh(const char *name) {
    static char folder[512];
    snprintf(folder, sizeof folder, "%s", scratch(name));
    return folder;
}

static void round_trip(void **state) {
    (void)state;
    const char *folder = fresh("round");
    spar__checkpoint *c;
    const void *bytes;
    refused(spar__checkpoint_open_newest(folder, &c), SPAR_ERR_NOT_FOUND, "round");
    ok(save(folder, 0, 2));
    assert_int_equal(newest(folder), 0);
    ok(save(folder, 9, 2));
    ok(save(folder, 10, 2));
    assert_string_equal(files(folder), "checkpoint-10 checkpoint-9 ");
    ok(spar__checkpoint_open_newest(folder, &c));
    assert_int_equal(check(c), 10);
    assert_int_equal(spar__checkpoint_n_sections(c), 3);
    assert_string_equal(spar__checkpoint_name_at(c, 1), "weights/é");
    refused(spar__checkpoint_exact(c, "step", 4, &bytes), SPAR_ERR_FORMAT,
            "section 'step': 8 bytes, expected 4");
    refused(spar__checkpoint_exact(c, "st", 4, &bytes), SPAR_ERR_NOT_FOUND, "section 'st'");
    spar__checkpoint_free(c);
    ok(save(folder, 10, 2)); /* in place of itself */
    ok(save(folder, 3, 2));  /* later ones stay, and do not count */
    assert_string_equal(files(folder), "checkpoint-10 checkpoint-3 checkpoint-9 ");
    ok(save(folder, 11, 1));
    assert_string_equal(files(folder), "checkpoint-11 ");
}

static void writer_refuses(void **state) {
    (void)state;
    const char *folder = fresh("refuses");
    spar__checkpoint_writer *w;
    ok(spar__checkpoint_create(folder, 1, &w));
    refused(spar__checkpoint_write(w, "a", 1), SPAR_ERR_ARGUMENT, "before the first section");
    refused(spar__checkpoint_commit(w, 2), SPAR_ERR_ARGUMENT, "before the first");
    ok(spar__checkpoint_create(folder, 1, &w));
    ok(spar__checkpoint_add(w, "a", "x", 1));
    refused(spar__checkpoint_begin(w, "a"), SPAR_ERR_ARGUMENT, "'a': given twice");
    spar__checkpoint_abandon(w);
    ok(spar__checkpoint_create(folder, 1, &w));
    refused(spar__checkpoint_begin(w, ""), SPAR_ERR_ARGUMENT, "name of 0 bytes");
    spar__checkpoint_abandon(w);
    spar__checkpoint_abandon(NULL);
    spar__checkpoint_free(NULL);
    assert_string_equal(files(folder), "");
}

static void falls_back(void **state) {
    (void)state;
    char folder[512], path[600];
    snprintf(folder, sizeof folder, "%s", fresh("back"));
    spar__checkpoint *c;
    ok(save(folder, 100, 3));
    ok(save(folder, 200, 3));
    snprintf(path, sizeof path, "%s/checkpoint-200", folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 5000, SEEK_SET);
    fputc(1, file);
    fclose(file);
    heard[0] = 0;
    spar_log_set(hear, NULL);
    assert_int_equal(newest(folder), 100);
    spar_log_set(NULL, NULL);
    assert_non_null(strstr(heard, "checkpoint-200: section 'weights/é': the checksum differs"));
    snprintf(path, sizeof path, "%s/checkpoint-100", folder);
    assert_int_equal(truncate(path, 1000), 0);
    refused(spar__checkpoint_open_newest(folder, &c), SPAR_ERR_FORMAT, "checkpoint-200: section");
    assert_int_equal(rename(path, scratch("back/checkpoint-300")), 0);
    refused(spar__checkpoint_open_newest(folder, &c), SPAR_ERR_FORMAT,
            "checkpoint-300: 1000 bytes, expected");
    ok(save(folder, 400, 1));
    snprintf(path, sizeof path, "%s/checkpoint-400", folder);
    assert_int_equal(rename(path, scratch("back/checkpoint-500")), 0);
    refused(spar__checkpoint_open_newest(folder, &c), SPAR_ERR_FORMAT,
            "checkpoint-500: is of step 400");
}

/* Every n-th write, sync or rename fails, once or from then on: the folder stays usable. */
static void full_disk(void **state) {
    (void)state;
    for (int onward = 0; onward < 2; onward++) {
        const char *folder = fresh(onward ? "full-onward" : "full-once");
        ok(save(folder, 1, 2));
        ok(save(folder, 2, 2));
        uint64_t last = 2;
        for (size_t n = 1;; n++) {
            uint64_t step = last + 1;
            spar__write_fail_at(n, onward);
            spar_status status = save(folder, step, 2);
            bool reached = spar__write_fail_at(0, false) >= n;
            assert_int_equal(status != SPAR_OK, reached);
            assert_null(strstr(files(folder), ".tmp"));
            /* When only the folder's sync fails, the new one is there and is whole. */
            uint64_t found = newest(folder);
            assert_true(found == step || (status && found == last));
            last = found;
            if (!reached) break;
            assert_int_equal(status, SPAR_ERR_IO);
        }
    }
}

static int steps_until_crash;
static void crash(const char *step) {
    (void)step;
    if (--steps_until_crash == 0) _exit(77);
}

/* The process ends after the n-th durable step: the newest is the old one or the new one. */
static void crashes(void **state) {
    (void)state;
    const char *folder = fresh("crash");
    ok(save(folder, 1, 2));
    ok(save(folder, 2, 2));
    uint64_t last = 2;
    for (int n = 1;; n++) {
        pid_t child = fork();
        if (!child) {
            steps_until_crash = n;
            spar__write_observer = crash;
            _exit(save(folder, last + 1, 2) ? 1 : 0);
        }
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how) && (WEXITSTATUS(how) == 77 || WEXITSTATUS(how) == 0));
        uint64_t found = newest(folder);
        assert_true(found == last || found == last + 1);
        if (WEXITSTATUS(how) == 0) {
            assert_int_equal(found, last + 1);
            /* Synced, renamed, folder synced, two older removed: one was left by a crash. */
            assert_int_equal(n, 6);
            break;
        }
        last = found;
    }
    assert_null(strstr(files(folder), ".tmp"));
}

static void memory_runs_out(void **state) {
    (void)state;
    const char *folder = fresh("memory");
    ok(save(folder, 1, 2));
    for (int writing = 0; writing < 2; writing++)
        for (size_t n = 1;; n++) {
            spar__checkpoint *c = NULL;
            spar__alloc_fail_at(n, false);
            spar_status status =
                writing ? save(folder, 2, 9) : spar__checkpoint_open_newest(folder, &c);
            bool reached = spar__alloc_fail_at(0, false) >= n;
            if (!reached) assert_int_equal(status, SPAR_OK);
            spar__checkpoint_free(c);
            newest(folder);
            if (!reached) break;
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(writer_refuses),
        cmocka_unit_test(falls_back), cmocka_unit_test(full_disk),
        cmocka_unit_test(crashes),    cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
