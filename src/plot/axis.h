/* Axes and lines, as the picture and the text need them. */
#ifndef SPAR_PLOT_AXIS_H
#define SPAR_PLOT_AXIS_H

#include "base/buffer.h"
#include "spar/plot.h"

enum { SPAR__AXIS_TICKS = 16 };

typedef struct spar__axis {
    double low, high; /* what the ends stand for */
    bool log;
    double ticks[SPAR__AXIS_TICKS];
    int n_ticks;
    double step; /* between ticks; 0 where they are those of a logarithmic axis */
} spar__axis;

/* An axis over [low, high], both below 1e300, with about `most` ticks at round numbers (Heckbert,
 * "Nice numbers for graph labels", Graphics Gems 1990). `widen`: the ends move out a little. */
spar__axis spar__axis_make(double low, double high, bool log, bool widen, int most);
/* Where a value lies: 0 at the low end, 1 at the high one. */
double spar__axis_place(const spar__axis *axis, double value);
void spar__axis_label(const spar__axis *axis, int tick, char out[32]);

bool spar__plot_drawable(double x, double y, bool log_y);
/* The range of all drawable points; false when there are none. `panel` NULL: x over all panels. */
bool spar__plot_range(const spar_plot *plot, const spar_plot_panel *panel, double *low,
                      double *high);
/* ARGUMENT where a plot has nothing to draw. */
spar_status spar__plot_check(const spar_plot *plot);
/* The picture as SVG or PNG, appended to `out`; `name` stands in messages. */
spar_status spar__plot_render(const spar_plot *plot, bool svg, const char *name, spar__buffer *out);
/* The running mean of a line's y in a new array [n]: over a hundredth of the points to either side,
 * at the start as many as there are on both. */
double *spar__plot_smooth(const spar_plot_line *line);

#endif
