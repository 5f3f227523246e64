/* Charts as text: each character cell is a braille pattern of 2 × 4 dots. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "plot/axis.h"

enum { MARGIN = 8, MAX_TEXT = 64 << 20 };

/* The terminal's own palette, so that it fits light and dark ones. */
static const int colors[] = {34, 33, 32, 35, 31, 36, 90, 37};
enum { N_COLORS = sizeof colors / sizeof *colors };

typedef struct cell {
    unsigned char dots, color;
} cell;

typedef struct canvas {
    int columns, rows; /* in cells */
    cell *cells;
    bool colored;
} canvas;

static void set_dot(canvas *v, long x, long y, int color) {
    if (x < 0 || y < 0 || x >= 2L * v->columns || y >= 4L * v->rows) return;
    /* Unicode 15, block U+2800: dots 1 2 3 7 go down the left column, 4 5 6 8 the right one. */
    static const unsigned char bits[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    cell *at = &v->cells[y / 4 * v->columns + x / 2];
    at->dots |= bits[y % 4][x % 2];
    at->color = (unsigned char)color;
}

static void set_segment(canvas *v, double x0, double y0, double x1, double y1, int color) {
    int n = (int)fmin(4096, fmax(fabs(x1 - x0), fabs(y1 - y0)) + 1);
    for (int i = 0; i <= n; i++) {
        double t = (double)i / n;
        set_dot(v, lround(x0 + t * (x1 - x0)), lround(y0 + t * (y1 - y0)), color);
    }
}

static spar_status set_line(canvas *v, const spar__axis *x, const spar__axis *y,
                            const spar_plot_line *line) {
    double *smooth = NULL;
    if (line->smooth && line->n > 50 && !(smooth = spar__plot_smooth(line))) return SPAR_ERR_MEMORY;
    const double *values = smooth ? smooth : line->y;
    double wide = 2.0 * v->columns - 1, high = 4.0 * v->rows - 1, old_x = 0, old_y = 0;
    bool down = false;
    for (size_t i = 0; i < line->n; i++) {
        if (!spar__plot_drawable(line->x[i], values[i], y->log)) {
            down = false;
            continue;
        }
        double px = wide * spar__axis_place(x, line->x[i]);
        double py = high * (1 - spar__axis_place(y, values[i]));
        set_segment(v, down ? old_x : px, down ? old_y : py, px, py,
                    (int)((unsigned)line->color % N_COLORS));
        old_x = px;
        old_y = py;
        down = true;
    }
    spar__free(smooth);
    return SPAR_OK;
}

/* ---- Text --------------------------------------------------------------------------------- */

/* Adds at most `most` characters; returns how many in *used. */
static spar_status add_clipped(spar__buffer *out, const char *text, int most, int *used) {
    size_t length = strlen(text), i = 0;
    int n = 0;
    while (i < length && n < most) {
        uint32_t code;
        int size = spar__utf8_decode((const unsigned char *)text + i, length - i, &code);
        if (!size) break;
        i += (size_t)size;
        n++;
    }
    *used = n;
    return spar__buffer_add(out, text, i);
}

static spar_status print_legend(spar__buffer *out, const spar_plot_panel *panel, const canvas *v) {
    int width = MARGIN + v->columns, at = 0, used;
    if (panel->y_label) {
        SPAR_TRY(add_clipped(out, panel->y_label, width, &at));
        SPAR_TRY(spar__buffer_add(out, "\n", 1));
    }
    SPAR_TRY(spar__buffer_print(out, "%*s", MARGIN, ""));
    at = MARGIN;
    for (size_t i = 0; i < panel->n_lines; i++) {
        const spar_plot_line *line = &panel->lines[i];
        int need = 4 + (int)strlen(line->label);
        if (at > MARGIN && at + need > width) {
            SPAR_TRY(spar__buffer_print(out, "\n%*s", MARGIN, ""));
            at = MARGIN;
        }
        if (v->colored)
            SPAR_TRY(spar__buffer_print(out, "\033[%dm", colors[(unsigned)line->color % N_COLORS]));
        SPAR_TRY(spar__buffer_print(out, line->dashed ? "╌╌" : "━━"));
        if (v->colored) SPAR_TRY(spar__buffer_print(out, "\033[0m"));
        SPAR_TRY(spar__buffer_print(out, " "));
        SPAR_TRY(add_clipped(out, line->label, width - at - 3, &used));
        at += 3 + used;
        if (at + 2 < width && i + 1 < panel->n_lines) {
            SPAR_TRY(spar__buffer_print(out, "  "));
            at += 2;
        }
    }
    return spar__buffer_add(out, "\n", 1);
}

static spar_status print_row(spar__buffer *out, const canvas *v, int row) {
    int color = -1;
    for (int i = 0; i < v->columns; i++) {
        const cell *at = &v->cells[row * v->columns + i];
        char code[4];
        if (v->colored && at->dots && at->color != color) {
            color = at->color;
            SPAR_TRY(spar__buffer_print(out, "\033[%dm", colors[color]));
        }
        int n = at->dots ? spar__utf8_encode(0x2800u + at->dots, code) : 0;
        SPAR_TRY(spar__buffer_add(out, n ? code : " ", n ? (size_t)n : 1));
    }
    return color >= 0 ? spar__buffer_print(out, "\033[0m\n") : spar__buffer_add(out, "\n", 1);
}

static spar_status print_cells(spar__buffer *out, const canvas *v, const spar__axis *y) {
    for (int row = 0; row < v->rows; row++) {
        char label[32] = "";
        for (int i = 0; i < y->n_ticks; i++) {
            double at = (4.0 * v->rows - 1) * (1 - spar__axis_place(y, y->ticks[i]));
            if ((int)lround(at) / 4 == row) spar__axis_label(y, i, label);
        }
        SPAR_TRY(spar__buffer_print(out, "%*s%s", MARGIN - 1, label, *label ? "┤" : "│"));
        SPAR_TRY(print_row(out, v, row));
    }
    return SPAR_OK;
}

/* The x axis, its labels and its name, each in one line of MARGIN + columns characters. */
static spar_status print_x(spar__buffer *out, const canvas *v, const spar__axis *x,
                           const char *name) {
    int width = MARGIN + v->columns;
    char *line = spar__alloc((size_t)width + 64), *labels = spar__alloc((size_t)width + 64);
    spar_status status = line && labels ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status) {
        memset(line, '-', (size_t)width);
        memset(labels, ' ', (size_t)width);
        int free_from = 0;
        for (int i = 0; i < x->n_ticks; i++) {
            char label[32];
            spar__axis_label(x, i, label);
            int at = MARGIN + (int)((2.0 * v->columns - 1) * spar__axis_place(x, x->ticks[i])) / 2;
            int n = (int)strlen(label), from = at - n / 2;
            if (from + n > width) from = width - n;
            line[at] = '+';
            if (from < free_from) continue;
            memcpy(labels + from, label, (size_t)n);
            free_from = from + n + 2;
        }
        status = spar__buffer_print(out, "%*s└", MARGIN - 1, "");
        for (int i = MARGIN; !status && i < width; i++)
            status = spar__buffer_print(out, line[i] == '+' ? "┬" : "─");
        int end = width;
        while (end && labels[end - 1] == ' ') end--;
        if (!status) status = spar__buffer_print(out, "\n%.*s\n", end, labels);
        int indent = MARGIN + (v->columns - (int)strlen(name)) / 2, used;
        if (indent < 0) indent = 0;
        if (!status) status = spar__buffer_print(out, "%*s", indent, "");
        if (!status) status = add_clipped(out, name, width - indent, &used);
        if (!status) status = spar__buffer_add(out, "\n", 1);
    }
    spar__free(line);
    spar__free(labels);
    return status;
}

static spar_status print_panel(spar__buffer *out, const spar_plot *plot,
                               const spar_plot_panel *panel, canvas *v, bool last) {
    double low = 0, high = 1, x_low, x_high;
    spar__plot_range(plot, NULL, &x_low, &x_high);
    if (!spar__plot_range(plot, panel, &low, &high)) low = 0, high = 1;
    spar__axis x = spar__axis_make(x_low, x_high, false, false, v->columns / 12);
    spar__axis y = spar__axis_make(low, high, panel->log_y, true, v->rows / 3);
    memset(v->cells, 0, (size_t)v->columns * (size_t)v->rows * sizeof *v->cells);
    for (size_t i = 0; i < panel->n_lines; i++) SPAR_TRY(set_line(v, &x, &y, &panel->lines[i]));
    SPAR_TRY(print_legend(out, panel, v));
    SPAR_TRY(print_cells(out, v, &y));
    return last ? print_x(out, v, &x, plot->x_label ? plot->x_label : "") : SPAR_OK;
}

spar_status spar_plot_text(const spar_plot *plot, int columns, int rows, bool color, char **text) {
    if (columns < 20 || columns > 1000 || rows < 4 || rows > 1000)
        return spar__fail(SPAR_ERR_ARGUMENT,
                          "plot: found %d columns and %d rows, expected 20 to 1000 and 4 to 1000",
                          columns, rows);
    SPAR_TRY(spar__plot_check(plot));
    canvas v = {columns - MARGIN, rows, NULL, color};
    spar__buffer out = spar__buffer_make(MAX_TEXT);
    v.cells = spar__array((size_t)v.columns * (size_t)rows, sizeof *v.cells);
    spar_status status = v.cells ? SPAR_OK : SPAR_ERR_MEMORY;
    int used;
    if (!status && plot->title) {
        status = add_clipped(&out, plot->title, columns, &used);
        if (!status) status = spar__buffer_add(&out, "\n", 1);
    }
    for (size_t i = 0; !status && i < plot->n_panels; i++)
        status = print_panel(&out, plot, &plot->panels[i], &v, i + 1 == plot->n_panels);
    char *copy = NULL;
    if (!status && !(copy = spar__copy_bytes(out.bytes, out.length))) status = SPAR_ERR_MEMORY;
    if (!status) *text = copy;
    spar__free(v.cells);
    spar__buffer_free(&out);
    return status;
}
