/* Charts: pictures that are whole and show their lines, text that keeps to its width. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "plot/axis.h"
#include "spar/memory.h"
#include "spar/plot.h"

/* Fontconfig keeps what it has read until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig";
}

enum { N = 500 };
static double xs[N], falling[N], gaps[N];
static char folder[64], path[128];

static int setup(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) {
        xs[i] = i + 1;
        falling[i] = 3 + 5 * exp(-i / 80.0);
        gaps[i] = i % 50 < 10 ? NAN : 4;
    }
    strcpy(folder, "/tmp/spar-plot-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const spar_plot_line lines[] = {
    {"loss", xs, falling, N, 0, false, true},
    {"a rather long name of a run, gappy", xs, gaps, N, 1, true, false},
};
static const spar_plot_panel panels[] = {{"nats", lines, 2, false}, {"log", lines, 1, true}};
static const spar_plot two = {"Title", "step", panels, 2, 0, 0};

/* Pixels of about a colour. */
static int count_pixels(cairo_surface_t *picture, int red, int green, int blue) {
    const unsigned char *data = cairo_image_surface_get_data(picture);
    int width = cairo_image_surface_get_width(picture), count = 0;
    int height = cairo_image_surface_get_height(picture);
    int stride = cairo_image_surface_get_stride(picture);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const unsigned char *p = data + y * stride + 4 * x;
            uint32_t pixel;
            memcpy(&pixel, p, 4);
            int r = pixel >> 16 & 255, g = pixel >> 8 & 255, b = pixel & 255;
            count += abs(r - red) < 8 && abs(g - green) < 8 && abs(b - blue) < 8;
        }
    return count;
}

static void test_png(void **state) {
    (void)state;
    assert_int_equal(spar_plot_write(&two, in_folder("a.png")), SPAR_OK);
    cairo_surface_t *picture = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(picture), CAIRO_STATUS_SUCCESS);
    assert_int_equal(cairo_image_surface_get_width(picture), 1200);
    int all = 1200 * cairo_image_surface_get_height(picture);
    assert_in_range(count_pixels(picture, 255, 255, 255), all * 8 / 10, all * 99 / 100);
    assert_true(count_pixels(picture, 0x00, 0x72, 0xb2) > 1000); /* the lines' colours */
    assert_true(count_pixels(picture, 0xd5, 0x5e, 0x00) > 500);
    assert_true(count_pixels(picture, 0x22, 0x22, 0x22) > 100); /* and words */
    cairo_surface_destroy(picture);
}

static void test_svg(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    assert_int_equal(spar_plot_write(&two, in_folder("a.svg")), SPAR_OK);
    assert_int_equal(spar__read_file(path, 1 << 24, &bytes, &length), SPAR_OK);
    assert_non_null(strstr(bytes, "<svg"));
    assert_non_null(strstr(bytes, "</svg>"));
    spar__free(bytes);
}

/* Columns that a line of text takes, escapes not counted. */
static int columns_of(const char *text, size_t length) {
    int n = 0;
    for (size_t i = 0; i < length;) {
        if (text[i] == '\033') {
            while (text[i] != 'm') i++;
            i++;
            continue;
        }
        uint32_t code;
        int size = spar__utf8_decode((const unsigned char *)text + i, length - i, &code);
        assert_true(size > 0);
        i += (size_t)size;
        n++;
    }
    return n;
}

static void test_terminal(void **state) {
    (void)state;
    for (int columns = 20; columns <= 200; columns += 9) {
        for (int color = 0; color < 2; color++) {
            char *text;
            int rows = 0, dotted = 0;
            assert_int_equal(spar_plot_text(&two, columns, 10, color, &text), SPAR_OK);
            for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1, rows++) {
                assert_true(columns_of(p, (size_t)(end - p)) <= columns);
                dotted += memmem(p, (size_t)(end - p), "\xe2\xa0", 2) != NULL ||
                          memmem(p, (size_t)(end - p), "\xe2\xa1", 2) != NULL ||
                          memmem(p, (size_t)(end - p), "\xe2\xa2", 2) != NULL ||
                          memmem(p, (size_t)(end - p), "\xe2\xa3", 2) != NULL;
            }
            assert_in_range(rows, 26, 32);
            assert_true(dotted >= 16);
            assert_int_equal(strchr(text, '\033') != NULL, color);
            spar_free(text);
        }
    }
}

static void test_axes(void **state) {
    (void)state;
    char label[32];
    spar__axis a = spar__axis_make(0, 20000, false, false, 8);
    assert_int_equal(a.n_ticks, 5);
    spar__axis_label(&a, 1, label);
    assert_string_equal(label, "5k");
    a = spar__axis_make(3.21, 3.29, false, false, 5);
    spar__axis_label(&a, 0, label);
    assert_string_equal(label, "3.22");
    a = spar__axis_make(1e-5, 1, true, false, 6);
    spar__axis_label(&a, 0, label);
    assert_string_equal(label, "1e-5");
    assert_true(fabs(spar__axis_place(&a, 1e-5)) < 1e-12);
    assert_true(fabs(spar__axis_place(&a, 1) - 1) < 1e-12);
    /* Whatever the range: at least one tick, all of them in it, ascending. */
    static const double ends[][2] = {{0, 0},           {5, 5},      {-3, -3},
                                     {1e-300, 1e299},  {-1e9, 7},   {0.1, 0.1001},
                                     {1e12, 1e12 + 1}, {0, 5e-324}, {-1e299, 1e299}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int widen = 0; widen < 2; widen++) {
            a = spar__axis_make(ends[i][0], ends[i][1], false, widen, 6);
            assert_true(a.low < a.high);
            for (int t = 0; t < a.n_ticks; t++) {
                assert_true(isfinite(a.ticks[t]));
                if (t) assert_true(a.ticks[t] > a.ticks[t - 1]);
                spar__axis_label(&a, t, label);
            }
        }
    }
}

static void test_odd_plots(void **state) {
    (void)state;
    char *text;
    double x[3] = {1, 2, 3}, y[3] = {NAN, INFINITY, -1}, huge[3] = {-1e308, 0, 1e308};
    spar_plot_line line = {"one", x, y, 3, -5, false, true};
    spar_plot_panel panel = {NULL, &line, 1, true};
    spar_plot plot = {NULL, "x", &panel, 1, 0, 0};
    assert_int_equal(spar_plot_text(&plot, 80, 10, false, &text), SPAR_ERR_ARGUMENT);
    panel.log_y = false; /* now one point can be drawn */
    assert_int_equal(spar_plot_text(&plot, 80, 10, false, &text), SPAR_OK);
    spar_free(text);
    assert_int_equal(spar_plot_write(&plot, in_folder("one.png")), SPAR_OK);
    line.y = huge;
    assert_int_equal(spar_plot_text(&plot, 80, 10, false, &text), SPAR_OK);
    spar_free(text);
    assert_int_equal(spar_plot_write(&plot, in_folder("huge.png")), SPAR_OK);
    assert_int_equal(spar_plot_text(&plot, 10, 10, false, &text), SPAR_ERR_ARGUMENT);
    assert_int_equal(spar_plot_write(&plot, in_folder("a.gif")), SPAR_ERR_ARGUMENT);
    plot.width = 30000;
    assert_int_equal(spar_plot_write(&plot, in_folder("big.png")), SPAR_ERR_LIMIT);
    plot.n_panels = 0;
    assert_int_equal(spar_plot_text(&plot, 80, 10, false, &text), SPAR_ERR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),       cmocka_unit_test(test_svg),
        cmocka_unit_test(test_terminal),  cmocka_unit_test(test_axes),
        cmocka_unit_test(test_odd_plots),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
