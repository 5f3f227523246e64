/* Layers of modules as the projection kinds use them (mathematics: op/modules.h). */
#ifndef SPAR_PROJECTION_PARTS_H
#define SPAR_PROJECTION_PARTS_H

#include "projection/projection.h"

/* Multiplicative, perhaps with a dense layer for each module behind it; one module is a plain dense layer. */
typedef struct spar__factored {
    spar__param *d, *e, *k, *bias; /* d NULL: e is the dense layer's weight */
} spar__factored;
void spar__factored_declare(spar__builder *b, const char *name, int64_t in, int64_t out, int64_t modules,
                            bool modular, bool bias, double gain, spar__factored *l);
spar__tensor *spar__factored_run(spar__pass *pass, spar__tensor *x, const spar__factored *l);
int64_t spar__factored_size(int64_t in, int64_t out, int64_t modules, bool modular, bool bias);

typedef struct spar__local {
    spar__param *k, *bias; /* one module: a plain dense layer's */
    int64_t modules, length;
} spar__local;
void spar__local_declare(spar__builder *b, const char *name, int64_t in, int64_t out, int64_t modules,
                         int64_t length, int64_t width, bool bias, double gain, spar__local *l);
spar__tensor *spar__local_run(spar__pass *pass, spar__tensor *x, const spar__local *l, int track, bool stored);
int64_t spar__local_size(int64_t in, int64_t out, int64_t modules, int64_t length, int64_t width, bool bias);

/* `modules` divides each width, else an error that says which values fit. */
spar_status spar__modules_check(int64_t modules, const int64_t *widths, const char *const *names, int n);
spar_status spar__odd_check(const char *key, int64_t value);

/* Widths of an attention's queries, and of its keys and values. */
static inline int64_t spar__query_width(const spar__shape *s) { return s->n_heads * s->head_dim; }
static inline int64_t spar__key_width(const spar__shape *s) { return s->n_kv_heads * s->head_dim; }
/* How much smaller new weights are that write into the residual stream. */
static inline double spar__residual_gain(const spar__shape *s) {
    return s->std > 0 ? s->residual_std / s->std : 1;
}

#endif
