/* Every pattern shows by its tiles what its definition, `sees`, says: each key that a query sees comes
 * exactly once, whatever the lengths, chunks and heads; a query is in at most one tile of a part;
 * what caches keep is enough; and `seen` counts what a causal sequence sees. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attention/heads.h"
#include "model/inside.h"

enum { LONGEST = 260 };

/* Kinds of the table that are not named here are taken with their defaults. */
static const char *const settings[] = {
    "\"full\"",
    "\"causal\"",
    "{\"kind\": \"prefix\", \"length\": 5}",
    "{\"kind\": \"prefix\", \"length\": 100}",
    "\"band:1\"",
    "\"band:17\"",
    "\"strided:1\"",
    "\"strided:7\"",
    "\"strided:128\"",
    "{\"kind\": \"strided\", \"stride\": 9, \"heads\": \"split\"}",
    "{\"kind\": \"strided\", \"stride\": 300, \"heads\": \"split\"}",
    "{\"kind\": \"fixed\", \"block\": 1, \"summary\": 1}",
    "{\"kind\": \"fixed\", \"block\": 10, \"summary\": 3}",
    "{\"kind\": \"fixed\", \"block\": 10, \"summary\": 3, \"heads\": \"sub-blocks\"}",
    "{\"kind\": \"fixed\", \"block\": 96, \"summary\": 96}",
    "{\"kind\": \"block\", \"block\": 16, \"window\": 1}",
    "{\"kind\": \"block\", \"block\": 7, \"window\": 2, \"global\": 2}",
    "{\"kind\": \"block\", \"block\": 7, \"window\": 2, \"global\": 1, \"random\": 3, \"seed\": 4}",
    "{\"kind\": \"block\", \"block\": 3, \"window\": 1, \"random\": 17}",
    "{\"kind\": \"block\", \"block\": 100, \"window\": 1, \"random\": 1}",
    "{\"kind\": \"block\", \"block\": 5, \"window\": 3, \"global\": 2, \"random\": 11, \"causal\": false}",
    "{\"kind\": \"block\", \"block\": 70, \"window\": 1, \"random\": 2, \"causal\": false}",
    "{\"kind\": \"block\", \"block\": 8, \"window\": 99, \"causal\": false}",
    "[\"band:3\", {\"kind\": \"strided\", \"stride\": 8, \"heads\": \"split\"}, \"causal\"]",
    "[{\"kind\": \"fixed\", \"block\": 8, \"summary\": 2}, \"band:30\"]",
};

static spar__choice choose(const char *setting, int n_heads) {
    spar__shape shape = {.context = LONGEST, .n_heads = n_heads};
    spar__choice out;
    json_t *value = json_loads(setting, JSON_DECODE_ANY, NULL);
    if (spar__choose_pattern(value, "model", &shape, NULL, &out)) fail_msg("%s: %s", setting, spar_error());
    json_decref(value);
    return out;
}

static int visits[LONGEST][LONGEST];

static void visit(const char *name, const spar_pattern_view *v, const spar_tile *t, bool *taken) {
    int64_t end = 0;
    assert_in_range(t->n_queries, 1, SPAR_TILE_QUERIES);
    assert_in_range(t->n_runs, 0, SPAR_TILE_RUNS);
    for (int i = 0; i < t->n_queries; i++) {
        int64_t query = t->q_begin + i * t->q_step;
        if (query < v->q_begin || query >= v->q_end || taken[query])
            fail_msg("%s: query %lld is in a tile twice, or beyond [%lld, %lld)", name, (long long)query,
                     (long long)v->q_begin, (long long)v->q_end);
        taken[query] = true;
    }
    for (int r = 0; r < t->n_runs; r++) {
        const spar_key_run *run = &t->runs[r];
        for (int64_t s = 0; s < run->count; s++)
            for (int64_t j = run->begin + s * run->step, stop = j + run->width; j < stop; j++) {
                if (j < end) fail_msg("%s: runs do not ascend at key %lld", name, (long long)j);
                end = j + 1;
                for (int i = 0; i < t->n_queries; i++)
                    if (j >= t->low[i] && j < t->high[i]) {
                        assert_in_range(j, 0, LONGEST - 1);
                        visits[t->q_begin + i * t->q_step][j]++;
                    }
            }
    }
}

static void check_kept(const char *name, const spar_pattern_kind *kind, const void *options,
                       const spar_pattern_view *v, int64_t i, int64_t j) {
    int64_t keep = kind->keep(options);
    spar_key_run run = {0};
    if (!keep || j > i - keep) return;
    if (kind->columns) kind->columns(options, v->n_heads, &run);
    for (int64_t s = 0; s < run.count && run.begin + s * run.step <= j; s++) {
        if (j < run.begin + s * run.step + run.width) return;
        if (!run.step) break;
    }
    fail_msg("%s: query %lld sees key %lld, which no cache keeps", name, (long long)i, (long long)j);
}

/* Tiles against the definition, for queries [begin, end) of a sequence; returns the keys seen. */
static double check_view(const char *name, const spar_pattern_kind *kind, const void *options,
                         const spar_pattern_view *v) {
    double seen = 0;
    memset(visits, 0, sizeof visits);
    int parts = kind->parts(options, v);
    for (int part = 0; part < parts; part++) {
        bool taken[LONGEST] = {0};
        int64_t n = kind->tiles(options, v, part);
        for (int64_t index = 0; index < n; index++) {
            spar_tile t;
            memset(&t, 0xAB, sizeof t);
            kind->tile(options, v, part, index, &t);
            visit(name, v, &t, taken);
        }
    }
    for (int64_t i = v->q_begin; i < v->q_end; i++)
        for (int64_t j = 0; j < v->n_keys; j++) {
            bool sees = kind->sees(options, v, i, j);
            seen += sees;
            if (visits[i][j] != sees)
                fail_msg("%s, head %d of %d, queries %lld to %lld of %lld: query %lld %s key %lld, tiles show it %d times",
                         name, v->head, v->n_heads, (long long)v->q_begin, (long long)v->q_end, (long long)v->n_keys,
                         (long long)i, sees ? "sees" : "does not see", (long long)j, visits[i][j]);
            if (sees) check_kept(name, kind, options, v, i, j);
        }
    return seen;
}

static void check_setting(const char *setting, int n_heads, const int *lengths) {
    spar__choice choice = choose(setting, n_heads);
    const spar_pattern_kind *kind = (const spar_pattern_kind *)choice.kind;
    for (int n; (n = *lengths); lengths++) {
        double seen = 0, said = kind->seen(choice.options, n);
        for (int head = 0; head < n_heads; head++) {
            spar_pattern_view v = {0, n, n, 0, head, n_heads, 3};
            seen += check_view(setting, kind, choice.options, &v);
            /* The same sequence in chunks, which end where the keys do. */
            for (int begin = 0, chunk = 1; begin < n; begin += chunk, chunk = (3 * chunk + 2) % 101) {
                int end = begin + chunk < n ? begin + chunk : n;
                v.q_begin = begin;
                v.q_end = v.n_keys = end;
                check_view(setting, kind, choice.options, &v);
            }
        }
        /* Random blocks may be the last one, which may be short; six heads are dealt evenly. */
        double slack = strstr(setting, "random") ? 0.005 * said : 0;
        if (n_heads == 6 && fabs(said - seen / n_heads) > slack)
            fail_msg("%s: %g keys are said to be seen in %d tokens, %g are", setting, said, n, seen / n_heads);
    }
    spar__free(choice.options);
}

static void check_lengths(const char *setting) {
    check_setting(setting, 6, (int[]){1, 7, 65, 130, 0});
    check_setting(setting, 3, (int[]){64, 259, 0});
}

static void test_tiles(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) check_lengths(settings[i]);
}

/* A kind that is in the table but in no setting above must at least run as it comes. (Those that choose by
 * content have a test of their own.) */
static void test_all_kinds(void **state) {
    (void)state;
    const spar_pattern_kind *kind;
    for (int i = 0; (kind = spar_pattern_at(i)); i++) {
        char quoted[64], named[64];
        bool found = false;
        snprintf(quoted, sizeof quoted, "\"%s\"", kind->name);
        snprintf(named, sizeof named, "\"%s:", kind->name);
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
            found |= strstr(settings[s], quoted) || strstr(settings[s], named);
        if (!found && !kind->content) check_lengths(quoted);
    }
}

static void test_random_blocks(void **state) {
    (void)state;
    spar__choice choice = choose("{\"kind\": \"block\", \"block\": 8, \"window\": 1, \"random\": 2, \"seed\": 11}", 2);
    const spar_pattern_kind *kind = (const spar_pattern_kind *)choice.kind;
    int same = 0, differ_head = 0, differ_layer = 0;
    for (int64_t i = 64; i < 256; i++)
        for (int64_t j = 0; j < i; j++) {
            spar_pattern_view a = {0, 256, 256, 0, 0, 2, 0}, b = a, c = a, d = a;
            b.head = 1;
            c.layer = 1;
            d.q_begin = i; /* another chunk, the same draw */
            d.n_keys = d.q_end = i + 1;
            bool one = kind->sees(choice.options, &a, i, j);
            same += one != kind->sees(choice.options, &d, i, j);
            differ_head += one != kind->sees(choice.options, &b, i, j);
            differ_layer += one != kind->sees(choice.options, &c, i, j);
        }
    assert_int_equal(same, 0);
    assert_true(differ_head > 100 && differ_layer > 100);
    spar__free(choice.options);
}

static void test_misfits(void **state) {
    (void)state;
    static const struct {
        const char *setting, *message;
    } cases[] = {
        {"{\"kind\": \"strided\", \"stride\": 0}",
         "model.attention.pattern.stride: found 0, expected a whole number 1 to 16777216"},
        {"\"strided\"", "model.attention.pattern.stride: missing; it has no default"},
        {"{\"kind\": \"fixed\", \"block\": 8, \"summary\": 9}",
         "model.attention.pattern: summary: 9, expected 1 to the block's 8"},
        {"{\"kind\": \"block\", \"block\": 64, \"global\": 6}",
         "model.attention.pattern: global: 6, expected 0 to 5, the blocks of 64 in a context of 260"},
        {"{\"kind\": \"block\", \"block\": 64, \"random\": 6}",
         "model.attention.pattern: random: 6, expected 0 to 5, the blocks of 64 in a context of 260"},
        {"{\"kind\": \"block\", \"window\": 4, \"causal\": false}",
         "model.attention.pattern: window: 4, expected an odd number: as many blocks on each side as on the other"},
        {"\"causal:3\"", "model.attention.pattern: 'causal:3': expected 'causal', which has no options"},
        {"\"band:x\"", "model.attention.pattern: 'band:x': expected 'band', or with ':' and the value of its first option"},
        {"[]", "model.attention.pattern: a layer's list is empty"},
        {"[\"causal\", \"causal\", \"full\"]",
         "model.attention.pattern: 3 patterns for 2 heads, expected at most one for each"},
        {"[\"causal\", \"lsh\"]", "model.attention.pattern: 'lsh' in a layer's list, expected patterns that do not "
                                  "choose by content"},
        {"{\"kind\": \"lsh\", \"buckets\": [4, 1]}", "model.attention.pattern.buckets: found [4,1], expected a whole "
                                                   "number 2 to 1048576, or a list of at most 8"},
        {"{\"kind\": \"lsh\", \"causal\": false}", "model.attention.pattern: lookup: 'buckets' looks back only, "
                                                 "expected 'sorted' where causal is false"},
        {"{\"kind\": \"lsh\", \"before\": 5, \"after\": 3}",
         "model.attention.pattern: before and after: 8 chunks, expected at most 7"},
        {"{\"kind\": \"lsh\", \"chunk\": 8, \"multiple\": 12}",
         "model.attention.pattern: multiple: 12, expected a multiple of the chunk, 8"},
        {"{\"kind\": \"lsh\", \"buckets\": 7}", "model.attention.pattern: buckets: 7, expected an even number, half being "
                                              "the others' opposites: 6 or 8"},
        {"{\"kind\": \"lsh\", \"buckets\": [4, 3]}", "model.attention.pattern: buckets: 3, expected an even number, half "
                                                   "being the others' opposites: 2 or 4"},
        {"[\"causal\", {\"kind\": \"fixed\", \"block\": 2, \"summary\": 3}]",
         "model.attention.pattern: summary: 3, expected 1 to the block's 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spar__shape shape = {.context = LONGEST, .n_heads = 2};
        spar__choice out = {0};
        json_t *value = json_loads(cases[i].setting, JSON_DECODE_ANY, NULL);
        assert_int_equal(spar__choose_pattern(value, "model", &shape, NULL, &out), SPAR_ERR_CONFIG);
        assert_string_equal(spar_error(), cases[i].message);
        assert_null(out.options);
        json_decref(value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_random_blocks),
        cmocka_unit_test(test_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
