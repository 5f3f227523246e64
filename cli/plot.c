/* spar plot: the metrics of runs as a picture or in the terminal. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "spar/memory.h"
#include "spar/metrics.h"
#include "spar/plot.h"

enum { MAX_GIVEN = 16, MAX_SERIES = 256 };

typedef struct series {
    double *x, *y;
    size_t n;
    char label[160];
} series;

static struct {
    cli_list runs;
    const char *output, *names, *x, *title;
    bool log;
    int64_t width, height;
    char list[512];
    const char *given[MAX_GIVEN]; /* names and patterns, each a panel */
    int n_given;
    const char *name[MAX_SERIES]; /* what they stand for */
    int panel[MAX_SERIES], n_names;
    char **known[MAX_GIVEN]; /* memory of names that patterns have found */
    series *series; /* [runs, n_names] */
} plot;

static const cli_option options[] = {
    {"output", CLI_TEXT, &plot.output, "X.png", "a picture, .png or .svg; else in the terminal"},
    {"series", CLI_TEXT, &plot.names, "A,B",
     "what to draw (loss,valid_loss); 'layer.*.ff.entropy' is a line for each layer"},
    {"x", CLI_TEXT, &plot.x, "NAME", "step, tokens or seconds (step)"},
    {"log", CLI_FLAG, &plot.log, NULL, "logarithmic y axes"},
    {"title", CLI_TEXT, &plot.title, "TEXT", "above the picture"},
    {"width", CLI_INT, &plot.width, "N", "of a picture in pixels (1200)"},
    {"height", CLI_INT, &plot.height, "N", "of a picture in pixels"},
    {"RUN", CLI_REST, &plot.runs, NULL, "run folders, drawn into one picture", true},
    {0},
};

static const cli_usage usage = {
    "plot",
    "draws the loss, or any other metric, of runs",
    options,
    "spar plot run-a run-b --series loss,valid_loss,lr --output loss.png",
};

static int split_names(void) {
    if (strlen(plot.names) >= sizeof plot.list)
        return cli_misuse("plot: --series: too long a list");
    strcpy(plot.list, plot.names);
    for (char *rest = plot.list, *name; (name = strsep(&rest, ","));) {
        if (!*name) return cli_misuse("plot: --series: found an empty name");
        if (plot.n_given == MAX_GIVEN)
            return cli_misuse("plot: --series: more than %d names", MAX_GIVEN);
        plot.given[plot.n_given++] = name;
    }
    return -1;
}

static bool is_pattern(const char *name) { return strpbrk(name, "*?[") != NULL; }

static bool add_name(const char *name, int panel) {
    if (plot.n_names == MAX_SERIES) return false;
    plot.panel[plot.n_names] = panel;
    plot.name[plot.n_names++] = name;
    return true;
}

/* A pattern stands for the names of the first run that has any that match. */
static int find_names(int given) {
    for (int run = 0; run < plot.runs.count; run++) {
        spar_metrics *metrics;
        size_t n = 0;
        spar_status status = spar_metrics_open(plot.runs.items[run], &metrics);
        if (status) return cli_report(status);
        spar_free(plot.known[given]);
        plot.known[given] = NULL;
        status = spar_metrics_names(metrics, &plot.known[given], &n);
        spar_metrics_free(metrics);
        if (status) return cli_report(status);
        int before = plot.n_names;
        for (size_t i = 0; i < n; i++)
            if (fnmatch(plot.given[given], plot.known[given][i], 0) == 0 &&
                !add_name(plot.known[given][i], given))
                return cli_fail("--series %s: more than %d series", plot.given[given], MAX_SERIES);
        if (plot.n_names > before) return -1;
    }
    return cli_fail("--series %s: no series of the runs matches", plot.given[given]);
}

static int expand_names(void) {
    int code = -1;
    for (int i = 0; code < 0 && i < plot.n_given; i++) {
        if (is_pattern(plot.given[i])) code = find_names(i);
        else if (!add_name(plot.given[i], i)) code = cli_fail("more than %d series", MAX_SERIES);
    }
    return code;
}

static series *at(int run, int name) {
    return &plot.series[run * plot.n_names + name];
}

/* "runs/a/" → "a". */
static void base_name(const char *path, char *out, size_t room) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t from = n;
    while (from && path[from - 1] != '/') from--;
    snprintf(out, room, "%.*s", (int)(n - from), path + from);
}

static spar_status read_run(int run, bool *found) {
    spar_metrics *metrics;
    spar_status status = spar_metrics_open(plot.runs.items[run], &metrics);
    if (status) return status;
    for (int i = 0; !status && i < plot.n_names; i++) {
        series *s = at(run, i);
        status = spar_metrics_series(metrics, plot.name[i], plot.x, &s->x, &s->y, &s->n);
        if (!status) found[i] = true;
        /* What one run lacks another may have; the last run's message stands when none has it. */
        if (status == SPAR_ERR_NOT_FOUND && (found[i] || run + 1 < plot.runs.count))
            status = SPAR_OK;
    }
    spar_metrics_free(metrics);
    return status;
}

static bool is_loss(const char *name) {
    size_t n = strlen(name);
    return n >= 4 && !strcmp(name + n - 4, "loss");
}

static const char *y_label(const char *name) {
    if (is_loss(name)) return "nats per token";
    if (!strcmp(name, "lr")) return "learning rate";
    if (!strcmp(name, "grad_norm")) return "gradient norm";
    if (!strcmp(name, "tokens_per_second")) return "tokens per second";
    return name;
}

/* "layer.3.ff.entropy" → "3", for lines of which the panel says the rest. */
static const char *line_name(int j, char *room, size_t size) {
    const char *name = plot.name[j], *dot = strncmp(name, "layer.", 6) ? NULL : strchr(name + 6, '.');
    if (!is_pattern(plot.given[plot.panel[j]]) || !dot) return name;
    snprintf(room, size, "layer %.*s", (int)(dot - name - 6), name + 6);
    return room;
}

/* Losses share a panel, and what a pattern has found; whatever else has its own. Returns how many
 * panels there are. */
static size_t arrange(spar_plot_panel *panels, spar_plot_line *lines) {
    size_t n_panels = 0, n_lines = 0;
    bool losses_done = false;
    for (int i = 0; i < plot.n_names; i++) {
        bool loss = is_loss(plot.name[i]);
        if (loss ? losses_done : i && plot.panel[i] == plot.panel[i - 1]) continue;
        losses_done |= loss;
        const char *given = plot.given[plot.panel[i]];
        spar_plot_panel *panel = &panels[n_panels++];
        *panel = (spar_plot_panel){y_label(is_pattern(given) ? given : plot.name[i]), lines + n_lines, 0,
                                   plot.log};
        for (int run = 0; run < plot.runs.count; run++) {
            for (int j = i; j < plot.n_names; j++) {
                series *s = at(run, j);
                if (j != i && !(loss ? is_loss(plot.name[j]) : plot.panel[j] == plot.panel[i])) continue;
                if (!s->n) continue;
                char run_name[96], room[32];
                const char *name = line_name(j, room, sizeof room);
                base_name(plot.runs.items[run], run_name, sizeof run_name);
                if (plot.runs.count == 1) snprintf(s->label, sizeof s->label, "%s", name);
                else snprintf(s->label, sizeof s->label, "%s %.60s", run_name, name);
                bool valid = !strncmp(plot.name[j], "valid", 5);
                lines[n_lines++] = (spar_plot_line){
                    .label = s->label,
                    .x = s->x,
                    .y = s->y,
                    .n = s->n,
                    .color = plot.runs.count == 1 ? j - i : run,
                    .dashed = valid,
                    .smooth = !valid && strcmp(plot.name[j], "lr") != 0,
                };
                panel->n_lines++;
            }
        }
    }
    return n_panels;
}

static json_t *numbers(const double *values, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *value = json_real(values[i]); /* NULL where it is not finite */
        json_array_append_new(array, value ? value : json_null());
    }
    return array;
}

static int print_json(void) {
    json_t *runs = json_array();
    for (int run = 0; run < plot.runs.count; run++) {
        json_t *all = json_object();
        for (int i = 0; i < plot.n_names; i++) {
            const series *s = at(run, i);
            json_object_set_new(
                all, plot.name[i],
                json_pack("{s:o, s:o}", "x", numbers(s->x, s->n), "y", numbers(s->y, s->n)));
        }
        json_array_append_new(runs,
                              json_pack("{s:s, s:o}", "run", plot.runs.items[run], "series", all));
    }
    json_t *output = plot.output ? json_string(plot.output) : json_null();
    return cli_print_json(
        json_pack("{s:s, s:o, s:o}", "x", plot.x, "output", output, "runs", runs));
}

static spar_status print_text(const spar_plot *drawn) {
    struct winsize size;
    const char *set = getenv("COLUMNS");
    int columns = set ? atoi(set) : 80, rows = drawn->n_panels > 1 ? 12 : 16;
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        columns = size.ws_col;
    columns = columns < 40 ? 40 : columns > 120 ? 120 : columns;
    char *text;
    spar_status status =
        spar_plot_text(drawn, columns, rows, terminal && !getenv("NO_COLOR"), &text);
    if (status) return status;
    fputs(text, stdout);
    spar_free(text);
    return SPAR_OK;
}

static int draw(void) {
    size_t most = (size_t)plot.runs.count * (size_t)plot.n_names;
    spar_plot_panel panels[MAX_GIVEN];
    spar_plot_line *lines = calloc(most, sizeof *lines);
    if (!lines) return cli_fail("out of memory");
    spar_plot drawn = {.title = plot.title, .x_label = plot.x, .panels = panels};
    drawn.n_panels = arrange(panels, lines);
    drawn.width = (int)plot.width;
    drawn.height = (int)plot.height;
    spar_status status = SPAR_OK;
    if (plot.output)
        status = spar_plot_write(&drawn, plot.output);
    else if (!cli.json)
        status = print_text(&drawn);
    free(lines);
    if (status) return cli_report(status);
    return cli.json ? print_json() : CLI_OK;
}

int cmd_plot(int argc, char **argv) {
    plot.names = "loss,valid_loss";
    plot.x = "step";
    int code = cli_parse(&usage, argc, argv);
    if (code < 0) code = split_names();
    if (code < 0) code = expand_names();
    if (code >= 0) return code;
    if (plot.width < 0 || plot.width > 20000 || plot.height < 0 || plot.height > 20000)
        return cli_misuse("plot: --width and --height: expected up to 20000 pixels");
    plot.series = calloc((size_t)plot.runs.count * (size_t)plot.n_names, sizeof *plot.series);
    if (!plot.series) return cli_fail("out of memory");
    bool found[MAX_SERIES] = {false};
    spar_status status = SPAR_OK;
    for (int run = 0; !status && run < plot.runs.count; run++) status = read_run(run, found);
    code = status ? cli_report(status) : draw();
    for (int i = 0; i < plot.runs.count * plot.n_names; i++) {
        spar_free(plot.series[i].x);
        spar_free(plot.series[i].y);
    }
    free(plot.series);
    for (int i = 0; i < plot.n_given; i++) spar_free(plot.known[i]);
    return code;
}
