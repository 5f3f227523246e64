/* A trained vector for each position, added to the embedding (GPT-2, BERT). */
#include "position/position.h"

typedef struct options {
    int64_t offset;
} options;

typedef struct layer {
    spar__param *table;
    int64_t offset;
} layer;

static const spar_option table[] = {{"offset", SPAR_OPTION_INT, offsetof(options, offset), 0, 0, 1024, NULL,
                                     "rows of the table before that of position 0 (OPT: 2)"},
                                    {0}};

static spar_status declare(spar__builder *b, const spar__shape *s, const void *opts, void *self) {
    const options *o = opts;
    layer l = {.offset = o->offset};
    l.table = spar__declare_matrix(b, "position_embd.weight", s->std, s->context + o->offset,
                                   s->embedding_width);
    *(layer *)self = l;
    return b->status;
}

static spar__tensor *embed(spar__pass *pass, const void *self, spar__tensor *x) {
    const layer *l = self;
    if (!x) return NULL;
    const int32_t *at = pass->rows->positions;
    if (l->offset) {
        int32_t *moved = spar__take(pass, x->rows, sizeof *moved);
        if (!moved) return NULL;
        for (int64_t i = 0; i < x->rows; i++) moved[i] = at[i] + (int32_t)l->offset;
        at = moved;
    }
    return spar__sum(pass, x, spar__embed(pass, l->table, at, x->rows));
}

const spar__position_kind spar__position_learned = {
    {"learned", table, sizeof(options)}, sizeof(layer), declare, NULL, NULL, embed, NULL, NULL};
