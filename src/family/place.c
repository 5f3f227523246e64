/* Where our parameters lie among published tensors: rules looked up, rows mapped. */
#include <stdio.h>
#include <string.h>

#include "family/mapping.h"

/* Whether `name` is `pattern` with a number for {i} and, if need be, a suffix after it. */
static bool fits(const char *pattern, const char *name, int64_t *layer, const char **suffix) {
    *layer = 0;
    while (*pattern) {
        if (strncmp(pattern, "{i}", 3) == 0) {
            if (*name < '0' || *name > '9') return false;
            for (*layer = 0; *name >= '0' && *name <= '9' && *layer < 1 << 24; name++)
                *layer = 10 * *layer + *name - '0';
            pattern += 3;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    *suffix = name;
    return !*name || strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0;
}

static void expand(const char *pattern, const spar__place *place, int64_t expert, char *out, size_t room) {
    size_t n = 0;
    int64_t of = place->attentions ? place->attentions : 1;
    const char names[] = "iebj";
    const int64_t values[] = {place->layer, expert, place->layer / of, place->layer % of};
    out[0] = 0;
    for (; *pattern && n + 24 < room; out[n] = 0) {
        const char *name = pattern[0] == '{' && pattern[1] && pattern[2] == '}' ? strchr(names, pattern[1]) : NULL;
        if (name) {
            n += (size_t)snprintf(out + n, room - n, "%lld", (long long)values[name - names]);
            pattern += 3;
        } else {
            if (*pattern == '|') n += (size_t)snprintf(out + n, room - n, "%s", place->suffix);
            out[n++] = *pattern++;
        }
    }
    snprintf(out + n, room - n, "%s", place->suffix);
}

static spar__param *param_named(spar_model *m, const char *name) {
    for (int i = 0, n = spar__model_n_params(m); i < n; i++)
        if (strcmp(spar__model_param(m, i)->name, name) == 0) return spar__model_param(m, i);
    return NULL;
}

/* Kernels of four dimensions count as rows of all but the first. */
static int64_t rows_of(const spar__param *p) { return p->n_dims % 3 == 1 ? p->shape[0] : p->value.rows; }
static int64_t cols_of(const spar__param *p) {
    return p->n_dims == 1 ? 1 : p->value.rows / rows_of(p) * p->value.cols;
}

static bool has_experts(const spar__tensor_rule *rule) { return strstr(rule->theirs, "{e}") != NULL; }

/* Rows of the other parts of a fused tensor: those before this one, and all. */
static spar_status measure_parts(spar_model *m, const spar__tensor_rule *rules, const spar__param *p,
                                 spar__place *place) {
    const spar__tensor_rule *rule = place->rule;
    for (const spar__tensor_rule *r = rules; r->ours; r++) {
        if (strcmp(r->theirs, rule->theirs) != 0 || r == rule) continue;
        char name[160];
        expand(r->ours, place, 0, name, sizeof name);
        const spar__param *other = param_named(m, name);
        if (!other)
            return spar__fail(SPAR_ERR_CONFIG, "tensor '%s': is one with '%s', which the model lacks", p->name,
                              name);
        int64_t rows = rows_of(other) / place->experts;
        place->all += rows;
        if (r->part < rule->part) place->before += rows;
    }
    return SPAR_OK;
}

static bool has_companion(spar_model *m, const spar__tensor_rule *rule, const spar__place *place) {
    char name[160];
    if (!rule->with) return true;
    expand(rule->with, place, 0, name, sizeof name);
    return param_named(m, name) != NULL;
}

spar_status spar__place_of(spar_model *m, const spar__tensor_rule *rules, const spar__param *p,
                           spar__place *out) {
    spar__place place = {.experts = 1, .suffix = ""};
    for (const spar__tensor_rule *r = rules; r && r->ours; r++)
        if (fits(r->ours, p->name, &place.layer, &place.suffix) && has_companion(m, r, &place)) {
            place.rule = r;
            break;
        }
    const spar__tensor_rule *rule = place.rule;
    place.attentions = (int64_t)json_array_size(spar__model_value(spar__model_config(m), "decoder.feedforward"));
    if (rule && has_experts(rule) && p->n_dims > 1) place.experts = p->shape[0];
    place.rows = place.all = rows_of(p) / place.experts;
    place.cols = place.stride = cols_of(p);
    if (rule && rule->form == SPAR__COLUMN_AND_ROW) {
        place.halves = true;
        place.experts = 2;
        place.cols /= 2;
    }
    if (rule && rule->parts > 1) SPAR_TRY(measure_parts(m, rules, p, &place));
    const spar__shape *shape = spar__model_shape_of(m, p->name);
    bool slabs = rule && rule->form == SPAR__SLABS;
    place.transposed = rule && (rule->form == SPAR__TRANSPOSED || slabs) && p->n_dims > 1;
    place.slabs = slabs ? shape->n_heads : 0;
    if (slabs && place.rows % place.slabs)
        return spar__fail(SPAR_ERR_CONFIG, "tensor '%s': %lld rows are no multiple of n_heads, %d", p->name,
                          (long long)place.rows, shape->n_heads);
    place.head_dim = shape->head_dim;
    if (rule && rule->shape) {
        const json_t *config = spar__model_config(m);
        place.heads = shape->n_heads;
        place.neurons = spar__layer_integer(config, p->name, "feedforward", "block", 16);
        place.rounds = spar__layer_integer(config, p->name, "attention.pattern", "rounds", 1);
    }
    if (rule && (rule->form == SPAR__HALVES || rule->form == SPAR__ADJACENT)) {
        const json_t *position = spar__model_value(spar__model_config(m), "position");
        bool ours = strcmp(spar__model_kind(position, "pairs", "halves"), "halves") == 0;
        place.to_adjacent = rule->form == SPAR__ADJACENT;
        if (ours == place.to_adjacent && strcmp(spar__model_kind(position, "kind", ""), "rotary") == 0)
            place.turned =
                (int64_t)(spar__model_real(position, "fraction", 1) * (double)shape->head_dim + 1e-6) / 2 * 2;
    }
    if (rule && (rule->form == SPAR__PER_HEAD || place.turned) && place.rows % shape->head_dim)
        return spar__fail(SPAR_ERR_CONFIG, "tensor '%s': %lld rows are no multiple of head_dim, %lld", p->name,
                          (long long)place.rows, (long long)shape->head_dim);
    *out = place;
    return SPAR_OK;
}

int64_t spar__place_row(const spar__place *place, int64_t r) {
    const spar__tensor_rule *rule = place->rule;
    int64_t d = place->head_dim;
    if (rule && rule->form == SPAR__PER_HEAD) return (r / d * rule->parts + rule->part) * d + r % d;
    if (place->turned) {
        int64_t j = r % d, half = place->turned / 2;
        int64_t there = j >= place->turned       ? j
                        : !place->to_adjacent    ? j / 2 + j % 2 * half
                        : j < half               ? 2 * j
                                                 : 2 * (j - half) + 1;
        return place->before + r - j + there;
    }
    return place->before + r;
}

void spar__place_name(const spar__place *place, const spar__param *p, int64_t expert, char *out,
                      size_t room) {
    if (place->rule) expand(place->rule->theirs, place, expert, out, room);
    char *bar = place->halves ? strchr(out, '|') : NULL;
    if (bar && expert) memmove(out, bar + 1, strlen(bar));
    else if (bar) *bar = 0;
    if (place->rule) return;
    snprintf(out, room, "/%s", p->name);
}
