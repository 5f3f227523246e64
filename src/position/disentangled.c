/* Disentangled attention (He et al. 2021, arXiv 2006.03654): beside q·k, a query meets keys made of the
 * relative position (content to position), and a key meets queries made of it (position to content):
 *     score(i, j) = (q_i·k_j + q_i·Wk P[r(i − j)] + k_j·Wq P[r(i − j)]) / √(head_dim·terms)
 * P are trained rows, shared by the layers; r clamps the distance to the span. With buckets (version 2),
 * distances beyond half of them share rows on a logarithmic scale up to max_distance, and P may be normed
 * and meet the layer's own projections. */
#include <math.h>

#include "position/position.h"

enum { NONE, LAYER };
static const char *const norms[] = {"none", "layer", NULL};

typedef struct options {
    int64_t span, buckets, max_distance;
    int norm;
    double eps;
    bool c2p, p2c, shared, key_bias, absolute;
} options;

typedef struct layer {
    spar__param *rows, *norm, *norm_bias, *absolute;
    double eps;
    spar__relative relative;
} layer;

static const spar_option table[] = {
    {"span", SPAR_OPTION_INT, offsetof(options, span), 0, 0, 1 << 24, NULL,
     "rows on each side; 0 = the buckets, or the context"},
    {"buckets", SPAR_OPTION_INT, offsetof(options, buckets), 0, 0, 1 << 24, NULL,
     "distances beyond half of them share rows; 0 = each has its own"},
    {"max_distance", SPAR_OPTION_INT, offsetof(options, max_distance), 0, 0, 1 << 24, NULL,
     "where the buckets end; 0 = the context"},
    {"norm", SPAR_OPTION_NAME, offsetof(options, norm), NONE, 0, 0, norms, "of the rows"},
    {"eps", SPAR_OPTION_REAL, offsetof(options, eps), 1e-7, 0, 1, NULL, "of that norm"},
    {"c2p", SPAR_OPTION_BOOL, offsetof(options, c2p), 1, 0, 1, NULL, "queries meet positions"},
    {"p2c", SPAR_OPTION_BOOL, offsetof(options, p2c), 1, 0, 1, NULL, "keys meet positions"},
    {"shared", SPAR_OPTION_BOOL, offsetof(options, shared), 0, 0, 1, NULL, "by the layer's own projections"},
    {"key_bias", SPAR_OPTION_BOOL, offsetof(options, key_bias), 1, 0, 1, NULL, "of position keys"},
    {"absolute", SPAR_OPTION_BOOL, offsetof(options, absolute), 0, 0, 1, NULL,
     "vectors of positions added to the embedding too"},
    {0}};

static int64_t span_of(const spar__shape *s, const options *o) {
    return o->span ? o->span : o->buckets ? o->buckets : s->context;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    int64_t span = span_of(s, o), far = o->max_distance ? o->max_distance : s->context;
    if (o->buckets && (o->buckets < 4 || far - 1 <= o->buckets / 2))
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.position.buckets: %lld, expected 4 to %lld (below twice max_distance)",
                          (long long)o->buckets, (long long)(2 * far - 4));
    layer l = {.eps = o->eps};
    l.relative = (spar__relative){.n_rows = 2 * span,
                                  .to_query = o->c2p,
                                  .to_key = o->p2c,
                                  .shared = o->shared,
                                  .key_bias = o->key_bias};
    if (o->c2p || o->p2c) l.rows = spar__declare_matrix(b, "rel_embd.weight", s->std, 2 * span, s->d_model);
    if (l.rows && o->norm == LAYER) {
        l.norm = spar__declare_vector(b, "rel_embd_norm.weight", 1, s->d_model);
        l.norm_bias = spar__declare_vector(b, "rel_embd_norm.bias", 0, s->d_model);
    }
    if (o->absolute)
        l.absolute = spar__declare_matrix(b, "position_embd.weight", s->std, s->context, s->embedding_width);
    *(layer *)self = l;
    return b->status;
}

/* In float, as the published implementation has it. */
static int64_t bucketed(int64_t d, int64_t buckets, int64_t max_distance) {
    int64_t middle = buckets / 2, size = d < 0 ? -d : d;
    if (size <= middle) return d;
    float far = logf((float)size / (float)middle) / logf((float)(max_distance - 1) / (float)middle);
    int64_t bucket = (int64_t)ceilf(far * (float)(middle - 1)) + middle;
    return d < 0 ? -bucket : bucket;
}

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    spar__relative *r = &((layer *)self)->relative;
    int64_t span = span_of(s, o), far = o->max_distance ? o->max_distance : s->context;
    r->distance_zero = s->context - 1;
    r->n_distances = 2 * s->context - 1;
    r->distance_rows = spar__array((size_t)r->n_distances, sizeof *r->distance_rows);
    if (!r->distance_rows) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < r->n_distances; i++) {
        int64_t d = i - r->distance_zero;
        int64_t row = (o->buckets ? bucketed(d, o->buckets, far) : d) + span;
        r->distance_rows[i] = (int32_t)(row < 0 ? 0 : row >= 2 * span ? 2 * span - 1 : row);
    }
    return SPAR_OK;
}

static void release(void *self) { spar__free(((layer *)self)->relative.distance_rows); }

static spar__tensor *embed(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    if (!x || !l->absolute) return x;
    return spar__sum(pass, x, spar__embed(pass, l->absolute, pass->rows->positions, x->rows));
}

static void share(spar__pass *pass, const void *self, spar__shared *shared) {
    const layer *l = self;
    if (!l->rows) return;
    int32_t *ids = spar__take(pass, l->relative.n_rows, sizeof *ids);
    for (int64_t i = 0; ids && i < l->relative.n_rows; i++) ids[i] = (int32_t)i;
    spar__tensor *rows = ids ? spar__embed(pass, l->rows, ids, l->relative.n_rows) : NULL;
    shared->relative = l->norm ? spar__norm(pass, rows, l->norm, l->norm_bias, l->eps, true) : rows;
}

static const spar__relative *relative(const void *self) { return &((const layer *)self)->relative; }

const spar__position_kind spar__position_disentangled = {.kind = {"disentangled", table, sizeof(options)},
                                                         .self_size = sizeof(layer),
                                                         .declare = declare,
                                                         .prepare = prepare,
                                                         .release = release,
                                                         .embed = embed,
                                                         .share = share,
                                                         .relative = relative};
