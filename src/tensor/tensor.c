#include "tensor/tensor.h"

#include <string.h>

static const spar__type_traits traits[SPAR__N_TYPES] = {
#define TYPE(NAME, name, block, bytes) [SPAR__##NAME] = {#name, block, bytes},
#define BLOCK_TYPE TYPE
#include "tensor/type.def"
#undef TYPE
#undef BLOCK_TYPE
};

#define TYPE(NAME, name, block, bytes) ", " #name
#define BLOCK_TYPE TYPE
static const char names[] =
#include "tensor/type.def"
    ;
#undef TYPE
#undef BLOCK_TYPE

const char *spar__type_names(void) { return names + 2; }

const spar__type_traits *spar__type_of(spar__type type) { return &traits[type]; }

bool spar__type_find(const char *name, spar__type *out) {
    for (int i = 0; i < SPAR__N_TYPES; i++)
        if (strcmp(traits[i].name, name) == 0) return *out = (spar__type)i, true;
    return false;
}

bool spar__row_bytes(spar__type type, size_t cols, size_t *bytes) {
    const spar__type_traits *t = &traits[type];
    return cols % (size_t)t->block == 0 && spar__mul(cols / (size_t)t->block, t->block_bytes, bytes);
}
