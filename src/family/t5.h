/* What T5 and the families that follow it have in common. */
#ifndef SPAR_FAMILY_T5_H
#define SPAR_FAMILY_T5_H

#include "family/family.h"

/* The "model" section from config.json, with this "feedforward" (taken over). */
json_t *spar__t5_section(spar__config_reader *, json_t *feedforward);

#endif
