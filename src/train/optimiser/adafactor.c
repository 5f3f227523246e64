/* Adafactor (Shazeer and Stern 2018, "Adafactor: adaptive learning rates with sublinear memory
 * cost"). The second moment of a matrix is kept as its row means and column means only:
 *
 *   β2 = 1 − t^decay_rate
 *   R ← β2·R + (1 − β2)·rowmeans(g² + ε1)      C ← β2·C + (1 − β2)·colmeans(g² + ε1)
 *   v = R·Cᵀ / mean(R)        (vectors keep v itself: v ← β2·v + (1 − β2)·(g² + ε1))
 *   u = g/√v                  u ← u / max(1, rms(u)/threshold)
 *   p ← p − α·u
 *
 * α is lr, or with relative_step min(lr, 1/√t); with scale_parameter also times max(ε2, rms(p)).
 * With beta1 > 0 steps are averaged: m ← β1·m + (1 − β1)·α·u, p ← p − m. */
#include <math.h>

#include "base/cpu.h"
#include "train/optimiser.h"

typedef struct adafactor_options {
    spar__optimiser_base base;
    double decay_rate, eps1, eps2, threshold, beta1;
    bool relative_step, scale_parameter;
} adafactor_options;

#define MEMBER(name) offsetof(adafactor_options, name)
static const spar_option options[] = {
    SPAR__OPTIMISER_OPTIONS(1e-2),
    {"decay_rate", SPAR_OPTION_REAL, MEMBER(decay_rate), -0.8, -1, 0, NULL,
     "exponent of the step in the second moment's decay"},
    {"eps1", SPAR_OPTION_REAL, MEMBER(eps1), 1e-30, 0, 1, NULL, "added to squared gradients"},
    {"eps2", SPAR_OPTION_REAL, MEMBER(eps2), 1e-3, 0, 1, NULL,
     "least scale of a parameter, with scale_parameter"},
    {"threshold", SPAR_OPTION_REAL, MEMBER(threshold), 1, 1e-6, 1e6, NULL,
     "root mean square at which updates are clipped"},
    {"beta1", SPAR_OPTION_REAL, MEMBER(beta1), 0, 0, 0.9999999, NULL,
     "average over steps; 0 = none"},
    {"relative_step", SPAR_OPTION_BOOL, MEMBER(relative_step), 0, 0, 1, NULL,
     "rate falls as 1/√step, at most lr"},
    {"scale_parameter", SPAR_OPTION_BOOL, MEMBER(scale_parameter), 0, 0, 1, NULL,
     "rate is relative to the parameter's root mean square"},
    {0},
};

/* v: rows' means and then columns' means of a matrix, or all of a vector. */
static const char *const slots[] = {"v", "m", NULL};
enum { BLOCK = 64, CHUNK = 4096 };
enum { MEAN, RATE }; /* of spar__update.shared */

static bool factored(const spar__param *param) {
    return param->n_dims >= 2;
}

static int64_t slot_size(const void *opaque, const spar__param *param, int slot) {
    const adafactor_options *o = opaque;
    int64_t rows = param->value.rows, cols = param->value.cols;
    if (slot == 1) return o->beta1 > 0 ? rows * cols : 0;
    return factored(param) ? rows + cols : rows * cols;
}

static int64_t parts_of(const spar__update *u) {
    return factored(u->param) ? u->rows : (u->rows * u->cols + CHUNK - 1) / CHUNK;
}

static int64_t scratch(const void *opaque, const spar__param *param) {
    (void)opaque;
    spar__update u = {.param = param, .rows = param->value.rows, .cols = param->value.cols};
    return parts_of(&u);
}

/* The part of elements that scratch[i] sums over: a row of a matrix, a chunk of a vector. */
static void part_of(const spar__update *u, int64_t i, int64_t *begin, int64_t *end) {
    int64_t size = factored(u->param) ? u->cols : CHUNK, all = u->rows * u->cols;
    *begin = i * size;
    *end = *begin + size < all ? *begin + size : all;
}

static double total(const spar__update *u) {
    double sum = 0;
    for (int64_t i = 0; i < parts_of(u); i++) sum += u->scratch[i];
    return sum;
}

static void columns(const adafactor_options *o, const spar__update *u, double beta2) {
    real *c = u->slots[0] + u->rows;
#pragma omp parallel for schedule(static) num_threads(spar__threads())
    for (int64_t at = 0; at < u->cols; at += BLOCK) {
        double sums[BLOCK] = {0};
        int64_t n = u->cols - at < BLOCK ? u->cols - at : BLOCK;
        for (int64_t row = 0; row < u->rows; row++) {
            const real *g = u->grad + row * u->cols + at;
            for (int64_t j = 0; j < n; j++) {
                double x = (double)g[j] * u->grad_scale;
                sums[j] += x * x + o->eps1;
            }
        }
        for (int64_t j = 0; j < n; j++)
            c[at + j] = (real)(beta2 * (double)c[at + j] + (1 - beta2) * sums[j] / (double)u->rows);
    }
}

/* Updates the second moment; in scratch, for a matrix, R. */
static void moments(const adafactor_options *o, const spar__update *u, double beta2) {
    real *v = u->slots[0];
    bool matrix = factored(u->param);
#pragma omp parallel for schedule(static) num_threads(spar__threads())
    for (int64_t i = 0; i < parts_of(u); i++) {
        int64_t begin, end;
        double sum = 0;
        part_of(u, i, &begin, &end);
        for (int64_t j = begin; j < end; j++) {
            double x = (double)u->grad[j] * u->grad_scale, square = x * x + o->eps1;
            sum += square;
            if (!matrix) v[j] = (real)(beta2 * (double)v[j] + (1 - beta2) * square);
        }
        if (!matrix) continue;
        v[i] = (real)(beta2 * (double)v[i] + (1 - beta2) * sum / (double)u->cols);
        u->scratch[i] = (double)v[i];
    }
    if (matrix) columns(o, u, beta2);
}

/* g/√v of one element; root is √(mean(R)/R[row]) for a matrix. */
static inline double raw_update(const spar__update *u, int64_t index, double root, int64_t col,
                                bool matrix) {
    double v = (double)u->slots[0][matrix ? u->rows + col : index];
    /* Where no gradient ever came (v = 0, with eps1 = 0) there is nothing to update. */
    return v > 0 ? (double)u->grad[index] * u->grad_scale * root / sqrt(v) : 0;
}

static double root_of(const spar__update *u, int64_t row) {
    double r = (double)u->slots[0][row];
    return r > 0 ? sqrt(u->shared[MEAN] / r) : 0;
}

static double square_sum(const spar__update *u, bool of_weights) {
    bool matrix = factored(u->param);
#pragma omp parallel for schedule(static) num_threads(spar__threads())
    for (int64_t i = 0; i < parts_of(u); i++) {
        int64_t begin, end;
        double sum = 0, root = matrix ? root_of(u, i) : 1;
        part_of(u, i, &begin, &end);
        for (int64_t j = begin; j < end; j++) {
            double x =
                of_weights ? (double)u->weight[j] : raw_update(u, j, root, j - begin, matrix);
            sum += x * x;
        }
        u->scratch[i] = sum;
    }
    return total(u);
}

static void prepare(const void *opaque, spar__update *u) {
    const adafactor_options *o = opaque;
    double n = (double)(u->rows * u->cols);
    moments(o, u, 1 - pow((double)u->t, o->decay_rate));
    u->shared[MEAN] = factored(u->param) ? total(u) / (double)u->rows : 1;
    double rate = o->relative_step ? fmin(u->lr, 1 / sqrt((double)u->t)) : u->lr;
    if (o->scale_parameter) rate *= fmax(o->eps2, sqrt(square_sum(u, true) / n));
    u->shared[RATE] = rate / fmax(1, sqrt(square_sum(u, false) / n) / o->threshold);
}

static void update(const void *opaque, const spar__update *u, int64_t begin, int64_t end) {
    const adafactor_options *o = opaque;
    bool matrix = factored(u->param);
    double rate = u->shared[RATE];
    for (int64_t i = begin; i < end;) {
        int64_t row = i / u->cols, stop = (row + 1) * u->cols < end ? (row + 1) * u->cols : end;
        double root = matrix ? root_of(u, row) : 1;
        for (; i < stop; i++) {
            double step = rate * raw_update(u, i, root, i - row * u->cols, matrix);
            if (o->beta1 > 0) {
                step = o->beta1 * (double)u->slots[1][i] + (1 - o->beta1) * step;
                u->slots[1][i] = (real)step;
            }
            u->weight[i] -= (real)step;
        }
    }
}

const spar__optimiser_kind spar__adafactor = {.name = "adafactor",
                                              .options = options,
                                              .options_size = sizeof(adafactor_options),
                                              .slots = slots,
                                              .slot_size = slot_size,
                                              .scratch = scratch,
                                              .prepare = prepare,
                                              .update = update};
