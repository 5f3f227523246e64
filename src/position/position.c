#include "position/position.h"

#define POSITION(symbol) extern const spar__position_kind spar__position_##symbol;
#include "position/position.def"
#undef POSITION

static const spar__position_kind *const kinds[] = {
#define POSITION(symbol) &spar__position_##symbol,
#include "position/position.def"
#undef POSITION
};

const spar__kind *spar__position_at(int index) {
    return index >= 0 && index < (int)(sizeof kinds / sizeof *kinds) ? &kinds[index]->kind : NULL;
}
