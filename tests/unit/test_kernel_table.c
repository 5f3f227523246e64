/* Every table of kernels that runs here against plain formulas in double and against the scalar
 * table: odd sizes, unaligned pointers, extreme values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "spar/status.h"

enum { LARGEST = 5000, ROOM = LARGEST + 64 };
static const int64_t sizes[] = {1,   2,   3,   4,   5,   6,   7,    8,      9,  10,  11,
                                12,  13,  14,  15,  16,  17,  18,   19,     23, 24,  31,
                                32,  33,  47,  48,  63,  64,  65,   67,     96, 127, 128,
                                129, 255, 256, 511, 513, 768, 1000, LARGEST};
enum { N_SIZES = sizeof sizes / sizeof *sizes };
static const double tolerance = sizeof(real) == 8 ? 1e-13 : 4e-7;

#define EACH_TABLE(k)                                                                              \
    const spar__kernels *const *tables_;                                                           \
    int n_tables_ = spar__kernels_all(&tables_);                                                   \
    for (int t_ = 0; t_ < n_tables_; t_++)                                                         \
        for (const spar__kernels *k = tables_[t_]; k; k = NULL)
#define EACH_SIZE(n)                                                                               \
    for (int s_ = 0; s_ < N_SIZES; s_++)                                                           \
        for (int64_t n = sizes[s_]; n; n = 0)

static void fill(real *x, int64_t n, uint64_t stream, double size) {
    spar__rng rng = spar__rng_for(7, SPAR__RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (real)(size * spar__rng_normal(&rng, (uint64_t)i));
}

static void near(const char *isa, const char *what, int64_t n, int64_t i, double got, double want,
                 double within) {
    if (got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= within) return;
    fail_msg("%s %s of %lld: element %lld is %.9g, expected %.9g within %.2g", isa, what,
             (long long)n, (long long)i, got, want, within);
}

/* One element off alignment, with a guard behind. */
static real a_[ROOM], b_[ROOM], c_[ROOM], d_[ROOM], e_[ROOM], f_[ROOM];
#define A (a_ + 1)
#define B (b_ + 3)
#define C (c_ + 1)
#define D (d_ + 5)
#define E (e_ + 1)
#define F (f_ + 7)

static void vectors(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) {
        fill(A, n, 1, 1), fill(B, n, 2, 1);
        C[n] = 77;
        memcpy(C, B, (size_t)n * sizeof *C);
        k->add(C, A, n);
        for (int64_t i = 0; i < n; i++) near(k->isa, "add", n, i, C[i], A[i] + B[i], 0);
        memcpy(C, B, (size_t)n * sizeof *C);
        k->axpy(C, (real)0.3, A, n);
        for (int64_t i = 0; i < n; i++)
            near(k->isa, "axpy", n, i, C[i], (double)B[i] + (double)(real)0.3 * (double)A[i], 1e-6);
        memcpy(C, B, (size_t)n * sizeof *C);
        k->scale(C, (real)0.3, n);
        for (int64_t i = 0; i < n; i++) near(k->isa, "scale", n, i, C[i], B[i] * (real)0.3, 0);
        k->mul(C, A, B, n);
        for (int64_t i = 0; i < n; i++) near(k->isa, "mul", n, i, C[i], A[i] * B[i], 0);
        double dot = 0, squares = 0, size = 0;
        for (int64_t i = 0; i < n; i++) {
            dot += (double)A[i] * (double)B[i];
            size += fabs((double)A[i] * (double)B[i]);
            squares += (double)A[i] * (double)A[i];
        }
        near(k->isa, "dot", n, 0, k->dot(A, B, n), dot, tolerance * size * 2);
        near(k->isa, "sum_squares", n, 0, k->sum_squares(A, n), squares, 1e-12 * squares);
        assert_true(C[n] == 77);
        assert_true(k->finite(A, n));
        for (int64_t i = 0; i < n; i += 1 + n / 40) {
            real kept = A[i], bad[] = {(real)INFINITY, (real)-INFINITY, (real)NAN};
            for (int j = 0; j < 3; j++) {
                A[i] = bad[j];
                assert_false(k->finite(A, n));
            }
            A[i] = kept;
        }
    }
}

/* Rows 1, 4, 0, 3, 2 of five, so that groups of four and a rest are met. */
static void picked_rows(void **state) {
    (void)state;
    static const int32_t index[] = {1, 4, 0, 3, 2};
    enum { ROWS = 5, MOST = 513 };
    static real rows[ROWS * (MOST + 2)], written[ROWS * (MOST + 2)];
    EACH_TABLE(k) EACH_SIZE(n) {
        if (n > MOST) continue;
        int64_t stride = n + 2;
        fill(rows, ROWS * stride, 3, 1), fill(A, n, 4, 1), fill(B, n, 5, 1), fill(D, ROWS, 6, 1);
        for (int64_t count = 1; count <= ROWS; count++) {
            k->gather_dot(C, rows, stride, index, count, A, n);
            for (int64_t i = 0; i < count; i++) {
                double dot = 0;
                for (int64_t j = 0; j < n; j++) dot += (double)rows[index[i] * stride + j] * (double)A[j];
                near(k->isa, "gather_dot", n, i, C[i], dot, 1e-5 * sqrt((double)n));
            }
            memcpy(C, B, (size_t)n * sizeof *C);
            k->gather_add(C, D, rows, stride, index, count, n);
            memcpy(written, rows, sizeof rows);
            k->scatter_add(written, stride, index, D, count, A, n);
            for (int64_t j = 0; j < n; j++) {
                double sum = (double)B[j];
                for (int64_t i = 0; i < count; i++) sum += (double)D[i] * (double)rows[index[i] * stride + j];
                near(k->isa, "gather_add", n, j, C[j], sum, 1e-5);
                for (int64_t i = 0; i < ROWS; i++) {
                    double want = (double)rows[index[i] * stride + j] + (i < count ? (double)D[i] * (double)A[j] : 0);
                    near(k->isa, "scatter_add", n, j, written[index[i] * stride + j], want, 1e-5);
                }
            }
        }
        k->row_dots(E, ROWS, rows, stride, ROWS, rows, stride, ROWS, n);
        for (int64_t i = 0; i < ROWS * ROWS; i++) {
            double dot = 0;
            for (int64_t j = 0; j < n; j++)
                dot += (double)rows[i / ROWS * stride + j] * (double)rows[i % ROWS * stride + j];
            near(k->isa, "row_dots", n, i, E[i], dot, 1e-5 * (double)n);
        }
        for (int64_t at = 0; at < n; at += 1 + n / 7) {
            memcpy(C, A, (size_t)n * sizeof *C);
            C[at] = 100;
            if (at + 1 < n) C[n - 1] = 100; /* the first of equal ones */
            assert_int_equal(k->largest(C, n), at);
        }
    }
}

static void squares_of_large_numbers(void **state) {
    (void)state;
    EACH_TABLE(k) {
        for (int i = 0; i < 100; i++) A[i] = (real)1e30;
        near(k->isa, "sum_squares", 100, 0, k->sum_squares(A, 100), 1e62, 1e55);
        assert_true(k->finite(A, 100));
    }
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double activation(spar__activation f, double x) {
    switch (f) {
    case SPAR__RELU:
        return x > 0 ? x : 0;
    case SPAR__GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case SPAR__GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case SPAR__SILU:
        return x * sigmoid(x);
    case SPAR__TANH:
        return tanh(x);
    case SPAR__QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case SPAR__GELU_10:
        return fmin(activation(SPAR__GELU, x), 10);
    case SPAR__RELU2:
        return x > 0 ? x * x : 0;
    case SPAR__RELU6:
        return fmin(fmax(x, 0), 6);
    case SPAR__LEAKY_RELU:
        return x > 0 ? x : 0.01 * x;
    case SPAR__SIGMOID:
        return sigmoid(x);
    case SPAR__HARD_SWISH:
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    case SPAR__MISH:
        return x > 40 ? x : x * tanh(log1p(exp(x)));
    case SPAR__LAPLACE:
        return 0.5 * (1 + erf((x - 0.707107) / (0.282095 * sqrt(2))));
    default:
        return x;
    }
}
static double derivative(spar__activation f, double x) {
    switch (f) { /* those that are not smooth everywhere */
    case SPAR__RELU: return x > 0;
    case SPAR__RELU2: return x > 0 ? 2 * x : 0;
    case SPAR__RELU6: return x > 0 && x < 6;
    case SPAR__LEAKY_RELU: return x > 0 ? 1 : 0.01;
    case SPAR__HARD_SWISH: return x < -3 ? 0 : x > 3 ? 1 : (2 * x + 3) / 6;
    case SPAR__GELU_10: return x > 10 ? 0 : derivative(SPAR__GELU, x);
    default: break;
    }
    double h = 1e-5 * (1 + fabs(x));
    return (8 * (activation(f, x + h) - activation(f, x - h)) -
            (activation(f, x + 2 * h) - activation(f, x - 2 * h))) /
           (12 * h);
}

static void activations(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) for (int f = 0; f < SPAR__N_ACTIVATIONS; f++) {
        fill(A, n, 1, 3), fill(B, n, 2, 1), fill(C, n, 3, 1);
        for (int64_t i = 0; i + 7 < n; i += 7) A[i] = (real)(i - n / 2) / 16;
        double slack = sizeof(real) == 8 ? 1e-8 : 2e-6; /* of the finite difference; of f32 */
        k->activate(f, D, A, n);
        k->gate(f, E, A, B, n);
        for (int64_t i = 0; i < n; i++) {
            double y = activation(f, A[i]), within = tolerance * (1 + fabs((double)A[i]) + fabs(y));
            near(k->isa, "activate", n, i, D[i], y, within);
            near(k->isa, "gate", n, i, E[i], y * (double)B[i], within * (1 + fabs((double)B[i])));
        }
        for (int add = 0; add < 2; add++) {
            for (int64_t i = 0; i < n; i++) D[i] = E[i] = F[i] = (real)0.5;
            k->activate_back(f, D, A, C, n, add);
            k->gate_back(f, E, F, A, B, C, n, add);
            for (int64_t i = 0; i < n; i++) {
                double x = A[i], dy = C[i], slope = derivative(f, x),
                       within = slack * (1 + fabs(x)) * (1 + fabs(slope));
                double start = add ? 0.5 : 0;
                near(k->isa, "activate_back", n, i, D[i], start + dy * slope,
                     within * (1 + fabs(dy)));
                near(k->isa, "gate_back dg", n, i, E[i], start + dy * slope * (double)B[i],
                     within * (1 + fabs(dy)) * (1 + fabs((double)B[i])));
                near(k->isa, "gate_back du", n, i, F[i], start + dy * activation(f, x), within * (1 + fabs(dy)));
            }
        }
    }
}

static void activations_at_the_ends(void **state) {
    (void)state;
    EACH_TABLE(k) for (int f = 0; f < SPAR__N_ACTIVATIONS; f++) {
        static const double ends[] = {0,   -0.0, 1e-30, -1e-30, 1e-5, 60,
                                      -60, 1e4,  -1e4,  1e10,   -1e10};
        enum { N = sizeof ends / sizeof *ends };
        for (int i = 0; i < N; i++) A[i] = (real)ends[i], B[i] = 1;
        k->activate(f, C, A, N);
        k->activate_back(f, D, A, B, N, false);
        for (int i = 0; i < N; i++) {
            double x = A[i], y = activation(f, x), slope = derivative(f, x);
            double least = f == SPAR__LAPLACE ? tolerance : 1e-38; /* 1 − 1 is no more exact */
            near(k->isa, "activate", N, i, C[i], y, tolerance * (fabs(x) + fabs(y)) + least);
            if (fabs(x) > 50) near(k->isa, "activate_back", N, i, D[i], slope, 1e-6 * (1 + fabs(slope)));
        }
        A[0] = (real)NAN;
        for (int i = 1; i < 40; i++) A[i] = A[0];
        k->activate(f, C, A, 40);
        for (int i = 0; i < 40; i++) assert_true(isnan(C[i]) || f == SPAR__RELU);
    }
}

static void norms(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) for (int variant = 0; variant < 4; variant++) {
        bool center = variant & 1, biased = variant & 2;
        fill(A, n, 1, 2), fill(B, n, 2, 1), fill(C, n, 3, 1), fill(D, n, 4, 1);
        for (int64_t i = 0; i < n; i++) A[i] += 1;
        real stats[2], dbias[ROOM];
        double mean = 0, square = 0, sum = 0, product = 0;
        for (int64_t i = 0; i < n; i++) mean += center ? (double)A[i] / (double)n : 0;
        for (int64_t i = 0; i < n; i++) square += pow((double)A[i] - mean, 2) / (double)n;
        double r = 1 / sqrt(square + 1e-3), slack = 20 * tolerance * (1 + r);
        k->norm(E, stats, A, B, biased ? C : NULL, (real)1e-3, center, n);
        near(k->isa, "norm mean", n, 0, stats[0], mean, slack);
        near(k->isa, "norm 1/deviation", n, 0, stats[1], r, slack * r);
        for (int64_t i = 0; i < n; i++) {
            double g = (double)D[i] * (double)B[i], xhat = ((double)A[i] - mean) * r;
            near(k->isa, "norm", n, i, E[i], xhat * (double)B[i] + (biased ? (double)C[i] : 0),
                 slack * (1 + fabs(xhat)));
            sum += center ? g / (double)n : 0;
            product += g * xhat / (double)n;
        }
        for (int add = 0; add < 2; add++) {
            for (int64_t i = 0; i < n; i++) E[i] = F[i] = dbias[i] = (real)0.25;
            k->norm_back(E, F, biased ? dbias : NULL, A, B, stats, D, center, n, add);
            for (int64_t i = 0; i < n; i++) {
                double g = (double)D[i] * (double)B[i], xhat = ((double)A[i] - mean) * r;
                near(k->isa, "norm_back dx", n, i, E[i],
                     (add ? 0.25 : 0) + r * (g - sum - xhat * product),
                     slack * r * (4 + fabs(xhat)));
                near(k->isa, "norm_back dweight", n, i, F[i], 0.25 + (double)D[i] * xhat,
                     slack * (4 + fabs(xhat)));
                near(k->isa, "norm_back dbias", n, i, dbias[i], biased ? 0.25 + (double)D[i] : 0.25,
                     slack);
            }
        }
    }
}

static void softmaxes(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) for (int shift = -1; shift <= 1; shift++) {
        fill(A, n, 1, 4);
        for (int64_t i = 0; i < n; i++) A[i] += (real)(shift * 500);
        if (n > 3) A[n / 2] = (real)-INFINITY;
        memcpy(B, A, (size_t)n * sizeof *B);
        double top = -INFINITY, sum = 0, total = 0;
        for (int64_t i = 0; i < n; i++) top = A[i] > top ? A[i] : top;
        for (int64_t i = 0; i < n; i++) sum += exp((double)A[i] - top);
        k->softmax(B, n);
        for (int64_t i = 0; i < n; i++) {
            double p = exp((double)A[i] - top) / sum;
            near(k->isa, "softmax", n, i, B[i], p, 4 * tolerance * p + 1e-37);
            total += B[i];
        }
        near(k->isa, "softmax's sum", n, 0, total, 1, 4 * tolerance);
    }
}

static void cross_entropies(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) for (int variant = 0; variant < 8; variant++) {
        double scale = variant & 1 ? 0.125 : 0, smoothing = variant & 2 ? 0.125 : 0;
        double z = variant & 4 ? 0.25 : 0, top = -INFINITY, sum = 0, mean = 0, lse;
        int64_t target = n * 2 / 3;
        fill(A, n, 1, 3);
        memcpy(B, A, (size_t)n * sizeof *B);
        for (int64_t i = 0; i < n; i++) top = A[i] > top ? A[i] : top;
        for (int64_t i = 0; i < n; i++) {
            sum += exp((double)A[i] - top);
            mean += (double)A[i] / (double)n;
        }
        double want = top + log(sum);
        double loss = want - (1 - smoothing) * (double)A[target] - smoothing * mean;
        double got = k->cross_entropy(B, n, target, (real)scale, (real)smoothing, (real)z, &lse);
        near(k->isa, "lse", n, 0, lse, want, 10 * tolerance);
        near(k->isa, "cross entropy", n, 0, got, loss, 10 * tolerance);
        for (int64_t i = 0; i < n && scale != 0; i++) {
            double p = exp((double)A[i] - want);
            double d =
                p * (1 + 2 * z * want) - smoothing / (double)n - (1 - smoothing) * (i == target);
            near(k->isa, "cross entropy's gradient", n, i, B[i], scale * d,
                 10 * tolerance * scale * (1 + fabs(want)));
        }
    }
}

static void rotations(void **state) {
    (void)state;
    EACH_TABLE(k) for (int64_t n = 2; n <= 130; n += 2) for (int halves = 0; halves < 2; halves++) {
        fill(A, n, 1, 1);
        memcpy(B, A, (size_t)n * sizeof *B);
        B[n] = 5;
        for (int64_t i = 0; i < n / 2; i++)
            C[i] = (real)cos((double)i), D[i] = (real)sin((double)i);
        k->rotate(B, C, D, n, halves, 1);
        for (int64_t i = 0; i < n / 2; i++) {
            int64_t p = halves ? i : 2 * i, q = halves ? i + n / 2 : 2 * i + 1;
            near(k->isa, "rotate", n, p, B[p],
                 (double)A[p] * (double)C[i] - (double)A[q] * (double)D[i], 8 * tolerance);
            near(k->isa, "rotate", n, q, B[q],
                 (double)A[q] * (double)C[i] + (double)A[p] * (double)D[i], 8 * tolerance);
        }
        k->rotate(B, C, D, n, halves, -1);
        for (int64_t i = 0; i < n; i++)
            near(k->isa, "rotate back", n, i, B[i], A[i], 8 * tolerance);
        assert_true(B[n] == 5);
    }
}

static void adamw(void **state) {
    (void)state;
    EACH_TABLE(k) EACH_SIZE(n) {
        fill(A, n, 1, 1), fill(B, n, 2, 1), fill(C, n, 3, 1), fill(D, n, 4, 1);
        for (int64_t i = 0; i < n; i++) C[i] *= C[i];
        memcpy(E, A, (size_t)n * sizeof *E), memcpy(F, C, (size_t)n * sizeof *F);
        real m[ROOM];
        memcpy(m, B, (size_t)n * sizeof *m);
        k->adamw(E, m, F, D, n, (real)0.01, (real)0.9, (real)0.99, (real)1e-8, (real)0.5,
                 (real)0.25, (real)0.5);
        for (int64_t i = 0; i < n; i++) {
            double g = 0.5 * (double)D[i], mean = 0.9 * (double)B[i] + 0.1 * g;
            double square = 0.99 * (double)C[i] + 0.01 * g * g;
            near(k->isa, "adamw m", n, i, m[i], mean, 1e-6);
            near(k->isa, "adamw v", n, i, F[i], square, 1e-6 * (1 + square));
            near(k->isa, "adamw w", n, i, E[i],
                 (double)A[i] - 0.01 * (mean / 0.5) / (sqrt(square / 0.25) + 1e-8),
                 4e-6 * (1 + fabs(mean / sqrt(square))));
        }
    }
}

static void unknown_instruction_set(void **state) {
    (void)state;
    const char *old = getenv("SPAR_ISA");
    char kept[32] = "";
    if (old) snprintf(kept, sizeof kept, "%s", old);
    setenv("SPAR_ISA", "vax", 1);
    assert_int_equal(spar__kernels_choose(), SPAR_ERR_UNSUPPORTED);
    assert_non_null(strstr(spar_error(), "'vax'"));
    assert_non_null(strstr(spar_error(), "scalar"));
    setenv("SPAR_ISA", "scalar", 1);
    assert_int_equal(spar__kernels_choose(), SPAR_OK);
    assert_string_equal(spar__k()->isa, "scalar");
    if (old)
        setenv("SPAR_ISA", kept, 1);
    else
        unsetenv("SPAR_ISA");
    assert_int_equal(spar__kernels_choose(), SPAR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picked_rows),     cmocka_unit_test(vectors),         cmocka_unit_test(squares_of_large_numbers),
        cmocka_unit_test(activations),     cmocka_unit_test(activations_at_the_ends),
        cmocka_unit_test(norms),           cmocka_unit_test(softmaxes),
        cmocka_unit_test(cross_entropies), cmocka_unit_test(rotations),
        cmocka_unit_test(adamw),           cmocka_unit_test(unknown_instruction_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
