/* Reports: variants run one after the other, and what is written of them. */
#include "report/report.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "plot/axis.h"

enum { MOST_VARIANTS = 64, MOST_SEEDS = 1000, MOST_BYTES = 1 << 28 };

static spar_status check(const spar_report_variant *v, size_t n, const spar_report_options *o) {
    if (!o->data || !o->folder)
        return spar__fail(SPAR_ERR_ARGUMENT, "a report needs data and a folder for its runs");
    if (!n || n > MOST_VARIANTS || o->n_seeds < 1 || o->n_seeds > MOST_SEEDS)
        return spar__fail(SPAR_ERR_ARGUMENT, "found %zu variants and %lld seeds, expected 1 to %d and 1 to %d", n,
                          (long long)o->n_seeds, MOST_VARIANTS, MOST_SEEDS);
    for (size_t i = 0; i < n; i++) {
        if (!v[i].name || !*v[i].name || strlen(v[i].name) > 63)
            return spar__fail(SPAR_ERR_ARGUMENT, "variant %zu: expected a name of up to 63 bytes", i + 1);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(v[i].name, v[j].name))
                return spar__fail(SPAR_ERR_ARGUMENT, "two variants are called '%s'", v[i].name);
    }
    return SPAR_OK;
}

static spar_status add_variant(const spar_report_variant *v, const spar_report_options *o, json_t *variants) {
    json_t *variant = json_pack("{s:s, s:[]}", "name", v->name, "runs");
    if (!variant || json_array_append_new(variants, variant))
        return spar__fail(SPAR_ERR_ARGUMENT, "variant '%s': its name is not UTF-8", v->name);
    for (int64_t i = 0; i < o->n_seeds; i++)
        SPAR_TRY(spar__report_run(v, o, o->first_seed + i, json_object_get(variant, "runs")));
    return spar__report_describe(o, variant);
}

spar_status spar_report_create(const spar_report_variant *variants, size_t n, const spar_report_options *o,
                               spar_report **out) {
    SPAR_TRY(check(variants, n, o));
    spar_report *report = spar__alloc(sizeof *report);
    if (!report) return SPAR_ERR_MEMORY;
    report->root = json_pack("{s:s, s:I, s:[]}", "title", o->title ? o->title : "", "seeds",
                             (json_int_t)o->n_seeds, "variants");
    spar_status status =
        report->root ? SPAR_OK : spar__fail(SPAR_ERR_ARGUMENT, "the report's title is not UTF-8");
    json_t *list = json_object_get(report->root, "variants");
    for (size_t i = 0; !status && i < n; i++) status = add_variant(&variants[i], o, list);
    if (status) spar_report_free(report);
    else *out = report;
    return status;
}

void spar_report_free(spar_report *report) {
    if (!report) return;
    json_decref(report->root);
    spar__free(report);
}

spar_status spar_report_json(const spar_report *report, char **text) {
    return spar__json_text(report->root, 0, text);
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

static spar_status write_picture(void *path, const spar_plot *plot) { return spar_plot_write(plot, path); }

spar_status spar_report_write(const spar_report *report, const char *path) {
    if (ends_in(path, ".png") || ends_in(path, ".svg"))
        return spar__report_frontier(report->root, write_picture, (void *)path);
    if (ends_in(path, ".json")) {
        char *text;
        SPAR_TRY(spar__json_text(report->root, 1, &text));
        spar_status status = spar__write_file(path, text, strlen(text));
        spar__free(text);
        return status;
    }
    if (!ends_in(path, ".html"))
        return spar__fail(SPAR_ERR_ARGUMENT, "%s: expected a name that ends in .html, .json, .png or .svg", path);
    spar__buffer page = spar__buffer_make(MOST_BYTES);
    spar_status status = spar__report_page(report->root, &page);
    if (!status) status = spar__write_file(path, page.bytes, page.length);
    spar__buffer_free(&page);
    return status;
}
