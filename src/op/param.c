#include "op/param.h"

#include <stdio.h>
#include <string.h>

static spar__param *append(spar__builder *b, const char *name) {
    if (b->status) return NULL;
    if (b->n_params == b->capacity) {
        int capacity = b->capacity ? 2 * b->capacity : 64;
        spar__param **params = spar__resize(b->params, (size_t)capacity, sizeof *params);
        if (!params) return b->status = SPAR_ERR_MEMORY, NULL;
        b->params = params;
        b->capacity = capacity;
    }
    spar__param *p = spar__alloc(sizeof *p);
    size_t room = strlen(b->prefix) + strlen(name) + 1;
    char *full = p ? spar__alloc(room) : NULL;
    if (!full) {
        spar__free(p);
        b->status = SPAR_ERR_MEMORY;
        return NULL;
    }
    snprintf(full, room, "%s%s", b->prefix, name);
    p->name = full;
    return b->params[b->n_params++] = p;
}

spar__param *spar__declare(spar__builder *b, const char *name, double std, int n_dims,
                           const int64_t *shape) {
    spar__param *p = append(b, name);
    if (!p) return NULL;
    p->n_dims = n_dims;
    p->init = std;
    p->decay = n_dims > 1;
    p->vector = n_dims == 1;
    p->value.type = SPAR__F32;
    p->value.rows = 1;
    for (int i = 0; i < n_dims; i++) {
        p->shape[i] = shape[i];
        if (i + 1 < n_dims) p->value.rows *= shape[i];
    }
    p->value.cols = shape[n_dims - 1];
    return p;
}

spar__param *spar__declare_vector(spar__builder *b, const char *name, double value, int64_t n) {
    spar__param *p = spar__declare(b, name, value, 1, &n);
    if (p) p->constant = true;
    return p;
}

void spar__param_free(spar__param *param) {
    if (!param) return;
    spar__free(param->name);
    spar__free(param);
}
