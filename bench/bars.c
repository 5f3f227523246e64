/* The ratios of a result as bars: build/release/bench/bars runs/bench/NAME.json NAME.png
 *
 * A bar for each ratio, with a line at 1, where both programs are equally fast; where a ratio exceeds 10 the
 * axis is logarithmic. */
#include <cairo.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 900, LEFT = 430, RIGHT = 80, TOP = 60, ROW = 30 };

typedef struct axis {
    double least, most; /* of a logarithmic axis; least 0: a linear one */
} axis;

static double place(const axis *a, double value) {
    double share = a->least > 0 ? log(value / a->least) / log(a->most / a->least) : value / a->most;
    return LEFT + (WIDTH - LEFT - RIGHT) * (share < 0 ? 0 : share > 1 ? 1 : share);
}

static axis axis_of(const json_t *ratios) {
    const char *name;
    json_t *value;
    axis a = {0, 1};
    double least = 1;
    json_object_foreach((json_t *)ratios, name, value) {
        double x = json_number_value(value);
        if (x > a.most) a.most = x;
        if (x > 0 && x < least) least = x;
    }
    if (a.most > 10) a.least = least / 2;
    return a;
}

static void text(cairo_t *c, double x, double y, bool to_left, const char *words) {
    cairo_text_extents_t size;
    cairo_text_extents(c, words, &size);
    cairo_move_to(c, to_left ? x - size.x_advance : x, y);
    cairo_show_text(c, words);
}

static void draw_bars(cairo_t *c, const json_t *ratios) {
    const char *name;
    json_t *value;
    axis a = axis_of(ratios);
    int row = 0;
    double one = place(&a, 1), bottom = TOP + ROW * (double)json_object_size(ratios);
    json_object_foreach((json_t *)ratios, name, value) {
        char number[32];
        double x = json_number_value(value), y = TOP + ROW * row++, end = place(&a, x);
        if (x >= 1) cairo_set_source_rgb(c, 0.16, 0.47, 0.71);
        else cairo_set_source_rgb(c, 0.80, 0.42, 0.25);
        cairo_rectangle(c, LEFT, y + 5, end - LEFT, ROW - 10);
        cairo_fill(c);
        cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
        snprintf(number, sizeof number, x < 10 ? "%.2f" : "%.0f", x);
        text(c, LEFT - 10, y + 20, true, name);
        text(c, (x < 1 && end + 40 > one ? one : end) + 6, y + 20, false, number);
    }
    cairo_set_source_rgb(c, 0.3, 0.3, 0.3);
    cairo_set_line_width(c, 1);
    cairo_move_to(c, one, TOP - 4);
    cairo_line_to(c, one, bottom + 4);
    cairo_stroke(c);
}

static int draw(const json_t *result, const char *path) {
    const json_t *ratios = json_object_get(result, "ratios");
    const char *name = json_string_value(json_object_get(result, "bench"));
    const char *cpu = json_string_value(json_object_get(result, "cpu"));
    if (!json_object_size(ratios) || !name) return fprintf(stderr, "bars: no \"ratios\" or \"bench\"\n"), 1;
    int height = TOP + ROW * (int)json_object_size(ratios) + 20;
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, height);
    cairo_t *c = cairo_create(surface);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, 17);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    text(c, 20, 30, false, name);
    cairo_set_font_size(c, 13);
    text(c, WIDTH - 20, 30, true, cpu ? cpu : "");
    draw_bars(c, ratios);
    cairo_destroy(c);
    cairo_status_t status = cairo_surface_write_to_png(surface, path);
    cairo_surface_destroy(surface);
    if (status) fprintf(stderr, "%s: %s\n", path, cairo_status_to_string(status));
    return status ? 1 : 0;
}

int main(int argc, char **argv) {
    json_error_t error;
    if (argc != 3) return fprintf(stderr, "expected: bars RESULT.json PICTURE.png\n"), 2;
    json_t *result = json_load_file(argv[1], 0, &error);
    if (!result) return fprintf(stderr, "%s: line %d: %s\n", argv[1], error.line, error.text), 1;
    int code = draw(result, argv[2]);
    json_decref(result);
    return code;
}
