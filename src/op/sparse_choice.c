/* Choices of the sparse feed-forward layer: softmax of each block, Gumbel noise, the largest; and back.
 * dg[n] = m[n]·(dm[n] − Σ_k m[k]·dm[k]) within each block. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/cpu.h"
#include "op/observe.h"
#include "op/sparse_inside.h"

/* −log(−log u), u uniform and kept off the ends, as the authors' code has it. */
static real gumbel(uint32_t word) {
    double u = (double)spar__rng_unit(word);
    u = u < 1e-6 ? 1e-6 : u > 1 - 1e-6 ? 1 - 1e-6 : u;
    return (real)-log(-log(u));
}

/* row = g + τ·noise for the neurons of a block, the first of which is element `at` of the pass. */
static void add_noise(real *row, const real *g, int64_t n, uint64_t at, const spar__rng *rng, real temperature) {
    uint32_t words[4] = {0};
    for (int64_t i = 0; i < n; i++, at++) {
        if (i == 0 || !(at & 3)) spar__rng_at(rng, at / 4, words);
        row[i] = g[i] + temperature * gumbel(words[at & 3]);
    }
}

static int32_t choose_one(const spar__pass *pass, const spar__sparse_pass *s, const real *g, int64_t row,
                          int64_t block, real *scratch) {
    int64_t n = s->o.block;
    uint64_t at = (uint64_t)(row * s->d_ff + block * n);
    /* The soft branch has no noise: its choices are only counted. */
    bool noisy = pass->training && (s->hard || pass->draws);
    if (!noisy || s->o.temperature == 0) return (int32_t)spar__k()->largest(g, n);
    if (pass->draws) {
        const real *noise = pass->draws->gumbel[pass->draws->next] + at;
        for (int64_t i = 0; i < n; i++) scratch[i] = g[i] + (real)s->o.temperature * noise[i];
    } else {
        spar__rng rng = spar__rng_for(pass->seed, SPAR__RNG_NOISE, pass->step, s->site);
        add_noise(scratch, g, n, at, &rng, (real)s->o.temperature);
    }
    return (int32_t)spar__k()->largest(scratch, n);
}

static int32_t recall(const spar__sparse_pass *s, const spar__sparse_kept *kept, int64_t at) {
    return s->o.block <= 256 ? ((const uint8_t *)kept->choices)[at] : ((const uint16_t *)kept->choices)[at];
}

static void remember(const spar__sparse_pass *s, const spar__sparse_kept *kept, int64_t at, int32_t choice) {
    if (s->o.block <= 256) ((uint8_t *)kept->choices)[at] = (uint8_t)choice;
    else ((uint16_t *)kept->choices)[at] = (uint16_t)choice;
}

/* Counting sort of a block's rows by their choice; chosen and chance are `stride` apart. */
static void sort_rows(const spar__sparse_pass *s, spar__sparse_chunk c, int64_t block, const int32_t *chosen,
                      const real *chance, int64_t stride, int32_t *places) {
    int64_t at = spar__sparse_at(s, c, block), n = s->o.block;
    if (c.rows > 1) {
        memset(places, 0, (size_t)(n + 1) * sizeof *places);
        for (int64_t i = 0; i < c.rows; i++) places[chosen[i * stride] + 1]++;
        for (int64_t i = 0; i < n; i++) places[i + 1] += places[i];
    }
    for (int64_t i = 0; i < c.rows; i++) {
        int32_t choice = chosen[i * stride];
        int64_t to = at + (c.rows > 1 ? places[choice]++ : 0);
        s->order[to] = (int32_t)i;
        s->choice[to] = choice;
        if (s->f) s->f[to] = chance[i * stride];
    }
}

void spar__sparse_choose(const spar__pass *pass, const spar__sparse_pass *s, spar__sparse_chunk c, int64_t b0,
                         int64_t b1, const spar__sparse_kept *kept, real *scratch, int32_t *places) {
    const spar__kernels *k = spar__k();
    int64_t n = s->o.block, width = b1 - b0;
    real *chance = scratch + n;
    int32_t *chosen = places + n + 1;
    for (int64_t i = 0; i < c.rows; i++) {
        int64_t row = c.begin + i;
        const real *g = spar__data(s->g) + row * s->d_ff;
        for (int64_t b = b0; b < b1; b++) {
            int64_t at = i * width + b - b0, kept_at = row * s->blocks + b;
            if (kept->found) chosen[at] = recall(s, kept, kept_at);
            else chosen[at] = choose_one(pass, s, g + b * n, row, b, scratch);
            if (kept->choices && !kept->found) remember(s, kept, kept_at, chosen[at]);
            if (!s->m && !s->f) continue;
            real *m = s->m ? s->m + row * s->d_ff + b * n : scratch;
            memcpy(m, g + b * n, (size_t)n * sizeof *m);
            k->softmax(m, n);
            chance[at] = m[chosen[at]];
        }
    }
    for (int64_t b = b0; b < b1; b++)
        sort_rows(s, c, b, chosen + b - b0, chance + b - b0, width, places);
}

/* ---- Backward ---- */

/* What the balance loss adds to dm, the same for all rows: weight·N·f[b,n]/(rows·blocks). */
static real *balance_gradient(spar__pass *pass, const spar__sparse_pass *s) {
    if (!s->counts || s->o.balance == 0) return NULL;
    real *out = spar__take(pass, s->d_ff, sizeof *out);
    double scale = pass->loss_scale != 0 ? pass->loss_scale : 1, rows = (double)s->rows;
    double each = scale * s->o.balance * (double)s->o.block / (rows * rows * (double)s->blocks);
    for (int64_t i = 0; out && i < s->d_ff; i++) out[i] = (real)(each * (double)s->counts[i]);
    return out;
}

/* dm [d_ff] of a row, from those of its chosen neurons. */
static void spread_chosen(const spar__sparse_pass *s, spar__sparse_chunk c, const real *dm_chosen, real *dm) {
    memset(dm, 0, (size_t)(c.rows * s->d_ff) * sizeof *dm);
    for (int64_t b = 0; dm_chosen && b < s->blocks; b++) {
        int64_t at = spar__sparse_at(s, c, b);
        for (int64_t i = at; i < at + c.rows; i++)
            dm[s->order[i] * s->d_ff + b * s->o.block + s->choice[i]] = dm_chosen[i];
    }
}

static void row_back(const spar__sparse_pass *s, real *dg, const real *m, real *dm, const real *balance, bool add) {
    const spar__kernels *k = spar__k();
    int64_t n = s->o.block;
    if (balance) k->add(dm, balance, s->d_ff);
    for (int64_t at = 0; at < s->d_ff; at += n) {
        real sum = k->dot(m + at, dm + at, n);
        for (int64_t i = at; i < at + n; i++) {
            real value = m[i] * (dm[i] - sum);
            dg[i] = add ? dg[i] + value : value;
        }
    }
}

void spar__sparse_choice_back(spar__pass *pass, const spar__sparse_pass *s, const real *dm_chosen, real *dm) {
    bool add;
    real *dg = s->m ? spar__grad(pass, s->g, &add) : NULL;
    if (!dg) return;
    spar__arena_mark mark = spar__arena_here(pass->arena);
    const real *balance = balance_gradient(pass, s);
    int64_t size = SPAR__SPARSE_CHUNK * s->d_ff;
    real *scratch = dm ? NULL : spar__take(pass, spar__threads() * size, sizeof *scratch);
    if (spar__ok(pass)) {
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < spar__sparse_chunks(s); i++) {
            spar__sparse_chunk c = spar__sparse_chunk_at(s, i);
            real *all = dm ? dm + c.begin * s->d_ff : scratch + omp_get_thread_num() * size;
            if (!dm) spread_chosen(s, c, dm_chosen, all);
            for (int64_t r = 0; r < c.rows; r++) {
                int64_t at = (c.begin + r) * s->d_ff;
                row_back(s, dg + at, s->m + at, all + r * s->d_ff, balance, add);
            }
        }
    }
    spar__arena_rewind(pass->arena, mark);
}
