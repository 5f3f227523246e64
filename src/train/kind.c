#include "train/kind.h"

#include <string.h>

#include "base/status.h"
#include "base/text.h"

spar_status spar__kind_read(const json_t *section, const char *where, const char *const *names,
                            int n_names, int fallback, int *index) {
    if (section && !json_is_object(section))
        return spar__fail(SPAR_ERR_CONFIG, "%s: expected an object with a \"kind\"", where);
    const json_t *value = json_object_get(section, "kind");
    if (!value) {
        *index = fallback;
        return SPAR_OK;
    }
    const char *kind = json_string_value(value);
    if (!kind) return spar__fail(SPAR_ERR_CONFIG, "%s.kind: expected a name", where);
    for (int i = 0; i < n_names; i++) {
        if (strcmp(names[i], kind)) continue;
        *index = i;
        return SPAR_OK;
    }
    int near = spar__nearest(kind, names, n_names);
    return spar__fail(SPAR_ERR_CONFIG, "%s.kind: no kind '%s'; %s '%s'", where, kind,
                      near < 0 ? "the first of those known is" : "the nearest is",
                      names[near < 0 ? 0 : near]);
}
