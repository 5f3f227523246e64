/* Relative position bias (Raffel et al. 2020, arXiv 1910.10683, section 2.1): score += b[h, bucket(j − i)],
 * shared by the layers of a stack. Near distances have a bucket each, farther ones share them on a
 * logarithmic scale, and all from max_distance on are in the last. Looking both ways, half of the buckets
 * are for keys that come later. */
#include <math.h>

#include "position/position.h"

enum { AUTO, BOTH, PAST };
static const char *const directions[] = {"auto", "both", "past", NULL};

typedef struct options {
    int64_t buckets, max_distance;
    int direction;
} options;

typedef struct layer {
    spar__param *table; /* [buckets, n_heads] */
    int32_t *bucket;    /* [2·zero + 1] of distance i − zero of a key before its query */
    int64_t zero;
} layer;

static const spar_option table[] = {
    {"buckets", SPAR_OPTION_INT, offsetof(options, buckets), 32, 1, 1 << 20, NULL, "of distances"},
    {"max_distance", SPAR_OPTION_INT, offsetof(options, max_distance), 128, 2, 1 << 24, NULL,
     "from which on distances are alike"},
    {"direction", SPAR_OPTION_NAME, offsetof(options, direction), AUTO, 0, 0, directions,
     "both: later keys have half of the buckets; auto: both in encoders"},
    {0}};

static bool both_ways(const spar__shape *s, const options *o) {
    return o->direction == AUTO ? s->encoder : o->direction == BOTH;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    bool both = both_ways(s, o);
    int64_t n = both ? o->buckets / 2 : o->buckets;
    if (n < 2 || o->max_distance <= n / 2)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.position.buckets: %lld, expected at least %d and at most %lld (max_distance)",
                          (long long)o->buckets, both ? 4 : 2, (long long)(o->max_distance - 1) * (both ? 4 : 2));
    layer l = {.zero = o->max_distance};
    /* The name that GGUF files of T5 use: the first layer's. */
    l.table = spar__declare_matrix(b, "blk.0.attn_rel_b.weight", s->std, o->buckets, s->n_heads);
    *(layer *)self = l;
    return b->status;
}

/* In float, as the published implementations have it: at exact powers a double falls elsewhere. */
static int32_t bucket_of(int64_t key_minus_query, int64_t n_buckets, int64_t max_distance, bool both) {
    int64_t n = n_buckets, r = key_minus_query, base = 0;
    if (both) {
        n /= 2;
        base = r > 0 ? n : 0;
        r = r < 0 ? -r : r;
    } else {
        r = r < 0 ? -r : 0;
    }
    int64_t exact = n / 2;
    if (r < exact) return (int32_t)(base + r);
    float ratio = logf((float)r / (float)exact) / (float)log((double)max_distance / (double)exact);
    int64_t far = exact + (int64_t)(ratio * (float)(n - exact));
    return (int32_t)(base + (far < n - 1 ? far : n - 1));
}

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    layer *l = self;
    l->bucket = spar__array((size_t)(2 * l->zero + 1), sizeof *l->bucket);
    if (!l->bucket) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i <= 2 * l->zero; i++)
        l->bucket[i] = bucket_of(l->zero - i, o->buckets, o->max_distance, both_ways(s, o));
    return SPAR_OK;
}

static void release(void *self) { spar__free(((layer *)self)->bucket); }

static void share(spar__pass *pass, const void *self, spar__shared *shared) {
    const layer *l = self;
    shared->bias = spar__bucket_bias(pass, l->table, l->bucket, 2 * l->zero + 1);
    shared->bias_zero = l->zero;
}

const spar__position_kind spar__position_relative = {.kind = {"relative", table, sizeof(options)},
                                                     .self_size = sizeof(layer),
                                                     .declare = declare,
                                                     .prepare = prepare,
                                                     .release = release,
                                                     .share = share};
