/* Attention of one tile of queries, forward and backward (kernel/attention.h).
 *
 * Keys are gathered in blocks into the workspace, so the arithmetic is small dense products:
 *     S = q·Kᵀ·scale + bias, masked;  P = exp(S − m);  out = out·exp(m_old − m) + P·V
 * and backward, with P = exp(S − lse) and dP = dout·Vᵀ:
 *     dV += Pᵀ·dout;  dS = P∘(dP − delta);  dq += scale·dS·K;  dK += scale·dSᵀ·q
 * A row sees one stretch of a block's keys. Products take the stretch that some row of their group of rows sees,
 * so a block at a pattern's edge costs about what is seen of it; what is left out are zeros of P and dS. */
#include "kernel/isa/functions.h"
#include "kernel/isa/vec.h"

enum { QUERIES = SPAR_TILE_QUERIES, KEYS = 64, FEW = 4 };

static int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

typedef struct workspace {
    real *q;      /* [QUERIES, d] scaled queries */
    real *kt;     /* [d, KEYS] */
    real *k, *v;  /* [KEYS, d], [KEYS, dv] */
    real *s, *ds; /* [QUERIES, KEYS] */
    real *o;      /* [QUERIES, dv] */
    real *vt;     /* [dv, KEYS] and below: backward only */
    real *dout, *dq, *dk, *dv;
    int64_t d, dv_width; /* padded widths */
    int64_t place[KEYS]; /* where the block's keys stand in the tile's runs */
    int64_t at[KEYS];    /* their positions */
    int from[QUERIES], to[QUERIES];   /* of the block's keys, those that a row sees */
    int begin[QUERIES], end[QUERIES]; /* those that its group of rows sees, widened to multiples of 16 */
    const real *k_row[KEYS], *v_row[KEYS]; /* of few queries: in the workspace, or where they are kept */
} workspace;

static size_t lay_out(workspace *w, real *memory, int64_t head_dim, int64_t value_dim, bool backward) {
    int64_t d = padded(head_dim), dv = padded(value_dim);
    size_t used = 0;
#define PIECE(name, n) w->name = memory ? memory + used : NULL, used += (size_t)(n)
    w->d = d;
    w->dv_width = dv;
    PIECE(q, QUERIES * d);
    PIECE(kt, d * KEYS);
    PIECE(k, KEYS * d);
    PIECE(v, KEYS * dv);
    PIECE(s, QUERIES * KEYS);
    PIECE(ds, QUERIES * KEYS);
    PIECE(o, QUERIES * dv);
    if (backward) {
        PIECE(vt, dv * KEYS);
        PIECE(dout, QUERIES * dv);
        PIECE(dq, QUERIES * d);
        PIECE(dk, KEYS * d);
        PIECE(dv, KEYS * dv);
    }
#undef PIECE
    return used * sizeof(real);
}

/* ---- The small product: columns [from, to) of C[m, n] += A·B with A[i, l] = a[i·a_row + l·a_step] broadcast, B
 * and C in rows of n; from and to multiples of 16 ---- */

SPAR__INLINE void product_rows(int rows, int64_t from, int64_t to, int64_t n, int64_t depth, const real *a,
                               int64_t a_row, int64_t a_step, const real *b, real *c) {
    for (int64_t j = from; j < to; j += 2 * SPAR__LANES) {
        vec sum[VEC_ROWS][2];
        bool two = j + 2 * SPAR__LANES <= to;
        for (int i = 0; i < rows; i++) {
            sum[i][0] = vec_load(c + i * n + j);
            sum[i][1] = two ? vec_load(c + i * n + j + SPAR__LANES) : vec_all(0);
        }
        if (two) {
#pragma GCC unroll 1 /* all registers are taken: more would be spilled */
            for (int64_t l = 0; l < depth; l++) {
                vec b0 = vec_load(b + l * n + j), b1 = vec_load(b + l * n + j + SPAR__LANES);
                for (int i = 0; i < rows; i++) {
                    vec x = vec_all(a[i * a_row + l * a_step]);
                    sum[i][0] += x * b0;
                    sum[i][1] += x * b1;
                }
            }
        } else {
#pragma GCC unroll 1
            for (int64_t l = 0; l < depth; l++) {
                vec b0 = vec_load(b + l * n + j);
                for (int i = 0; i < rows; i++) sum[i][0] += vec_all(a[i * a_row + l * a_step]) * b0;
            }
        }
        for (int i = 0; i < rows; i++) {
            vec_store(c + i * n + j, sum[i][0]);
            if (two) vec_store(c + i * n + j + SPAR__LANES, sum[i][1]);
        }
    }
}

SPAR__INLINE void product_group(int rows, int64_t from, int64_t to, int64_t n, int64_t depth, const real *a,
                                int64_t a_row, int64_t a_step, const real *b, real *c) {
    if (depth <= 0) return;
    if (rows == VEC_ROWS) product_rows(VEC_ROWS, from, to, n, depth, a, a_row, a_step, b, c);
    else product_rows(1, from, to, n, depth, a, a_row, a_step, b, c);
}

/* Of m rows, those that go together from row i on. */
static int group_at(int64_t i, int64_t m) { return i + VEC_ROWS <= m ? VEC_ROWS : 1; }

/* C[m, KEYS] += A·B, the columns that are seen; rows of A are `depth` long. */
static void product_columns(const workspace *w, int m, int64_t depth, const real *a, const real *b, real *c) {
    for (int i = 0, g; i < m; i += g) {
        g = group_at(i, m);
        product_group(g, w->begin[i], w->end[i], KEYS, depth, a + i * depth, depth, 1, b, c + i * KEYS);
    }
}

/* C[m, width] += A[m, KEYS]·B, over the n keys that are seen. */
static void product_keys(const workspace *w, int m, int n, int64_t width, const real *a, const real *b, real *c) {
    for (int i = 0, g; i < m; i += g) {
        g = group_at(i, m);
        int from = w->begin[i], to = w->end[i] < n ? w->end[i] : n;
        product_group(g, 0, width, width, to - from, a + i * KEYS + from, KEYS, 1, b + from * width, c + i * width);
    }
}

/* C[n, width] += A[m, KEYS]ᵀ·B, over the rows that see any of a group of keys. */
static void product_queries(const workspace *w, int m, int n, int64_t width, const real *a, const real *b, real *c) {
    for (int k = 0, g; k < n; k += g) {
        g = group_at(k, n);
        int from = 0, to = m;
        while (from < m && (w->end[from] <= k || w->begin[from] >= k + g)) from++;
        while (to > from && (w->end[to - 1] <= k || w->begin[to - 1] >= k + g)) to--;
        product_group(g, 0, width, width, to - from, a + from * KEYS + k, 1, KEYS, b + from * width, c + k * width);
    }
}

/* ---- Gathering ---- */

static void load_row(const spar__attention_args *a, real *to, const void *from, int64_t at, int64_t n) {
    spar__type type = a->kv_type;
    if (a->decode) {
        a->decode(to, (const char *)from + (size_t)(at / a->block) * a->block_bytes, n);
    } else if (type == SPAR__F32) {
        memcpy(to, (const real *)from + at, (size_t)n * sizeof *to);
    } else if (type == SPAR__BF16) {
        for (int64_t i = 0; i < n; i++) to[i] = from_bf16(((const uint16_t *)from)[at + i]);
    } else {
        for (int64_t i = 0; i < n; i++) to[i] = from_f16(((const uint16_t *)from)[at + i]);
    }
}

static int64_t row_of(const spar__attention_args *a, int64_t key) {
    if (!a->ring) return key;
    if (key >= a->ring_low) return key % a->ring;
    const spar_key_run *c = &a->columns;
    key -= c->begin;
    return a->ring + (c->step ? key / c->step * c->width + key % c->step : key);
}

static int64_t query_position(const spar__attention_args *a, const spar_tile *t, int i) {
    int64_t place = t->q_begin + i * t->q_step;
    return a->q_order ? a->q_order[place] : place;
}

static int64_t query_row(const spar__attention_args *a, const spar_tile *t, int i) {
    return query_position(a, t, i) - a->q_first;
}

/* Where in the runs the next block begins. */
typedef struct cursor {
    int run;
    int64_t step, within;
    int64_t low, high; /* keys that any query of the tile sees */
} cursor;

static cursor begin_keys(const spar__attention_args *a, const spar_tile *t) {
    cursor c = {.low = INT64_MAX, .high = INT64_MIN};
    for (int i = 0; i < t->n_queries; i++) {
        int64_t low = t->low[i];
        if (a->first && !a->k_order && a->first[query_row(a, t, i)] > low) low = a->first[query_row(a, t, i)];
        if (low < c.low) c.low = low;
        if (t->high[i] > c.high) c.high = t->high[i];
    }
    return c;
}

/* Places of the next at most KEYS keys; returns how many, 0 at the end. */
static int next_places(const spar_tile *t, cursor *c, int64_t at[KEYS]) {
    int n = 0;
    for (; c->run < t->n_runs && n < KEYS; c->run++, c->step = 0, c->within = 0) {
        const spar_key_run *r = &t->runs[c->run];
        for (; c->step < r->count && n < KEYS; c->step++, c->within = 0) {
            int64_t begin = r->begin + c->step * r->step, from = begin + c->within, end = begin + r->width;
            if (from < c->low) from = c->low;
            if (end > c->high) end = c->high;
            if (from > begin + r->width) continue;
            for (; from < end && n < KEYS; from++) at[n++] = from;
            c->within = from - begin;
            if (from < end) return n;
        }
        if (c->step < r->count) return n;
    }
    return n;
}

static int next_keys(const spar__attention_args *a, const spar_tile *t, cursor *c, workspace *w) {
    int n = next_places(t, c, w->place);
    for (int i = 0; i < n; i++) w->at[i] = a->k_order ? a->k_order[w->place[i]] : w->place[i];
    return n;
}

/* The first of the block's n places from `least` on; `near` is where it was for the row before. */
static int place_from(const workspace *w, int n, int64_t least, int near) {
    while (near < n && w->place[near] < least) near++;
    while (near > 0 && w->place[near - 1] >= least) near--;
    return near;
}

/* Which of the block's n keys each row sees, and each group of rows. */
static void find_seen(const spar__attention_args *a, const spar_tile *t, workspace *w, int n) {
    int m = t->n_queries, from = 0, to = 0;
    for (int i = 0; i < m; i++) {
        int64_t low = t->low[i], first = a->first && !a->k_order ? a->first[query_row(a, t, i)] : low;
        w->from[i] = from = place_from(w, n, first > low ? first : low, from);
        w->to[i] = to = place_from(w, n, t->high[i], to);
    }
    for (int i = 0, g; i < m; i += g) {
        int begin = KEYS, end = 0;
        g = group_at(i, m);
        for (int k = i; k < i + g; k++) {
            if (w->from[k] >= w->to[k]) continue;
            if (w->from[k] < begin) begin = w->from[k];
            if (w->to[k] > end) end = w->to[k];
        }
        begin = end ? begin / 16 * 16 : 0;
        end = (end + 15) / 16 * 16;
        for (int k = i; k < i + g; k++) w->begin[k] = begin, w->end[k] = end;
    }
}

static void transpose(real *to, const real *from, int64_t d, int n) {
#if SPAR__LANES >= 8
    for (int t = 0; n == KEYS && t < KEYS; t += 8)
        for (int64_t c = 0; c < d; c += 8) transpose8(to + c * KEYS + t, KEYS, from + t * d + c, d);
    if (n == KEYS) return;
#endif
    for (int64_t c = 0; c < d; c += 16)
        for (int t = 0; t < n; t++)
            for (int64_t i = c; i < c + 16; i++) to[i * KEYS + t] = from[t * d + i];
    if (n < KEYS)
        for (int64_t i = 0; i < d; i++)
            for (int t = n; t < KEYS; t++) to[i * KEYS + t] = 0;
}

static void gather(const spar__attention_args *a, workspace *w, int n) {
    for (int t = 0; t < n; t++) {
        int64_t row = row_of(a, w->at[t]);
        load_row(a, w->k + t * w->d, a->k, row * a->k_stride, a->head_dim);
        load_row(a, w->v + t * w->dv_width, a->v, row * a->v_stride, a->value_dim);
    }
}

/* As gather, but rows that can be used where they are stay there. */
static void find_rows(const spar__attention_args *a, workspace *w, int n) {
    bool k_there = a->kv_type == SPAR__F32 && a->head_dim == w->d;
    bool v_there = a->kv_type == SPAR__F32 && a->value_dim == w->dv_width;
    for (int t = 0; t < n; t++) {
        int64_t row = row_of(a, w->at[t]);
        real *k = w->k + t * w->d, *v = w->v + t * w->dv_width;
        if (!k_there) load_row(a, k, a->k, row * a->k_stride, a->head_dim);
        if (!v_there) load_row(a, v, a->v, row * a->v_stride, a->value_dim);
        w->k_row[t] = k_there ? (const real *)a->k + row * a->k_stride : k;
        w->v_row[t] = v_there ? (const real *)a->v + row * a->v_stride : v;
    }
}

static void clear_padding(real *rows, int64_t n_rows, int64_t width, int64_t padded_width) {
    if (width == padded_width) return;
    for (int64_t r = 0; r < n_rows; r++)
        memset(rows + r * padded_width + width, 0, (size_t)(padded_width - width) * sizeof *rows);
}

static void load_queries(const spar__attention_args *a, const spar_tile *t, workspace *w) {
    for (int i = 0; i < t->n_queries; i++) {
        const real *from = a->q + query_row(a, t, i) * a->q_stride;
        real *to = w->q + i * w->d;
        for (int64_t c = 0; c < a->head_dim; c++) to[c] = a->scale * from[c];
    }
    clear_padding(w->q, QUERIES, a->head_dim, w->d);
    clear_padding(w->k, KEYS, a->head_dim, w->d);
    clear_padding(w->v, KEYS, a->value_dim, w->dv_width);
}

/* ---- Scores ---- */

static int64_t clamped(int64_t at, int64_t n) { return at < 0 ? 0 : at >= n ? n - 1 : at; }

static int64_t distance_row(const spar__attention_args *a, int64_t query, int64_t key) {
    return a->distance_rows[clamped(query - key + a->distance_zero, a->n_distances)];
}

static void add_position_scores(const spar__attention_args *a, const workspace *w, int i, int64_t query, real *s) {
    const real *of_query = a->q_scores ? a->q_scores + (query - a->q_first) * a->q_scores_stride : NULL;
    for (int c = w->from[i]; c < w->to[i]; c++) {
        int64_t r = distance_row(a, query, w->at[c]);
        if (of_query) s[c] += of_query[r];
        if (a->k_scores) s[c] += a->k_scores[row_of(a, w->at[c]) * a->k_scores_stride + r];
    }
}

/* Adds the bias to a row of scores and masks what the query does not see of what its group does. */
static void mask_row(const spar__attention_args *a, const spar_tile *t, const workspace *w, int i, real *s) {
    int64_t query = query_position(a, t, i);
    int from = w->from[i], to = w->to[i];
    if (a->bias)
        for (int c = from; c < to; c++) {
            int64_t at = query - w->at[c] + a->bias_zero;
            at = at < 0 ? 0 : at >= a->n_bias ? a->n_bias - 1 : at;
            s[c] += a->bias[at];
        }
    if (a->distance_rows) add_position_scores(a, w, i, query, s);
    if (from > w->begin[i] || to < w->end[i])
        for (int c = w->begin[i]; c < w->end[i]; c++) s[c] = c >= from && c < to ? s[c] : -INFINITY;
    if (!a->k_order) return;
    int64_t first = a->first ? a->first[query - a->q_first] : 0;
    for (int c = from; c < to; c++)
        if (w->at[c] == query || w->at[c] < first || (a->order_causal && w->at[c] > query)) s[c] = -INFINITY;
}

static void scores(const spar__attention_args *a, const spar_tile *t, workspace *w, int n) {
    transpose(w->kt, w->k, w->d, n);
    memset(w->s, 0, (size_t)t->n_queries * KEYS * sizeof *w->s);
    product_columns(w, t->n_queries, w->d, w->q, w->kt, w->s);
    for (int i = 0; i < t->n_queries; i++) mask_row(a, t, w, i, w->s + i * KEYS);
}

/* For few queries packing does not pay: each key's row is read once, for all of them. */
static void scores_of_few(const spar__attention_args *a, const spar_tile *t, workspace *w) {
    for (int i = 0; i < t->n_queries; i++) {
        real *s = w->s + i * KEYS;
        for (int c = w->from[i]; c < w->to[i]; c++) {
            vec sum = vec_all(0);
            for (int64_t j = 0; j < w->d; j += SPAR__LANES)
                sum += vec_load(w->q + i * w->d + j) * vec_load(w->k_row[c] + j);
            s[c] = vec_sum(sum);
        }
        mask_row(a, t, w, i, s);
    }
}

/* out += P·V, in the order of product_keys. */
static void values_of_few(const spar_tile *t, const workspace *w, int n) {
    enum { AT_ONCE = 4 };
    for (int i = 0; i < t->n_queries; i++) {
        const real *s = w->s + i * KEYS;
        real *o = w->o + i * w->dv_width;
        int from = w->begin[i], to = w->end[i] < n ? w->end[i] : n;
        int64_t j = 0;
        for (; j + AT_ONCE * SPAR__LANES <= w->dv_width; j += AT_ONCE * SPAR__LANES) {
            vec sum[AT_ONCE];
            for (int q = 0; q < AT_ONCE; q++) sum[q] = vec_load(o + j + q * SPAR__LANES);
            for (int c = from; c < to; c++)
                for (int q = 0; q < AT_ONCE; q++) sum[q] += vec_all(s[c]) * vec_load(w->v_row[c] + j + q * SPAR__LANES);
            for (int q = 0; q < AT_ONCE; q++) vec_store(o + j + q * SPAR__LANES, sum[q]);
        }
        for (; j < w->dv_width; j += SPAR__LANES) {
            vec sum = vec_load(o + j);
            for (int c = from; c < to; c++) sum += vec_all(s[c]) * vec_load(w->v_row[c] + j);
            vec_store(o + j, sum);
        }
    }
}

/* ---- Forward ---- */

/* s becomes P in columns [begin, end); the row of out is brought to the new maximum. */
static void soften(real *s, int begin, int end, real *o, int64_t width, real *m, real *l) {
    if (begin >= end) return;
    vec tops = vec_load(s + begin);
    for (int c = begin + SPAR__LANES; c < end; c += SPAR__LANES) tops = vec_max(vec_load(s + c), tops);
    real top = vec_top(tops);
    if (top > *m) {
        real shrink = real_exp(*m - top);
        *l *= shrink;
        for (int64_t j = 0; j < width; j++) o[j] *= shrink;
        *m = top;
    }
    real base = *m;
    for (int c = begin; c < end; c += 16)
        for (int k = c; k < c + 16; k++) s[k] = real_exp(s[k] - base);
    vec sum = vec_load(s + begin);
    for (int c = begin + SPAR__LANES; c < end; c += SPAR__LANES) sum += vec_load(s + c);
    *l += vec_sum(sum);
}

static void begin_rows(const spar__attention_args *a, const spar_tile *t, workspace *w) {
    for (int i = 0; i < t->n_queries; i++) {
        int64_t row = query_row(a, t, i);
        real *o = w->o + i * w->dv_width;
        memset(o, 0, (size_t)w->dv_width * sizeof *o);
        if (a->start) a->m[row] = (real)-1e30, a->l[row] = 0;
        else memcpy(o, a->out + row * a->out_stride, (size_t)a->value_dim * sizeof *o);
    }
}

static void finish_rows(const spar__attention_args *a, const spar_tile *t, const workspace *w) {
    for (int i = 0; i < t->n_queries; i++) {
        int64_t row = query_row(a, t, i);
        const real *o = w->o + i * w->dv_width;
        real *out = a->out + row * a->out_stride, l = a->l[row];
        real factor = a->finish && l > 0 ? 1 / l : 1;
        for (int64_t j = 0; j < a->value_dim; j++) out[j] = factor * o[j];
        if (a->finish && a->lse) a->lse[row] = a->m[row] + (l > 0 ? (real)log((double)l) : 0);
    }
}

static void attend(const spar__attention_args *a, const spar_tile *t, void *memory) {
    workspace w;
    lay_out(&w, memory, a->head_dim, a->value_dim, false);
    load_queries(a, t, &w);
    begin_rows(a, t, &w);
    cursor c = begin_keys(a, t);
    bool few = t->n_queries < FEW;
    for (int n; (n = next_keys(a, t, &c, &w));) {
        if (few) find_rows(a, &w, n);
        else gather(a, &w, n);
        find_seen(a, t, &w, n);
        if (few) scores_of_few(a, t, &w);
        else scores(a, t, &w, n);
        for (int i = 0; i < t->n_queries; i++) {
            int64_t row = query_row(a, t, i);
            soften(w.s + i * KEYS, w.begin[i], w.end[i], w.o + i * w.dv_width, w.dv_width, &a->m[row], &a->l[row]);
        }
        if (few) values_of_few(t, &w, n);
        else product_keys(&w, t->n_queries, n, w.dv_width, w.s, w.v, w.o);
    }
    finish_rows(a, t, &w);
}

/* ---- Backward ---- */

static void load_backward(const spar__attention_args *a, const spar_tile *t, workspace *w) {
    for (int i = 0; i < t->n_queries; i++)
        memcpy(w->dout + i * w->dv_width, a->dout + query_row(a, t, i) * a->out_stride,
               (size_t)a->value_dim * sizeof(real));
    clear_padding(w->dout, QUERIES, a->value_dim, w->dv_width);
    memset(w->dq, 0, (size_t)(t->n_queries * w->d) * sizeof(real));
}

static void position_scores_back(const spar__attention_args *a, const workspace *w, int i, int64_t query,
                                 const real *ds) {
    for (int c = w->from[i]; c < w->to[i]; c++) {
        int64_t r = distance_row(a, query, w->at[c]);
        if (a->dq_scores) a->dq_scores[(query - a->q_first) * a->q_scores_stride + r] += ds[c];
        if (a->dk_scores) a->dk_scores[w->at[c] * a->k_scores_stride + r] += ds[c];
    }
}

/* s becomes P and ds, which holds dP, becomes dS; columns that a row's group does not see stay 0. */
static void differentiate(const spar__attention_args *a, const spar_tile *t, workspace *w) {
    for (int i = 0; i < t->n_queries; i++) {
        int64_t row = query_row(a, t, i), query = row + a->q_first;
        real *s = w->s + i * KEYS, *ds = w->ds + i * KEYS, lse = a->lse[row], delta = a->delta[row];
        for (int c = w->begin[i]; c < w->end[i]; c += 16)
            for (int k = c; k < c + 16; k++) {
                s[k] = real_exp(s[k] - lse);
                ds[k] = s[k] * (ds[k] - delta);
            }
        for (int c = w->from[i]; a->dbias && c < w->to[i]; c++) {
            int64_t at = query - w->at[c] + a->bias_zero;
            a->dbias[at < 0 ? 0 : at >= a->n_bias ? a->n_bias - 1 : at] += ds[c];
        }
        if (a->dq_scores || a->dk_scores) position_scores_back(a, w, i, query, ds);
    }
}

static void add_rows(real *to, int64_t stride, const real *from, int64_t from_stride, const int64_t *at,
                     int n, int64_t width) {
    for (int c = 0; c < n; c++) {
        real *row = to + at[c] * stride;
        for (int64_t j = 0; j < width; j++) row[j] += from[c * from_stride + j];
    }
}

static void attend_back(const spar__attention_args *a, const spar_tile *t, void *memory) {
    workspace w;
    lay_out(&w, memory, a->head_dim, a->value_dim, true);
    load_queries(a, t, &w);
    load_backward(a, t, &w);
    cursor c = begin_keys(a, t);
    int m = t->n_queries;
    for (int n; (n = next_keys(a, t, &c, &w));) {
        gather(a, &w, n);
        find_seen(a, t, &w, n);
        scores(a, t, &w, n);
        transpose(w.vt, w.v, w.dv_width, n);
        memset(w.ds, 0, (size_t)m * KEYS * sizeof(real));
        product_columns(&w, m, w.dv_width, w.dout, w.vt, w.ds);
        differentiate(a, t, &w);
        memset(w.dk, 0, (size_t)(n * w.d) * sizeof(real));
        memset(w.dv, 0, (size_t)(n * w.dv_width) * sizeof(real));
        product_queries(&w, m, n, w.dv_width, w.s, w.dout, w.dv);
        product_queries(&w, m, n, w.d, w.ds, w.q, w.dk);
        product_keys(&w, m, n, w.d, w.ds, w.k, w.dq);
        add_rows(a->dk, a->k_stride, w.dk, w.d, w.at, n, a->head_dim);
        add_rows(a->dv, a->v_stride, w.dv, w.dv_width, w.at, n, a->value_dim);
    }
    for (int i = 0; i < m; i++) {
        real *to = a->dq + query_row(a, t, i) * a->q_stride;
        for (int64_t j = 0; j < a->head_dim; j++) to[j] += a->scale * w.dq[i * w.d + j];
    }
}

size_t SPAR__FN(attention_workspace)(int64_t head_dim, int64_t value_dim, bool backward) {
    workspace w;
    return lay_out(&w, NULL, head_dim, value_dim, backward);
}

void SPAR__FN(fill_attention)(spar__kernels *k) {
    k->attend = attend;
    k->attend_back = attend_back;
}
