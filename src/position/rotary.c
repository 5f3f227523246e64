/* Rotary positions (Su et al. 2021, arXiv 2104.09864) and the published ways of stretching them:
 * linear (Chen et al. 2023, arXiv 2306.15595), llama3 (Llama 3.1's frequency bands), yarn (Peng et
 * al. 2023, arXiv 2309.00071). Frequency i of n/2 is base^(−2i/n), n the rotated width. */
#include <math.h>

#include "position/position.h"

enum { NONE, LINEAR, LLAMA3, YARN };
static const char *const scalings[] = {"none", "linear", "llama3", "yarn", NULL};
enum { HALVES, ADJACENT };
static const char *const pairings[] = {"halves", "adjacent", NULL};

typedef struct options {
    double base, fraction, factor, low, high, beta_fast, beta_slow, attention_factor;
    int64_t original_context;
    int scaling, pairs;
} options;

typedef struct layer {
    real *cosine, *sine; /* [context, n/2] */
    int64_t n, head_dim;
    bool halves;
} layer;

static const spar_option table[] = {
    {"base", SPAR_OPTION_REAL, offsetof(options, base), 10000, 1, 1e12, NULL, "of the wavelengths"},
    {"fraction", SPAR_OPTION_REAL, offsetof(options, fraction), 1, 0, 1, NULL, "of each head that turns"},
    {"pairs", SPAR_OPTION_NAME, offsetof(options, pairs), HALVES, 0, 0, pairings,
     "halves: (i, i + n/2); adjacent: (2i, 2i + 1)"},
    {"scaling", SPAR_OPTION_NAME, offsetof(options, scaling), NONE, 0, 0, scalings, "for longer contexts"},
    {"factor", SPAR_OPTION_REAL, offsetof(options, factor), 1, 1e-3, 1e6, NULL, "of the scaling"},
    {"original_context", SPAR_OPTION_INT, offsetof(options, original_context), 0, 0, 1 << 30, NULL,
     "length trained with before the scaling; 0 = model.context"},
    {"low_freq_factor", SPAR_OPTION_REAL, offsetof(options, low), 1, 1e-3, 1e6, NULL, "llama3"},
    {"high_freq_factor", SPAR_OPTION_REAL, offsetof(options, high), 4, 1e-3, 1e6, NULL, "llama3"},
    {"beta_fast", SPAR_OPTION_REAL, offsetof(options, beta_fast), 32, 1e-3, 1e6, NULL, "yarn"},
    {"beta_slow", SPAR_OPTION_REAL, offsetof(options, beta_slow), 1, 1e-3, 1e6, NULL, "yarn"},
    {"attention_factor", SPAR_OPTION_REAL, offsetof(options, attention_factor), 0, 0, 1e3, NULL,
     "yarn: factor of sines and cosines; 0 = 0.1·ln(factor) + 1"},
    {0}};

/* The dimension whose wavelength makes `turns` turns over the original context. */
static double dimension_of(const options *o, double n, double context, double turns) {
    return n * log(context / (turns * 2 * M_PI)) / (2 * log(o->base));
}

static double frequency(const options *o, int64_t i, int64_t n, double context) {
    double f = pow(o->base, -2.0 * (double)i / (double)n);
    if (o->scaling == LINEAR) return f / o->factor;
    if (o->scaling == LLAMA3) {
        double wave = 2 * M_PI / f;
        if (wave < context / o->high) return f;
        if (wave > context / o->low) return f / o->factor;
        double s = (context / wave - o->low) / (o->high - o->low);
        return (1 - s) * f / o->factor + s * f;
    }
    if (o->scaling == YARN) {
        double low = fmax(floor(dimension_of(o, (double)n, context, o->beta_fast)), 0);
        double high = fmin(ceil(dimension_of(o, (double)n, context, o->beta_slow)), (double)n - 1);
        double ramp = ((double)i - low) / (high == low ? 0.001 : high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        return f / o->factor * ramp + f * (1 - ramp);
    }
    return f;
}

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    layer l = {.head_dim = s->head_dim, .halves = o->pairs == HALVES};
    l.n = (int64_t)(o->fraction * (double)s->head_dim);
    if (l.n < 2 || l.n % 2)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.position: %lld of %lld elements of a head turn, expected an even number",
                          (long long)l.n, (long long)s->head_dim);
    double context = (double)(o->original_context ? o->original_context : s->context);
    double size = 1;
    if (o->scaling == YARN)
        size = o->attention_factor > 0 ? o->attention_factor
               : o->factor > 1         ? 0.1 * log(o->factor) + 1
                                       : 1;
    int64_t half = l.n / 2;
    l.cosine = spar__array((size_t)(s->context * half), sizeof(real));
    l.sine = spar__array((size_t)(s->context * half), sizeof(real));
    *(layer *)self = l;
    if (!l.cosine || !l.sine) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < half; i++) {
        double f = frequency(o, i, l.n, context);
        for (int64_t p = 0; p < s->context; p++) {
            l.cosine[p * half + i] = (real)(size * cos((double)p * f));
            l.sine[p * half + i] = (real)(size * sin((double)p * f));
        }
    }
    return SPAR_OK;
}

static void release(void *self) {
    layer *l = self;
    spar__free(l->cosine);
    spar__free(l->sine);
}

static spar__tensor *turn(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    return spar__rotary(pass, x, l->head_dim, l->cosine, l->sine, l->n, l->halves, pass->rows->positions);
}

const spar__position_kind spar__position_rotary = {
    {"rotary", table, sizeof(options)}, sizeof(layer), NULL, prepare, release, NULL, turn, NULL};
