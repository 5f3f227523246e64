/* A small recurrent branch beside a feed-forward (Terraformer: Jaszczur et al. 2021, arXiv 2111.12763, section 4):
 *     F(norm x) + Wo·SRU(… SRU(Wi·norm' x + bi)) + bo
 * with a norm of its own and simple recurrent units of few numbers (op/recurrence.c). What a unit remembers of
 * its sequence is a row of the cache. */
#include <stdio.h>

#include "block/block.h"

typedef spar__recurrent_options options;

const spar_option spar__recurrent_table[] = {
    {"layers", SPAR_OPTION_INT, offsetof(options, layers), 1, 1, SPAR__MAX_RECURRENT, NULL, "recurrent units, one after the other"},
    {"width", SPAR_OPTION_INT, offsetof(options, width), 32, 1, 1 << 20, NULL, "of the units"},
    {"activation", SPAR_OPTION_NAME, offsetof(options, activation), SPAR__IDENTITY, 0, 0, spar__activation_names,
     "of the cell in a unit's output"},
    {0}};

spar_status spar__recurrent_declare(spar__builder *b, const spar__shape *s, const options *given, spar__recurrent *out) {
    options o = *given;
    char name[64];
    spar__recurrent r = {.norm = out->norm};
    r.n_layers = (int)o.layers;
    r.width = o.width;
    r.activation = (spar__activation)o.activation;
    r.in = spar__declare_matrix(b, "sru_in.weight", s->std, o.width, s->d_model);
    r.in_bias = spar__declare_vector(b, "sru_in.bias", 0, o.width);
    for (int i = 0; i < r.n_layers; i++) {
        snprintf(name, sizeof name, "sru.%d.weight", i);
        r.units[i] = spar__declare_matrix(b, name, s->std, 3 * o.width, o.width);
        snprintf(name, sizeof name, "sru.%d.bias", i);
        r.unit_biases[i] = spar__declare_vector(b, name, 0, 3 * o.width);
    }
    r.out = spar__declare_matrix(b, "sru_out.weight", s->residual_std, s->d_model, o.width);
    r.out_bias = spar__declare_vector(b, "sru_out.bias", 0, s->d_model);
    *out = r;
    return b->status;
}

int spar__recurrent_tracks(const spar__recurrent *r, spar__cache_track *out) {
    for (int i = 0; i < r->n_layers; i++) out[i] = (spar__cache_track){.width = r->width, .keep = 2, .exact = true};
    return r->n_layers;
}

spar__tensor *spar__recurrent_run(spar__pass *pass, const spar__recurrent *r, spar__tensor *x) {
    spar__tensor *h = spar__linear(pass, spar__block_norm(pass, &r->norm, x), r->in, r->in_bias);
    for (int i = 0; i < r->n_layers; i++) {
        spar__tensor *u = spar__linear(pass, h, r->units[i], r->unit_biases[i]);
        h = spar__recurrence(pass, h, u, r->activation, pass->track + i);
    }
    return spar__linear(pass, h, r->out, r->out_bias);
}

int64_t spar__recurrent_read(const spar__recurrent *r, const spar__shape *s) {
    int64_t w = r->width;
    return r->n_layers ? 2 * w * s->d_model + r->n_layers * 3 * w * (w + 1) + w + 3 * s->d_model : 0;
}
