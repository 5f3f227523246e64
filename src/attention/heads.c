#include "attention/heads.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

static const spar_pattern_kind *of(const void **options, const spar_pattern_view *v) {
    return spar__pattern_of_head(&spar__pattern_heads, v->head, options);
}

static bool sees(const void *options, const spar_pattern_view *v, int64_t i, int64_t j) {
    return of(&options, v)->sees(options, v, i, j);
}

static int parts(const void *options, const spar_pattern_view *v) { return of(&options, v)->parts(options, v); }

static int64_t tiles(const void *options, const spar_pattern_view *v, int part) {
    return of(&options, v)->tiles(options, v, part);
}

static void tile(const void *options, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    of(&options, v)->tile(options, v, part, index, out);
}

/* All heads share the rows of a cache: it keeps what the one that looks back furthest needs, and the
 * columns of the one pattern that has any. */
static int64_t columns_of(const spar__head_patterns *list, int n_heads, spar_key_run *out) {
    int64_t found = 0;
    *out = (spar_key_run){0};
    for (int64_t i = 0; i < list->n; i++) {
        spar_key_run run = {0};
        if (list->kind[i]->columns) list->kind[i]->columns(list->bytes + list->at[i], n_heads, &run);
        if (run.count == 0 || run.width == 0 || (found && memcmp(&run, out, sizeof run) == 0)) continue;
        *out = run;
        found++;
    }
    return found;
}

static void columns(const void *options, int n_heads, spar_key_run *out) { columns_of(options, n_heads, out); }

static int64_t keep(const void *options) {
    const spar__head_patterns *list = options;
    int64_t most = 0;
    spar_key_run run;
    if (columns_of(list, 1, &run) > 1) return 0;
    for (int64_t i = 0; i < list->n; i++) {
        int64_t k = list->kind[i]->keep(list->bytes + list->at[i]);
        if (!k) return 0;
        if (k > most) most = k;
    }
    return most;
}

static double seen(const void *options, int64_t length) {
    const spar__head_patterns *list = options;
    double sum = 0;
    for (int64_t i = 0; i < list->n; i++) sum += list->kind[i]->seen(list->bytes + list->at[i], length);
    return sum / (double)list->n;
}

static bool check(const void *options, const spar_pattern_shape *shape, char *message, size_t size) {
    const spar__head_patterns *list = options;
    if (list->n > shape->n_heads) {
        snprintf(message, size, "%lld patterns for %d heads, expected at most one for each", (long long)list->n,
                 shape->n_heads);
        return false;
    }
    for (int64_t i = 0; i < list->n; i++)
        if (list->kind[i]->check && !list->kind[i]->check(list->bytes + list->at[i], shape, message, size))
            return false;
    return true;
}

const spar_pattern_kind spar__pattern_heads = {
    "heads", NULL, sizeof(spar__head_patterns), sees, parts, tiles, tile, keep, seen, columns, check};

spar_status spar__head_patterns_add(spar__head_patterns *list, const spar_pattern_kind *kind,
                                    const void *options) {
    int64_t size = (int64_t)(kind->options_size + 15) / 16 * 16;
    if (kind->content)
        return spar__fail(SPAR_ERR_CONFIG, "'%s' in a layer's list, expected patterns that do not choose by content",
                          kind->name);
    if (list->n == SPAR__HEAD_PATTERNS || size > SPAR__HEAD_OPTIONS - list->used)
        return spar__fail(SPAR_ERR_CONFIG, "more than %lld patterns in a layer's list", (long long)list->n);
    list->kind[list->n] = kind;
    list->at[list->n++] = list->used;
    if (kind->options_size) memcpy(list->bytes + list->used, options, kind->options_size);
    list->used += size;
    return SPAR_OK;
}
