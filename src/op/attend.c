/* Attention of the pass's sequences over the keys that a pattern shows them:
 * out = softmax(scale·q·kᵀ + bias)·v, head by head. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "kernel/attention.h"
#include "op/cache.h"
#include "op/content.h"
#include "op/op.h"

typedef struct attend {
    spar__tensor *q, *k, *v, *y;
    spar__attend_options o;
    int layer;
    const spar__arrangement **arranged; /* [sequences, heads], or NULL */
    real *m, *l, *lse; /* [n_heads, rows] */
    int track;         /* of the keys in the cache; the values' is the next */
    const spar__sequence *sequences;
    int64_t end; /* where the pass ends, when its rows attend as sequences of their own; else 0 */
    const spar__rows *memory; /* where the keys of cross-attention lie; NULL: in the cache */
} attend;

/* Where the keys and values of a head begin in their rows. */
static int64_t kv_column(const attend *a, int head) {
    return head / (a->o.n_heads / a->o.n_kv_heads) * a->o.head_dim;
}

static const spar__arrangement *arranged_of(const attend *a, int sequence, int head) {
    return a->arranged ? a->arranged[sequence * a->o.n_heads + head] : NULL;
}

static spar_pattern_view view_of(const spar__pass *pass, const attend *a, int sequence, int head) {
    const spar__sequence *s = &pass->rows->sequences[sequence];
    if (a->o.cross)
        return (spar_pattern_view){.q_begin = s->past,
                                   .q_end = s->past + s->count,
                                   .n_keys = a->memory ? a->memory->sequences[sequence].count : s->source,
                                   .head = head,
                                   .n_heads = a->o.n_heads};
    int64_t end = s->past + s->count;
    return (spar_pattern_view){.q_begin = s->past,
                               .q_end = end,
                               .n_keys = end - s->padding,
                               .prefix = s->prefix,
                               .head = head,
                               .n_heads = a->o.n_heads,
                               .layer = a->layer,
                               .arranged = arranged_of(a, sequence, head)};
}

/* The first row of k and v of a sequence. */
static int64_t key_begin(const attend *a, const spar__sequence *s) {
    return a->memory ? a->memory->sequences[s - a->sequences].begin : s->begin;
}

static void add_scores(const spar__pass *pass, const attend *a, const spar__sequence *s, int head,
                       spar__attention_args *args) {
    const spar__attend_options *o = &a->o;
    if (!o->distance_rows) return;
    args->distance_rows = o->distance_rows;
    args->distance_zero = o->distance_zero;
    args->n_distances = o->n_distances;
    if (o->q_scores) {
        args->q_scores_stride = o->q_scores->cols;
        args->q_scores = spar__data(o->q_scores) + s->begin * o->q_scores->cols +
                         head * (o->q_scores->cols / o->n_heads);
    }
    if (!o->k_scores) return;
    args->k_scores_stride = o->k_scores->cols;
    const real *rows = spar__data(o->k_scores) + s->begin * o->k_scores->cols;
    if (pass->cache) rows = spar__cache_at(pass->cache, pass->layer, o->scores_track, s->slot).rows;
    args->k_scores = rows + head * (o->k_scores->cols / o->n_heads);
}

/* The arguments of one head of one sequence, without those of the backward pass. */
static spar__attention_args args_of(const spar__pass *pass, const attend *a, int sequence, int head) {
    const spar__sequence *s = &pass->rows->sequences[sequence];
    const spar__arrangement *order = arranged_of(a, sequence, head);
    const spar__attend_options *o = &a->o;
    int64_t rows = a->q->rows, kv = kv_column(a, head);
    int64_t stat = head * rows + s->begin, at = s->begin * a->q->cols + head * o->head_dim;
    spar__attention_args args = {
        .head_dim = o->head_dim,
        .value_dim = o->head_dim,
        .scale = (real)o->scale,
        .q = spar__data(a->q) + at,
        .q_stride = a->q->cols,
        .q_first = s->past,
        .first = pass->rows->first && !o->cross ? pass->rows->first + s->begin : NULL,
        .bias = o->bias ? o->bias + head * o->n_bias : NULL,
        .bias_zero = o->bias_zero,
        .n_bias = o->n_bias,
        .out = spar__data(a->y) + at,
        .out_stride = a->y->cols,
        .m = a->m + stat,
        .l = a->l + stat,
        .lse = a->lse ? a->lse + stat : NULL,
    };
    if (order) {
        args.q_order = order->q_order;
        args.k_order = order->k_order;
        args.order_causal = order->causal;
    }
    if (pass->cache) {
        spar__cache_view ks = spar__cache_at(pass->cache, pass->layer, a->track, s->slot);
        spar__cache_view vs = spar__cache_at(pass->cache, pass->layer, a->track + 1, s->slot);
        const spar__type_traits *type = spar__type_of(ks.type);
        int64_t part = kv / ks.stride, within = kv % ks.stride;
        size_t offset = (size_t)part * ks.plane_bytes + spar__bytes_of(ks.type, within);
        args.k = (char *)ks.rows + offset;
        args.v = (char *)vs.rows + offset;
        args.k_stride = args.v_stride = ks.stride;
        args.ring = ks.ring;
        args.ring_low = (a->end ? a->end : s->past + s->count) - ks.ring;
        args.columns = ks.columns;
        args.kv_type = ks.type;
        args.block = type->block;
        args.block_bytes = type->block_bytes;
        if (type->block > 1) args.decode = spar__k()->decode[ks.type];
    } else {
        args.k = spar__data(a->k) + key_begin(a, s) * a->k->cols + kv;
        args.v = spar__data(a->v) + key_begin(a, s) * a->v->cols + kv;
        args.k_stride = a->k->cols;
        args.v_stride = a->v->cols;
        args.kv_type = SPAR__F32;
    }
    add_scores(pass, a, s, head, &args);
    return args;
}

/* One unit of parallel work: a tile of a head of a sequence. */
typedef struct unit {
    int sequence, head;
    int64_t tile;
} unit;

static unit *list_units(spar__pass *pass, const attend *a, int part, int64_t *count) {
    const spar__rows *rows = pass->rows;
    int64_t n = 0;
    unit *units = NULL;
    for (int fill = 0; fill < 2; fill++) {
        if (fill && !(units = spar__take(pass, n, sizeof *units))) return NULL;
        n = 0;
        for (int s = 0; s < rows->n_sequences; s++)
            for (int h = 0; h < a->o.n_heads; h++) {
                spar_pattern_view view = view_of(pass, a, s, h);
                bool has = part < a->o.kind->parts(a->o.pattern, &view);
                int64_t tiles = has ? a->o.kind->tiles(a->o.pattern, &view, part) : 0;
                for (int64_t t = 0; fill && t < tiles; t++) units[n + t] = (unit){s, h, t};
                n += tiles;
            }
    }
    *count = n;
    return units;
}

static int most_parts(const spar__pass *pass, const attend *a) {
    int most = 0;
    for (int s = 0; s < pass->rows->n_sequences; s++)
        for (int h = 0; h < a->o.n_heads; h++) {
            spar_pattern_view view = view_of(pass, a, s, h);
            int parts = a->o.kind->parts(a->o.pattern, &view);
            if (parts > most) most = parts;
        }
    return most;
}

/* A row that saw no other key has its own value (op/content.h); this logsumexp then says so. */
#define ALONE ((real)1e30)

/* Patterns of one part begin and end in their tile. Where there are more, queries that a part leaves
 * out must begin and end all the same, so that is done apart. */
static void begin_rows(const attend *a) {
    int64_t n = a->o.n_heads * a->q->rows;
    for (int64_t i = 0; i < n; i++) a->m[i] = (real)-1e30, a->l[i] = 0;
    memset(a->y->data, 0, (size_t)(a->y->rows * a->y->cols) * sizeof(real));
}

static void finish_rows(const attend *a) {
    int64_t rows = a->q->rows, d = a->o.head_dim;
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int h = 0; h < a->o.n_heads; h++) {
            real l = a->l[h * rows + r];
            real *y = spar__data(a->y) + r * a->y->cols + h * d;
            bool alone = a->arranged && !(l > 0);
            if (alone) memcpy(y, spar__data(a->v) + r * a->v->cols + kv_column(a, h), (size_t)d * sizeof *y);
            else if (l > 0) k->scale(y, 1 / l, d);
            if (a->lse) a->lse[h * rows + r] = alone ? ALONE : a->m[h * rows + r] + (l > 0 ? (real)log((double)l) : 0);
        }
}

/* Whether threads are worth their start: what a head of a token sees is much. */
static bool worth_threads(const attend *a, int64_t units) {
    if (units < 2) return false;
    if (a->q->rows > 1) return true;
    int64_t keep = a->o.kind->keep ? a->o.kind->keep(a->o.pattern) : 0, seen = a->sequences->past + 1;
    if (keep && keep < seen) seen = keep;
    return seen * a->o.head_dim * units > 1 << 16;
}

static void forward(spar__pass *pass, const attend *a) {
    int parts = most_parts(pass, a);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    size_t size = spar__attention_workspace(a->o.head_dim, a->o.head_dim, false);
    char *work = spar__take(pass, spar__threads(), size);
    if (parts != 1) begin_rows(a);
    for (int part = 0; part < parts && spar__ok(pass); part++) {
        int64_t count = 0;
        unit *units = list_units(pass, a, part, &count);
        if (!units || !work) break;
        bool threads = worth_threads(a, count);
#pragma omp parallel for schedule(dynamic) if (threads)
        for (int64_t u = 0; u < count; u++) {
            spar_pattern_view view = view_of(pass, a, units[u].sequence, units[u].head);
            spar__attention_args args = args_of(pass, a, units[u].sequence, units[u].head);
            args.start = args.finish = parts == 1;
            spar_tile tile;
            a->o.kind->tile(a->o.pattern, &view, part, units[u].tile, &tile);
            spar__k()->attend(&args, &tile, work + (size_t)omp_get_thread_num() * size);
        }
    }
    if (parts != 1 && spar__ok(pass)) finish_rows(a);
    spar__arena_rewind(pass->arena, mark);
}

/* ---- Looking: the kernel is given the identity for its values, so what it puts out are the weights, under the
 * masks and with the scores of any pattern and position ---- */

typedef struct looking {
    real *identity, *weights, *m, *l; /* [keys, keys], [queries, keys], [queries] */
    void *work;
} looking;

static void weigh(const spar__pass *pass, const attend *a, const spar__look *look, const looking *w) {
    spar_pattern_view view = view_of(pass, a, look->sequence, look->head);
    spar__attention_args args = args_of(pass, a, look->sequence, look->head);
    int64_t n = look->n_keys, queries = look->n_queries;
    args.v = w->identity;
    args.out = w->weights;
    args.value_dim = args.v_stride = args.out_stride = n;
    args.m = w->m;
    args.l = w->l;
    args.lse = NULL;
    memset(w->identity, 0, (size_t)(n * n) * sizeof(real));
    for (int64_t i = 0; i < n; i++) w->identity[i * n + i] = 1;
    memset(w->weights, 0, (size_t)(queries * n) * sizeof(real));
    for (int64_t i = 0; i < queries; i++) w->m[i] = (real)-1e30, w->l[i] = 0;
    int parts = a->o.kind->parts(a->o.pattern, &view);
    for (int part = 0; part < parts; part++) {
        int64_t tiles = a->o.kind->tiles(a->o.pattern, &view, part);
        for (int64_t t = 0; t < tiles; t++) {
            spar_tile tile;
            a->o.kind->tile(a->o.pattern, &view, part, t, &tile);
            spar__k()->attend(&args, &tile, w->work);
        }
    }
    for (int64_t i = 0; i < queries; i++) {
        if (w->l[i] > 0) spar__k()->scale(w->weights + i * n, 1 / w->l[i], n);
        else if (a->arranged && i < n) w->weights[i * n + i] = 1; /* alone: its own value */
    }
}

static void look_at(spar__pass *pass, const attend *a, spar__look *look) {
    spar__arena_mark mark = spar__arena_here(pass->arena);
    looking w = {.identity = spar__take(pass, look->n_keys * look->n_keys, sizeof(real)),
                 .weights = spar__take(pass, look->n_queries * look->n_keys, sizeof(real)),
                 .m = spar__take(pass, look->n_queries, sizeof(real)),
                 .l = spar__take(pass, look->n_queries, sizeof(real)),
                 .work = spar__take(pass, 1, spar__attention_workspace(a->o.head_dim, look->n_keys, false))};
    if (spar__ok(pass)) {
        spar__attention_args args = args_of(pass, a, look->sequence, look->head);
        weigh(pass, a, look, &w);
        look->weights = w.weights;
        look->v = args.v;
        look->v_stride = args.v_stride;
        look->out = args.out;
        look->out_stride = args.out_stride;
        pass->looker->see(pass->looker->context, pass, look);
    }
    spar__arena_rewind(pass->arena, mark);
}

static void let_look(spar__pass *pass, const attend *a) {
    for (int s = 0; s < pass->rows->n_sequences; s++)
        for (int h = 0; h < a->o.n_heads && spar__ok(pass); h++) {
            spar__look look = {.sequence = s, .head = h, .layer = a->layer, .cross = a->o.cross,
                               .n_queries = pass->rows->sequences[s].count,
                               .n_keys = view_of(pass, a, s, h).n_keys,
                               .head_dim = a->o.head_dim};
            if (look.n_keys && pass->looker->wants(pass->looker->context, pass, &look)) look_at(pass, a, &look);
        }
}

/* ---- Backward: a thread owns a group of heads that share keys in a sequence, so that sums over queries
 * are made in one order ---- */

static void find_delta(const attend *a, real *delta) {
    int64_t rows = a->q->rows, d = a->o.head_dim;
    const spar__kernels *k = spar__k();
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int h = 0; h < a->o.n_heads; h++) {
            int64_t at = r * a->y->cols + h * d;
            delta[h * rows + r] = k->dot(a->y->grad + at, spar__data(a->y) + at, d);
        }
}

typedef struct gradients {
    real *dq, *dk, *dv, *delta, *dq_scores, *dk_scores;
} gradients;

static void backward_group(const spar__pass *pass, const attend *a, const gradients *g,
                           int sequence, int kv_head, void *work) {
    const spar__sequence *s = &pass->rows->sequences[sequence];
    const spar__attend_options *o = &a->o;
    int group = o->n_heads / o->n_kv_heads;
    for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
        spar_pattern_view view = view_of(pass, a, sequence, head);
        spar__attention_args args = args_of(pass, a, sequence, head);
        int64_t at = s->begin * a->q->cols + head * o->head_dim;
        int64_t kv = key_begin(a, s) * a->k->cols + kv_head * o->head_dim;
        args.dout = a->y->grad + at;
        args.delta = g->delta + head * a->q->rows + s->begin;
        args.dq = g->dq + at;
        args.dk = g->dk + kv;
        args.dv = g->dv + kv;
        args.dbias = o->dbias ? o->dbias + head * o->n_bias : NULL;
        if (g->dq_scores) args.dq_scores = g->dq_scores + (args.q_scores - spar__data(o->q_scores));
        if (g->dk_scores) args.dk_scores = g->dk_scores + (args.k_scores - spar__data(o->k_scores));
        int parts = o->kind->parts(o->pattern, &view);
        for (int part = 0; part < parts; part++) {
            int64_t tiles = o->kind->tiles(o->pattern, &view, part);
            for (int64_t t = 0; t < tiles; t++) {
                spar_tile tile;
                o->kind->tile(o->pattern, &view, part, t, &tile);
                spar__k()->attend_back(&args, &tile, work);
            }
        }
        for (int64_t r = 0; a->arranged && r < s->count; r++)
            if (args.lse[r] == ALONE)
                spar__k()->add(args.dv + r * a->v->cols, args.dout + r * a->y->cols, o->head_dim);
    }
}

static real *cleared_grad(spar__pass *pass, spar__tensor *t) {
    bool add;
    real *d = spar__grad(pass, t, &add);
    if (d && !add) memset(d, 0, (size_t)(t->rows * t->cols) * sizeof *d);
    return d;
}

static void attend_back(spar__pass *pass, void *arguments) {
    attend *a = arguments;
    if (!a->y->grad_started) return;
    gradients g = {.dq = cleared_grad(pass, a->q),
                   .dk = cleared_grad(pass, a->k),
                   .dv = cleared_grad(pass, a->v)};
    if (a->o.q_scores) g.dq_scores = cleared_grad(pass, a->o.q_scores);
    if (a->o.k_scores) g.dk_scores = cleared_grad(pass, a->o.k_scores);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    size_t size = spar__attention_workspace(a->o.head_dim, a->o.head_dim, true);
    char *work = spar__take(pass, spar__threads(), size);
    g.delta = spar__take(pass, a->o.n_heads * a->q->rows, sizeof(real));
    if (!g.dq || !g.dk || !g.dv || !g.delta) return;
    find_delta(a, g.delta);
    const spar__rows *rows = pass->rows;
    int64_t heads = a->o.n_kv_heads, sequences = rows->n_sequences;
    /* The bias is shared by the sequences: its sum runs over them within a thread. */
    int64_t together = a->o.dbias ? sequences : 1;
#pragma omp parallel for schedule(dynamic)
    for (int64_t u = 0; u < heads * sequences / together; u++)
        for (int64_t s = u / heads * together; s < (u / heads + 1) * together; s++)
            backward_group(pass, a, &g, (int)s, (int)(u % heads),
                           work + (size_t)omp_get_thread_num() * size);
    spar__arena_rewind(pass->arena, mark);
    spar__grad_done(pass, a->y);
}

/* Each row of the pass's one sequence as a sequence. */
static const spar__rows *split_rows(spar__pass *pass) {
    const spar__sequence *s = pass->rows->sequences;
    spar__rows *rows = spar__take(pass, 1, sizeof *rows);
    spar__sequence *each = spar__take(pass, s->count, sizeof *each);
    if (!spar__ok(pass)) return NULL;
    *rows = *pass->rows;
    rows->n_sequences = (int)s->count;
    rows->sequences = each;
    for (int64_t i = 0; i < s->count; i++) {
        each[i] = *s;
        each[i].begin += i;
        each[i].past += i;
        each[i].count = 1;
    }
    return rows;
}

/* Patterns that choose by content are shown the queries of each sequence. */
static const spar__arrangement **arrange(spar__pass *pass, const attend *a) {
    const spar__rows *rows = pass->rows;
    const spar__arrangement **out = spar__take(pass, rows->n_sequences * a->o.n_heads, sizeof(void *));
    for (int s = 0; s < rows->n_sequences && out && spar__ok(pass); s++) {
        spar__content_request r = {.options = a->o.pattern,
                                   .self = a->o.pattern_self,
                                   .view = view_of(pass, a, s, 0),
                                   .head_dim = a->o.head_dim,
                                   .q = spar__data(a->q) + rows->sequences[s].begin * a->q->cols,
                                   .q_stride = a->q->cols};
        if (pass->cache) {
            r.state = spar__cache_state(pass->cache, pass->layer, rows->sequences[s].slot);
            r.context = spar__cache_context(pass->cache);
        }
        a->o.kind->content->arrange(pass, &r, out + s * a->o.n_heads);
    }
    return spar__ok(pass) ? out : NULL;
}

spar__tensor *spar__attend(spar__pass *pass, spar__tensor *q, spar__tensor *k, spar__tensor *v,
                           const spar__attend_options *o) {
    bool held = o->cross && pass->cache; /* the keys have long been there */
    if (!q || (!held && (!k || !v)) || !spar__ok(pass)) return NULL;
    if (!held && (q->cols != o->n_heads * o->head_dim || k->cols != o->n_kv_heads * o->head_dim || v->cols != k->cols))
        return spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "attention: widths %lld, %lld, %lld do not fit the heads",
                                           (long long)q->cols, (long long)k->cols, (long long)v->cols));
    bool needs = q->needs_grad || (!held && (k->needs_grad || v->needs_grad));
    attend a = {.q = q, .k = k, .v = v, .o = *o, .layer = pass->layer, .track = pass->track};
    a.sequences = pass->rows->sequences;
    a.memory = o->cross && !held ? pass->shared->memory_rows : NULL;
    a.y = spar__new(pass, q->rows, q->cols, needs);
    bool keep = a.y && a.y->needs_grad;
    int64_t stats = o->n_heads * q->rows;
    a.lse = keep ? spar__take(pass, stats, sizeof(real)) : NULL;
    const spar_pattern_kind *kind = o->kind;
    if (kind->content && keep) a.arranged = arrange(pass, &a);
    spar__arena_mark mark = spar__arena_here(pass->arena);
    a.m = spar__take(pass, stats, sizeof(real));
    a.l = spar__take(pass, stats, sizeof(real));
    if (!spar__ok(pass)) return NULL;
    for (int i = 0; pass->cache && !held && i < pass->rows->n_sequences; i++) {
        const spar__sequence *s = &pass->rows->sequences[i];
        spar_status status = spar__cache_check(pass->cache, s);
        if (status) return spar__stop(pass, status);
        spar__cache_store(pass->cache, pass->layer, a.track, s->slot, s->past, s->count,
                          spar__data(k) + s->begin * k->cols);
        spar__cache_store(pass->cache, pass->layer, a.track + 1, s->slot, s->past, s->count,
                          spar__data(v) + s->begin * v->cols);
        if (o->k_scores)
            spar__cache_store(pass->cache, pass->layer, o->scores_track, s->slot, s->past, s->count,
                              spar__data(o->k_scores) + s->begin * o->k_scores->cols);
    }
    const spar__rows *together = pass->rows;
    if (pass->cache && pass->singly && together->n_sequences == 1) {
        a.end = together->sequences->past + together->sequences->count;
        pass->rows = split_rows(pass);
        if (!pass->rows) {
            pass->rows = together;
            return NULL;
        }
        a.sequences = pass->rows->sequences;
    }
    if (kind->content && !keep) a.arranged = arrange(pass, &a);
    if (spar__ok(pass)) forward(pass, &a);
    pass->rows = together;
    if (!spar__ok(pass)) return NULL;
    if (pass->looker && !pass->cache && spar__ok(pass)) let_look(pass, &a);
    spar__arena_rewind(pass->arena, mark);
    if (keep) spar__push(pass, attend_back, &a, sizeof a);
    return a.y;
}
