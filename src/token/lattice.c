#include "token/lattice.h"

spar_status spar__lattice_begin(spar__run *run, size_t length, size_t size, spar__link **links,
                                void **scores) {
    size_t bytes;
    if (length >= UINT32_MAX || !spar__mul(length + 1, sizeof **links + size, &bytes))
        return spar__fail(SPAR_ERR_LIMIT, "text of %zu bytes is too long", length);
    SPAR_TRY(spar__run_scratch(run, bytes));
    *scores = run->scratch;
    *links = (spar__link *)((char *)run->scratch + (length + 1) * size);
    for (size_t i = 0; i <= length; i++) (*links)[i] = (spar__link){SPAR__NO_PATH, 0};
    return SPAR_OK;
}

void spar__lattice_turn(spar__link *links, size_t length) {
    size_t ahead = length, at = links[length].from;
    int32_t id = links[length].id;
    for (;;) {
        spar__link was = links[at];
        links[at] = (spar__link){id, (uint32_t)ahead};
        if (!at) return;
        ahead = at;
        id = was.id;
        at = was.from;
    }
}
