/* Words in the plane: a picture by Cairo, or a page with a drawing in it (SVG). */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "look/draw.h"

enum { WIDTH = 1000, HEIGHT = 760, MARGIN = 60, MOST_BYTES = 1 << 28 };

/* Both axes have one scale, so that distances are those of the plane. */
typedef struct view {
    double x, y, scale; /* the middle of the places */
} view;

static view fit(const double (*places)[2], size_t n) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++)
        for (int a = 0; a < 2; a++) {
            low[a] = fmin(low[a], places[i][a]);
            high[a] = fmax(high[a], places[i][a]);
        }
    double wide = (high[0] - low[0]) / (WIDTH - 3 * MARGIN), tall = (high[1] - low[1]) / (HEIGHT - 2 * MARGIN);
    double unit = fmax(wide, tall);
    return (view){(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, unit > 0 ? 1 / unit : 1};
}

/* Words stand to the right of their points, so the picture has more room there. */
static double x_of(const view *v, const double place[2]) {
    return (WIDTH - MARGIN) / 2.0 + (place[0] - v->x) * v->scale;
}
static double y_of(const view *v, const double place[2]) { return HEIGHT / 2.0 - (place[1] - v->y) * v->scale; }

static spar_status name_axes(const double share[2], spar__buffer *out) {
    return spar__buffer_print(out, "the two principal components: %.1f %% and %.1f %% of the variance", 100 * share[0],
                              100 * share[1]);
}

/* ---- Page ---- */

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Embeddings</title>"
    "<style>body{font:16px/1.5 sans-serif;margin:2em;color:#222}svg{max-width:100%;height:auto;border:1px solid #ccc}"
    "circle{fill:#0072b2}text{font-size:14px;fill:#222}</style></head><body>\n<h1>Embeddings</h1>\n<p>";

static spar_status write_page(const double (*places)[2], const char *const *labels, size_t n, const double share[2],
                              spar__buffer *out) {
    view v = fit(places, n);
    SPAR_TRY(spar__buffer_add(out, head, sizeof head - 1));
    SPAR_TRY(name_axes(share, out));
    SPAR_TRY(spar__buffer_print(out, "</p>\n<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n", WIDTH, HEIGHT, WIDTH, HEIGHT));
    for (size_t i = 0; i < n; i++) {
        double x = x_of(&v, places[i]), y = y_of(&v, places[i]);
        SPAR_TRY(spar__buffer_print(out, "<g><title>%.4f, %.4f</title><circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>"
                                         "<text x=\"%.1f\" y=\"%.1f\">", places[i][0], places[i][1], x, y, x + 7, y + 5));
        SPAR_TRY(spar__look_markup(out, labels[i]));
        SPAR_TRY(spar__buffer_print(out, "</text></g>\n"));
    }
    return spar__buffer_print(out, "</svg></body></html>\n");
}

/* ---- Picture ---- */

static spar_status put(cairo_t *c, double x, double y, const char *label) {
    spar__buffer safe = spar__buffer_make(1 << 20);
    spar_status status = spar__look_text(&safe, label);
    const char *text = status ? NULL : spar__buffer_text(&safe);
    if (text) {
        cairo_move_to(c, x, y);
        cairo_show_text(c, text);
    }
    spar__buffer_free(&safe);
    return status ? status : text ? SPAR_OK : SPAR_ERR_MEMORY;
}

static spar_status draw(cairo_t *c, const double (*places)[2], const char *const *labels, size_t n,
                        const double share[2]) {
    view v = fit(places, n);
    spar__buffer title = spar__buffer_make(1 << 10);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, 14);
    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    spar_status status = name_axes(share, &title);
    if (!status && spar__buffer_text(&title)) status = put(c, 16, 26, title.bytes);
    for (size_t i = 0; !status && i < n; i++) {
        double x = x_of(&v, places[i]), y = y_of(&v, places[i]);
        cairo_set_source_rgb(c, 0, 0.447, 0.698);
        cairo_arc(c, x, y, 4, 0, 2 * acos(-1));
        cairo_fill(c);
        cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
        status = put(c, x + 7, y + 5, labels[i]);
    }
    spar__buffer_free(&title);
    return status;
}

static spar_status write_picture(const double (*places)[2], const char *const *labels, size_t n, const double share[2],
                                 const char *path, spar__buffer *out) {
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
    cairo_t *c = cairo_create(surface);
    cairo_status_t code = cairo_status(c);
    spar_status status = code ? SPAR_OK : draw(c, places, labels, n, share);
    if (!code) code = cairo_status(c);
    if (!status && !code) code = cairo_surface_write_to_png_stream(surface, spar__look_collect, out);
    if (!status && code) status = spar__fail(SPAR_ERR_IO, "%s: cannot be drawn: %s", path, cairo_status_to_string(code));
    cairo_destroy(c);
    cairo_surface_destroy(surface);
    return status;
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

spar_status spar_embedding_map_write(const double (*places)[2], const char *const *labels, size_t n,
                                     const double share[2], const char *path) {
    spar__buffer out = spar__buffer_make(MOST_BYTES);
    spar_status status;
    if (ends_in(path, ".html")) status = write_page(places, labels, n, share, &out);
    else if (ends_in(path, ".png")) status = write_picture(places, labels, n, share, path, &out);
    else status = spar__fail(SPAR_ERR_ARGUMENT, "%s: expected a name that ends in .html or .png", path);
    if (!status) status = spar__write_file(path, out.bytes, out.length);
    spar__buffer_free(&out);
    return status;
}
