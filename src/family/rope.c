/* Rotary positions in config.json. Published files have rope_theta, rope_scaling (null, or an object
 * whose kind is under "rope_type", in old files "type") and partial_rotary_factor; newer ones
 * have all of these in one object rope_parameters. */
#include <string.h>

#include "base/json.h"
#include "family/family.h"

static const struct {
    const char *published, *ours;
} members[] = {{"factor", "factor"},
               {"original_max_position_embeddings", "original_context"},
               {"low_freq_factor", "low_freq_factor"},
               {"high_freq_factor", "high_freq_factor"},
               {"beta_fast", "beta_fast"},
               {"beta_slow", "beta_slow"},
               {"attention_factor", "attention_factor"},
               {"mscale", "mscale"},
               {"mscale_all_dim", "mscale_all_dim"},
               {"truncate", "truncate"},
               {"short_factor", "short_factors"},
               {"long_factor", "long_factors"}};
enum { N_MEMBERS = sizeof members / sizeof *members };

/* The members of rope_scaling or rope_parameters, each known and of the kind that is asked for. */
static void read_scaling(spar__config_reader *r, const char *key, const json_t *scaling, json_t *out) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)scaling, name, value) {
        bool known = json_is_null(value) || !strcmp(name, "rope_type") || !strcmp(name, "type") ||
                     !strcmp(name, "rope_theta") || !strcmp(name, "partial_rotary_factor") ||
                     !strcmp(name, "finetuned");
        for (int i = 0; !known && i < N_MEMBERS; i++)
            if (strcmp(name, members[i].published) == 0) {
                known = true;
                json_object_set(out, members[i].ours, value);
            }
        if (!known && !r->status)
            r->status = spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key '%s': member '%s' is not known", r->path,
                                   key, name);
    }
}

/* The original context may stand beside the object, and then counts; no factor: the ratio of the contexts. */
static void complete_scaling(spar__config_reader *r, json_t *out) {
    int64_t context = spar__config_integer(r, "max_position_embeddings", 0);
    int64_t original = spar__config_integer(r, "original_max_position_embeddings", 0);
    if (original) json_object_set_new(out, "original_context", json_integer(original));
    original = spar__model_integer(out, "original_context", 0);
    if (original && context && !json_object_get(out, "factor"))
        json_object_set_new(out, "factor", json_real((double)context / (double)original));
}

json_t *spar__config_rope(spar__config_reader *r, double base, double fraction, const char *pairs) {
    bool newer = spar__config_has(r, "rope_parameters");
    const char *key = newer ? "rope_parameters" : "rope_scaling";
    const json_t *scaling = spar__config_value(r, key);
    if (newer) spar__config_value(r, "rope_scaling");
    if (scaling && !json_is_object(scaling)) spar__config_fail(r, key, "an object");
    const char *type = json_string_value(json_object_get(scaling, "rope_type"));
    if (!type) type = json_string_value(json_object_get(scaling, "type"));
    if (!type) type = "default";
    if (strcmp(type, "su") == 0) type = "longrope"; /* its name at first */
    bool scaled = strcmp(type, "default") != 0;
    base = spar__config_real(r, "rope_theta", base);
    fraction = spar__config_real(r, "partial_rotary_factor", fraction);
    const json_t *inner = json_object_get(scaling, "rope_theta");
    if (json_is_number(inner)) base = json_number_value(inner);
    inner = json_object_get(scaling, "partial_rotary_factor");
    if (json_is_number(inner)) fraction = json_number_value(inner);
    json_t *out = json_pack("{s:s, s:f}", "kind", "rotary", "base", base);
    if (fraction != 1) json_object_set_new(out, "fraction", json_real(fraction));
    if (strcmp(pairs, "halves") != 0) json_object_set_new(out, "pairs", json_string(pairs));
    if (scaled) {
        if (strcmp(type, "linear") && strcmp(type, "dynamic") && strcmp(type, "yarn") &&
            strcmp(type, "llama3") && strcmp(type, "longrope"))
            spar__config_fail(r, key, "a rope_type default, linear, dynamic, yarn, llama3 or longrope");
        json_object_set_new(out, "scaling", json_string(type));
        read_scaling(r, key, scaling, out);
        complete_scaling(r, out);
        if (strcmp(type, "longrope") == 0 && (!json_is_array(json_object_get(out, "short_factors")) ||
                                              !json_is_array(json_object_get(out, "long_factors"))))
            spar__config_fail(r, key, "lists short_factor and long_factor");
    }
    return out;
}

void spar__publish_rope(json_t *config, const json_t *position) {
    double fraction = spar__model_real(position, "fraction", 1);
    const char *scaling = spar__model_kind(position, "scaling", "none");
    json_object_set_new(config, "rope_theta", json_real(spar__model_real(position, "base", 10000)));
    if (fraction != 1) json_object_set_new(config, "partial_rotary_factor", json_real(fraction));
    json_object_set_new(config, "rope_scaling", json_null());
    if (strcmp(scaling, "none") == 0) return;
    json_t *out = json_pack("{s:s}", "rope_type", scaling);
    for (int i = 0; i < N_MEMBERS; i++) {
        json_t *value = json_object_get(position, members[i].ours);
        if (value) json_object_set(out, members[i].published, value);
    }
    json_object_set_new(config, "rope_scaling", out);
}
