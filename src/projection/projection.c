#include "projection/projection.h"

#define PROJECTION(symbol) extern const spar__projection_kind spar__projection_##symbol;
#include "projection/projection.def"
#undef PROJECTION

static const spar__projection_kind *const kinds[] = {
#define PROJECTION(symbol) &spar__projection_##symbol,
#include "projection/projection.def"
#undef PROJECTION
};

const spar__kind *spar__projection_at(int index) {
    return index >= 0 && index < (int)(sizeof kinds / sizeof *kinds) ? &kinds[index]->kind : NULL;
}
