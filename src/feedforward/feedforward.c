#include "feedforward/feedforward.h"

#include <math.h>

static const spar__feedforward_kind *const kinds[] = {
#define FEEDFORWARD(symbol) &spar__feedforward_##symbol,
#include "feedforward/feedforward.def"
#undef FEEDFORWARD
};

const spar__kind *spar__feedforward_at(int index) {
    return index >= 0 && index < (int)(sizeof kinds / sizeof *kinds) ? &kinds[index]->kind : NULL;
}

double spar__distinct(int64_t n, int64_t k, int64_t tokens) {
    return (double)n * (1 - pow(1 - (double)k / (double)n, (double)tokens));
}
