/* A model's parameters as the tensors of another format: the rules of a family, run the other way. */
#ifndef SPAR_FAMILY_OUTGOING_H
#define SPAR_FAMILY_OUTGOING_H

#include "family/mapping.h"

typedef struct spar__outgoing_part {
    const spar__param *param;
    const spar__place *place;
    int64_t expert;
} spar__outgoing_part;

typedef struct spar__outgoing_tensor {
    char name[224];
    int n_dims;
    int64_t shape[4]; /* slowest first */
    spar__type type;
    int first, n_parts; /* in spar__outgoing.parts */
} spar__outgoing_tensor;

typedef struct spar__outgoing {
    spar__outgoing_tensor *tensors;
    int n_tensors;
    spar__outgoing_part *parts;
    int n_parts;
    spar__place *places; /* [n_params] */
    uint64_t bytes, done; /* of all tensors; written, for progress */
} spar__outgoing;

/* `type` NULL: as they are; vectors stay f32. Free it also after a failure. */
spar_status spar__outgoing_list(spar_model *model, const spar__tensor_rule *rules, const char *prefix,
                                const spar__type *type, spar__outgoing *out);
void spar__outgoing_free(spar__outgoing *out);
size_t spar__outgoing_bytes(const spar__outgoing_tensor *tensor);

typedef spar_status (*spar__sink)(void *context, const void *bytes, size_t length);
/* The tensor's bytes to `sink`, in order. */
spar_status spar__outgoing_write(const spar__outgoing *out, const spar__outgoing_tensor *tensor,
                                 spar__sink sink, void *context);

#endif
