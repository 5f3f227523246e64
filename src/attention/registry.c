/* The table of patterns: the library's own, then those registered by the program. */
#include <string.h>

#include "base/status.h"
#include "spar/pattern.h"

#define PATTERN(symbol) extern const spar_pattern_kind spar__pattern_##symbol;
#include "attention/attention.def"
#undef PATTERN

static const spar_pattern_kind *const own[] = {
#define PATTERN(symbol) &spar__pattern_##symbol,
#include "attention/attention.def"
#undef PATTERN
};

enum { N_OWN = sizeof own / sizeof *own, MAX_REGISTERED = 32 };
static const spar_pattern_kind *registered[MAX_REGISTERED];
static int n_registered;

const spar_pattern_kind *spar_pattern_at(int index) {
    if (index < 0 || index >= N_OWN + n_registered) return NULL;
    return index < N_OWN ? own[index] : registered[index - N_OWN];
}

const spar_pattern_kind *spar_pattern_find(const char *name) {
    const spar_pattern_kind *kind;
    for (int i = 0; (kind = spar_pattern_at(i)); i++)
        if (strcmp(kind->name, name) == 0) return kind;
    return NULL;
}

spar_status spar_pattern_register(const spar_pattern_kind *kind) {
    if (!kind->name || !kind->sees || !kind->parts || !kind->tiles || !kind->tile || !kind->keep ||
        !kind->seen)
        return spar__fail(SPAR_ERR_ARGUMENT, "pattern '%s': a function is missing",
                          kind->name ? kind->name : "?");
    if (spar_pattern_find(kind->name))
        return spar__fail(SPAR_ERR_ARGUMENT, "pattern '%s': the name is taken", kind->name);
    if (n_registered == MAX_REGISTERED)
        return spar__fail(SPAR_ERR_LIMIT, "pattern '%s': more than %d registered", kind->name,
                          (int)MAX_REGISTERED);
    registered[n_registered++] = kind;
    return SPAR_OK;
}
