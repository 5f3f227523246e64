/* Models for timing: weights of the size that new ones have, in a fraction of the time. A matrix is laid with copies
 * of a pool of normal numbers, each row from a place of its own. */
#include <string.h>

#include "base/rng.h"
#include "bench/bench.h"
#include "model/inside.h"
#include "model/model.h"

enum { POOL = 1 << 20 }; /* numbers; a multiple of every type's block */

/* Columns [from, to) of all rows, with deviation `std`. */
static void lay(const spar__tensor *v, int64_t from, int64_t to, double std, int index, const spar__real *pool,
                spar__real *scaled, char *stored) {
    int64_t block = spar__type_of(v->type)->block, n = to - from, places = POOL / block;
    for (int64_t i = 0; i < POOL; i++) scaled[i] = (spar__real)std * pool[i];
    spar__k()->encode[v->type](stored, scaled, POOL);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < v->rows; r++) {
        char *to_row = (char *)v->data + (size_t)r * spar__bytes_of(v->type, v->cols) + spar__bytes_of(v->type, from);
        for (int64_t c = 0; c < n;) {
            int64_t at = (r * 7919 + c / block + index * 104729) % places * block;
            int64_t some = n - c < POOL - at ? n - c : POOL - at;
            memcpy(to_row + spar__bytes_of(v->type, c), stored + spar__bytes_of(v->type, at), spar__bytes_of(v->type, some));
            c += some;
        }
    }
}

static spar_status fill_constant(const spar__tensor *v, double value) {
    spar__real *row = spar__array((size_t)v->cols + 1, sizeof *row);
    if (!row) return SPAR_ERR_MEMORY;
    for (int64_t c = 0; c < v->cols; c++) row[c] = (spar__real)value;
    for (int64_t r = 0; r < v->rows; r++)
        spar__k()->encode[v->type]((char *)v->data + (size_t)r * spar__bytes_of(v->type, v->cols), row, v->cols);
    spar__free(row);
    return SPAR_OK;
}

static spar_status fill(spar_model *m, uint64_t seed) {
    spar__real *pool = spar__array(POOL, sizeof *pool), *scaled = spar__array(POOL, sizeof *scaled);
    char *stored = spar__array(POOL, sizeof(spar__real));
    spar_status status = pool && scaled && stored ? SPAR_OK : SPAR_ERR_MEMORY;
    spar__rng rng = spar__rng_for(seed, SPAR__RNG_TEST, 2, 0);
    for (uint64_t i = 0; !status && i < POOL; i++) pool[i] = (spar__real)spar__rng_normal(&rng, i);
    for (int i = 0; !status && i < spar__model_n_params(m); i++) {
        const spar__param *p = spar__model_param(m, i);
        const spar__tensor *v = &p->value;
        int64_t half = v->cols / 2;
        bool halves = p->init_half != 0 && half % spar__type_of(v->type)->block == 0;
        if (p->constant) {
            status = fill_constant(v, p->init);
        } else {
            lay(v, 0, halves ? half : v->cols, p->init, i, pool, scaled, stored);
            if (halves) lay(v, half, v->cols, p->init_half, i, pool, scaled, stored);
        }
    }
    spar__free(pool);
    spar__free(scaled);
    spar__free(stored);
    return status;
}

spar_status spar_bench_model(const spar_config *config, const char *type, spar_model **out) {
    return spar__model_create_with(config, type, fill, 1, out);
}
