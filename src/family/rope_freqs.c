/* The factor of frequency i, with wavelength λ_i = 2π·base^(2i/n), original context L, and s = (L/λ − low) / (high − low):
 *     1 for λ < L/high,   F for λ > L/low,   1 / ((1 − s)/F + s) between.
 * Between them 1/factor is linear in 1/λ, so that two such factors give L and high for low = 1; only
 * ratios matter. One gives L for the published high = 4; with none, any L between serves. */
#include "family/rope_freqs.h"

#include <math.h>
#include <string.h>

double spar__llama3_factor(double base, int64_t i, int64_t n, double factor, double low, double high,
                           double context) {
    double wave = 2 * M_PI * pow(base, 2.0 * (double)i / (double)n);
    if (wave < context / high) return 1;
    if (wave > context / low) return factor;
    double smooth = (context / wave - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
}

typedef struct scaling {
    double base, factor, low, high, context;
    int64_t n;
    const float *factors; /* [n/2] */
} scaling;

static bool explains(const scaling *s) {
    if (!(s->context > 0) || !(s->high > s->low)) return false;
    for (int64_t i = 0; i < s->n / 2; i++) {
        double want = (double)s->factors[i];
        if (!(fabs(spar__llama3_factor(s->base, i, s->n, s->factor, s->low, s->high, s->context) - want) <= 2e-5 * want))
            return false;
    }
    return true;
}

/* From the first and the last factor between 1 and F. */
static bool solve(scaling *s) {
    double x[2] = {0}, y[2] = {0};
    int found = 0;
    for (int64_t i = 0; i < s->n / 2; i++) {
        double f = (double)s->factors[i];
        if (!(f > 1 + 1e-6) || !(f < s->factor * (1 - 1e-6))) continue;
        int k = found ? 1 : 0;
        x[k] = pow(s->base, -2.0 * (double)i / (double)s->n) / (2 * M_PI);
        y[k] = (1 / f - 1 / s->factor) / (1 - 1 / s->factor);
        found++;
    }
    if (found < 2) {
        s->low = 1;
        s->high = 4;
        s->context = found ? (3 * y[0] + 1) / x[0] : 0;
        if (fabs(s->context - round(s->context)) < 1e-3 * s->context) s->context = round(s->context);
        return explains(s);
    }
    double slope = (y[0] - y[1]) / (x[0] - x[1]), below = slope * x[0] - y[0];
    s->low = 1;
    s->high = 1 + 1 / below;
    s->context = slope / below;
    if (fabs(s->high - round(s->high)) < 1e-3) s->high = round(s->high);
    if (fabs(s->context - round(s->context)) < 1e-3 * s->context) s->context = round(s->context);
    return explains(s);
}

static bool try_published(scaling *s) {
    s->low = 1;
    s->high = 4;
    for (s->context = 16; s->context <= 1 << 20; s->context *= 1.25)
        if (explains(s)) return true;
    return false;
}

spar_status spar__rope_freqs_read(const spar__gguf *file, json_t *position, int64_t n) {
    const spar__gguf_tensor *t = spar__gguf_tensor_find(file, "rope_freqs.weight");
    if (!t) return SPAR_OK;
    if (t->type != SPAR__GGUF_F32 || n < 2 || (int64_t)t->elements != n / 2)
        return spar__fail(SPAR_ERR_FORMAT, "%s: tensor 'rope_freqs.weight': expected %lld f32", spar__gguf_path(file),
                          (long long)n / 2);
    scaling s = {.base = spar__model_real(position, "base", 10000), .factor = 1, .n = n, .factors = t->data};
    for (int64_t i = 0; i < n / 2; i++)
        if ((double)s.factors[i] > s.factor) s.factor = (double)s.factors[i];
    if (s.factor == 1) return SPAR_OK;
    if (!solve(&s) && !try_published(&s))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor 'rope_freqs.weight': its factors are of no scaling that is known",
                          spar__gguf_path(file));
    json_object_update_new(position, json_pack("{s:s, s:f, s:f, s:f, s:I}", "scaling", "llama3", "factor", s.factor,
                                               "low_freq_factor", s.low, "high_freq_factor", s.high,
                                               "original_context", (json_int_t)(s.context + 0.5)));
    /* Contexts are whole numbers; where none was found near, rounding must not matter. */
    s.context = floor(s.context + 0.5);
    if (!explains(&s))
        return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: tensor 'rope_freqs.weight': its original context is no whole number",
                          spar__gguf_path(file));
    return SPAR_OK;
}
