/* A multiplicative layer for each of Q, K, V and the output (Jaszczur et al. 2021, arXiv 2111.12763, section 3.2):
 * d·S + d·M weights in place of d², M = d/S; any permutation of its inputs can be had by them. Modular: a dense
 * layer M × M for each module behind it. */
#include "projection/parts.h"

typedef struct options {
    int64_t modules;
} options;

typedef struct layer {
    spar__factored part[4]; /* q, k, v, output */
} layer;

static const spar_option table[] = {
    {"modules", SPAR_OPTION_INT, offsetof(options, modules), 16, 1, 1 << 20, NULL,
     "S: divides d_model and the widths of queries and keys"},
    {0}};

static void widths(const spar__shape *s, int64_t in[4], int64_t out[4]) {
    int64_t d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s);
    for (int i = 0; i < 4; i++) in[i] = i < 3 ? d : q, out[i] = i == 0 ? q : i < 3 ? kv : d;
}

static spar_status declare_as(spar__builder *b, const spar__shape *s, const options *o, bool modular, layer *l) {
    static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
    int64_t in[4], out[4];
    widths(s, in, out);
    SPAR_TRY(spar__modules_check(o->modules, (int64_t[]){out[0], out[1], out[3]},
                                 (const char *const[]){"the queries' width", "the keys' width", "d_model"}, 3));
    for (int i = 0; i < 4; i++)
        spar__factored_declare(b, names[i], in[i], out[i], o->modules, modular, i < 3 ? s->bias : s->output_bias,
                               i < 3 ? 1 : spar__residual_gain(s), &l->part[i]);
    return b->status;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    return declare_as(b, s, opts, false, self);
}
static spar_status declare_modular(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    return declare_as(b, s, opts, true, self);
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, spar__tensor *qkv[3]) {
    (void)opts;
    const layer *l = self;
    for (int i = 0; i < 3; i++) qkv[i] = spar__factored_run(pass, x, &l->part[i]);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    (void)opts;
    return spar__factored_run(pass, y, &((const layer *)self)->part[3]);
}

static int64_t read_as(const spar__shape *s, const options *o, bool modular) {
    int64_t in[4], out[4], n = 0;
    widths(s, in, out);
    for (int i = 0; i < 4; i++)
        n += spar__factored_size(in[i], out[i], o->modules, modular, i < 3 ? s->bias : s->output_bias);
    return n;
}
static int64_t read_per_token(const spar__shape *s, const void *opts) { return read_as(s, opts, false); }
static int64_t read_modular(const spar__shape *s, const void *opts) { return read_as(s, opts, true); }

const spar__projection_kind spar__projection_multiplicative = {
    {"multiplicative", table, sizeof(options)}, sizeof(layer), declare, inputs, output, read_per_token};
const spar__projection_kind spar__projection_modular = {
    {"modular", table, sizeof(options)}, sizeof(layer), declare_modular, inputs, output, read_modular};
