#include "projection/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "op/modules.h"

static const char *name_of(char *out, size_t room, const char *name, const char *what) {
    snprintf(out, room, "%s%s", name, what);
    return out;
}

/* Glorot and Bengio 2010: variance 2 / (inputs + outputs). */
static double glorot(double in, double out) { return sqrt(2 / (in + out)); }

void spar__factored_declare(spar__builder *b, const char *name, int64_t in, int64_t out, int64_t modules,
                            bool modular, bool bias, double gain, spar__factored *l) {
    char full[64];
    int64_t m = out / modules;
    *l = (spar__factored){0};
    if (modules == 1) {
        l->e = spar__declare_matrix(b, name_of(full, sizeof full, name, ".weight"),
                                    gain * glorot((double)in, (double)out), out, in);
    } else {
        l->d = spar__declare_matrix(b, name_of(full, sizeof full, name, "_scale.weight"), 0.5, modules, in);
        l->e = spar__declare_matrix(b, name_of(full, sizeof full, name, "_mix.weight"),
                                    (modular ? 1 : gain) * glorot((double)in, (double)m), m, in);
    }
    if (modular)
        l->k = spar__declare(b, name_of(full, sizeof full, name, "_modules.weight"), gain * glorot((double)m, (double)m),
                             3, (int64_t[]){modules, m, m});
    if (bias) l->bias = spar__declare_vector(b, name_of(full, sizeof full, name, ".bias"), 0, out);
}

spar__tensor *spar__factored_run(spar__pass *pass, spar__tensor *x, const spar__factored *l) {
    spar__param *bias = l->k ? NULL : l->bias;
    spar__tensor *y = l->d ? spar__multiplicative(pass, x, l->d, l->e, bias) : spar__linear(pass, x, l->e, bias);
    return l->k ? spar__modular(pass, y, l->k, l->bias) : y;
}

int64_t spar__factored_size(int64_t in, int64_t out, int64_t modules, bool modular, bool bias) {
    int64_t m = out / modules, n = modules == 1 ? in * out : in * (modules + m);
    return n + (modular ? out * m : 0) + (bias ? out : 0);
}

void spar__local_declare(spar__builder *b, const char *name, int64_t in, int64_t out, int64_t modules,
                         int64_t length, int64_t width, bool bias, double gain, spar__local *l) {
    char full[64];
    int64_t m = in / modules, o = out / modules;
    bool dense = modules == 1;
    double taps = dense ? 1 : (double)(length * width);
    double std = gain * glorot(taps * (double)m, taps * (double)o);
    *l = (spar__local){.modules = modules, .length = dense ? 1 : length};
    name_of(full, sizeof full, name, ".weight");
    l->k = dense ? spar__declare_matrix(b, full, std, out, in)
                 : spar__declare(b, full, std, 4, (int64_t[]){o, length, width, m});
    if (bias) l->bias = spar__declare_vector(b, name_of(full, sizeof full, name, ".bias"), 0, o);
}

spar__tensor *spar__local_run(spar__pass *pass, spar__tensor *x, const spar__local *l, int track, bool stored) {
    return l->modules == 1 ? spar__linear(pass, x, l->k, l->bias)
                           : spar__convolution(pass, x, l->modules, l->k, l->bias, track, stored);
}

int64_t spar__local_size(int64_t in, int64_t out, int64_t modules, int64_t length, int64_t width, bool bias) {
    int64_t m = in / modules, o = out / modules;
    return m * o * (modules == 1 ? 1 : length * width) + (bias ? o : 0);
}

spar_status spar__modules_check(int64_t modules, const int64_t *widths, const char *const *names, int n) {
    for (int i = 0; i < n; i++) {
        if (widths[i] % modules == 0) continue;
        char fit[96] = "";
        int64_t best[2] = {1, widths[i]};
        for (int64_t v = 1; v <= widths[i]; v++) {
            bool all = true;
            for (int j = 0; j < n; j++) all = all && widths[j] % v == 0;
            if (all && v < modules) best[0] = v;
            if (all && v > modules && v < best[1]) best[1] = v;
        }
        bool above = best[1] > modules;
        for (int j = 0; j < n; j++) above = above && widths[j] % best[1] == 0;
        snprintf(fit, sizeof fit, above ? "%lld or %lld" : "%lld", (long long)best[0], (long long)best[1]);
        return spar__fail(SPAR_ERR_CONFIG, "model.projection.modules: found %lld, expected a divisor of %s, %lld: %s",
                          (long long)modules, names[i], (long long)widths[i], fit);
    }
    return SPAR_OK;
}

spar_status spar__odd_check(const char *key, int64_t value) {
    if (value % 2) return SPAR_OK;
    return spar__fail(SPAR_ERR_CONFIG, "model.projection.%s: found %lld, expected an odd number: %lld or %lld", key,
                      (long long)value, (long long)value - 1, (long long)value + 1);
}
