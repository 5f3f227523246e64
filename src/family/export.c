/* spar_model_export: which form, which family. */
#include "family/export.h"

#include <string.h>

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Both sections are built, with one order of rotary pairs, for what counts is what they mean. */
bool spar__section_fits(const json_t *section, const spar_model *m) {
    json_t *ours = json_deep_copy(spar__model_config(m));
    const json_t *pairs = spar__model_value(section, "position.pairs");
    json_t *position = json_object_get(ours, "position");
    spar_model *a = NULL, *b = NULL;
    if (strcmp(spar__model_kind(ours, "position", ""), "rotary") == 0) {
        if (!json_is_object(position)) {
            position = json_pack("{s:s}", "kind", "rotary");
            json_object_set_new(ours, "position", position);
        }
        json_object_set_new(position, "pairs", json_string(pairs ? json_string_value(pairs) : "halves"));
    }
    bool same = ours && !spar__model_build(section, &a) && !spar__model_build(ours, &b) && spar__model_same(a, b);
    spar_model_free(a);
    spar_model_free(b);
    json_decref(ours);
    return same;
}

/* The folder that a model is to become. */
typedef struct written {
    spar__beside beside;
    const spar_model *model;
    const spar__outgoing *out;
} written;

static bool written_tensor(const spar__beside *beside, const char *name) {
    const spar__outgoing *out = ((const written *)beside)->out;
    for (int i = 0; i < out->n_tensors; i++)
        if (strcmp(out->tensors[i].name, name) == 0) return true;
    return false;
}

static json_t *written_file(const spar__beside *beside, const char *name) {
    return spar__embedding_file(((const written *)beside)->model, name);
}

static bool config_fits(const spar_model *m, const spar__family *family, const json_t *config) {
    json_t *section = NULL;
    spar__outgoing out = {0};
    const spar__type f32 = SPAR__F32;
    const char *prefix = family->prefixes ? family->prefixes[0] : "";
    written w = {{written_tensor, written_file}, m, &out};
    bool fits = config && !spar__outgoing_list((spar_model *)m, family->tensors, prefix, &f32, &out) &&
                !spar__family_translate("config.json", family, config, &w.beside, &section) &&
                spar__section_fits(section, m);
    spar__outgoing_free(&out);
    json_decref(section);
    return fits;
}

json_t *spar__published_config(const spar_model *m, const spar__family *family) {
    const json_t *source = spar__model_source(m), *config = json_object_get(source, "config");
    const char *name = json_string_value(json_object_get(source, "family"));
    bool kept = !family->kept || family->kept(config);
    if (name && strcmp(name, family->name) == 0 && kept && config_fits(m, family, config)) return json_deep_copy(config);
    json_t *made = family->publish ? family->publish(spar__model_config(m)) : NULL;
    if (config_fits(m, family, made)) return made;
    json_decref(made);
    return NULL;
}

static bool can(const spar_model *m, const spar__family *family, bool gguf) {
    if (gguf) return family->gguf && spar__gguf_can_say(m, family);
    json_t *config = family->read && family->tensors ? spar__published_config(m, family) : NULL;
    json_decref(config);
    return config != NULL;
}

static spar_status find_family(const spar_model *m, const char *wanted, bool gguf, const spar__family **out) {
    const char *name = wanted ? wanted : json_string_value(json_object_get(spar__model_source(m), "family"));
    const spar__family *family = name ? spar__family_named(name) : NULL;
    char list[512];
    spar__family_list(list, sizeof list);
    if (wanted && !family)
        return spar__fail(SPAR_ERR_ARGUMENT, "family '%s': expected one of %s", wanted, list);
    if (family && can(m, family, gguf)) return *out = family, SPAR_OK;
    for (int i = 0; !wanted && (family = spar__family_at(i)); i++)
        if (can(m, family, gguf)) return *out = family, SPAR_OK;
    return spar__fail(SPAR_ERR_UNSUPPORTED, "a %s %s%scannot describe this model%s%s", gguf ? "GGUF file of" : "folder of",
                      wanted ? wanted : "a published family", wanted ? " " : " ", wanted ? "" : "; there are ",
                      wanted ? "" : list);
}

spar_status spar_model_export(const spar_model *m, const spar_export_options *o, const char *path,
                              const char **format) {
    static const char *const formats[] = {"folder", "gguf", "spar", NULL};
    spar__type type = SPAR__F32;
    spar__export e = {(spar_model *)m, NULL, o->type ? &type : NULL, o->progress, path, {0}};
    if (o->type && !spar__type_find(o->type, &type))
        return spar__fail(SPAR_ERR_ARGUMENT, "type '%s': expected f32, f16, bf16 or q8_0", o->type);
    const char *form = o->format ? o->format : ends_with(path, ".gguf") ? "gguf" : "folder";
    if (strcmp(form, formats[0]) && strcmp(form, formats[1]) && strcmp(form, formats[2]))
        return spar__fail(SPAR_ERR_ARGUMENT, "format '%s': expected folder, gguf or spar", form);
    spar_status status = SPAR_OK;
    if (strcmp(form, "spar") != 0) status = find_family(m, o->family, strcmp(form, "gguf") == 0, &e.family);
    /* A file of our own says everything: it is what is written where nothing else was asked for. */
    if (status == SPAR_ERR_UNSUPPORTED && !o->format && !o->family && strcmp(form, "gguf") == 0) {
        form = "spar";
        status = SPAR_OK;
    }
    SPAR_TRY(status);
    if (strcmp(form, "spar") == 0) status = spar_model_save(m, NULL, o->type, path);
    else status = strcmp(form, "gguf") == 0 ? spar__export_gguf(&e) : spar__export_folder(&e);
    spar__outgoing_free(&e.out);
    if (!status && format) *format = form;
    return status;
}
