#include <stdio.h>
#include <string.h>

#include "family/family.h"

#define FAMILY(symbol) extern const spar__family spar__family_##symbol;
#include "family/family.def"
#undef FAMILY

static const spar__family *const families[] = {
#define FAMILY(symbol) &spar__family_##symbol,
#include "family/family.def"
#undef FAMILY
};

const spar__family *spar__family_at(int index) {
    return index >= 0 && index < (int)(sizeof families / sizeof *families) ? families[index] : NULL;
}

const spar__family *spar__family_named(const char *name) {
    const spar__family *f;
    for (int i = 0; (f = spar__family_at(i)); i++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

const spar__family *spar__family_of_config(const json_t *config) {
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const spar__family *f;
    for (int i = 0; type && (f = spar__family_at(i)); i++)
        for (int t = 0; f->types && f->types[t]; t++)
            if (strcmp(f->types[t], type) == 0 && (!f->is || f->is(config))) return f;
    return NULL;
}

const spar__family *spar__family_of_gguf(const spar__gguf *file) {
    const spar__family *f;
    for (int i = 0; (f = spar__family_at(i)); i++)
        if (f->gguf && spar__gguf_text_is(file, "general.architecture", f->gguf) &&
            (!f->gguf_is || f->gguf_is(file)))
            return f;
    return NULL;
}

void spar__family_list(char *out, size_t room) {
    const spar__family *f;
    size_t used = 0;
    *out = 0;
    for (int i = 0; (f = spar__family_at(i)) && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", i ? ", " : "", f->name);
}
