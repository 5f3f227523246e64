/* LSH attention (Reformer, Kitaev et al. 2020, arXiv 2001.04451): queries and keys are one projection, and a
 * query sees the keys that a random rotation R puts into its bucket, argmax [xR; −xR], in any of
 * several rounds. Softmax is over all keys of all rounds at once, so one that is met twice counts
 * twice. A position sees its own key only if it sees no other.
 *
 * Two lookups:
 *   sorted   the authors': positions are sorted by (round, bucket, position) and cut into chunks; a chunk sees
 *            itself and its neighbours, whatever their buckets, across rounds and around the ends. What
 *            a query sees depends on the tokens after it, so it cannot be decoded with a cache.
 *   buckets  a query sees, in each round, the newest chunk·(before + 1) earlier keys of its own bucket: the
 *            same in a full pass and one token at a time. With a cache, every model is run so.
 * In a full pass padded to a multiple (trax, Hugging Face) padding has a bucket of its own, the last of
 * each round; here those places are left empty. */
#include "attention/lsh.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

static const char *const lookups[] = {"buckets", "sorted", NULL};
static const char *const origins[] = {"seed", "stored", NULL};

#define MEMBER(name) offsetof(spar__lsh_options, name)
static const spar_option table[] = {
    {"chunk", SPAR_OPTION_INT, MEMBER(chunk), 64, 1, 1 << 20, NULL, "keys of a chunk"},
    {"rounds", SPAR_OPTION_INT, MEMBER(rounds), 2, 1, 64, NULL, "of hashing"},
    {"buckets", SPAR_OPTION_INTS, MEMBER(buckets), 0, 2, 1 << 20, NULL,
     "of a round, or the even factors of their number; none: twice the chunks of the context"},
    {"before", SPAR_OPTION_INT, MEMBER(before), 1, 0, 7, NULL, "chunks before the own one that are seen"},
    {"after", SPAR_OPTION_INT, MEMBER(after), 0, 0, 7, NULL, "chunks after it"},
    {"lookup", SPAR_OPTION_NAME, MEMBER(lookup), SPAR__LSH_BUCKETS, 0, 0, lookups, "how keys are found"},
    {"multiple", SPAR_OPTION_INT, MEMBER(multiple), 0, 0, 1 << 20, NULL,
     "that the places of a round are filled up to, when sorted; 0: the chunk"},
    {"rotations", SPAR_OPTION_NAME, MEMBER(rotations), SPAR__LSH_SEED, 0, 0, origins,
     "drawn for seed, layer, head and round, or stored with the weights"},
    {"seed", SPAR_OPTION_INT, MEMBER(seed), 0, 0, 9007199254740992.0, NULL, "of the rotations"},
    {"causal", SPAR_OPTION_BOOL, MEMBER(causal), 1, 0, 1, NULL, "whether later keys are hidden"},
    {0}};

/* An even number near √n that is a power of two, and what remains: large numbers of buckets are hashed in two
 * parts, so that a rotation has few columns. */
static spar__lsh_factors split(int64_t n) {
    int64_t first = 2;
    while (first * first < n) first *= 2;
    int64_t second = (n + first - 1) / first;
    second += second % 2;
    return (spar__lsh_factors){.n = 2, .factor = {first, second}};
}

spar__lsh_factors spar__lsh_factors_of(const spar__lsh_options *o, int64_t context) {
    spar__lsh_factors f = {.n = (int)o->buckets.n, .buckets = 1};
    for (int i = 0; i < f.n; i++) f.factor[i] = o->buckets.at[i];
    if (!f.n) {
        int64_t chunks = context / o->chunk, n = 2 * (chunks > 1 ? chunks : 1);
        f = n > 128 ? split(n) : (spar__lsh_factors){.n = 1, .factor = {n}};
        f.buckets = 1;
    }
    for (int i = 0; i < f.n; i++) {
        f.half += f.factor[i] / 2;
        f.buckets *= f.factor[i];
    }
    return f;
}

/* ---- What a layer holds: its rotations ---- */

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const spar__lsh_options *o = opts;
    spar__lsh_self *l = self;
    l->factors = spar__lsh_factors_of(o, s->context);
    if (o->rotations != SPAR__LSH_STORED) return SPAR_OK;
    l->stored = spar__declare_matrix(b, "attn_rotations.weight", 1, s->n_heads * o->rounds * l->factors.half, s->head_dim);
    if (l->stored) l->stored->decay = false;
    return b->status;
}

static spar_status prepare(const spar__shape *s, int layer, const void *opts, void *self) {
    const spar__lsh_options *o = opts;
    spar__lsh_self *l = self;
    if (l->stored || l->drawn) return SPAR_OK;
    size_t each = (size_t)(o->rounds * l->factors.half), count;
    if (!spar__mul(each, (size_t)s->head_dim, &each) || !spar__mul(each, (size_t)s->n_heads, &count))
        return spar__fail(SPAR_ERR_LIMIT, "model.attention.pattern: rotations of %lld buckets are too large",
                          (long long)l->factors.buckets);
    if (!(l->drawn = spar__array(count, sizeof *l->drawn))) return SPAR_ERR_MEMORY;
    for (int h = 0; h < s->n_heads; h++) {
        spar__rng rng = spar__rng_for((uint64_t)o->seed, SPAR__RNG_ROTATION, (uint64_t)layer, (uint64_t)h);
        for (size_t i = 0; i < each; i++) l->drawn[(size_t)h * each + i] = (real)spar__rng_normal(&rng, i);
    }
    return SPAR_OK;
}

static void release(void *self) { spar__free(((spar__lsh_self *)self)->drawn); }

/* ---- What is seen ---- */

static int64_t width_of(const spar__lsh_options *o) { return o->before + 1 + o->after; }
static int64_t chunks_of(const spar__lsh_options *o, const spar__lsh_arrangement *a) {
    return o->rounds * (a->padded / o->chunk);
}

/* How often a row of few chunks goes around within the neighbours that a chunk sees. */
static int64_t turns_of(const spar__lsh_options *o, const spar__lsh_arrangement *a) {
    int64_t chunks = chunks_of(o, a);
    return a->sorted && chunks ? (width_of(o) + chunks - 1) / chunks : 1;
}

/* Of the definition by the order itself: in which round and where does a position stand. */
static int64_t place_of(const spar__lsh_arrangement *a, int64_t round, int64_t position) {
    int64_t begin = round * a->padded;
    for (int64_t p = begin; p < begin + a->n; p++)
        if (a->base.k_order[p] == position) return p;
    return -1;
}

static bool sees(const void *opts, const spar_pattern_view *v, int64_t i, int64_t j) {
    const spar__lsh_options *o = opts;
    const spar__lsh_arrangement *a = v->arranged;
    if (!a || i == j || (o->causal && j > i)) return false;
    for (int64_t r = 0; r < o->rounds; r++) {
        if (!a->sorted) {
            const int32_t *bucket = a->buckets + r * a->n;
            int64_t newer = 0;
            for (int64_t k = j + 1; k < i; k++) newer += bucket[k] == bucket[i];
            if (bucket[i] == bucket[j] && newer < o->chunk * (o->before + 1)) return true;
            continue;
        }
        int64_t chunks = chunks_of(o, a), own = place_of(a, r, i) / o->chunk;
        for (int64_t q = 0; q < o->rounds; q++)
            for (int64_t s = -o->before; s <= o->after; s++)
                if (place_of(a, q, j) / o->chunk == ((own + s) % chunks + chunks) % chunks) return true;
    }
    return false;
}

/* One part for each round. There are at least two, so that rows begin and end apart (op/attend.c). */
static int parts(const void *opts, const spar_pattern_view *v) {
    const spar__lsh_options *o = opts;
    int64_t n = o->rounds * turns_of(o, v->arranged);
    return n > 1 ? (int)n : 2;
}

static int64_t per_chunk(const spar__lsh_options *o) {
    return (o->chunk + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
}

static int64_t tiles(const void *opts, const spar_pattern_view *v, int part) {
    const spar__lsh_options *o = opts;
    const spar__lsh_arrangement *a = v->arranged;
    if (part / turns_of(o, a) >= o->rounds) return 0;
    if (!a->sorted) return (a->n + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
    int64_t full = a->n / o->chunk, rest = a->n % o->chunk;
    return full * per_chunk(o) + (rest + SPAR_TILE_QUERIES - 1) / SPAR_TILE_QUERIES;
}

static void bucket_tile(const spar__lsh_arrangement *a, int64_t round, int64_t index, spar_tile *out) {
    int64_t begin = index * SPAR_TILE_QUERIES, left = a->n - begin;
    out->q_begin = round * a->n + begin;
    out->n_queries = (int)(left < SPAR_TILE_QUERIES ? left : SPAR_TILE_QUERIES);
    for (int i = 0; i < out->n_queries; i++) {
        out->low[i] = a->low[out->q_begin + i];
        out->high[i] = a->own[out->q_begin + i];
    }
    int64_t width = out->high[out->n_queries - 1] - out->low[0];
    out->n_runs = width > 0;
    out->runs[0] = (spar_key_run){out->low[0], width, 0, 1};
}

static void sorted_tile(const spar__lsh_options *o, const spar__lsh_arrangement *a, int64_t round, int64_t turn,
                        int64_t index, spar_tile *out) {
    int64_t each = per_chunk(o), chunk = index / each, begin = chunk * o->chunk + index % each * SPAR_TILE_QUERIES;
    int64_t end = (chunk + 1) * o->chunk, chunks = chunks_of(o, a), per_round = a->padded / o->chunk;
    if (end > a->n) end = a->n;
    if (end > begin + SPAR_TILE_QUERIES) end = begin + SPAR_TILE_QUERIES;
    out->q_begin = round * a->padded + begin;
    out->n_queries = (int)(end - begin);
    for (int i = 0; i < out->n_queries; i++) {
        out->low[i] = 0;
        out->high[i] = o->rounds * a->padded;
    }
    /* The neighbours of this turn, in ascending order: those that went around the end come first. */
    int64_t first = -o->before + turn * chunks, last = o->after;
    if (last >= first + chunks) last = first + chunks - 1;
    out->n_runs = 0;
    for (int64_t c = 0; c < chunks; c++) {
        int64_t shift = ((c - round * per_round - chunk - first) % chunks + chunks) % chunks + first;
        if (shift > last) continue;
        int64_t from = c * o->chunk, to = from + o->chunk, full = c / per_round * a->padded + a->n_keys;
        if (to > full) to = full;
        if (to <= from) continue;
        spar_key_run *before = out->n_runs ? &out->runs[out->n_runs - 1] : NULL;
        if (before && before->begin + before->width == from) before->width += to - from;
        else out->runs[out->n_runs++] = (spar_key_run){from, to - from, 0, 1};
    }
}

static void tile(const void *opts, const spar_pattern_view *v, int part, int64_t index, spar_tile *out) {
    const spar__lsh_options *o = opts;
    const spar__lsh_arrangement *a = v->arranged;
    int64_t turns = turns_of(o, a);
    out->q_step = 1;
    if (a->sorted) sorted_tile(o, a, part / turns, part % turns, index, out);
    else bucket_tile(a, part, index, out);
}

static int64_t keep(const void *opts) {
    (void)opts;
    return 0;
}

/* At most, and of chunks that are as full as they are on average. */
static double seen(const void *opts, int64_t length) {
    const spar__lsh_options *o = opts;
    double n = (double)length, each = (double)(o->chunk * width_of(o)), sum = (double)o->rounds * each * n;
    if (o->lookup == SPAR__LSH_SORTED) return o->causal ? sum / 2 : sum;
    double buckets = (double)spar__lsh_factors_of(o, length).buckets, all = (double)o->rounds * n * n / (2 * buckets);
    return all < sum ? all : sum;
}

static bool check(const void *opts, const spar_pattern_shape *shape, char *message, size_t size) {
    const spar__lsh_options *o = opts;
    double product = 1;
    (void)shape;
    for (int64_t i = 0; i < o->buckets.n; i++) {
        product *= (double)o->buckets.at[i];
        if (o->buckets.at[i] % 2 == 0) continue;
        int64_t odd = o->buckets.at[i];
        snprintf(message, size, "buckets: %lld, expected an even number, half being the others' opposites: %lld or %lld",
                 (long long)odd, (long long)(odd > 3 ? odd - 1 : 2), (long long)(odd > 3 ? odd + 1 : 4));
        return false;
    }
    if (product > 1 << 24)
        snprintf(message, size, "buckets: %.0f in all, expected at most %d", product, 1 << 24);
    else if (width_of(o) > SPAR_TILE_RUNS)
        snprintf(message, size, "before and after: %lld chunks, expected at most %d", (long long)(width_of(o) - 1),
                 SPAR_TILE_RUNS - 1);
    else if (!o->causal && o->lookup == SPAR__LSH_BUCKETS)
        snprintf(message, size, "lookup: 'buckets' looks back only, expected 'sorted' where causal is false");
    else if (o->multiple % o->chunk)
        snprintf(message, size, "multiple: %lld, expected a multiple of the chunk, %lld", (long long)o->multiple,
                 (long long)o->chunk);
    else
        return true;
    return false;
}

static const spar__content content = {
    sizeof(spar__lsh_self), declare, prepare, release, spar__lsh_state_size, spar__lsh_state_valid, spar__lsh_arrange};

const spar_pattern_kind spar__pattern_lsh = {
    "lsh", table, sizeof(spar__lsh_options), sees, parts, tiles, tile, keep, seen, NULL, check, &content};
