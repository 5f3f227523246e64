/* Finding the scales of blocks: least squares over grids of candidates, weighted by the importance
 * of each column (the mean square of what it is multiplied with) where that is known. Vectors have
 * eight lanes on every instruction set, so the bytes are the same everywhere. */
#ifndef SPAR_KERNEL_QUANT_SEARCH_H
#define SPAR_KERNEL_QUANT_SEARCH_H

#include "kernel/quant/quant.h"

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t v8_mask __attribute__((vector_size(32)));

SPAR__INLINE v8 v8_all(float a) { return a - (v8){0}; }
SPAR__INLINE v8 v8_select(v8_mask mask, v8 yes, v8 no) {
    return (v8)((mask & (v8_mask)yes) | (~mask & (v8_mask)no));
}
SPAR__INLINE v8 v8_clamp(v8 x, float low, float high) {
    x = v8_select(x < v8_all(low), v8_all(low), x);
    return v8_select(x > v8_all(high), v8_all(high), x);
}
/* To the nearest whole number, |x| < 2^22. */
SPAR__INLINE v8 v8_round(v8 x) {
    v8 magic = v8_all(0x1.8p23f);
    return (x + magic) - magic;
}
SPAR__INLINE float v8_sum(v8 x) {
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* The number of the largest magnitude, with its sign, and a level cut to 0 … most, toward zero. */
SPAR__INLINE float farthest(const real *x, int n) {
    float far = 0;
    for (int i = 0; i < n; i++)
        if (fabsf((float)x[i]) > fabsf(far)) far = (float)x[i];
    return far;
}
/* Largest − smallest, and the smallest. */
SPAR__INLINE float range_of(const real *x, int n, float *least) {
    float low = (float)x[0], high = (float)x[0];
    for (int i = 1; i < n; i++) {
        if ((float)x[i] < low) low = (float)x[i];
        if ((float)x[i] > high) high = (float)x[i];
    }
    *least = low;
    return high - low;
}
SPAR__INLINE int level(float q, int most) {
    return q > 0 ? (q < (float)most ? (int)q : most) : 0;
}

SPAR__INLINE int whole(float x, int low, int high) {
    return x > (float)low ? (x < (float)high ? (int)rintf(x) : high) : low;
}

/* A block's numbers and their weights; numbers that are not finite count as 0. */
typedef struct super {
    v8 x[SUPER / 8], w[SUPER / 8];
} super;

SPAR__INLINE void load_super(const real *x, const float *importance, int n, super *out) {
    float xs[SUPER], ws[SUPER];
    for (int i = 0; i < n; i++) {
        float a = (float)x[i];
        xs[i] = fabsf(a) <= 3e38f ? a : 0;
        ws[i] = importance ? importance[i] : 1;
    }
    memcpy(out->x, xs, (size_t)n * sizeof *xs);
    memcpy(out->w, ws, (size_t)n * sizeof *ws);
}

/* To the nearest of the format's levels. */
typedef v8 (*nearest)(v8 x);

typedef struct symmetric {
    int wide;              /* v8 of a group */
    float reach;           /* the level farthest from 0, with its sign */
    float low, high;       /* of the whole scales s of groups */
    nearest to_level;
} symmetric;

/* Error of x ≈ a·level. */
SPAR__INLINE float symmetric_error(const symmetric f, const v8 *x, const v8 *w, float a) {
    v8 sum = {0}, inverse = v8_all(a != 0 ? 1 / a : 0);
    for (int i = 0; i < f.wide; i++) {
        v8 e = x[i] - v8_all(a) * f.to_level(x[i] * inverse);
        sum += w[i] * e * e;
    }
    return v8_sum(sum);
}

/* The best a: each candidate's levels, with the scale that fits them best; the number that reaches
 * farthest may be cut off or leave room. */
SPAR__INLINE float symmetric_scale(const symmetric f, const v8 *x, const v8 *w) {
    float far = 0, best = -1, a = 0;
    for (int i = 0; i < f.wide; i++)
        for (int j = 0; j < 8; j++)
            if (fabsf(x[i][j]) > fabsf(far)) far = x[i][j];
    if (fabsf(far) < 1e-30f) return 0;
    for (int side = 0; side < 2; side++)
        for (int step = -8; step <= 6; step++) {
            float stretch = 1 + 0.02f * (float)step * (fabsf(f.reach) < 16 ? 2.0f : 1.0f);
            v8 inverse = v8_all((side ? -f.reach : f.reach) * stretch / far);
            v8 xq = {0}, qq = {0};
            for (int i = 0; i < f.wide; i++) {
                v8 q = f.to_level(x[i] * inverse);
                xq += w[i] * x[i] * q;
                qq += w[i] * q * q;
            }
            float lx = v8_sum(xq), l2 = v8_sum(qq);
            if (l2 > 0 && lx * lx > best * l2) {
                best = lx * lx / l2;
                a = lx / l2;
            }
        }
    return a;
}

typedef struct two_level {
    float d;
    int s[16];
    int16_t q[SUPER]; /* levels */
} two_level;

/* As stored; too large ones as the largest. */
static inline float half_of(float x) {
    unsigned char two[2];
    store_half(two, x > 65504 ? 65504 : x < -65504 ? -65504 : x);
    return load_half(two);
}

/* Levels for given scales; returns Σ w·x·s·q and Σ w·(s·q)² in fit. */
SPAR__INLINE void symmetric_levels(const symmetric f, const super *b, two_level *out, float fit[2]) {
    v8 xq = {0}, qq = {0};
    for (int i = 0; i < SUPER / 8; i++) {
        float s = (float)out->s[i / f.wide], a = out->d * s;
        v8 q = f.to_level(b->x[i] * v8_all(a != 0 ? 1 / a : 0)), sq = v8_all(s) * q;
        xq += b->w[i] * b->x[i] * sq;
        qq += b->w[i] * sq * sq;
        for (int j = 0; j < 8; j++) out->q[8 * i + j] = (int16_t)q[j];
    }
    fit[0] = v8_sum(xq);
    fit[1] = v8_sum(qq);
}

/* x ≈ d·s·q with whole s in low … high for each group: scales as if they were free; d from the
 * largest; each s the best of its neighbours; then d once more for all that was chosen. */
SPAR__INLINE void symmetric_search(const symmetric f, const real *x, const float *importance,
                                   two_level *out) {
    super b;
    float a[16], far = 0, fit[2];
    int groups = SUPER / 8 / f.wide;
    load_super(x, importance, SUPER, &b);
    for (int g = 0; g < groups; g++) {
        a[g] = symmetric_scale(f, b.x + g * f.wide, b.w + g * f.wide);
        if (fabsf(a[g]) > fabsf(far)) far = a[g];
    }
    memset(out, 0, sizeof *out);
    out->d = half_of(far / f.low);
    for (int pass = 0; pass < 2 && out->d != 0; pass++) {
        for (int g = 0; g < groups; g++) {
            const v8 *xs = b.x + g * f.wide, *ws = b.w + g * f.wide;
            int low = (int)f.low, high = (int)f.high, middle = whole(a[g] / out->d, low, high);
            float best = -1;
            for (int s = middle - 1; s <= middle + 1; s++) {
                if (s < low || s > high) continue;
                float error = symmetric_error(f, xs, ws, out->d * (float)s);
                if (best >= 0 && error >= best) continue;
                best = error;
                out->s[g] = s;
            }
        }
        symmetric_levels(f, &b, out, fit);
        if (pass == 0 && fit[1] > 0) out->d = half_of(fit[0] / fit[1]);
    }
}

/* ---- Ranges: x ≈ a·q − b with q in 0 … most and b ≥ 0 ---- */

typedef struct ranged {
    int wide;
    float most;  /* level */
    float scales; /* largest whole s and t */
} ranged;

SPAR__INLINE float range_error(const ranged f, const v8 *x, const v8 *w, float a, float b) {
    v8 sum = {0}, inverse = v8_all(a > 0 ? 1 / a : 0);
    for (int i = 0; i < f.wide; i++) {
        v8 q = v8_clamp(v8_round(v8_clamp((x[i] + v8_all(b)) * inverse, -1, f.most + 1)), 0, f.most);
        v8 e = x[i] - (v8_all(a) * q - v8_all(b));
        sum += w[i] * e * e;
    }
    return v8_sum(sum);
}

SPAR__INLINE void range_scale(const ranged f, const v8 *x, const v8 *w, float *a, float *b) {
    float least = 0, most = 0, best = -1;
    v8 sw = {0}, sx = {0};
    for (int i = 0; i < f.wide; i++) {
        sw += w[i];
        sx += w[i] * x[i];
        for (int j = 0; j < 8; j++) {
            if (x[i][j] < least) least = x[i][j];
            if (x[i][j] > most) most = x[i][j];
        }
    }
    *a = *b = 0;
    float sum_w = v8_sum(sw), sum_x = v8_sum(sx);
    if (most - least < 1e-30f) return;
    for (int step = -10; step <= 10; step++) {
        float inverse = (f.most + 0.1f * (float)step * (f.most > 8 ? 1.0f : 0.5f)) / (most - least);
        v8 sq = {0}, sqq = {0}, sxq = {0};
        for (int i = 0; i < f.wide; i++) {
            v8 q = v8_clamp(v8_round((x[i] - v8_all(least)) * v8_all(inverse)), 0, f.most);
            sq += w[i] * q;
            sqq += w[i] * q * q;
            sxq += w[i] * x[i] * q;
        }
        float q1 = v8_sum(sq), q2 = v8_sum(sqq), xq = v8_sum(sxq), det = sum_w * q2 - q1 * q1;
        if (!(det > 0)) continue;
        float scale = (sum_w * xq - sum_x * q1) / det, low = (q1 * xq - q2 * sum_x) / det;
        if (low < 0) low = 0, scale = q2 > 0 ? xq / q2 : 0;
        if (!(scale > 0)) continue;
        float error = range_error(f, x, w, scale, low);
        if (best >= 0 && error >= best) continue;
        best = error;
        *a = scale;
        *b = low;
    }
}

typedef struct two_ranges {
    float d, dmin;
    int s[16], t[16];
    uint8_t q[SUPER];
} two_ranges;

/* Levels for given scales, and d and dmin that fit them best. */
SPAR__INLINE void range_levels(const ranged f, const super *b, two_ranges *out, float fit[2]) {
    v8 qq = {0}, qt = {0}, tt = {0}, xq = {0}, xt = {0};
    for (int i = 0; i < SUPER / 8; i++) {
        v8 s = v8_all((float)out->s[i / f.wide]), t = v8_all((float)out->t[i / f.wide]);
        float a = out->d * s[0], low = out->dmin * t[0];
        v8 q = (b->x[i] + v8_all(low)) * v8_all(a > 0 ? 1 / a : 0);
        q = v8_clamp(v8_round(v8_clamp(q, -1, f.most + 1)), 0, f.most);
        v8 sq = s * q, w = b->w[i];
        qq += w * sq * sq;
        qt += w * sq * t;
        tt += w * t * t;
        xq += w * b->x[i] * sq;
        xt += w * b->x[i] * t;
        for (int j = 0; j < 8; j++) out->q[8 * i + j] = (uint8_t)q[j];
    }
    /* x ≈ d·sq − dmin·t */
    double q2 = (double)v8_sum(qq), t2 = (double)v8_sum(tt), cross = (double)v8_sum(qt);
    double lx = (double)v8_sum(xq), lt = (double)v8_sum(xt), det = q2 * t2 - cross * cross;
    if (det > 1e-6 * q2 * t2) {
        fit[0] = (float)((t2 * lx - cross * lt) / det);
        fit[1] = (float)((cross * lx - q2 * lt) / det);
    } else {
        fit[0] = q2 > 0 && t2 == 0 ? (float)(lx / q2) : out->d;
        fit[1] = out->dmin;
    }
}

SPAR__INLINE void range_choose(const ranged f, const v8 *x, const v8 *w, float a, float b,
                               two_ranges *out, int g) {
    int most = (int)f.scales, s0 = out->d > 0 ? whole(a / out->d, 0, most) : 0;
    int t0 = out->dmin > 0 ? whole(b / out->dmin, 0, most) : 0;
    float best = -1;
    for (int s = s0 - 1; s <= s0 + 1; s++)
        for (int t = t0 - 1; t <= t0 + 1; t++) {
            if (s < 0 || s > most || t < 0 || t > most) continue;
            float error = range_error(f, x, w, out->d * (float)s, out->dmin * (float)t);
            if (best >= 0 && error >= best) continue;
            best = error;
            out->s[g] = s;
            out->t[g] = t;
        }
}

/* x ≈ d·s·q − dmin·t. */
SPAR__INLINE void range_search(const ranged f, const real *x, const float *importance,
                               two_ranges *out) {
    super block;
    float a[16], b[16], most_a = 0, most_b = 0, fit[2];
    int groups = SUPER / 8 / f.wide;
    load_super(x, importance, SUPER, &block);
    for (int g = 0; g < groups; g++) {
        range_scale(f, block.x + g * f.wide, block.w + g * f.wide, &a[g], &b[g]);
        if (a[g] > most_a) most_a = a[g];
        if (b[g] > most_b) most_b = b[g];
    }
    memset(out, 0, sizeof *out);
    out->d = half_of(most_a / f.scales);
    out->dmin = half_of(most_b / f.scales);
    for (int pass = 0; pass < 2; pass++) {
        for (int g = 0; g < groups; g++)
            range_choose(f, block.x + g * f.wide, block.w + g * f.wide, a[g], b[g], out, g);
        range_levels(f, &block, out, fit);
        if (pass == 1 || !(fit[0] > 0) || !(fit[1] >= 0)) break;
        out->d = half_of(fit[0]);
        out->dmin = half_of(fit[1]);
    }
}

#endif
