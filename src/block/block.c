#include "block/block.h"

#include "op/content.h"

spar__tensor *spar__block_norm(spar__pass *pass, const spar__norm_layer *n, spar__tensor *x) {
    return spar__norm(pass, x, n->weight, n->bias, n->eps, n->center);
}

static int projection_tracks(const spar__block *b, spar__cache_track *out) {
    const spar__projection_kind *kind = (const spar__projection_kind *)b->projection.kind;
    return kind->tracks ? kind->tracks(b->shape, b->projection.options, out) : 0;
}

static const spar__relative *relative_of(const spar__block *b) {
    return b->position->relative ? b->position->relative(b->position_self) : NULL;
}

/* Those that come before the kinds' own. */
static int attention_tracks(const spar__block *b, spar__cache_track *out) {
    const spar_pattern_kind *pattern = (const spar_pattern_kind *)b->pattern.kind;
    const spar__relative *relative = relative_of(b);
    int64_t width = b->shape->n_kv_heads * b->shape->head_dim, keep = pattern->keep(b->pattern.options);
    int n = SPAR__KEY_VALUE_TRACKS;
    spar_key_run columns = {0};
    if (pattern->columns) pattern->columns(b->pattern.options, b->shape->n_heads, &columns);
    out[SPAR__TRACK_KEYS] = out[SPAR__TRACK_VALUES] = (spar__cache_track){width, keep, false, columns, 0, b->shape->head_dim};
    if (b->cross.kind)
        for (int i = 0; i < 2; i++) out[n++] = (spar__cache_track){.width = width, .rows = b->memory_context, .part = b->shape->head_dim};
    if (relative && relative->to_key)
        out[n++] = (spar__cache_track){b->shape->n_heads * relative->n_rows, keep, true, columns, 0};
    return n;
}

int spar__block_tracks(const spar__block *b, spar__cache_track out[SPAR__BLOCK_TRACKS]) {
    const spar__feedforward_kind *feedforward = (const spar__feedforward_kind *)b->feedforward.kind;
    int n = attention_tracks(b, out);
    n += projection_tracks(b, out + n);
    if (feedforward->tracks) n += feedforward->tracks(b->shape, b->feedforward.options, out + n);
    return n + spar__recurrent_tracks(&b->recurrent, out + n);
}

int64_t spar__block_state(const spar__block *b, int64_t context) {
    const spar_pattern_kind *kind = (const spar_pattern_kind *)b->pattern.kind;
    if (!kind->content || !kind->content->state_size) return 0;
    return kind->content->state_size(b->pattern.options, b->pattern_self, b->shape->n_heads, context);
}

/* Scores of the layer's queries and keys for relative positions. */
static void score_positions(spar__pass *pass, const spar__block *b, spar__tensor *qkv[3],
                            spar__attend_options *o) {
    const spar__relative *r = relative_of(b);
    spar__tensor *rows = r && pass->shared ? pass->shared->relative : NULL;
    if (!rows) return;
    const spar__projection_kind *p = (const spar__projection_kind *)b->projection.kind;
    spar__tensor *of[3] = {NULL, NULL, NULL};
    if (r->shared) {
        if (r->to_key) p->part(pass, b->projection.options, b->projection_self, rows, true, false, of);
        if (r->to_query) p->part(pass, b->projection.options, b->projection_self, rows, false, false, of);
    } else {
        if (r->to_key) of[0] = spar__linear(pass, rows, b->relative_query, b->relative_query_bias);
        if (r->to_query) of[1] = spar__linear(pass, rows, b->relative_key, b->relative_key_bias);
    }
    int heads = b->shape->n_heads;
    int64_t d = b->shape->head_dim;
    if (r->to_query) o->q_scores = spar__head_products(pass, qkv[0], of[1], heads, d, o->scale);
    if (r->to_key) o->k_scores = spar__head_products(pass, qkv[1], of[0], heads, d, o->scale);
    o->distance_rows = r->distance_rows;
    o->distance_zero = r->distance_zero;
    o->n_distances = r->n_distances;
    o->scores_track = SPAR__KEY_VALUE_TRACKS + (b->cross.kind ? SPAR__CROSS_TRACKS : 0);
}

static void bias_scores(spar__pass *pass, const spar__block *b, spar__attend_options *o) {
    if (b->position->bias) {
        const spar__distance_bias *bias = b->position->bias(b->position_self);
        o->bias = bias->table;
        o->bias_zero = bias->zero;
        o->n_bias = bias->n;
    } else if (pass->shared && pass->shared->bias) {
        const spar__tensor *bias = pass->shared->bias;
        o->bias = spar__data(bias);
        o->dbias = bias->grad;
        o->bias_zero = pass->shared->bias_zero;
        o->n_bias = bias->cols;
    }
}

spar__tensor *spar__block_attention(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    if (!x || !spar__ok(pass)) return NULL;
    const spar__projection_kind *projection = (const spar__projection_kind *)b->projection.kind;
    spar__tensor *qkv[3] = {NULL, NULL, NULL};
    spar__cache_track skipped[SPAR__BLOCK_TRACKS];
    int own = attention_tracks(b, skipped);
    pass->track = own;
    projection->inputs(pass, b->projection.options, b->projection_self, x, qkv);
    if (b->position->turn)
        for (int i = 0; i < 2; i++) qkv[i] = b->position->turn(pass, b->position_self, qkv[i]);
    if (projection->keys) qkv[1] = projection->keys(pass, b->projection.options, b->projection_self, qkv[0]);
    spar__attend_options o = {.n_heads = b->shape->n_heads,
                              .n_kv_heads = b->shape->n_kv_heads,
                              .head_dim = b->shape->head_dim,
                              .scale = b->attention_scale,
                              .kind = (const spar_pattern_kind *)b->pattern.kind,
                              .pattern = b->pattern.options,
                              .pattern_self = b->pattern_self};
    bias_scores(pass, b, &o);
    score_positions(pass, b, qkv, &o);
    pass->track = SPAR__TRACK_KEYS;
    spar__tensor *y = spar__attend(pass, qkv[0], qkv[1], qkv[2], &o);
    pass->track = own;
    if (y) y = projection->output(pass, b->projection.options, b->projection_self, y);
    return spar__dropout(pass, y, b->dropout);
}

void spar__block_memory(spar__pass *pass, const spar__block *b, spar__tensor *memory, spar__tensor *qkv[3]) {
    const spar__projection_kind *projection = (const spar__projection_kind *)b->cross.kind;
    if (memory && spar__ok(pass)) projection->part(pass, b->cross.options, b->cross_self, memory, false, true, qkv);
}

spar__tensor *spar__block_cross(spar__pass *pass, const spar__block *b, spar__tensor *x) {
    if (!x || !spar__ok(pass)) return NULL;
    const spar__projection_kind *projection = (const spar__projection_kind *)b->cross.kind;
    spar__tensor *qkv[3] = {NULL, NULL, NULL};
    projection->part(pass, b->cross.options, b->cross_self, x, true, false, qkv);
    if (!pass->cache) spar__block_memory(pass, b, pass->shared->memory, qkv);
    spar__attend_options o = {.n_heads = b->shape->n_heads,
                              .n_kv_heads = b->shape->n_kv_heads,
                              .head_dim = b->shape->head_dim,
                              .scale = b->cross_scale,
                              .kind = spar_pattern_find("full"),
                              .cross = true};
    pass->track = SPAR__KEY_VALUE_TRACKS;
    spar__tensor *y = spar__attend(pass, qkv[0], qkv[1], qkv[2], &o);
    if (y) y = projection->output(pass, b->cross.options, b->cross_self, y);
    return spar__dropout(pass, y, b->dropout);
}

bool spar__block_has_feedforward(const spar__block *b) {
    return !((const spar__feedforward_kind *)b->feedforward.kind)->absent;
}

spar__tensor *spar__block_feedforward(spar__pass *pass, const spar__block *b, spar__tensor *h, spar__tensor *x) {
    if (!h || !x || !spar__ok(pass)) return NULL;
    const spar__feedforward_kind *kind = (const spar__feedforward_kind *)b->feedforward.kind;
    spar__cache_track skipped[SPAR__BLOCK_TRACKS];
    int n = attention_tracks(b, skipped);
    pass->track = n + projection_tracks(b, skipped + n);
    spar__tensor *y = kind->run(pass, b->feedforward.options, b->feedforward_self, h);
    if (b->recurrent.n_layers) {
        if (kind->tracks) pass->track += kind->tracks(b->shape, b->feedforward.options, skipped);
        y = spar__sum(pass, y, spar__recurrent_run(pass, &b->recurrent, x));
    }
    return spar__dropout(pass, y, b->dropout);
}

/* ---- Recomputation ------------------------------------------------------------------------ */

typedef struct recomputed {
    const spar__block *block;
    spar__tensor *x, *y;
    uint64_t site;
} recomputed;

static void recomputed_back(spar__pass *pass, void *arguments) {
    recomputed *r = arguments;
    if (!r->y->grad_started) return;
    bool add = false;
    /* The gradient of x outlives the inside of the block, which is dropped at the end. */
    real *dx = spar__grad(pass, r->x, &add);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    spar__weight_copy *copies = pass->copies;
    spar__record *until = pass->tape;
    uint64_t site = pass->site;
    struct spar__observer *observer = pass->observer;
    spar__tensor inside = *r->x;
    inside.grad = dx;
    inside.grad_started = add;
    inside.half = NULL;
    pass->site = r->site;
    pass->layer = r->block->index;
    pass->recording = true;
    pass->observer = NULL; /* it has been told in the forward pass */
    spar__tensor *y = r->block->residual->run(pass, r->block, &inside);
    if (y) {
        y->grad = r->y->grad;
        y->grad_started = true;
        spar__run_backward(pass, until);
    }
    pass->tape = until;
    pass->site = site;
    pass->observer = observer;
    spar__drop_copies(pass, copies);
    spar__arena_rewind(pass->arena, mark);
    spar__grad_done(pass, r->y);
}

spar__tensor *spar__block_run(spar__pass *pass, const spar__block *block, spar__tensor *x, bool recompute) {
    if (!x || !spar__ok(pass)) return NULL;
    pass->layer = block->index;
    if (!recompute || !pass->recording) return block->residual->run(pass, block, x);
    /* The result must outlive what is dropped, so its place is taken first. */
    uint64_t site = pass->site;
    spar__tensor *y = spar__new(pass, x->rows, x->cols, true);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    spar__weight_copy *copies = pass->copies;
    spar__tensor inside = *x;
    inside.half = NULL;
    pass->recording = false;
    spar__tensor *result = block->residual->run(pass, block, &inside);
    pass->recording = true;
    if (!y || !result) return NULL;
    const real *from = spar__data(result);
    real *to = spar__data(y);
    for (int64_t i = 0, n = y->rows * y->cols; i < n; i++) to[i] = from[i];
    spar__drop_copies(pass, copies);
    spar__arena_rewind(pass->arena, mark);
    spar__push(pass, recomputed_back, &(recomputed){block, x, y, site}, sizeof(recomputed));
    return y;
}
