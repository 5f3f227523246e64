/* Activations and their derivatives, plain and gated.
 *     gelu(x) = x·Φ(x), exact by erf, or by tanh as in GPT-2 (Hendrycks and Gimpel, arXiv
 * 1606.08415), x·σ(1.702 x) where quick, at most 10 where clipped;  silu(x) = x·σ(x);
 *     relu2(x) = relu(x)² (So et al., arXiv 2109.08668);  mish(x) = x·tanh(ln(1 + eˣ)) (Misra, arXiv 1908.08681);
 *     laplace(x) = Φ((x − μ)/σ) (Ma et al., arXiv 2209.10655);  hard-swish(x) = x·relu6(x + 3)/6 (Howard et al.,
 * arXiv 1905.02244);  gated: f(g)·u (Shazeer, arXiv 2002.05202) */
#include "kernel/isa/functions.h"

#define ROOT_HALF  ((real)0.70710678118654752440)
#define ROOT_2_PI  ((real)0.79788456080286535588) /* √(2/π) */
#define DENSITY_0  ((real)0.39894228040143267794) /* 1/√(2π) */
#define GELU_CUBIC ((real)0.044715)
#define QUICK      ((real)1.702)
#define LAPLACE_MU ((real)0.707107)
#define LAPLACE_SIGMA ((real)0.282095)

typedef struct slope {
    real value, slope;
} slope; /* f(x) and f'(x) */

static inline slope gelu(real x) {
    real cdf = (real)0.5 * (1 + real_erf(x * ROOT_HALF));
    return (slope){x * cdf, cdf + x * DENSITY_0 * real_exp((real)-0.5 * x * x)};
}

static inline real sigmoid(real x) { return 1 / (1 + real_exp(-x)); }

/* With n = (1 + eˣ)² − 1, tanh(ln(1 + eˣ)) = n/(n + 2); beyond 20 that is 1. */
static inline slope mish(real x) {
    real e = real_exp(x > 20 ? 20 : x), n = e * (e + 2), t = n / (n + 2);
    return (slope){x * t, t + 4 * x * (e / (n + 2)) * ((e + 1) / (n + 2))};
}

/* `f` is constant wherever this is used, so that each loop below contains one of the cases. */
static inline __attribute__((always_inline)) slope evaluate(spar__activation f, real x) {
    switch (f) {
    case SPAR__RELU:
        return (slope){x > 0 ? x : 0, x > 0 ? 1 : 0};
    case SPAR__GELU:
        return gelu(x);
    case SPAR__GELU_TANH: {
        real t = real_tanh(ROOT_2_PI * (x + GELU_CUBIC * x * x * x)), h = (real)0.5 * (1 + t);
        real inner = ROOT_2_PI * (1 + 3 * GELU_CUBIC * x * x);
        return (slope){x * h, h + (real)0.5 * x * (1 - t * t) * inner};
    }
    case SPAR__SILU: {
        real s = sigmoid(x);
        return (slope){x * s, s * (1 + x * (1 - s))};
    }
    case SPAR__TANH: {
        real t = real_tanh(x);
        return (slope){t, 1 - t * t};
    }
    case SPAR__QUICK_GELU: {
        real s = sigmoid(QUICK * x);
        return (slope){x * s, s * (1 + QUICK * x * (1 - s))};
    }
    case SPAR__GELU_10: {
        slope s = gelu(x);
        return (slope){s.value > 10 ? 10 : s.value, s.value > 10 ? 0 : s.slope};
    }
    case SPAR__RELU2: {
        real r = x < 0 ? 0 : x;
        return (slope){r * r, 2 * r};
    }
    case SPAR__RELU6: {
        real r = x < 0 ? 0 : x;
        return (slope){r > 6 ? 6 : r, x > 0 && x < 6 ? 1 : 0};
    }
    case SPAR__LEAKY_RELU:
        return (slope){x > 0 ? x : (real)0.01 * x, x > 0 ? 1 : (real)0.01};
    case SPAR__SIGMOID: {
        real s = sigmoid(x);
        return (slope){s, s * (1 - s)};
    }
    case SPAR__HARD_SWISH: {
        real r = x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6;
        return (slope){x * r, x < -3 ? 0 : x > 3 ? 1 : (2 * x + 3) / 6};
    }
    case SPAR__MISH:
        return mish(x);
    case SPAR__LAPLACE: {
        real z = (x - LAPLACE_MU) * (ROOT_HALF / LAPLACE_SIGMA);
        return (slope){(real)0.5 * (1 + real_erf(z)), DENSITY_0 / LAPLACE_SIGMA * real_exp(-z * z)};
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
        EACH(SPAR__QUICK_GELU, statement)                                                          \
        EACH(SPAR__GELU_10, statement)                                                             \
        EACH(SPAR__RELU2, statement)                                                               \
        EACH(SPAR__RELU6, statement)                                                               \
        EACH(SPAR__LEAKY_RELU, statement)                                                          \
        EACH(SPAR__SIGMOID, statement)                                                             \
        EACH(SPAR__HARD_SWISH, statement)                                                          \
        EACH(SPAR__MISH, statement)                                                                \
        EACH(SPAR__LAPLACE, statement)                                                             \
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
