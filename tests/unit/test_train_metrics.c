/* Metrics: written, read while written, resumed, killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "spar/memory.h"
#include "spar/metrics.h"

static char folder[64], path[128];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/spar-metrics-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/metrics.db", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static spar_metrics_row row_of(uint64_t step) {
    return (spar_metrics_row){.step = step,
                              .tokens = (double)step * 100,
                              .seconds = (double)step * 0.5,
                              .loss = 5 - 0.1 * (double)step,
                              .valid_loss = step % 5 ? NAN : 4.5,
                              .lr = 1e-3,
                              .grad_norm = INFINITY,
                              .tokens_per_second = 200};
}

static size_t read_series(const char *name, const char *by, double *x, double *y) {
    spar_metrics *metrics;
    double *xs, *ys;
    size_t n;
    assert_int_equal(spar_metrics_open(folder, &metrics), SPAR_OK);
    assert_int_equal(spar_metrics_series(metrics, name, by, &xs, &ys, &n), SPAR_OK);
    assert_true(n <= 4096);
    memcpy(x, xs, n * sizeof *x);
    memcpy(y, ys, n * sizeof *y);
    spar_free(xs);
    spar_free(ys);
    spar_metrics_free(metrics);
    return n;
}

static void test_write_read_resume(void **state) {
    (void)state;
    static double x[4096], y[4096];
    spar_metrics_writer *writer;
    assert_int_equal(spar_metrics_create(path, 0, &writer), SPAR_OK);
    assert_int_equal(spar_metrics_set(writer, "config", "{\"a\": 'x'}"), SPAR_OK);
    for (uint64_t i = 1; i <= 20; i++) {
        spar_metrics_row row = row_of(i);
        assert_int_equal(spar_metrics_add(writer, &row), SPAR_OK);
        assert_int_equal(spar_metrics_add_value(writer, i, "layer.0.norm", (double)i), SPAR_OK);
    }
    assert_int_equal(spar_metrics_flush(writer), SPAR_OK);
    assert_int_equal(read_series("loss", "step", x, y), 20); /* while the writer is open */
    for (int i = 0; i < 20; i++) {
        assert_true(x[i] == i + 1);
        assert_true(y[i] == 5 - 0.1 * (i + 1));
    }
    assert_int_equal(read_series("valid_loss", "tokens", x, y), 4);
    assert_true(x[0] == 500 && y[0] == 4.5);
    assert_int_equal(read_series("grad_norm", "seconds", x, y), 20);
    assert_true(isinf(y[3]));
    assert_int_equal(read_series("layer.0.norm", "seconds", x, y), 20);
    assert_true(x[9] == 5 && y[9] == 10);
    spar_metrics_writer_free(writer);

    assert_int_equal(spar_metrics_create(path, 12, &writer), SPAR_OK);
    assert_int_equal(read_series("loss", "step", x, y), 12);
    assert_int_equal(read_series("layer.0.norm", "step", x, y), 12);
    spar_metrics_row row = row_of(13);
    row.loss = 1;
    assert_int_equal(spar_metrics_add(writer, &row), SPAR_OK);
    spar_metrics_writer_free(writer); /* flushes */
    assert_int_equal(read_series("loss", "step", x, y), 13);
    assert_true(y[12] == 1);

    spar_metrics *metrics;
    char *value, **names;
    size_t n;
    assert_int_equal(spar_metrics_open(path, &metrics), SPAR_OK);
    assert_int_equal(spar_metrics_get(metrics, "config", &value), SPAR_OK);
    assert_string_equal(value, "{\"a\": 'x'}");
    spar_free(value);
    assert_int_equal(spar_metrics_get(metrics, "none", &value), SPAR_ERR_NOT_FOUND);
    assert_int_equal(spar_metrics_names(metrics, &names, &n), SPAR_OK);
    assert_string_equal(names[0], "tokens");
    assert_string_equal(names[n - 1], "layer.0.norm");
    spar_free(names);
    double *xs, *ys;
    assert_int_equal(spar_metrics_series(metrics, "layer.0.nrom", "step", &xs, &ys, &n),
                     SPAR_ERR_NOT_FOUND);
    assert_non_null(strstr(spar_error(), "'layer.0.norm'"));
    assert_int_equal(spar_metrics_series(metrics, "loss", "1; DROP", &xs, &ys, &n),
                     SPAR_ERR_ARGUMENT);
    spar_metrics_free(metrics);
}

/* A process that is killed while it writes leaves a database with a prefix of its rows. */
static void test_killed(void **state) {
    (void)state;
    static double x[4096], y[4096];
    for (int round = 0; round < 10; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            spar_metrics_writer *writer;
            if (spar_metrics_create(path, 0, &writer)) _exit(1);
            for (uint64_t i = 1; i <= 4000; i++) {
                spar_metrics_row row = row_of(i);
                if (spar_metrics_add(writer, &row) || spar_metrics_flush(writer)) _exit(1);
            }
            _exit(0);
        }
        usleep(20000 + 7000 * (useconds_t)round);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        size_t n = read_series("loss", "step", x, y);
        for (size_t i = 0; i < n; i++) assert_true(x[i] == (double)(i + 1));
    }
}

static void test_wrong_files(void **state) {
    (void)state;
    spar_metrics *metrics;
    spar_metrics_writer *writer;
    char other[160], bytes[4096];
    snprintf(other, sizeof other, "%s/other.db", folder);
    assert_int_equal(spar_metrics_open(other, &metrics), SPAR_ERR_NOT_FOUND);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(spar__write_file(other, bytes, sizeof bytes), SPAR_OK);
    assert_int_equal(spar_metrics_open(other, &metrics), SPAR_ERR_FORMAT);
    assert_int_equal(spar_metrics_create(other, 0, &writer), SPAR_ERR_FORMAT);
    assert_int_equal(spar__write_file(other, "", 0), SPAR_OK);
    assert_int_equal(spar_metrics_open(other, &metrics), SPAR_ERR_FORMAT);
    assert_int_equal(spar_metrics_create(folder, 0, &writer), SPAR_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read_resume),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_wrong_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
