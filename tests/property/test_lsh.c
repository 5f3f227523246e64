/* LSH attention: the tiles of its arrangements show what the definition says, as often as it says; rotations
 * are functions of seed, layer, head and round; a cache that is cut back forgets what came later. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attention/lsh.h"
#include "model/inside.h"
#include "op/cache.h"

enum { LONGEST = 150, HEADS = 2, HEAD_DIM = 4 };

static spar__choice choose(const char *setting, int64_t context) {
    spar__shape shape = {.context = context, .n_heads = HEADS};
    spar__choice out;
    json_t *value = json_loads(setting, JSON_DECODE_ANY, NULL);
    if (spar__choose_pattern(value, "model", &shape, NULL, &out)) fail_msg("%s: %s", setting, spar_error());
    json_decref(value);
    return out;
}

static int visits[LONGEST][LONGEST], wanted[LONGEST][LONGEST];

static void visit(const spar__arrangement *a, const spar_tile *t) {
    for (int i = 0; i < t->n_queries; i++) {
        int32_t query = a->q_order[t->q_begin + i * t->q_step];
        for (int r = 0; r < t->n_runs; r++)
            for (int64_t p = t->runs[r].begin; p < t->runs[r].begin + t->runs[r].width; p++) {
                int32_t key = a->k_order[p];
                if (r) assert_true(t->runs[r].begin > t->runs[r - 1].begin + t->runs[r - 1].width);
                if (p < t->low[i] || p >= t->high[i] || key == query || (a->causal && key > query)) continue;
                visits[query][key]++;
            }
    }
}

/* How often the authors' sorting shows a key to a query, from the buckets alone. */
static void count_sorted(const spar__lsh_options *o, const spar__lsh_arrangement *a) {
    int64_t n = a->n, multiple = o->multiple ? o->multiple : o->chunk, padded = (n + multiple - 1) / multiple * multiple;
    int64_t all = o->rounds * padded, chunks = all / o->chunk;
    int *at = malloc((size_t)all * sizeof *at);
    for (int64_t r = 0; r < o->rounds; r++) {
        int64_t place = r * padded;
        for (int32_t b = 0; b < 1 << 20 && place < r * padded + n; b++)
            for (int i = 0; i < n; i++)
                if (a->buckets[r * n + i] == b) at[place++] = i;
        for (; place < (r + 1) * padded; place++) at[place] = -1;
    }
    for (int64_t p = 0; p < all; p++)
        for (int64_t s = -o->before; s <= o->after; s++)
            for (int64_t k = 0; k < o->chunk && at[p] >= 0; k++) {
                int key = at[((p / o->chunk + s + 16 * chunks) % chunks) * o->chunk + k];
                if (key >= 0 && key != at[p] && !(o->causal && key > at[p])) wanted[at[p]][key]++;
            }
    free(at);
}

static void count_buckets(const spar__lsh_options *o, const spar__lsh_arrangement *a) {
    for (int64_t r = 0; r < o->rounds; r++)
        for (int64_t i = 0; i < a->n; i++) {
            int64_t left = o->chunk * (o->before + 1);
            for (int64_t j = i; j-- > 0 && left;)
                if (a->buckets[r * a->n + i] == a->buckets[r * a->n + j]) wanted[i][j]++, left--;
        }
}

static void check_setting(const char *setting, int64_t n) {
    spar__choice choice = choose(setting, LONGEST);
    const spar__lsh_options *o = choice.options;
    const spar_pattern_kind *kind = (const spar_pattern_kind *)choice.kind;
    spar__lsh_self self = {.factors = spar__lsh_factors_of(o, LONGEST)};
    spar__shape shape = {.context = LONGEST, .n_heads = HEADS, .head_dim = HEAD_DIM};
    assert_int_equal(kind->content->prepare(&shape, 0, o, &self), SPAR_OK);
    static real q[LONGEST * HEADS * HEAD_DIM];
    spar__rng rng = spar__rng_for(3, SPAR__RNG_TEST, (uint64_t)n, 0);
    for (int64_t i = 0; i < n * HEADS * HEAD_DIM; i++) q[i] = (real)spar__rng_normal(&rng, (uint64_t)i);
    spar__arena *arena = spar__arena_create(0);
    spar__pass pass = {.arena = arena};
    spar__content_request r = {.options = o, .self = &self, .head_dim = HEAD_DIM, .q = q, .q_stride = HEADS * HEAD_DIM,
                               .view = {.q_end = n, .n_keys = n, .n_heads = HEADS}};
    const spar__arrangement *out[HEADS];
    spar__lsh_arrange(&pass, &r, out);
    assert_int_equal(pass.status, SPAR_OK);
    for (int head = 0; head < HEADS; head++) {
        const spar__lsh_arrangement *a = (const spar__lsh_arrangement *)out[head];
        spar_pattern_view v = r.view;
        v.head = head;
        v.arranged = a;
        memset(visits, 0, sizeof visits);
        memset(wanted, 0, sizeof wanted);
        for (int part = 0; part < kind->parts(o, &v); part++)
            for (int64_t t = 0; t < kind->tiles(o, &v, part); t++) {
                spar_tile tile;
                memset(&tile, 0xAB, sizeof tile);
                kind->tile(o, &v, part, t, &tile);
                assert_in_range(tile.n_queries, 1, SPAR_TILE_QUERIES);
                visit(&a->base, &tile);
            }
        if (a->sorted) count_sorted(o, a);
        else count_buckets(o, a);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                if (visits[i][j] != wanted[i][j] || kind->sees(o, &v, i, j) != (wanted[i][j] > 0))
                    fail_msg("%s, %lld tokens: query %lld meets key %lld %d times, expected %d", setting, (long long)n,
                             (long long)i, (long long)j, visits[i][j], wanted[i][j]);
            }
    }
    spar__arena_free(arena);
    kind->content->release(&self);
    spar__free(choice.options);
}

static void test_tiles(void **state) {
    (void)state;
    static const char *const settings[] = {
        "{\"kind\": \"lsh\", \"chunk\": 4, \"rounds\": 2, \"buckets\": 8}",
        "{\"kind\": \"lsh\", \"chunk\": 100, \"rounds\": 1, \"buckets\": 2, \"before\": 0}",
        "{\"kind\": \"lsh\", \"chunk\": 2, \"rounds\": 3, \"buckets\": [4, 6]}",
        "{\"kind\": \"lsh\", \"chunk\": 4, \"rounds\": 2, \"buckets\": 8, \"lookup\": \"sorted\"}",
        "{\"kind\": \"lsh\", \"chunk\": 8, \"rounds\": 3, \"buckets\": [2, 4], \"lookup\": \"sorted\", \"multiple\": 24}",
        "{\"kind\": \"lsh\", \"chunk\": 70, \"rounds\": 1, \"buckets\": 2, \"lookup\": \"sorted\", \"before\": 3}",
        "{\"kind\": \"lsh\", \"chunk\": 6, \"rounds\": 2, \"lookup\": \"sorted\", \"before\": 2, \"after\": 2, \"causal\": false}",
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (int n = 1; n <= LONGEST; n = n < 20 ? n + 1 : 2 * n + 1) check_setting(settings[i], n);
}

static void test_rotations(void **state) {
    (void)state;
    spar__choice choice = choose("{\"kind\": \"lsh\", \"seed\": 5}", LONGEST), other = choose("{\"kind\": \"lsh\", \"seed\": 6}", LONGEST);
    const spar__content *content = ((const spar_pattern_kind *)choice.kind)->content;
    spar__shape one = {.context = LONGEST, .n_heads = 1, .head_dim = 8}, two = one;
    two.n_heads = 2;
    spar__lsh_self self[4] = {0};
    for (int i = 0; i < 4; i++) self[i].factors = spar__lsh_factors_of(choice.options, LONGEST);
    content->prepare(&two, 3, choice.options, &self[0]);
    content->prepare(&one, 3, choice.options, &self[1]);
    content->prepare(&one, 4, choice.options, &self[2]);
    content->prepare(&one, 3, other.options, &self[3]);
    size_t round = (size_t)self[0].factors.half * 8, each = 2 * round;
    assert_memory_equal(self[0].drawn, self[1].drawn, each * sizeof(real));
    assert_memory_not_equal(self[0].drawn, self[0].drawn + each, each * sizeof(real));
    assert_memory_not_equal(self[0].drawn, self[0].drawn + round, round * sizeof(real));
    assert_memory_not_equal(self[1].drawn, self[2].drawn, each * sizeof(real));
    assert_memory_not_equal(self[1].drawn, self[3].drawn, each * sizeof(real));
    for (int i = 0; i < 4; i++) content->release(&self[i]);
    spar__free(choice.options);
    spar__free(other.options);
}

enum { VOCABULARY = 11 };

static const real *feed(spar__arena *arena, const spar_model *m, struct spar__cache *cache, int64_t past, int64_t count) {
    int32_t tokens[32], positions[32];
    for (int64_t i = 0; i < count; i++) {
        positions[i] = (int32_t)(past + i);
        tokens[i] = (int32_t)((past + i) * 3 + count) % VOCABULARY;
    }
    spar__sequence s = {.count = count, .past = past};
    spar__rows rows = {.n_rows = count, .n_sequences = 1, .sequences = &s, .positions = positions};
    spar__pass pass = {.arena = arena, .rows = &rows, .cache = cache};
    spar__tensor *logits = spar__model_logits_of(&pass, m, spar__model_hidden(&pass, m, tokens));
    if (!logits) fail_msg("%s", spar_error());
    return spar__data(logits) + (count - 1) * VOCABULARY;
}

static void test_cut_back(void **state) {
    (void)state;
    static const char text[] = "{\"model\": {\"vocab_size\": 11, \"context\": 64, \"d_model\": 16, \"n_layers\": 2, \"init_std\": 0.4, "
                               "\"attention\": {\"n_heads\": 2, \"pattern\": {\"kind\": \"lsh\", \"chunk\": 3, \"rounds\": 2, "
                               "\"buckets\": 4}}, \"feedforward\": \"dense\"}}";
    spar_config *config;
    spar_model *m;
    if (spar_config_parse(text, strlen(text), &config) || spar_model_create(config, 1, &m)) fail_msg("%s", spar_error());
    struct spar__cache *used, *fresh;
    assert_int_equal(spar__model_cache_create(m, 1, 64, 32, SPAR__F32, &used), SPAR_OK);
    assert_int_equal(spar__model_cache_create(m, 1, 64, 32, SPAR__F32, &fresh), SPAR_OK);
    spar__arena *arena = spar__arena_create(0);
    feed(arena, m, used, 0, 13);
    feed(arena, m, used, 13, 20);
    feed(arena, m, used, 7, 5); /* back, and other tokens */
    feed(arena, m, used, 12, 1);
    feed(arena, m, fresh, 0, 13);
    feed(arena, m, fresh, 7, 5);
    feed(arena, m, fresh, 12, 1);
    const real *a = feed(arena, m, used, 13, 9), *b = feed(arena, m, fresh, 13, 9);
    assert_memory_equal(a, b, VOCABULARY * sizeof *a);
    a = feed(arena, m, used, 0, 6); /* from the beginning */
    spar__cache_free(fresh);
    assert_int_equal(spar__model_cache_create(m, 1, 64, 32, SPAR__F32, &fresh), SPAR_OK);
    b = feed(arena, m, fresh, 0, 6);
    assert_memory_equal(a, b, VOCABULARY * sizeof *a);
    spar__arena_free(arena);
    spar__cache_free(used);
    spar__cache_free(fresh);
    spar_model_free(m);
    spar_config_free(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_rotations),
        cmocka_unit_test(test_cut_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
