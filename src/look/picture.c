/* The heads side by side as a PNG picture, by Cairo: a row for each layer, a column for each head. */
#include <math.h>
#include <stdio.h>

#include "look/draw.h"

enum { CELL = 128, GAP = 8, LEFT = 130, TOP = 64, MOST_SIDE = 20000 };

cairo_status_t spar__look_collect(void *context, const unsigned char *bytes, unsigned length) {
    return spar__buffer_add(context, bytes, length) ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

/* A pixel shows the greatest of the weights that fall on it. */
static double weight_at(const spar_attention_head *h, int side, int x, int y) {
    size_t s = (size_t)side, i = (size_t)y * h->n_queries / s, j = (size_t)x * h->n_keys / s;
    size_t i_end = ((size_t)y + 1) * h->n_queries / s, j_end = ((size_t)x + 1) * h->n_keys / s;
    float top = h->weights[i * h->n_keys + j];
    for (size_t a = i; a < i_end; a++)
        for (size_t b = j; b < j_end; b++) top = fmaxf(top, h->weights[a * h->n_keys + b]);
    return (double)top;
}

static void draw_head(cairo_surface_t *surface, const spar_attention_head *h, int side, int left, int top) {
    unsigned char *pixels = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < side; y++) {
        uint32_t *row = (uint32_t *)(void *)(pixels + (top + y) * stride) + left;
        for (int x = 0; x < side; x++) {
            double t = sqrt(fmin(1, fmax(0, weight_at(h, side, x, y))));
            uint32_t r = (uint32_t)(255 - 255 * t), g = (uint32_t)(255 - 141 * t), b = (uint32_t)(255 - 77 * t);
            row[x] = r << 16 | g << 8 | b;
        }
    }
}

/* How many rows and columns the grid has. */
static void count_cells(const spar_attention *a, int *rows, int *columns) {
    int column = 0;
    *rows = *columns = 0;
    for (size_t i = 0; i < a->n_heads; i++) {
        if (spar__look_new_row(a, i)) column = 0, ++*rows;
        if (++column > *columns) *columns = column;
    }
}

static void draw(cairo_t *c, cairo_surface_t *surface, const spar_attention *a, const char *title, int side) {
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, 18);
    cairo_move_to(c, GAP, 26);
    cairo_show_text(c, title);
    cairo_set_font_size(c, 13);
    int row = -1, column = 0;
    for (size_t i = 0; i < a->n_heads; i++, column++) {
        char name[64];
        if (spar__look_new_row(a, i)) {
            column = 0;
            row++;
            spar__look_row_name(&a->heads[i], name);
            cairo_move_to(c, GAP, TOP + row * (side + GAP) + side / 2.0);
            cairo_show_text(c, name);
        }
        int left = LEFT + column * (side + GAP), top = TOP + row * (side + GAP);
        if (!row) {
            snprintf(name, sizeof name, "head %lld", (long long)a->heads[i].head);
            cairo_move_to(c, left, TOP - 8);
            cairo_show_text(c, name);
        }
        cairo_set_line_width(c, 1);
        cairo_rectangle(c, left - 0.5, top - 0.5, side + 1, side + 1);
        cairo_stroke(c);
        cairo_surface_flush(surface);
        draw_head(surface, &a->heads[i], side, left, top);
        cairo_surface_mark_dirty(surface);
    }
}

spar_status spar__look_picture(const spar_attention *a, const spar_attention_labels *labels, const char *path,
                               spar__buffer *out) {
    int rows, columns, side = CELL;
    count_cells(a, &rows, &columns);
    if (a->n_heads == 1) side = 1024; /* one head alone is shown large */
    int64_t width = LEFT + (int64_t)columns * (side + GAP), height = TOP + (int64_t)rows * (side + GAP);
    if (width < 420) width = 420;
    if (width > MOST_SIDE || height > MOST_SIDE)
        return spar__fail(SPAR_ERR_LIMIT, "%s: %lld x %lld pixels, at most %d a side: ask for one layer or head", path,
                          (long long)width, (long long)height, MOST_SIDE);
    spar__buffer title = spar__buffer_make(1 << 16);
    spar_status status = spar__look_text(&title, labels->title && *labels->title ? labels->title : "Attention");
    const char *text = status ? NULL : spar__buffer_text(&title);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    cairo_t *c = cairo_create(surface);
    cairo_status_t code = cairo_status(c);
    if (!status && !text) status = SPAR_ERR_MEMORY;
    if (!status && !code) draw(c, surface, a, text, side);
    if (!code) code = cairo_status(c);
    if (!status && !code) code = cairo_surface_write_to_png_stream(surface, spar__look_collect, out);
    if (!status && code) status = spar__fail(SPAR_ERR_IO, "%s: cannot be drawn: %s", path, cairo_status_to_string(code));
    cairo_destroy(c);
    cairo_surface_destroy(surface);
    spar__buffer_free(&title);
    return status;
}
