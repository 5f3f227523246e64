/* Activations and their derivatives, plain and gated.
 *     gelu(x) = x·Φ(x), exact by erf, or by tanh as in GPT-2 (Hendrycks and Gimpel, arXiv
 * 1606.08415) silu(x) = x·σ(x);  gated: f(g)·u (Shazeer, arXiv 2002.05202) */
#include "kernel/isa/functions.h"

#define ROOT_HALF  ((real)0.70710678118654752440)
#define ROOT_2_PI  ((real)0.79788456080286535588) /* √(2/π) */
#define DENSITY_0  ((real)0.39894228040143267794) /* 1/√(2π) */
#define GELU_CUBIC ((real)0.044715)

typedef struct slope {
    real value, slope;
} slope; /* f(x) and f'(x) */

/* `f` is constant wherever this is used, so that each loop below contains one of the cases. */
static inline __attribute__((always_inline)) slope evaluate(spar__activation f, real x) {
    switch (f) {
    case SPAR__RELU:
        return (slope){x > 0 ? x : 0, x > 0 ? 1 : 0};
    case SPAR__GELU: {
        real cdf = (real)0.5 * (1 + real_erf(x * ROOT_HALF));
        return (slope){x * cdf, cdf + x * DENSITY_0 * real_exp((real)-0.5 * x * x)};
    }
    case SPAR__GELU_TANH: {
        real t = real_tanh(ROOT_2_PI * (x + GELU_CUBIC * x * x * x)), h = (real)0.5 * (1 + t);
        real inner = ROOT_2_PI * (1 + 3 * GELU_CUBIC * x * x);
        return (slope){x * h, h + (real)0.5 * x * (1 - t * t) * inner};
    }
    case SPAR__SILU: {
        real s = 1 / (1 + real_exp(-x));
        return (slope){x * s, s * (1 + x * (1 - s))};
    }
    case SPAR__TANH: {
        real t = real_tanh(x);
        return (slope){t, 1 - t * t};
    }
    default:
        return (slope){x, 1};
    }
}

#define EACH(kind, statement)                                                                      \
    case kind: {                                                                                   \
        const spar__activation f_ = kind;                                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) statement;                             \
        break;                                                                                     \
    }
#define SWITCH(f, statement)                                                                       \
    switch (f) {                                                                                   \
        EACH(SPAR__RELU, statement)                                                                \
        EACH(SPAR__GELU, statement)                                                                \
        EACH(SPAR__GELU_TANH, statement)                                                           \
        EACH(SPAR__SILU, statement)                                                                \
        EACH(SPAR__TANH, statement)                                                                \
        EACH(SPAR__IDENTITY, statement)                                                            \
    default:                                                                                       \
        break;                                                                                     \
    }

static void activate(spar__activation f, real *y, const real *x, int64_t n) {
    SWITCH(f, y[i] = evaluate(f_, x[i]).value)
}

static void activate_back(spar__activation f, real *dx, const real *x, const real *dy, int64_t n,
                          bool add) {
    if (add)
        SWITCH(f, dx[i] += dy[i] * evaluate(f_, x[i]).slope)
    else
        SWITCH(f, dx[i] = dy[i] * evaluate(f_, x[i]).slope)
}

static void gate(spar__activation f, real *y, const real *g, const real *u, int64_t n) {
    SWITCH(f, y[i] = evaluate(f_, g[i]).value * u[i])
}

static inline __attribute__((always_inline)) void
gate_back_one(spar__activation f, real *dg, real *du, real g, real u, real dy, bool add) {
    slope s = evaluate(f, g);
    real to_g = dy * u * s.slope, to_u = dy * s.value;
    *dg = add ? *dg + to_g : to_g;
    *du = add ? *du + to_u : to_u;
}

static void gate_back(spar__activation f, real *dg, real *du, const real *g, const real *u,
                      const real *dy, int64_t n, bool add) {
    if (add)
        SWITCH(f, gate_back_one(f_, dg + i, du + i, g[i], u[i], dy[i], true))
    else
        SWITCH(f, gate_back_one(f_, dg + i, du + i, g[i], u[i], dy[i], false))
}

void SPAR__FN(fill_activation)(spar__kernels *k) {
    k->activate = activate;
    k->activate_back = activate_back;
    k->gate = gate;
    k->gate_back = gate_back;
}
