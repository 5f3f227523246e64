/* Rotary positions (Su et al. 2021, arXiv 2104.09864) and the published ways of stretching them:
 * linear (Chen et al. 2023, arXiv 2306.15595), llama3 (Llama 3.1's frequency bands), yarn (Peng et
 * al. 2023, arXiv 2309.00071), dynamic (a sequence longer than the original context enlarges the
 * base; keys that are in a cache already stay as they were turned), longrope (Ding et al. 2024, arXiv
 * 2402.13753: wavelengths × a factor each, of one list up to the original context, of another beyond it).
 * Frequency i of n/2 is base^(−2i/n), n the rotated width. */
#include <math.h>

#include "position/position.h"

enum { NONE, LINEAR, LLAMA3, YARN, DYNAMIC, LONGROPE };
static const char *const scalings[] = {"none", "linear", "llama3", "yarn", "dynamic", "longrope", NULL};
enum { HALVES, ADJACENT };
static const char *const pairings[] = {"halves", "adjacent", NULL};

typedef struct options {
    double base, fraction, factor, low, high, beta_fast, beta_slow, attention_factor, mscale, mscale_all;
    int64_t original_context;
    int scaling, pairs;
    bool truncate;
    spar_reals short_factors, long_factors;
} options;

typedef struct layer {
    real *cosine, *sine; /* [context, n/2] */
    int64_t n, head_dim;
    bool halves;
    const options *options;
    double size;
    int64_t original; /* sequences beyond this length have frequencies of their own; else INT64_MAX */
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
     "yarn, longrope: factor of sines and cosines; 0 = 0.1·ln(factor) + 1, √(1 + ln(factor)/ln(original_context))"},
    {"mscale", SPAR_OPTION_REAL, offsetof(options, mscale), 0, 0, 1e3, NULL,
     "yarn: with mscale_all_dim, the ratio of two such factors instead"},
    {"mscale_all_dim", SPAR_OPTION_REAL, offsetof(options, mscale_all), 0, 0, 1e3, NULL, "yarn"},
    {"truncate", SPAR_OPTION_BOOL, offsetof(options, truncate), 1, 0, 1, NULL,
     "yarn: the range of mixed dimensions ends at whole ones"},
    {"short_factors", SPAR_OPTION_REALS, offsetof(options, short_factors), 0, 1e-6, 1e9, NULL,
     "longrope: one for each pair, of sequences within the original context"},
    {"long_factors", SPAR_OPTION_REALS, offsetof(options, long_factors), 0, 1e-6, 1e9, NULL, "longrope: of longer ones"},
    {0}};

/* The dimension whose wavelength makes `turns` turns over the original context. */
static double dimension_of(const options *o, double n, double context, double turns) {
    return n * log(context / (turns * 2 * M_PI)) / (2 * log(o->base));
}

static double frequency(const options *o, int64_t i, int64_t n, double context) {
    double f = pow(o->base, -2.0 * (double)i / (double)n);
    if (o->scaling == LINEAR) return f / o->factor;
    if (o->scaling == LONGROPE) return f / o->short_factors.at[i];
    if (o->scaling == LLAMA3) {
        double wave = 2 * M_PI / f;
        if (wave < context / o->high) return f;
        if (wave > context / o->low) return f / o->factor;
        double s = (context / wave - o->low) / (o->high - o->low);
        return (1 - s) * f / o->factor + s * f;
    }
    if (o->scaling == YARN) {
        double low = dimension_of(o, (double)n, context, o->beta_fast);
        double high = dimension_of(o, (double)n, context, o->beta_slow);
        low = fmax(o->truncate ? floor(low) : low, 0);
        high = fmin(o->truncate ? ceil(high) : high, (double)n - 1);
        double ramp = ((double)i - low) / (high == low ? 0.001 : high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        return f / o->factor * ramp + f * (1 - ramp);
    }
    return f;
}

/* yarn's factor of sines and cosines. */
static double grown(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1; }

static double size_of(const options *o, double context) {
    if (o->scaling != YARN && o->scaling != LONGROPE) return 1;
    if (o->attention_factor > 0) return o->attention_factor;
    if (o->scaling == LONGROPE) return o->factor <= 1 ? 1 : sqrt(1 + log(o->factor) / log(context));
    if (o->mscale > 0 && o->mscale_all > 0) return grown(o->factor, o->mscale) / grown(o->factor, o->mscale_all);
    return grown(o->factor, 1);
}

static spar_status prepare(const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    layer l = {.head_dim = s->head_dim, .halves = o->pairs == HALVES, .options = o, .original = INT64_MAX};
    l.n = (int64_t)(o->fraction * (double)s->head_dim + 1e-6);
    if (l.n < 2 || l.n % 2)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.position: %lld of %lld elements of a head turn, expected an even number",
                          (long long)l.n, (long long)s->head_dim);
    double context = (double)(o->original_context ? o->original_context : s->context);
    int64_t half = l.n / 2;
    if (o->scaling == LONGROPE && (o->short_factors.n != half || o->long_factors.n != half))
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.position: %lld short_factors and %lld long_factors, expected %lld of each",
                          (long long)o->short_factors.n, (long long)o->long_factors.n, (long long)half);
    l.size = size_of(o, context);
    if (o->scaling == DYNAMIC || o->scaling == LONGROPE) l.original = (int64_t)context;
    l.cosine = spar__array((size_t)(s->context * half), sizeof(real));
    l.sine = spar__array((size_t)(s->context * half), sizeof(real));
    *(layer *)self = l;
    if (!l.cosine || !l.sine) return SPAR_ERR_MEMORY;
    for (int64_t i = 0; i < half; i++) {
        double f = frequency(o, i, l.n, context);
        for (int64_t p = 0; p < s->context; p++) {
            l.cosine[p * half + i] = (real)(l.size * cos((double)p * f));
            l.sine[p * half + i] = (real)(l.size * sin((double)p * f));
        }
    }
    return SPAR_OK;
}

static void release(void *self) {
    layer *l = self;
    spar__free(l->cosine);
    spar__free(l->sine);
}

/* The frequencies of a sequence of this length. */
static void frequencies_at(const layer *l, int64_t length, double *out) {
    const options *o = l->options;
    if (o->scaling == LONGROPE) {
        const spar_reals *factors = length > l->original ? &o->long_factors : &o->short_factors;
        for (int64_t i = 0; i < l->n / 2; i++) out[i] = pow(o->base, -2.0 * (double)i / (double)l->n) / factors->at[i];
        return;
    }
    double n = (double)l->n, ratio = fmax((double)length / (double)l->original, 1);
    double base = o->base * pow(o->factor * ratio - (o->factor - 1), n > 2 ? n / (n - 2) : 1);
    for (int64_t i = 0; i < l->n / 2; i++) out[i] = pow(base, -2.0 * (double)i / n);
}

/* Sines and cosines of every row, each by the length of its sequence so far. */
static spar__tensor *turn_long(spar__pass *pass, const layer *l, spar__tensor *x) {
    const spar__rows *rows = pass->rows;
    int64_t half = l->n / 2;
    real *cosine = spar__take(pass, rows->n_rows * half, sizeof(real));
    real *sine = spar__take(pass, rows->n_rows * half, sizeof(real));
    int32_t *at = spar__take(pass, rows->n_rows, sizeof *at);
    double *frequencies = spar__take(pass, half, sizeof *frequencies);
    if (!spar__ok(pass)) return NULL;
    for (int s = 0; s < rows->n_sequences; s++) {
        const spar__sequence *q = &rows->sequences[s];
        frequencies_at(l, q->past + q->count, frequencies);
#pragma omp parallel for schedule(static) if (q->count > 4)
        for (int64_t r = q->begin; r < q->begin + q->count; r++) {
            at[r] = (int32_t)r;
            for (int64_t i = 0; i < half; i++) {
                double angle = (double)rows->positions[r] * frequencies[i];
                cosine[r * half + i] = (real)(l->size * cos(angle));
                sine[r * half + i] = (real)(l->size * sin(angle));
            }
        }
    }
    return spar__rotary(pass, x, l->head_dim, cosine, sine, l->n, l->halves, at);
}

static spar__tensor *turn(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    for (int s = 0; s < pass->rows->n_sequences; s++)
        if (pass->rows->sequences[s].past + pass->rows->sequences[s].count > l->original)
            return turn_long(pass, l, x);
    return spar__rotary(pass, x, l->head_dim, l->cosine, l->sine, l->n, l->halves, pass->rows->positions);
}

const spar__position_kind spar__position_rotary = {
    {"rotary", table, sizeof(options)}, sizeof(layer), NULL, prepare, release, NULL, turn, NULL};
