/* What include/spar shows of the base room: token ids, nearest names, files, the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "spar/file.h"
#include "spar/machine.h"
#include "spar/memory.h"
#include "spar/text.h"

static void ids_are_parsed(void **state) {
    (void)state;
    int32_t *ids;
    size_t n;
    assert_int_equal(spar_ids_parse(" 1,2, 2147483647\n0", &ids, &n), SPAR_OK);
    assert_int_equal(n, 4);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[2], INT32_MAX);
    assert_int_equal(ids[3], 0);
    spar_free(ids);
    assert_int_equal(spar_ids_parse("", &ids, &n), SPAR_OK);
    assert_int_equal(n, 0);
    assert_non_null(ids);
    spar_free(ids);
}

static void bad_ids_are_named(void **state) {
    (void)state;
    static const char *const bad[] = {"1,x", "-1", "2147483648", "99999999999999999999", "1.5", "+3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int32_t *ids = NULL;
        size_t n = 7;
        assert_int_equal(spar_ids_parse(bad[i], &ids, &n), SPAR_ERR_ARGUMENT);
        assert_null(ids);
        assert_int_equal(n, 7);
        assert_non_null(strstr(spar_error(), strchr(bad[i], ',') ? "'x'" : bad[i]));
    }
}

static void nearest_names(void **state) {
    (void)state;
    static const char *const names[] = {"train", "tokenize", "eval"};
    assert_int_equal(spar_nearest("trian", names, 3), 0);
    assert_int_equal(spar_nearest("tokenise", names, 3), 1);
    assert_int_equal(spar_nearest("zzzzzz", names, 3), -1);
    assert_int_equal(spar_nearest("", names, 3), -1);
}

static void files_whole(void **state) {
    (void)state;
    char folder[] = "/tmp/spar-test-XXXXXX", path[64], *bytes = NULL;
    size_t length = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(spar_file_write(path, "x", 1), SPAR_ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/a", folder);
    assert_int_equal(spar_folder_make(path), SPAR_OK);
    snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(spar_file_write(path, "hello", 5), SPAR_OK);
    assert_int_equal(spar_file_read(path, 4, &bytes, &length), SPAR_ERR_LIMIT);
    assert_int_equal(spar_file_read(folder, 4, &bytes, &length), SPAR_ERR_IO);
    assert_int_equal(spar_file_read(path, 5, &bytes, &length), SPAR_OK);
    assert_int_equal(length, 5);
    assert_string_equal(bytes, "hello");
    spar_free(bytes);
    remove(path);
    snprintf(path, sizeof path, "%s/a", folder);
    rmdir(path);
    rmdir(folder);
}

static void machine_is_described(void **state) {
    (void)state;
    spar_machine machine;
    spar_machine_get(&machine);
    assert_true(machine.cores >= 1);
    assert_true(machine.memory > 0);
    assert_true(machine.cpu[0] != 0);
    assert_true(spar_version()[0] >= '0' && spar_version()[0] <= '9');
    int before = spar_threads();
    spar_threads_set(3);
    assert_int_equal(spar_threads(), 3);
    spar_threads_set(before);
    double rate = 0;
    assert_int_equal(spar_machine_bandwidth(100, &rate), SPAR_ERR_ARGUMENT);
    spar__alloc_fail_at(1, false);
    assert_int_equal(spar_machine_bandwidth(0, &rate), SPAR_ERR_MEMORY);
    spar__alloc_fail_at(0, false);
    assert_true(rate == 0);
    spar_disk_speed disk;
    assert_int_equal(spar_machine_disk("/nowhere/at/all", &disk), SPAR_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_parsed), cmocka_unit_test(bad_ids_are_named),
        cmocka_unit_test(nearest_names),  cmocka_unit_test(files_whole),
        cmocka_unit_test(machine_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
