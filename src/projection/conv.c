/* A convolution for each of Q, K, V and the output (the authors' LocallyConvDense): a row is S modules, and the
 * same small kernel works at each. */
#include "projection/parts.h"

typedef struct options {
    int64_t modules, length, width;
} options;

typedef struct layer {
    spar__local part[4]; /* q, k, v, output */
} layer;

static const spar_option table[] = {
    {"modules", SPAR_OPTION_INT, offsetof(options, modules), 16, 1, 1 << 20, NULL,
     "S: divides d_model and the widths of queries and keys"},
    {"length", SPAR_OPTION_INT, offsetof(options, length), 1, 1, 4096, NULL, "rows that a convolution sees"},
    {"width", SPAR_OPTION_INT, offsetof(options, width), 3, 1, 4095, NULL, "modules that it sees, an odd number"},
    {0}};

static void widths(const spar__shape *s, int64_t in[4], int64_t out[4]) {
    int64_t d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s);
    for (int i = 0; i < 4; i++) in[i] = i < 3 ? d : q, out[i] = i == 0 ? q : i < 3 ? kv : d;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
    const options *o = opts;
    layer *l = self;
    int64_t in[4], out[4];
    widths(s, in, out);
    SPAR_TRY(spar__modules_check(o->modules, (int64_t[]){s->d_model, out[0], out[1]},
                                 (const char *const[]){"d_model", "the queries' width", "the keys' width"}, 3));
    SPAR_TRY(spar__odd_check("width", o->width));
    for (int i = 0; i < 4; i++)
        spar__local_declare(b, names[i], in[i], out[i], o->modules, o->length, o->width,
                            i < 3 ? s->bias : s->output_bias, i < 3 ? 1 : spar__residual_gain(s), &l->part[i]);
    return b->status;
}

static int tracks(const spar__shape *s, const void *opts, spar__cache_track *out) {
    const options *o = opts;
    if (o->modules == 1 || o->length == 1) return 0;
    out[0] = (spar__cache_track){s->d_model, o->length, true};
    out[1] = (spar__cache_track){spar__query_width(s), o->length, true};
    return 2;
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, spar__tensor *qkv[3]) {
    (void)opts;
    const layer *l = self;
    for (int i = 0; i < 3; i++) qkv[i] = spar__local_run(pass, x, &l->part[i], pass->track, i > 0);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    (void)opts;
    return spar__local_run(pass, y, &((const layer *)self)->part[3], pass->track + 1, false);
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    const options *o = opts;
    int64_t in[4], out[4], n = 0;
    widths(s, in, out);
    for (int i = 0; i < 4; i++)
        n += spar__local_size(in[i], out[i], o->modules, o->length, o->width, i < 3 ? s->bias : s->output_bias);
    return n;
}

const spar__projection_kind spar__projection_conv = {
    {"conv", table, sizeof(options)}, sizeof(layer), declare, inputs, output, read_per_token, tracks};
