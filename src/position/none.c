/* No positions: a causal decoder can count by what it sees (Haviv et al. 2022, arXiv 2203.16634). */
#include "position/position.h"

const spar__position_kind spar__position_none = {.kind = {"none", NULL, 0}};
