/* Charts as PNG and SVG, by Cairo. */
#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "plot/axis.h"

enum { WIDTH = 1200, FIRST_PANEL = 520, NEXT_PANEL = 260, MAX_SIDE = 20000, MAX_BYTES = 1 << 30 };

/* Okabe and Ito's colours, which the colour-blind can tell apart. */
static const unsigned colors[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                  0xe69f00, 0x56b4e9, 0x555555, 0x8b5a2b};
enum { N_COLORS = sizeof colors / sizeof *colors };

typedef struct frame {
    double left, top, width, height;
} frame;

static void set_color(cairo_t *c, unsigned rgb, double alpha) {
    cairo_set_source_rgba(c, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0,
                          alpha);
}

static void set_line_color(cairo_t *c, const spar_plot_line *line, double alpha) {
    set_color(c, colors[(unsigned)line->color % N_COLORS], alpha);
}

/* Text with its baseline at y; `anchor` 0, 0.5, 1: x is its left end, middle, right end. */
static void put_text(cairo_t *c, double x, double y, double anchor, const char *text) {
    cairo_text_extents_t extents;
    cairo_text_extents(c, text, &extents);
    cairo_move_to(c, x - anchor * extents.x_advance, y);
    cairo_show_text(c, text);
}

static double text_width(cairo_t *c, const char *text) {
    cairo_text_extents_t extents;
    cairo_text_extents(c, text, &extents);
    return extents.x_advance;
}

static void set_font(cairo_t *c, double size, bool bold) {
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, size);
}

/* ---- Axes --------------------------------------------------------------------------------- */

static void draw_grid(cairo_t *c, const frame *f, const spar__axis *x, const spar__axis *y) {
    cairo_set_line_width(c, 1);
    set_color(c, 0x000000, 0.10);
    for (int i = 0; i < y->n_ticks; i++) {
        double at = floor(f->top + f->height * (1 - spar__axis_place(y, y->ticks[i]))) + 0.5;
        cairo_move_to(c, f->left, at);
        cairo_line_to(c, f->left + f->width, at);
    }
    for (int i = 0; i < x->n_ticks; i++) {
        double at = floor(f->left + f->width * spar__axis_place(x, x->ticks[i])) + 0.5;
        cairo_move_to(c, at, f->top);
        cairo_line_to(c, at, f->top + f->height);
    }
    cairo_stroke(c);
    set_color(c, 0x000000, 0.55);
    cairo_move_to(c, floor(f->left) + 0.5, f->top);
    cairo_line_to(c, floor(f->left) + 0.5, floor(f->top + f->height) + 0.5);
    cairo_line_to(c, f->left + f->width, floor(f->top + f->height) + 0.5);
    cairo_stroke(c);
}

static void label_axes(cairo_t *c, const frame *f, const spar__axis *x, const spar__axis *y,
                       const char *x_label, const char *y_label) {
    char text[32];
    set_font(c, 15, false);
    set_color(c, 0x222222, 1);
    for (int i = 0; i < y->n_ticks; i++) {
        spar__axis_label(y, i, text);
        double at = f->top + f->height * (1 - spar__axis_place(y, y->ticks[i]));
        put_text(c, f->left - 9, at + 5, 1, text);
    }
    for (int i = 0; x_label && i < x->n_ticks; i++) {
        spar__axis_label(x, i, text);
        double at = f->left + f->width * spar__axis_place(x, x->ticks[i]);
        put_text(c, at, f->top + f->height + 22, 0.5, text);
    }
    set_font(c, 16, false);
    if (x_label) put_text(c, f->left + f->width / 2, f->top + f->height + 48, 0.5, x_label);
    if (!y_label) return;
    cairo_save(c);
    cairo_translate(c, 28, f->top + f->height / 2);
    cairo_rotate(c, -acos(-1) / 2);
    put_text(c, 0, 0, 0.5, y_label);
    cairo_restore(c);
}

/* ---- Lines -------------------------------------------------------------------------------- */

typedef struct pen {
    cairo_t *c;
    double column, last_x, low, high; /* what fell on one pixel column */
    bool down, any;
} pen;

static void end_column(pen *p) {
    if (!p->any) return;
    double ends[2] = {p->low, p->high};
    for (int i = 0; i < (p->low == p->high ? 1 : 2); i++) {
        if (p->down)
            cairo_line_to(p->c, p->last_x, ends[i]);
        else
            cairo_move_to(p->c, p->last_x, ends[i]);
        p->down = true;
    }
    p->any = false;
}

/* A path through the points; those on one column of half a pixel become its lowest and highest. */
static void trace(cairo_t *c, const frame *f, const spar__axis *x, const spar__axis *y,
                  const spar_plot_line *line, const double *values) {
    pen p = {.c = c};
    for (size_t i = 0; i < line->n; i++) {
        if (!spar__plot_drawable(line->x[i], values[i], y->log)) {
            end_column(&p);
            p.down = false;
            continue;
        }
        double px = f->left + f->width * spar__axis_place(x, line->x[i]);
        double py = f->top + f->height * (1 - spar__axis_place(y, values[i]));
        double column = floor(px * 2);
        if (p.any && column != p.column) end_column(&p);
        if (!p.any) p.low = p.high = py;
        p.low = fmin(p.low, py);
        p.high = fmax(p.high, py);
        p.column = column;
        p.last_x = px;
        p.any = true;
    }
    end_column(&p);
}

static void mark_points(cairo_t *c, const frame *f, const spar__axis *x, const spar__axis *y,
                        const spar_plot_line *line) {
    for (size_t i = 0; i < line->n; i++) {
        if (!spar__plot_drawable(line->x[i], line->y[i], y->log)) continue;
        cairo_arc(c, f->left + f->width * spar__axis_place(x, line->x[i]),
                  f->top + f->height * (1 - spar__axis_place(y, line->y[i])), line->points ? 6 : 3.5, 0, 7);
        cairo_fill(c);
    }
}

static spar_status draw_line(cairo_t *c, const frame *f, const spar__axis *x, const spar__axis *y,
                             const spar_plot_line *line) {
    double *smooth = NULL;
    if (line->smooth && line->n > 50) {
        if (!(smooth = spar__plot_smooth(line))) return SPAR_ERR_MEMORY;
        set_line_color(c, line, 0.22);
        cairo_set_line_width(c, 1);
        trace(c, f, x, y, line, line->y);
        cairo_stroke(c);
    }
    set_line_color(c, line, 1);
    cairo_set_line_width(c, 2.2);
    static const double dashes[2] = {9, 5};
    cairo_set_dash(c, dashes, line->dashed ? 2 : 0, 0);
    if (!line->points) trace(c, f, x, y, line, smooth ? smooth : line->y);
    cairo_stroke(c);
    cairo_set_dash(c, NULL, 0, 0);
    if (line->points || line->n == 1 || (line->dashed && line->n <= 60)) mark_points(c, f, x, y, line);
    spar__free(smooth);
    return SPAR_OK;
}

/* The legend in rows from `top`; returns their height. With `draw` false only measures. */
static double legend(cairo_t *c, const spar_plot_panel *panel, double left, double right,
                     double top, bool draw) {
    enum { SAMPLE = 30, GAP = 8, AFTER = 26, ROW = 24 };
    set_font(c, 15, false);
    double x = left, y = top + ROW / 2;
    for (size_t i = 0; i < panel->n_lines; i++) {
        const spar_plot_line *line = &panel->lines[i];
        if (!*line->label) continue;
        double need = SAMPLE + GAP + text_width(c, line->label);
        if (x > left && x + need > right) {
            x = left;
            y += ROW;
        }
        if (draw) {
            static const double dashes[2] = {8, 4};
            set_line_color(c, line, 1);
            cairo_set_line_width(c, 3);
            cairo_set_dash(c, dashes, line->dashed ? 2 : 0, 0);
            cairo_move_to(c, x, y);
            cairo_line_to(c, x + SAMPLE, y);
            cairo_stroke(c);
            cairo_set_dash(c, NULL, 0, 0);
            set_color(c, 0x222222, 1);
            put_text(c, x + SAMPLE + GAP, y + 5, 0, line->label);
        }
        x += need + AFTER;
    }
    return x > left ? y + ROW / 2 - top : 0;
}

static spar_status draw_panel(cairo_t *c, const spar_plot *plot, const spar_plot_panel *panel,
                              frame outer, bool last) {
    double legend_height = legend(c, panel, outer.left, outer.left + outer.width, outer.top, true);
    frame f = outer;
    f.top += legend_height + 10;
    f.height -= legend_height + 10;
    if (f.height < 20) f.height = 20;
    double low = 0, high = 1, x_low, x_high;
    spar__plot_range(plot, NULL, &x_low, &x_high);
    if (!spar__plot_range(plot, panel, &low, &high)) low = 0, high = 1;
    spar__axis x = spar__axis_make(x_low, x_high, plot->log_x && x_low > 0, plot->log_x, (int)(f.width / 110));
    spar__axis y = spar__axis_make(low, high, panel->log_y, true, (int)(f.height / 50));
    draw_grid(c, &f, &x, &y);
    label_axes(c, &f, &x, &y, last ? plot->x_label : NULL, panel->y_label);
    cairo_save(c);
    cairo_rectangle(c, f.left, f.top - 3, f.width + 4, f.height + 6);
    cairo_clip(c);
    cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
    spar_status status = SPAR_OK;
    for (size_t i = 0; !status && i < panel->n_lines; i++)
        status = draw_line(c, &f, &x, &y, &panel->lines[i]);
    cairo_restore(c);
    return status;
}

static spar_status draw(cairo_t *c, const spar_plot *plot, double width, double height) {
    enum { LEFT = 112, RIGHT = 36, BOTTOM = 66, BETWEEN = 22 };
    set_color(c, 0xffffff, 1);
    cairo_paint(c);
    double top = 22;
    if (plot->title) {
        set_font(c, 20, true);
        set_color(c, 0x111111, 1);
        put_text(c, LEFT, top + 18, 0, plot->title);
        top += 38;
    }
    /* The first panel is as high as two of the others. */
    double parts = (double)plot->n_panels + 1;
    double room = height - top - BOTTOM - BETWEEN * ((double)plot->n_panels - 1);
    for (size_t i = 0; i < plot->n_panels; i++) {
        frame f = {LEFT, top, width - LEFT - RIGHT, room / parts * (i ? 1 : 2)};
        SPAR_TRY(draw_panel(c, plot, &plot->panels[i], f, i + 1 == plot->n_panels));
        top += f.height + BETWEEN;
    }
    return SPAR_OK;
}

/* ---- Files -------------------------------------------------------------------------------- */

static cairo_status_t collect(void *closure, const unsigned char *bytes, unsigned length) {
    return spar__buffer_add(closure, bytes, length) ? CAIRO_STATUS_WRITE_ERROR
                                                    : CAIRO_STATUS_SUCCESS;
}

static spar_status check_cairo(cairo_status_t code, const char *path) {
    if (code == CAIRO_STATUS_SUCCESS) return SPAR_OK;
    return spar__fail(code == CAIRO_STATUS_NO_MEMORY ? SPAR_ERR_MEMORY : SPAR_ERR_IO,
                      "%s: cannot draw: %s", path, cairo_status_to_string(code));
}

static spar_status draw_into(cairo_surface_t *surface, const spar_plot *plot, const char *path,
                             int width, int height) {
    cairo_t *c = cairo_create(surface);
    spar_status status = check_cairo(cairo_status(c), path);
    if (!status) status = draw(c, plot, width, height);
    if (!status) status = check_cairo(cairo_status(c), path);
    cairo_destroy(c);
    return status;
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

spar_status spar__plot_render(const spar_plot *plot, bool svg, const char *path, spar__buffer *out) {
    SPAR_TRY(spar__plot_check(plot));
    int width = plot->width > 0 ? plot->width : WIDTH, height = plot->height;
    if (plot->n_panels > 50)
        return spar__fail(SPAR_ERR_LIMIT, "plot: found %zu panels, at most 50", plot->n_panels);
    if (height <= 0) height = 120 + FIRST_PANEL + NEXT_PANEL * ((int)plot->n_panels - 1);
    if (width > MAX_SIDE || height > MAX_SIDE)
        return spar__fail(SPAR_ERR_LIMIT, "plot: found %d x %d pixels, at most %d a side", width,
                          height, MAX_SIDE);
    cairo_surface_t *surface =
        svg ? cairo_svg_surface_create_for_stream(collect, out, width, height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    spar_status status = check_cairo(cairo_surface_status(surface), path);
    if (!status) status = draw_into(surface, plot, path, width, height);
    if (!status && !svg)
        status = check_cairo(cairo_surface_write_to_png_stream(surface, collect, out), path);
    cairo_surface_finish(surface);
    if (!status) status = check_cairo(cairo_surface_status(surface), path);
    cairo_surface_destroy(surface);
    return status;
}

spar_status spar_plot_write(const spar_plot *plot, const char *path) {
    bool svg = ends_in(path, ".svg");
    if (!svg && !ends_in(path, ".png"))
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: expected a name that ends in .png or .svg", path);
    spar__buffer bytes = spar__buffer_make(MAX_BYTES);
    spar_status status = spar__plot_render(plot, svg, path, &bytes);
    if (!status) status = spar__write_file(path, bytes.bytes, bytes.length);
    spar__buffer_free(&bytes);
    return status;
}
