/* The pictures of a report: loss against bytes per token, loss against tokens. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "report/report.h"

static double real_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

spar_status spar__report_frontier(const json_t *root, spar__report_draw draw, void *context) {
    json_t *variants = json_object_get(root, "variants"), *v;
    size_t n = json_array_size(variants), i;
    spar_plot_line *lines = spar__array(2 * n, sizeof *lines);
    double *numbers = spar__array(6 * n, sizeof *numbers);
    spar_status status = lines && numbers ? SPAR_OK : SPAR_ERR_MEMORY;
    size_t n_lines = 0;
    json_array_foreach(variants, i, v) {
        const json_t *loss = json_object_get(v, "loss");
        if (status || !json_is_object(loss)) continue;
        double *x = numbers + 6 * i, *y = x + 3;
        x[0] = x[1] = x[2] = real_of(v, "bytes_per_token");
        y[0] = real_of(loss, "mean"), y[1] = real_of(loss, "least"), y[2] = real_of(loss, "most");
        lines[n_lines++] = (spar_plot_line){.label = json_string_value(json_object_get(v, "name")),
                                            .x = x, .y = y, .n = 1, .color = (int)i, .points = true};
        lines[n_lines++] = (spar_plot_line){.label = "", .x = x + 1, .y = y + 1, .n = 2, .color = (int)i};
    }
    const char *title = json_string_value(json_object_get(root, "title"));
    spar_plot_panel panel = {"validation loss, nats per token", lines, n_lines, false};
    spar_plot plot = {.title = title && *title ? title : NULL, .x_label = "bytes of weights read for a token",
                      .panels = &panel, .n_panels = 1, .log_x = true, .width = 1000, .height = 620};
    if (!status) status = draw(context, &plot);
    spar__free(lines);
    spar__free(numbers);
    return status;
}

/* A curve's line; its numbers are taken from `*at` on. */
static bool take_line(const json_t *curve, double **at, spar_plot_line *out) {
    const json_t *tokens = json_object_get(curve, "tokens"), *loss = json_object_get(curve, "loss");
    size_t n = json_array_size(tokens);
    if (!n || json_array_size(loss) != n) return false;
    double *x = *at, *y = x + n;
    for (size_t i = 0; i < n; i++) {
        x[i] = json_number_value(json_array_get(tokens, i));
        y[i] = json_number_value(json_array_get(loss, i));
    }
    *at += 2 * n;
    *out = (spar_plot_line){.label = "", .x = x, .y = y, .n = n};
    return true;
}

static size_t points_of(const json_t *curve) { return 2 * json_array_size(json_object_get(curve, "tokens")); }

spar_status spar__report_curves(const json_t *root, spar__report_draw draw, void *context) {
    json_t *variants = json_object_get(root, "variants"), *v, *run;
    size_t i, j, n_runs = 0, points = 0, n_lines = 0;
    json_array_foreach(variants, i, v) json_array_foreach(json_object_get(v, "runs"), j, run) {
        n_runs++;
        points += points_of(json_object_get(run, "curve")) + points_of(json_object_get(run, "validation"));
    }
    spar_plot_line *lines = spar__array(2 * n_runs + 1, sizeof *lines);
    double *numbers = spar__array(points + 1, sizeof *numbers), *at = numbers;
    spar_status status = lines && numbers ? SPAR_OK : SPAR_ERR_MEMORY;
    json_array_foreach(variants, i, v) json_array_foreach(json_object_get(v, "runs"), j, run) {
        if (status) continue;
        spar_plot_line *line = &lines[n_lines];
        if (take_line(json_object_get(run, "curve"), &at, line)) {
            if (!j) line->label = json_string_value(json_object_get(v, "name"));
            line->color = (int)i;
            line->smooth = true;
            line = &lines[++n_lines];
        }
        if (take_line(json_object_get(run, "validation"), &at, line)) {
            line->color = (int)i;
            line->dashed = true;
            n_lines++;
        }
    }
    spar_plot_panel panel = {"loss, nats per token", lines, n_lines, true};
    spar_plot plot = {.x_label = "tokens trained on", .panels = &panel, .n_panels = 1, .width = 1000, .height = 620};
    if (!status) status = draw(context, &plot);
    spar__free(lines);
    spar__free(numbers);
    return status;
}
