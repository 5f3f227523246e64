/* Line charts, as PNG or SVG pictures and as text for a terminal. */
#ifndef SPAR_PLOT_H
#define SPAR_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "spar/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One line. Points where x or y is not finite (or not positive on a logarithmic axis) leave a gap.
 * x must not descend. */
typedef struct spar_plot_line {
    const char *label;   /* for the legend, UTF-8; "" = not in it */
    const double *x, *y; /* [n] */
    size_t n;
    int color;   /* lines with one number share a colour; 0, 1, … are told apart best */
    bool dashed; /* drawn with dashes, and its points marked when they are few */
    bool smooth; /* noisy: a running mean is drawn strong over the faint points */
    bool points; /* points alone, without a line between them */
} spar_plot_line;

/* A frame with its own y axis. Frames stand below each other and share the x axis. */
typedef struct spar_plot_panel {
    const char *y_label;
    const spar_plot_line *lines;
    size_t n_lines;
    bool log_y;
} spar_plot_panel;

typedef struct spar_plot {
    const char *title; /* NULL = none */
    const char *x_label;
    const spar_plot_panel *panels;
    size_t n_panels;
    bool log_x;        /* of a picture, where all x are positive */
    int width, height; /* of a picture in pixels; 0 = a width of 1200 and a height by the panels */
} spar_plot;

/* Draws a .png or .svg file, which appears whole. ARGUMENT for another ending or when there is
 * nothing to draw; LIMIT above 20,000 pixels a side. Any thread. */
spar_status spar_plot_write(const spar_plot *plot, const char *path);

/* Draws with braille characters: at most `columns` (20 to 1000) characters wide, each panel `rows`
 * (4 to 1000) high besides its labels; `color` uses the terminal's colours. The 0-terminated UTF-8
 * text ends with a newline; the caller frees it with spar_free. Any thread. */
spar_status spar_plot_text(const spar_plot *plot, int columns, int rows, bool color, char **text);

#ifdef __cplusplus
}
#endif
#endif
