#include "op/sparse.h"

#include <math.h>
#include <string.h>

#include "op/observe.h"
#include "op/product.h"
#include "op/sparse_inside.h"

static const uint64_t BRANCH_DRAW = UINT64_MAX; /* beyond the draws of the noise */

/* One draw for all rows: whether this pass is hard. */
static bool draw_branch(const spar__pass *pass, const spar__sparse_options *o, uint64_t site) {
    if (o->gated || !pass->training) return true;
    if (pass->draws) return pass->draws->hard[pass->draws->next] != 0;
    spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_NOISE, pass->step, site);
    return (double)spar__rng_uniform(&rng, BRANCH_DRAW) < o->quant_prob;
}

static void sparse_back(spar__pass *pass, void *arguments) {
    spar__sparse_pass *s = arguments;
    if (!s->y->grad_started) return;
    bool add;
    if (s->hard) spar__sparse_hard_back(pass, s);
    else spar__sparse_soft_back(pass, s);
    real *db = s->bias ? spar__grad(pass, &s->bias->value, &add) : NULL;
    if (db) spar__add_column_sums(db, s->y->grad, s->rows, s->d, add);
}

/* ---- Counts, statistics and the balance loss ---- */

static void count_choices(const spar__sparse_pass *s) {
    memset(s->counts, 0, (size_t)s->d_ff * sizeof *s->counts);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < s->blocks; b++)
        for (int64_t i = 0; i < spar__sparse_chunks(s); i++) {
            spar__sparse_chunk c = spar__sparse_chunk_at(s, i);
            const int32_t *choice = s->choice + spar__sparse_at(s, c, b);
            for (int64_t r = 0; r < c.rows; r++) s->counts[b * s->o.block + choice[r]]++;
        }
}

/* Mean over the blocks of N·Σ f[n]·P[n]: 1 when all neurons are chosen alike. */
static double balance_of(const spar__sparse_pass *s) {
    double sum = 0;
#pragma omp parallel for schedule(static) ordered
    for (int64_t b = 0; b < s->blocks; b++) {
        double block = 0;
        for (int64_t r = 0; r < s->rows; r++)
            for (int64_t i = b * s->o.block; i < (b + 1) * s->o.block; i++)
                block += (double)s->counts[i] * (double)s->m[r * s->d_ff + i];
#pragma omp ordered
        sum += block;
    }
    return sum * (double)s->o.block / ((double)s->rows * (double)s->rows * (double)s->blocks);
}

static void observe(spar__pass *pass, const spar__sparse_pass *s) {
    if (s->o.balance > 0 && spar__observing(pass))
        spar__observe_loss(pass, "ff.balance", balance_of(s), s->o.balance);
    if (!spar__observing(pass)) return;
    if (!s->o.gated) spar__observe(pass, "ff.hard", s->hard);
    spar__observe_choices(pass, "ff", s->counts, s->blocks, s->o.block, 0);
}

/* The reference's choices are [rows, blocks]. */
static void report_choices(spar__draws *draws, const spar__sparse_pass *s) {
    int32_t *out = draws->choices ? draws->choices[draws->next] : NULL;
    for (int64_t i = 0; out && i < spar__sparse_chunks(s); i++) {
        spar__sparse_chunk c = spar__sparse_chunk_at(s, i);
        for (int64_t b = 0; b < s->blocks; b++) {
            int64_t at = spar__sparse_at(s, c, b);
            for (int64_t r = at; r < at + c.rows; r++)
                out[(c.begin + s->order[r]) * s->blocks + b] = s->choice[r];
        }
    }
    draws->next++;
}

/* ---- The operation ---- */

static bool check(spar__pass *pass, const spar__sparse_pass *s) {
    const spar__tensor *w = &s->w->value;
    if (s->g->rows == s->rows && w->rows == s->d_ff && w->cols == 2 * s->d && s->d_ff % s->o.block == 0)
        return true;
    spar__stop(pass, spar__fail(SPAR_ERR_ARGUMENT, "%s: [%lld, %lld], expected [%lld, %lld] in blocks of %lld",
                                s->w->name, (long long)w->rows, (long long)w->cols, (long long)s->d_ff,
                                (long long)(2 * s->d), (long long)s->o.block));
    return false;
}

static void take_memory(spar__pass *pass, spar__sparse_pass *s, bool back) {
    int64_t n = s->rows * s->blocks, all = s->rows * s->d_ff;
    bool balance = s->o.balance > 0 && spar__wants_loss(pass);
    bool m = !s->hard || balance || (back && s->g->needs_grad && (s->gate_moves || s->straight));
    if (m) s->m = spar__take(pass, all, sizeof *s->m);
    if (!s->hard) s->pre = spar__take(pass, all, sizeof *s->pre);
    s->choice = spar__take(pass, n + 1, sizeof *s->choice);
    s->order = spar__take(pass, n, sizeof *s->order);
    if (s->hard) s->h = spar__take(pass, n, sizeof *s->h);
    if (s->gate) s->f = spar__take(pass, n, sizeof *s->f);
    if (balance || spar__observing(pass)) s->counts = spar__take(pass, s->d_ff, sizeof *s->counts);
}

spar__tensor *spar__sparse(spar__pass *pass, spar__tensor *x, spar__tensor *g, spar__param *w,
                           spar__param *bias, const spar__sparse_options *o) {
    if (!x || !g || !spar__ok(pass)) return NULL;
    spar__sparse_pass s = {.x = x, .g = g, .w = w, .bias = bias, .o = *o, .rows = x->rows, .d = x->cols};
    s.d_ff = g->cols;
    s.blocks = s.d_ff / o->block;
    if (!check(pass, &s)) return NULL;
    s.site = pass->site++;
    s.hard = draw_branch(pass, o, s.site);
    s.straight = !o->gated && pass->training;
    s.gate = o->gated || (o->times_controller && s.hard);
    s.gate_moves = o->gated || (o->times_controller && !pass->training);
    s.factor = o->gated ? (real)sqrt((double)o->block) : 1;
    bool needs = x->needs_grad || g->needs_grad || w->value.needs_grad;
    s.y = spar__new(pass, s.rows, s.d, needs);
    take_memory(pass, &s, needs && pass->recording);
    if (!spar__ok(pass)) return NULL;
    spar__sparse_hard(pass, &s);
    if (!s.hard) spar__sparse_soft(pass, &s);
    if (!spar__ok(pass)) return NULL;
    if (s.counts) count_choices(&s);
    observe(pass, &s);
    if (pass->draws) report_choices(pass->draws, &s);
    if (needs) spar__push(pass, sparse_back, &s, sizeof s);
    return spar__ok(pass) ? s.y : NULL;
}
