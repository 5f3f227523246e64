#include "head/head.h"

#define HEAD(symbol) extern const spar__head_kind spar__head_##symbol;
#include "head/head.def"
#undef HEAD

static const spar__head_kind *const kinds[] = {
#define HEAD(symbol) &spar__head_##symbol,
#include "head/head.def"
#undef HEAD
};

const spar__kind *spar__head_at(int index) {
    return index >= 0 && index < (int)(sizeof kinds / sizeof *kinds) ? &kinds[index]->kind : NULL;
}
