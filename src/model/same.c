/* Whether two models are made of the same parts. Weights are not looked at. */
#include <math.h>
#include <string.h>

#include "model/inside.h"

static bool same_choice(const spar__choice *a, const spar__choice *b);

static bool same_option(const spar_option *o, const void *a, const void *b) {
    switch (o->type) {
    case SPAR_OPTION_INT: return *(const int64_t *)a == *(const int64_t *)b;
    case SPAR_OPTION_REAL: return *(const double *)a == *(const double *)b;
    case SPAR_OPTION_BOOL: return *(const bool *)a == *(const bool *)b;
    case SPAR_OPTION_NAME: return *(const int *)a == *(const int *)b;
    case SPAR_OPTION_KIND: return same_choice(a, b);
    case SPAR_OPTION_INTS: return memcmp(a, b, sizeof(spar_ints)) == 0;
    case SPAR_OPTION_REALS: {
        const spar_reals *x = a, *y = b;
        return x->n == y->n && memcmp(x->at, y->at, (size_t)x->n * sizeof *x->at) == 0;
    }
    }
    return false;
}

static bool same_choice(const spar__choice *a, const spar__choice *b) {
    if (a->kind != b->kind) return false;
    /* Kinds without a table (patterns dealt over heads) are compared byte by byte. */
    if (a->kind && !a->kind->options) return memcmp(a->options, b->options, a->kind->options_size) == 0;
    for (const spar_option *o = a->kind ? a->kind->options : NULL; o && o->key; o++)
        if (!same_option(o, (const char *)a->options + o->offset, (const char *)b->options + o->offset)) return false;
    return true;
}

static bool same_norm(const spar__norm_layer *a, const spar__norm_layer *b) {
    return !a->weight == !b->weight && !a->bias == !b->bias &&
           (!a->weight || (a->eps == b->eps && a->center == b->center));
}

static bool same_block(const spar__block *a, const spar__block *b) {
    const spar__recurrent *r = &a->recurrent, *s = &b->recurrent;
    return a->residual == b->residual && r->activation == s->activation && same_choice(&a->pattern, &b->pattern) &&
           same_choice(&a->projection, &b->projection) && same_choice(&a->feedforward, &b->feedforward) &&
           same_norm(&a->norm[0], &b->norm[0]) && same_norm(&a->norm[1], &b->norm[1]) &&
           fabs(a->attention_scale - b->attention_scale) <= 1e-12 * fabs(a->attention_scale);
}

static bool same_stack(const spar__stack *a, const spar__stack *b) {
    const spar__shape *s = &a->shape, *t = &b->shape;
    if (s->d_model != t->d_model || s->n_layers != t->n_layers || s->context != t->context ||
        s->vocab_size != t->vocab_size || s->n_heads != t->n_heads || s->n_kv_heads != t->n_kv_heads ||
        s->head_dim != t->head_dim || s->bias != t->bias || s->output_bias != t->output_bias)
        return false;
    for (int64_t i = 0; i < s->n_layers; i++)
        if (!same_block(&a->blocks[i], &b->blocks[i])) return false;
    return a->embedding_scale == b->embedding_scale && a->project_sum == b->project_sum &&
           a->convolution_activation == b->convolution_activation && same_choice(&a->position, &b->position) &&
           same_norm(&a->embedding_norm, &b->embedding_norm) && same_norm(&a->final_norm, &b->final_norm);
}

static bool same_param(const spar__param *a, const spar__param *b) {
    return strcmp(a->name, b->name) == 0 && a->n_dims == b->n_dims &&
           memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape) == 0;
}

bool spar__model_same(const spar_model *a, const spar_model *b) {
    if (a->n_stacks != b->n_stacks || a->params.n_params != b->params.n_params ||
        strcmp(a->architecture, b->architecture) != 0 || a->joined != b->joined ||
        a->project_memory != b->project_memory || !same_choice(&a->head, &b->head))
        return false;
    for (int i = 0; i < a->n_stacks; i++)
        if (!same_stack(&a->stacks[i], &b->stacks[i])) return false;
    for (int i = 0; i < a->params.n_params; i++)
        if (!same_param(a->params.params[i], b->params.params[i])) return false;
    return true;
}
