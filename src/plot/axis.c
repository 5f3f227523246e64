#include "plot/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double MARGIN = 0.03;

/* The nearest of 1, 2, 5, 10 times a power of ten that is not below `value`. */
static double nice(double value) {
    double power = pow(10, floor(log10(value))), part = value / power;
    double round = part <= 1.0001 ? 1 : part <= 2.0001 ? 2 : part <= 5.0001 ? 5 : 10;
    return round * power;
}

static void linear_ticks(spar__axis *a, int most) {
    double span = a->high - a->low;
    a->step = nice(span / most);
    double first = ceil(a->low / a->step - 1e-9);
    for (int i = 0; i < SPAR__AXIS_TICKS; i++) {
        double tick = (first + i) * a->step;
        if (tick > a->high + 1e-9 * span) break;
        a->ticks[a->n_ticks++] = tick == 0 ? 0 : tick;
    }
}

/* Decades, with 2 and 5 between them while there is room. */
static void log_ticks(spar__axis *a, int most) {
    double decades = log10(a->high / a->low);
    int every = (int)ceil(decades / most);
    if (every < 1) every = 1;
    bool between = decades * 3 <= most + 2;
    for (int e = (int)floor(log10(a->low) - 1e-9); e <= ceil(log10(a->high)); e++) {
        static const double parts[3] = {1, 2, 5};
        for (int i = 0; i < (between ? 3 : 1); i++) {
            double tick = parts[i] * pow(10, e);
            if (tick < a->low * (1 - 1e-9) || tick > a->high * (1 + 1e-9)) continue;
            if (!between && e % every) continue;
            if (a->n_ticks < SPAR__AXIS_TICKS) a->ticks[a->n_ticks++] = tick;
        }
    }
}

spar__axis spar__axis_make(double low, double high, bool log, bool widen, int most) {
    if (most > SPAR__AXIS_TICKS - 2) most = SPAR__AXIS_TICKS - 2;
    if (most < 2) most = 2;
    double least = fmax(fmax(fabs(low), fabs(high)) * 1e-9, 1e-300);
    if (!(high - low > least)) {
        double half = low == 0 ? 1 : fabs(low) / 2;
        low = log ? low / 2 : low - half;
        high = log ? high * 2 : high + half;
    }
    if (widen && log) {
        double factor = pow(high / low, MARGIN);
        low /= factor;
        high *= factor;
    } else if (widen) {
        double margin = MARGIN * (high - low);
        /* Quantities that come near zero and are never negative keep it at the bottom. */
        low = low >= 0 && low < 2 * margin ? 0 : low - margin;
        high += margin;
    }
    spar__axis axis = {.low = low, .high = high, .log = log};
    if (log && high / low > 10)
        log_ticks(&axis, most);
    else
        linear_ticks(&axis, most);
    return axis;
}

double spar__axis_place(const spar__axis *a, double value) {
    if (a->log) return log2(value / a->low) / log2(a->high / a->low);
    return (value - a->low) / (a->high - a->low);
}

/* "5e-05" → "5e-5". */
static void shorten_exponent(char *text) {
    char *e = strchr(text, 'e');
    if (!e) return;
    char *digits = e + 1 + (e[1] == '-' || e[1] == '+'), *from = digits;
    while (*from == '0' && from[1]) from++;
    memmove(digits, from, strlen(from) + 1);
    if (e[1] == '+') memmove(e + 1, e + 2, strlen(e + 2) + 1);
}

void spar__axis_label(const spar__axis *a, int tick, char out[32]) {
    double value = a->ticks[tick], most = fmax(fabs(a->low), fabs(a->high));
    double scale = most >= 1e9 ? 1e9 : most >= 1e6 ? 1e6 : most >= 1e4 ? 1e3 : 1;
    const char *unit = scale == 1e9 ? "G" : scale == 1e6 ? "M" : scale == 1e3 ? "k" : "";
    if (value == 0) {
        snprintf(out, 32, "0");
    } else if (!a->step || most < 1e-2 || most >= 1e13) {
        if (!a->step) scale = 1, unit = "";
        snprintf(out, 32, "%.6g%s", value / scale, unit);
        shorten_exponent(out);
    } else {
        int decimals = (int)ceil(-log10(a->step / scale) - 1e-9);
        snprintf(out, 32, "%.*f%s", decimals > 0 ? decimals : 0, value / scale, unit);
    }
}

/* Beyond these the arithmetic of axes would overflow. */
bool spar__plot_drawable(double x, double y, bool log_y) {
    return fabs(x) < 1e300 && fabs(y) < 1e300 && (!log_y || y > 1e-300);
}

static void extend(const spar_plot_panel *panel, bool of_y, double *low, double *high) {
    for (size_t i = 0; i < panel->n_lines; i++) {
        const spar_plot_line *line = &panel->lines[i];
        for (size_t j = 0; j < line->n; j++) {
            if (!spar__plot_drawable(line->x[j], line->y[j], panel->log_y)) continue;
            double value = of_y ? line->y[j] : line->x[j];
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
    }
}

bool spar__plot_range(const spar_plot *plot, const spar_plot_panel *panel, double *low,
                      double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    if (panel)
        extend(panel, true, low, high);
    else
        for (size_t i = 0; i < plot->n_panels; i++) extend(&plot->panels[i], false, low, high);
    return *low <= *high;
}

spar_status spar__plot_check(const spar_plot *plot) {
    double low, high;
    if (!plot->n_panels || !spar__plot_range(plot, NULL, &low, &high))
        return spar__fail(SPAR_ERR_ARGUMENT, "plot: there is nothing to draw");
    return SPAR_OK;
}

double *spar__plot_smooth(const spar_plot_line *line) {
    size_t n = line->n, reach = n / 100;
    double *out = spar__array(n + 1, sizeof *out), *sums = spar__array(n + 1, sizeof *sums);
    size_t *counts = spar__array(n + 1, sizeof *counts);
    bool ready = out && sums && counts;
    for (size_t i = 0; ready && i < n; i++) {
        bool is = isfinite(line->y[i]);
        sums[i + 1] = sums[i] + (is ? line->y[i] : 0);
        counts[i + 1] = counts[i] + is;
    }
    for (size_t i = 0; ready && i < n; i++) {
        size_t back = i < reach ? i : reach, ahead = n - 1 - i < back ? n - 1 - i : back;
        size_t from = i - back, to = i + ahead + 1;
        out[i] = isfinite(line->y[i])
                     ? (sums[to] - sums[from]) / (double)(counts[to] - counts[from])
                     : line->y[i];
    }
    spar__free(sums);
    spar__free(counts);
    if (ready) return out;
    spar__free(out);
    return NULL;
}
