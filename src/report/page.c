/* The page: one file that stands alone, its pictures inline. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot/axis.h"
#include "report/report.h"

/* Names come from whoever runs the report; they must not become markup. */
static spar_status add_text(spar__buffer *page, const char *text) {
    for (; *text; text++) {
        const char *safe = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;"
                           : *text == '"' ? "&quot;" : NULL;
        SPAR_TRY(safe ? spar__buffer_add(page, safe, strlen(safe)) : spar__buffer_add(page, text, 1));
    }
    return SPAR_OK;
}

/* ---- Pictures ---- */

typedef struct placing {
    spar__buffer *page;
    int index;
} placing;

/* Pictures of one page must not share the names of their parts: each gets a prefix. */
static spar_status add_renamed(spar__buffer *page, const char *svg, size_t length, int index) {
    static const char *const before[] = {"id=\"", "href=\"#", "url(#"};
    for (size_t i = 0; i < length;) {
        size_t n = 0;
        for (int k = 0; k < 3 && !n; k++) {
            size_t m = strlen(before[k]);
            if (length - i >= m && !memcmp(svg + i, before[k], m)) n = m;
        }
        SPAR_TRY(spar__buffer_add(page, svg + i, n ? n : 1));
        if (n) SPAR_TRY(spar__buffer_print(page, "p%d-", index));
        i += n ? n : 1;
    }
    return SPAR_OK;
}

static spar_status add_picture(void *context, const spar_plot *plot) {
    const placing *p = context;
    spar__buffer svg = spar__buffer_make((size_t)1 << 28);
    spar_status status = spar__plot_render(plot, true, "report", &svg);
    size_t begin = 0;
    while (!status && begin + 4 < svg.length && memcmp(svg.bytes + begin, "<svg", 4)) begin++;
    if (!status) status = add_renamed(p->page, svg.bytes + begin, svg.length - begin, p->index);
    spar__buffer_free(&svg);
    return status;
}

/* ---- Bars ---- */

enum { LABELS = 220, BARS = 560, VALUES = 160, ROW = 28 };
static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                     "#e69f00", "#56b4e9", "#555555", "#8b5a2b"};

static double value_of(const json_t *variant, const spar__report_bars *b, const char *part) {
    const json_t *value = json_object_get(variant, b->key);
    if (b->spread) value = json_object_get(value, part);
    return json_is_number(value) ? json_number_value(value) / b->scale : NAN;
}

static void range_of(const json_t *variants, const spar__report_bars *b, double *low, double *high) {
    size_t i;
    json_t *v;
    *low = INFINITY, *high = -INFINITY;
    json_array_foreach(variants, i, v) {
        *low = fmin(*low, value_of(v, b, "least"));
        *high = fmax(*high, value_of(v, b, "most"));
    }
    if (!b->spread) *low = 0;
    else {
        double margin = fmax(0.15 * (*high - *low), 1e-3 * fabs(*high));
        *low -= margin, *high += margin;
    }
    if (!(*high > *low)) *high = *low + 1;
}

static spar_status add_bar(spar__buffer *page, const json_t *v, size_t i, const spar__report_bars *b, double low,
                           double high) {
    double y = (double)i * ROW, mean = value_of(v, b, "mean"), scale = BARS / (high - low);
    const char *color = colors[i % (sizeof colors / sizeof *colors)];
    SPAR_TRY(spar__buffer_print(page, "<text x=\"%d\" y=\"%g\" text-anchor=\"end\">", LABELS - 10, y + 19));
    SPAR_TRY(add_text(page, json_string_value(json_object_get(v, "name"))));
    SPAR_TRY(spar__buffer_print(page, "</text>"));
    if (!isfinite(mean)) return spar__buffer_print(page, "<text x=\"%d\" y=\"%g\">–</text>", LABELS, y + 19);
    double at = LABELS + (mean - low) * scale;
    if (!b->spread)
        SPAR_TRY(spar__buffer_print(page, "<rect x=\"%d\" y=\"%g\" width=\"%.2f\" height=\"20\" fill=\"%s\"/>", LABELS,
                                    y + 4, fmax(1, at - LABELS), color));
    else
        SPAR_TRY(spar__buffer_print(page,
                                    "<path d=\"M%.2f %gH%.2f\" stroke=\"%s\" stroke-width=\"3\"/>"
                                    "<circle cx=\"%.2f\" cy=\"%g\" r=\"6\" fill=\"%s\"/>",
                                    LABELS + (value_of(v, b, "least") - low) * scale, y + 14,
                                    LABELS + (value_of(v, b, "most") - low) * scale, color, at, y + 14, color));
    double end = b->spread ? LABELS + (value_of(v, b, "most") - low) * scale : at;
    return spar__buffer_print(page, "<text x=\"%.2f\" y=\"%g\">%.*f %s</text>", end + 12, y + 19,
                              b->spread ? 4 : mean < 10 ? 2 : mean < 100 ? 1 : 0, mean, b->unit);
}

spar_status spar__report_bars_add(spar__buffer *page, const json_t *root, const spar__report_bars *b) {
    json_t *variants = json_object_get(root, "variants"), *v;
    size_t i;
    double low, high;
    range_of(variants, b, &low, &high);
    SPAR_TRY(spar__buffer_print(page,
                                "<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %d %zu\" role=\"img\" "
                                "aria-label=\"%s\" xmlns=\"http://www.w3.org/2000/svg\" font-size=\"15\">",
                                b->title, LABELS + BARS + VALUES, json_array_size(variants) * ROW + 4, b->title));
    json_array_foreach(variants, i, v) SPAR_TRY(add_bar(page, v, i, b, low, high));
    return spar__buffer_print(page, "</svg></figure>\n");
}

/* ---- Table ---- */

static spar_status add_cell(spar__buffer *page, double value, int decimals, double scale) {
    if (!isfinite(value)) return spar__buffer_print(page, "<td>–</td>");
    return spar__buffer_print(page, "<td>%.*f</td>", decimals, value / scale);
}

static double top_number(const json_t *v, const char *key) {
    const json_t *value = json_object_get(v, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static spar_status add_row(spar__buffer *page, const json_t *v, const json_t *first) {
    const json_t *loss = json_object_get(v, "loss");
    double mean = top_number(loss, "mean"), base = top_number(json_object_get(first, "loss"), "mean");
    SPAR_TRY(spar__buffer_print(page, "<tr><th>"));
    SPAR_TRY(add_text(page, json_string_value(json_object_get(v, "name"))));
    SPAR_TRY(spar__buffer_print(page, "</th>"));
    SPAR_TRY(add_cell(page, mean, 4, 1));
    SPAR_TRY(spar__buffer_print(page, isfinite(mean) ? "<td>%.4f … %.4f</td>" : "<td>–</td>",
                                top_number(loss, "least"), top_number(loss, "most")));
    SPAR_TRY(add_cell(page, 100 * (mean / base - 1), 2, 1));
    SPAR_TRY(add_cell(page, exp(mean), 2, 1));
    SPAR_TRY(add_cell(page, top_number(v, "parameters"), 3, 1e6));
    SPAR_TRY(add_cell(page, 100 * (top_number(v, "parameters") / top_number(first, "parameters") - 1), 1, 1));
    SPAR_TRY(add_cell(page, top_number(v, "bytes_per_token"), 3, 1e6));
    SPAR_TRY(add_cell(page, top_number(v, "decode_tokens_per_second"), 0, 1));
    SPAR_TRY(add_cell(page, top_number(v, "train_tokens_per_second"), 0, 1));
    SPAR_TRY(add_cell(page, top_number(v, "activation_bytes"), 1, 1e6));
    return spar__buffer_print(page, "</tr>\n");
}

static spar_status add_table(spar__buffer *page, const json_t *root) {
    json_t *variants = json_object_get(root, "variants"), *v;
    size_t i;
    SPAR_TRY(spar__buffer_print(
        page, "<table><thead><tr><th>variant</th><th>loss, nats per token</th><th>of the seeds</th>"
              "<th>against the first, %%</th><th>perplexity</th><th>parameters, M</th>"
              "<th>against the first, %%</th><th>read for a token, MB</th><th>decoded tokens/s</th>"
              "<th>trained tokens/s</th><th>activations, MB</th></tr></thead><tbody>\n"));
    json_array_foreach(variants, i, v) SPAR_TRY(add_row(page, v, json_array_get(variants, 0)));
    return spar__buffer_print(page, "</tbody></table>\n");
}

/* ---- The whole ---- */

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>";
static const char style[] =
    "</title><style>body{font:16px/1.5 sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{max-width:100%;height:auto}figure{margin:2em 0}figcaption{font-weight:bold;margin:.5em 0}"
    "table{border-collapse:collapse;display:block;overflow-x:auto;font-size:14px}"
    "th,td{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right}th:first-child{text-align:left}"
    "pre{overflow-x:auto;background:#f5f5f5;padding:1em;font-size:13px}</style></head><body>\n";

static spar_status add_configs(spar__buffer *page, const json_t *root) {
    json_t *variants = json_object_get(root, "variants"), *v;
    size_t i;
    json_array_foreach(variants, i, v) {
        char *text = json_dumps(json_object_get(v, "config"), JSON_INDENT(2));
        if (!text) return SPAR_ERR_MEMORY;
        spar_status status = spar__buffer_print(page, "<details><summary>");
        if (!status) status = add_text(page, json_string_value(json_object_get(v, "name")));
        if (!status) status = spar__buffer_print(page, "</summary><pre>");
        if (!status) status = add_text(page, text);
        if (!status) status = spar__buffer_print(page, "</pre></details>\n");
        free(text);
        if (status) return status;
    }
    return SPAR_OK;
}

spar_status spar__report_page(const json_t *root, spar__buffer *page) {
    static const spar__report_bars bars[] = {
        {"Loss (log-perplexity), mean and spread over the seeds", "nats per token", "loss", true, 1},
        {"Parameters", "M", "parameters", false, 1e6},
        {"Bytes of weights read for a token", "MB", "bytes_per_token", false, 1e6},
        {"Decoding", "tokens/s", "decode_tokens_per_second", false, 1},
        {"Training", "tokens/s", "train_tokens_per_second", false, 1},
        {"Memory of a training step's activations", "MB", "activation_bytes", false, 1e6},
        {"Memory of the weights", "MB", "weight_bytes", false, 1e6},
        {"Cache of 1,024 tokens", "MB", "cache_bytes_per_1k", false, 1e6},
    };
    const char *title = json_string_value(json_object_get(root, "title"));
    if (!title || !*title) title = "Variants compared";
    SPAR_TRY(spar__buffer_add(page, head, sizeof head - 1));
    SPAR_TRY(add_text(page, title));
    SPAR_TRY(spar__buffer_add(page, style, sizeof style - 1));
    SPAR_TRY(spar__buffer_print(page, "<h1>"));
    SPAR_TRY(add_text(page, title));
    SPAR_TRY(spar__buffer_print(page, "</h1>\n"));
    SPAR_TRY(add_table(page, root));
    SPAR_TRY(spar__buffer_print(page, "<figure><figcaption>Loss against bytes of weights read for a token</figcaption>"));
    SPAR_TRY(spar__report_frontier(root, add_picture, &(placing){page, 0}));
    SPAR_TRY(spar__buffer_print(page, "</figure>\n<figure><figcaption>Loss against tokens trained on (dashed: validation)</figcaption>"));
    SPAR_TRY(spar__report_curves(root, add_picture, &(placing){page, 1}));
    SPAR_TRY(spar__buffer_print(page, "</figure>\n"));
    for (size_t i = 0; i < sizeof bars / sizeof *bars; i++) SPAR_TRY(spar__report_bars_add(page, root, &bars[i]));
    SPAR_TRY(spar__buffer_print(page, "<h2>Configurations</h2>\n"));
    SPAR_TRY(add_configs(page, root));
    return spar__buffer_print(page, "</body></html>\n");
}
