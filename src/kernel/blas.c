/* The library of dense products, chosen when building: oneDNN, CBLAS, or none (plain loops, which
 * the f64 variant always uses). */
#include "kernel/gemm.h"

#if defined SPAR_REAL_DOUBLE || defined SPAR_BLAS_NONE

enum { BLOCK = 64 };

static real element(const real *x, int64_t ld, bool transpose, int64_t i, int64_t j) {
    return transpose ? x[j * ld + i] : x[i * ld + j];
}

/* Rows of C gather multiples of rows of B, a block of B at a time. */
bool spar__product_tile(const spar__product *p) {
    real part[BLOCK];
    for (int64_t j = 0; j < p->n; j += BLOCK) {
        int64_t cols = p->n - j < BLOCK ? p->n - j : BLOCK;
        for (int64_t i = 0; i < p->m; i++) {
            for (int64_t s = 0; s < cols; s++) part[s] = 0;
            for (int64_t l = 0; l < p->k; l++) {
                real a = element(p->a, p->lda, p->transpose_a, i, l);
                for (int64_t s = 0; s < cols; s++)
                    part[s] += a * element(p->b, p->ldb, p->transpose_b, l, j + s);
            }
            real *c = p->c + i * p->ldc + j;
            for (int64_t s = 0; s < cols; s++)
                c[s] = p->alpha * part[s] + (p->beta == 0 ? 0 : p->beta * c[s]);
        }
    }
    return true;
}

const char *spar__gemm_library(void) {
    return "none";
}

#elif defined SPAR_BLAS_CBLAS

#include <cblas.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void one_thread(void) {
    openblas_set_num_threads(1);
}

bool spar__product_tile(const spar__product *p) {
    pthread_once(&once, one_thread);
    cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
                p->transpose_b ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k,
                p->alpha, p->a, (int)p->lda, p->b, (int)p->ldb, p->beta, p->c, (int)p->ldc);
    return true;
}

const char *spar__gemm_library(void) {
    return openblas_get_config();
}

#else

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>

static char name[32];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Within a parallel region oneDNN computes on the calling thread alone. */
bool spar__product_tile(const spar__product *p) {
    return dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k,
                      p->alpha, p->a, p->lda, p->b, p->ldb, p->beta, p->c, p->ldc) == dnnl_success;
}

static void name_library(void) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

const char *spar__gemm_library(void) {
    pthread_once(&once, name_library);
    return name;
}

#endif
