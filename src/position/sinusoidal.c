/* Sines and cosines added to the embedding (Vaswani et al. 2017, section 3.5):
 * angle(p, i) = p·base^(−2i/d). `halves` puts all sines before all cosines (Marian); otherwise they
 * alternate, as in the paper. */
#include <math.h>
#include <string.h>

#include "position/position.h"

typedef struct options {
    double base;
    bool halves;
} options;

typedef struct layer {
    real *table; /* [context, d_model] */
} layer;

static const spar_option table[] = {
    {"base", SPAR_OPTION_REAL, offsetof(options, base), 10000, 1, 1e12, NULL, "of the wavelengths"},
    {"halves", SPAR_OPTION_BOOL, offsetof(options, halves), 0, 0, 1, NULL, "sines first, then cosines"},
    {0}};

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    int64_t d = s->d_model, pairs = d / 2;
    if (d % 2) return spar__fail(SPAR_ERR_CONFIG, "model.d_model: %lld, sinusoidal positions need an even one",
                                 (long long)d);
    real *t = spar__array((size_t)(s->context * d), sizeof *t);
    if (!t) return SPAR_ERR_MEMORY;
    for (int64_t p = 0; p < s->context; p++)
        for (int64_t i = 0; i < pairs; i++) {
            double angle = (double)p * pow(o->base, -2.0 * (double)i / (double)d);
            t[p * d + (o->halves ? i : 2 * i)] = (real)sin(angle);
            t[p * d + (o->halves ? i + pairs : 2 * i + 1)] = (real)cos(angle);
        }
    ((layer *)self)->table = t;
    return SPAR_OK;
}

static void release(void *self) { spar__free(((layer *)self)->table); }

static spar__tensor *embed(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    spar__tensor *t = x ? spar__new(pass, x->rows, x->cols, false) : NULL;
    for (int64_t i = 0; t && i < x->rows; i++)
        memcpy(spar__data(t) + i * x->cols, l->table + pass->rows->positions[i] * x->cols,
               (size_t)x->cols * sizeof(real));
    return spar__sum(pass, x, t);
}

const spar__position_kind spar__position_sinusoidal = {
    {"sinusoidal", table, sizeof(options)}, sizeof(layer), NULL, prepare, release, embed, NULL, NULL};
