/* Hashing and ordering of LSH attention: from queries to the order in which what is seen are runs. */
#include <string.h>

#include "attention/lsh.h"
#include "kernel/kernel.h"

enum { HASHED_ROWS = 1024 };

/* ---- Buckets ---- */

static int32_t bucket_of(const real *rotated, const spar__lsh_factors *f) {
    int64_t bucket = 0, scale = 1;
    for (int i = 0; i < f->n; i++) {
        int64_t half = f->factor[i] / 2, best = 0;
        real top = rotated[0];
        for (int64_t c = 1; c < half; c++)
            if (rotated[c] > top) top = rotated[c], best = c;
        for (int64_t c = 0; c < half; c++)
            if (-rotated[c] > top) top = -rotated[c], best = half + c;
        bucket += scale * best;
        scale *= f->factor[i];
        rotated += half;
    }
    return (int32_t)bucket;
}

/* buckets [rounds, n] of one head's queries; `rotated` has room for HASHED_ROWS rows. */
static spar_status hash_head(const spar__content_request *r, const real *rotation, const real *q, int64_t n,
                             real *rotated, int32_t *buckets) {
    const spar__lsh_options *o = r->options;
    const spar__lsh_factors *f = &((const spar__lsh_self *)r->self)->factors;
    int64_t cols = o->rounds * f->half;
    for (int64_t begin = 0; begin < n; begin += HASHED_ROWS) {
        int64_t rows = n - begin < HASHED_ROWS ? n - begin : HASHED_ROWS;
        SPAR_TRY(spar__gemm(false, true, rows, cols, r->head_dim, 1, q + begin * r->q_stride, r->q_stride, rotation,
                            r->head_dim, 0, rotated, cols));
#pragma omp parallel for schedule(static) if (rows > 16)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t round = 0; round < o->rounds; round++)
                buckets[round * n + begin + i] = bucket_of(rotated + i * cols + round * f->half, f);
    }
    return SPAR_OK;
}

/* The layer's rotations as numbers that can be multiplied with. */
static const real *rotations_of(spar__pass *pass, const spar__content_request *r) {
    const spar__lsh_self *self = r->self;
    if (!self->stored) return self->drawn;
    const spar__tensor *t = &self->stored->value;
    if (t->type == SPAR__F32) return spar__data(t);
    real *out = spar__take(pass, t->rows * t->cols, sizeof *out);
    size_t row_bytes = 0;
    spar__row_bytes(t->type, (size_t)t->cols, &row_bytes);
    for (int64_t i = 0; out && i < t->rows; i++)
        spar__k()->decode[t->type](out + i * t->cols, (const char *)t->data + (size_t)i * row_bytes, t->cols);
    return out;
}

static const int32_t *hash(spar__pass *pass, const spar__content_request *r, int64_t n) {
    const spar__lsh_options *o = r->options;
    const spar__lsh_factors *f = &((const spar__lsh_self *)r->self)->factors;
    bool known;
    int32_t *buckets = spar__keep(pass, pass->site++, r->view.n_heads * o->rounds * n, sizeof *buckets, &known);
    if (known || !buckets) return buckets;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    const real *rotations = rotations_of(pass, r);
    int64_t rows = n < HASHED_ROWS ? n : HASHED_ROWS;
    real *rotated = spar__take(pass, rows * o->rounds * f->half, sizeof *rotated);
    for (int h = 0; h < r->view.n_heads && rotations && spar__ok(pass); h++) {
        spar_status status = hash_head(r, rotations + h * o->rounds * f->half * r->head_dim, r->q + h * r->head_dim, n,
                                       rotated, buckets + h * o->rounds * n);
        if (status) spar__stop(pass, status);
    }
    spar__arena_rewind(pass->arena, mark);
    return spar__ok(pass) ? buckets : NULL;
}

/* ---- Sorting ---- */

/* order [n] = 0 … n − 1 by (bucket, number); `starts` has room for n_buckets + 1. Few are sorted by insertion, so
 * that a single token does not walk over all buckets. */
static void sort(const int32_t *bucket, int64_t n, int64_t n_buckets, int32_t *starts, int32_t *order) {
    if (n <= 16) {
        for (int32_t i = 0; i < n; i++) {
            int64_t at = i;
            for (; at > 0 && bucket[order[at - 1]] > bucket[i]; at--) order[at] = order[at - 1];
            order[at] = i;
        }
        return;
    }
    memset(starts, 0, (size_t)(n_buckets + 1) * sizeof *starts);
    for (int64_t i = 0; i < n; i++) starts[bucket[i] + 1]++;
    for (int64_t b = 0; b < n_buckets; b++) starts[b + 1] += starts[b];
    for (int32_t i = 0; i < n; i++) order[starts[bucket[i]]++] = i;
}

/* ---- What a cache keeps: for each head and round, lists of the positions of each bucket, newest first. Numbers
 * are positions + 1, and 0 ends a list. ---- */

static int64_t list_size(const spar__lsh_factors *f, int64_t context) { return f->buckets + context; }

int64_t spar__lsh_state_size(const void *options, const void *self, int n_heads, int64_t context) {
    const spar__lsh_options *o = options;
    return 1 + n_heads * o->rounds * list_size(&((const spar__lsh_self *)self)->factors, context);
}

bool spar__lsh_state_valid(const void *options, const void *self, int n_heads, int64_t context, const int32_t *state) {
    const spar__lsh_factors *f = &((const spar__lsh_self *)self)->factors;
    int64_t lists = n_heads * ((const spar__lsh_options *)options)->rounds;
    int64_t n = state[0];
    if (n < 0 || n > context) return false;
    for (int64_t l = 0; l < lists; l++) {
        const int32_t *newest = state + 1 + l * list_size(f, context), *before = newest + f->buckets;
        for (int64_t b = 0; b < f->buckets; b++)
            if (newest[b] < 0 || newest[b] > n) return false;
        for (int64_t p = 0; p < context; p++) /* lists go back, so they end */
            if (before[p] < 0 || before[p] > p) return false;
    }
    return true;
}

/* A sequence was cut back, or begins anew: later positions leave the lists. */
static void cut_back(int32_t *newest, const int32_t *before, int64_t n_buckets, int64_t past) {
    for (int64_t b = 0; b < n_buckets; b++)
        while (newest[b] > past) newest[b] = before[newest[b] - 1];
}

/* ---- The two lookups ---- */

typedef struct head {
    const spar__content_request *request;
    const int32_t *buckets; /* [rounds, n] */
    int64_t n, n_buckets;
    int32_t *q_order, *k_order, *low, *own, *starts, *sorted;
} head;

/* Places of the keys: for each bucket that the pass touches the newest of its list, then the pass's own. */
static void arrange_buckets(const head *h, int number) {
    const spar__content_request *r = h->request;
    const spar__lsh_options *o = r->options;
    const spar__lsh_factors *f = &((const spar__lsh_self *)r->self)->factors;
    int64_t past = r->view.q_begin, window = o->chunk * (o->before + 1), place = 0;
    for (int64_t round = 0; round < o->rounds; round++) {
        const int32_t *bucket = h->buckets + round * h->n;
        int32_t *newest = NULL, *before = NULL;
        if (r->state) {
            newest = r->state + 1 + (number * o->rounds + round) * list_size(f, r->context);
            before = newest + f->buckets;
            if (r->state[0] > past) cut_back(newest, before, f->buckets, past);
        }
        sort(bucket, h->n, h->n_buckets, h->starts, h->sorted);
        for (int64_t i = 0; i < h->n;) {
            int32_t b = bucket[h->sorted[i]];
            int64_t begin = place, lead = 0;
            if (newest) {
                int32_t at = newest[b];
                for (; at && lead < window; at = before[at - 1]) lead++;
                at = newest[b];
                for (int64_t k = lead; k-- > 0; at = before[at - 1]) h->k_order[begin + k] = at - 1;
                place += lead;
            }
            for (; i < h->n && bucket[h->sorted[i]] == b; i++, place++) {
                int64_t query = round * h->n + i, oldest = place - window;
                int32_t position = (int32_t)(past + h->sorted[i]);
                h->q_order[query] = h->k_order[place] = position;
                h->low[query] = (int32_t)(oldest > begin ? oldest : begin);
                h->own[query] = (int32_t)place;
                if (!newest) continue;
                before[position] = newest[b];
                newest[b] = position + 1;
            }
        }
    }
}

static void arrange_sorted(const head *h, int64_t padded) {
    const spar__lsh_options *o = h->request->options;
    for (int64_t round = 0; round < o->rounds; round++) {
        int32_t *order = h->q_order + round * padded;
        sort(h->buckets + round * h->n, h->n, h->n_buckets, h->starts, order);
    }
}

/* Positions from n_keys on are padding, which has a bucket of its own behind the others. */
static const int32_t *with_padding(spar__pass *pass, const spar__content_request *r, const int32_t *buckets, int64_t n,
                                   int32_t own_bucket) {
    const spar__lsh_options *o = r->options;
    int64_t n_keys = r->view.n_keys - r->view.q_begin, all = r->view.n_heads * o->rounds;
    if (n_keys >= n) return buckets;
    int32_t *out = spar__take(pass, all * n, sizeof *out);
    for (int64_t i = 0; out && i < all; i++)
        for (int64_t k = 0; k < n; k++) out[i * n + k] = k < n_keys ? buckets[i * n + k] : own_bucket;
    return out;
}

void spar__lsh_arrange(spar__pass *pass, const spar__content_request *r, const spar__arrangement **out) {
    const spar__lsh_options *o = r->options;
    int64_t n = r->view.q_end - r->view.q_begin, n_heads = r->view.n_heads;
    int64_t n_buckets = ((const spar__lsh_self *)r->self)->factors.buckets + 1;
    bool is_sorted = o->lookup == SPAR__LSH_SORTED && !r->state;
    int64_t multiple = o->multiple ? o->multiple : o->chunk, padded = (n + multiple - 1) / multiple * multiple;
    int64_t window = o->chunk * (o->before + 1), past = r->state ? r->view.q_begin : 0;
    int64_t leads = past < n * window ? past : n * window, places = o->rounds * (is_sorted ? padded : n + leads);
    const int32_t *buckets = hash(pass, r, n);
    if (buckets) buckets = with_padding(pass, r, buckets, n, (int32_t)n_buckets - 1);
    spar__lsh_arrangement *a = spar__take(pass, n_heads, sizeof *a);
    int32_t *q_order = spar__take(pass, n_heads * o->rounds * (is_sorted ? padded : n), sizeof *q_order);
    int32_t *k_order = is_sorted ? q_order : spar__take(pass, n_heads * places, sizeof *k_order);
    int32_t *bounds = spar__take(pass, is_sorted ? 0 : 2 * n_heads * o->rounds * n, sizeof *bounds);
    int32_t *spare = spar__take(pass, n_heads * (n_buckets + 1 + n), sizeof *spare);
    if (!buckets || !spare) return;
#pragma omp parallel for schedule(static) if (n > 16)
    for (int64_t i = 0; i < n_heads; i++) {
        int64_t each = o->rounds * (is_sorted ? padded : n);
        head h = {.request = r, .buckets = buckets + i * o->rounds * n, .n = n, .n_buckets = n_buckets};
        h.q_order = q_order + i * each;
        h.k_order = is_sorted ? h.q_order : k_order + i * places;
        h.low = bounds + 2 * i * each;
        h.own = h.low + each;
        h.starts = spare + i * (n_buckets + 1 + n);
        h.sorted = h.starts + n_buckets + 1;
        if (is_sorted) arrange_sorted(&h, padded);
        else arrange_buckets(&h, (int)i);
        a[i] = (spar__lsh_arrangement){.base = {h.q_order, h.k_order, o->causal},
                                       .sorted = is_sorted,
                                       .n = n,
                                       .n_keys = r->view.n_keys - r->view.q_begin,
                                       .padded = padded,
                                       .low = h.low,
                                       .own = h.own,
                                       .buckets = h.buckets};
        out[i] = &a[i].base;
    }
    if (r->state) r->state[0] = (int32_t)(past + n);
}
