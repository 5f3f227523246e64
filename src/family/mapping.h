/* Binding a model's parameters to the tensors of a file by a family's rules, and the way back. */
#ifndef SPAR_FAMILY_MAPPING_H
#define SPAR_FAMILY_MAPPING_H

#include "family/family.h"
#include "format/safetensors.h"

/* A tensor of a file of either format; shape is slowest first. */
typedef struct spar__foreign {
    const char *name;
    const void *data;
    int n_dims;
    int64_t shape[SPAR__ST_DIMS];
    size_t bytes;
    bool typed; /* type is one that models compute with */
    spar__type type;
    const char *type_name;
} spar__foreign;

/* The tensors that a model is bound to: `file` or `tensors`, the other is NULL. */
typedef struct spar__binding {
    const char *path;
    const spar__family *family;
    const spar__tensor_rule *rules; /* NULL = names are ours */
    const char *const *prefixes, *const *ignored;
    const spar__gguf *file;
    const spar__st *tensors;
} spar__binding;

/* Where one of our parameters lies. */
typedef struct spar__place {
    const spar__tensor_rule *rule; /* NULL: under its own name, as it is */
    int64_t layer, attentions;   /* layers of ours that are one block of theirs; 0 counts as 1 */
    const char *suffix;          /* ".weight", ".bias" or "" */
    int64_t rows, experts;       /* rows of ours in each tensor; tensors of the stack */
    int64_t before, all;         /* rows of the parts before; rows of the whole tensor */
    int64_t head_dim, turned;    /* turned: rows of a head whose rotary pairs lie otherwise; 0 = none */
    int64_t cols, stride;        /* numbers of a row of ours in a tensor; from one row to the next */
    bool to_adjacent;            /* ours are halves, theirs adjacent pairs; else the other way */
    int64_t slabs;               /* [slabs, in, out]: each turned by itself; 0 = one matrix */
    int64_t heads, neurons, rounds; /* what letters of the rule's shape stand for */
    bool transposed, halves;     /* halves: `experts` are the two of each row */
} spar__place;
/* Whether tensor e of the place holds our rows as columns. */
static inline bool spar__place_turned(const spar__place *place, int64_t e) {
    return place->transposed || (place->halves && e == 0);
}

spar_status spar__place_of(spar_model *model, const spar__tensor_rule *rules, const spar__param *param,
                           spar__place *out);
/* Row of the published tensor where row r (of one expert's rows) lies. */
int64_t spar__place_row(const spar__place *place, int64_t r);
/* The published name, without prefix; "/…" is absolute. */
void spar__place_name(const spar__place *place, const spar__param *param, int64_t expert, char *out,
                      size_t room);

/* Gives every parameter its weights: views of the mapped file where the layout allows it, copies
 * otherwise. Tensors that no parameter takes are refused, unless they are ignored by the family. */
spar_status spar__bind(const spar__binding *binding, spar_model *model);
bool spar__foreign_find(const spar__binding *binding, const char *name, spar__foreign *out);

#endif
