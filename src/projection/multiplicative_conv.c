/* Q, K and V from one multiplicative layer and a convolution each, over the last `length` rows and the modules
 * beside (Jaszczur et al. 2021, arXiv 2111.12763, section 3.2; the authors' MultiplicativeConvCausalAttention):
 *     z = multiplicative(x);   q, k = convolution(z), 3 modules wide;   v = convolution(z), 1 wide
 * As published there is no output layer; one is worth its few weights. */
#include "op/modules.h"
#include "projection/parts.h"

typedef struct options {
    int64_t modules, length, width, value_width;
    bool share_qk;
    int v_concat, output;
} options;

typedef struct layer {
    spar__factored shared, out;
    spar__local part[3], out_local; /* q, k, v */
} layer;

enum { CONCAT_NONE, CONCAT_FIXED, CONCAT_ORIGINAL };
enum { OUTPUT_NONE, OUTPUT_MULT, OUTPUT_CONV, OUTPUT_MULTCONV, OUTPUT_DENSE };
static const char *const concats[] = {"none", "fixed", "original", NULL};
static const char *const outputs[] = {"none", "mult", "conv", "multconv", "dense", NULL};

static const spar_option table[] = {
    {"modules", SPAR_OPTION_INT, offsetof(options, modules), 16, 1, 1 << 20, NULL,
     "S: divides d_model and the widths of queries and keys"},
    {"length", SPAR_OPTION_INT, offsetof(options, length), 3, 1, 4096, NULL, "rows that a convolution sees"},
    {"width", SPAR_OPTION_INT, offsetof(options, width), 3, 1, 4095, NULL,
     "modules that those of queries and keys see, an odd number"},
    {"value_width", SPAR_OPTION_INT, offsetof(options, value_width), 1, 1, 4095, NULL,
     "modules that the values' sees, an odd number"},
    {"share_qk", SPAR_OPTION_BOOL, offsetof(options, share_qk), 0, 0, 1, NULL,
     "one convolution for queries and keys"},
    {"v_concat", SPAR_OPTION_NAME, offsetof(options, v_concat), CONCAT_NONE, 0, 0, concats,
     "values see x beside z: module by module (fixed), or one behind the other (original)"},
    {"output", SPAR_OPTION_NAME, offsetof(options, output), OUTPUT_MULT, 0, 0, outputs, "layers behind attention"},
    {0}};

static bool out_mult(const options *o) {
    return o->output == OUTPUT_MULT || o->output == OUTPUT_MULTCONV || o->output == OUTPUT_DENSE;
}
/* One module is a dense layer. */
static int64_t out_modules(const options *o) { return o->output == OUTPUT_DENSE ? 1 : o->modules; }
static bool out_conv(const options *o) { return o->output == OUTPUT_CONV || o->output == OUTPUT_MULTCONV; }
static int64_t value_input(const spar__shape *s, const options *o) {
    return o->v_concat == CONCAT_NONE ? s->d_model : 2 * s->d_model;
}

static spar_status check(const spar__shape *s, const options *o) {
    int64_t q = spar__query_width(s), kv = spar__key_width(s);
    SPAR_TRY(spar__modules_check(o->modules, (int64_t[]){s->d_model, q, kv},
                                 (const char *const[]){"d_model", "the queries' width", "the keys' width"}, 3));
    SPAR_TRY(spar__odd_check("width", o->width));
    SPAR_TRY(spar__odd_check("value_width", o->value_width));
    if (o->share_qk && q != kv)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.projection.share_qk: found true, expected false with fewer keys than queries "
                          "(n_kv_heads %d of n_heads %d)",
                          s->n_kv_heads, s->n_heads);
    if (o->output == OUTPUT_NONE && q != s->d_model)
        return spar__fail(SPAR_ERR_CONFIG,
                          "model.projection.output: found 'none', expected 'mult', 'conv', 'multconv' or 'dense' where "
                          "n_heads·head_dim, %lld, differs from d_model, %lld",
                          (long long)q, (long long)s->d_model);
    return SPAR_OK;
}

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    SPAR_TRY(check(s, o));
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    int64_t d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s), mid = out_mult(o) ? d : q;
    double gain = spar__residual_gain(s);
    layer *l = self;
    *l = (layer){0};
    spar__factored_declare(b, "attn_shared", d, d, o->modules, false, s->bias, 1, &l->shared);
    for (int i = 0; i < 3; i++) {
        if (i == 1 && o->share_qk) l->part[i] = l->part[0];
        else
            spar__local_declare(b, i == 0 && o->share_qk ? "attn_qk" : names[i], i == 2 ? value_input(s, o) : d,
                                i == 0 ? q : kv, o->modules, o->length, i == 2 ? o->value_width : o->width, s->bias,
                                1, &l->part[i]);
    }
    if (out_mult(o))
        spar__factored_declare(b, "attn_output", q, d, out_modules(o), false, s->output_bias, out_conv(o) ? 1 : gain,
                               &l->out);
    if (out_conv(o))
        spar__local_declare(b, "attn_output_conv", mid, d, o->modules, o->length, o->width, s->output_bias, gain,
                            &l->out_local);
    return b->status;
}

/* Tracks: z; with v_concat what the values see; before an output convolution its rows. */
static int tracks(const spar__shape *s, const void *opts, spar__cache_track *out) {
    const options *o = opts;
    int n = 0;
    if (o->modules == 1 || o->length == 1) return 0;
    out[n++] = (spar__cache_track){s->d_model, o->length, true};
    if (o->v_concat != CONCAT_NONE) out[n++] = (spar__cache_track){value_input(s, o), o->length, true};
    if (out_conv(o)) out[n++] = (spar__cache_track){out_mult(o) ? s->d_model : spar__query_width(s), o->length, true};
    return n;
}

static void inputs(spar__pass *pass, const void *opts, const void *self, spar__tensor *x, spar__tensor *qkv[3]) {
    const options *o = opts;
    const layer *l = self;
    int track = pass->track;
    spar__tensor *z = spar__factored_run(pass, x, &l->shared), *v = z;
    if (z && o->v_concat != CONCAT_NONE)
        v = spar__join(pass, z, x, o->v_concat == CONCAT_FIXED ? z->cols / o->modules : z->cols);
    qkv[0] = spar__local_run(pass, z, &l->part[0], track, false);
    /* Positions turn queries and keys in place. */
    qkv[1] = o->share_qk ? spar__copied(pass, qkv[0]) : spar__local_run(pass, z, &l->part[1], track, true);
    qkv[2] = v == z ? spar__local_run(pass, v, &l->part[2], track, true)
                    : spar__local_run(pass, v, &l->part[2], track + 1, false);
}

static spar__tensor *output(spar__pass *pass, const void *opts, const void *self, spar__tensor *y) {
    const options *o = opts;
    const layer *l = self;
    int track = pass->track + (o->v_concat == CONCAT_NONE ? 1 : 2);
    if (out_mult(o)) y = spar__factored_run(pass, y, &l->out);
    if (out_conv(o)) y = spar__local_run(pass, y, &l->out_local, track, false);
    return y;
}

static int64_t read_per_token(const spar__shape *s, const void *opts) {
    const options *o = opts;
    int64_t d = s->d_model, q = spar__query_width(s), kv = spar__key_width(s), m = o->modules;
    int64_t n = spar__factored_size(d, d, m, false, s->bias);
    n += spar__local_size(d, q, m, o->length, o->width, s->bias);
    if (!o->share_qk) n += spar__local_size(d, kv, m, o->length, o->width, s->bias);
    n += spar__local_size(value_input(s, o), kv, m, o->length, o->value_width, s->bias);
    if (out_mult(o)) n += spar__factored_size(q, d, out_modules(o), false, s->output_bias);
    if (out_conv(o)) n += spar__local_size(out_mult(o) ? d : q, d, m, o->length, o->width, s->output_bias);
    return n;
}

const spar__projection_kind spar__projection_multiplicative_conv = {
    {"multiplicative-conv", table, sizeof(options)}, sizeof(layer), declare, inputs, output, read_per_token, tracks};
