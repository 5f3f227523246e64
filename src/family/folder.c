/* Hugging Face folders: config.json, safetensors, tokenizer files. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "family/export.h"
#include "family/mapping.h"
#include "family/open.h"

/* Files beside the weights that are kept, to be written back and to be asked. */
static const char *const kept[] = {"generation_config", "tokenizer_config", "special_tokens_map", NULL};

static spar_status read_json(const char *folder, const char *name, json_t **out) {
    char *path = spar__path_join(folder, name);
    if (!path) return SPAR_ERR_MEMORY;
    *out = NULL;
    spar_status status = spar__file_exists(path) ? spar__json_read(path, out) : SPAR_OK;
    spar__free(path);
    return status;
}

static spar_status find_family(const char *path, const json_t *config, const spar__family **out) {
    const char *type = json_string_value(json_object_get(config, "model_type"));
    char list[512];
    *out = spar__family_of_config(config);
    if (*out) return SPAR_OK;
    spar__family_list(list, sizeof list);
    return spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key 'model_type': found %s%s%s, expected one of %s", path,
                      type ? "'" : "", type ? type : "nothing", type ? "'" : "", list);
}

spar_status spar__family_translate(const char *path, const spar__family *family, const json_t *config,
                                   const spar__beside *beside, json_t **model) {
    spar__config_reader r = {.path = path, .config = config, .used = json_object(), .beside = beside};
    *model = r.used ? family->read(&r) : NULL;
    spar_status status = spar__config_finish(&r);
    if (!status && !*model) status = spar__fail(SPAR_ERR_MEMORY, "out of memory: %s", path);
    json_decref(r.used);
    if (status) {
        json_decref(*model);
        *model = NULL;
    }
    return status;
}

/* "license" of the block between lines "---" that opens README.md on model pages. */
static void read_license(const char *folder, json_t *general) {
    enum { LARGEST = 1 << 22 };
    char *path = spar__path_join(folder, "README.md"), *text = NULL;
    size_t length;
    if (path && spar__file_exists(path) && !spar__read_file(path, LARGEST, &text, &length) &&
        strncmp(text, "---\n", 4) == 0) {
        char *end = strstr(text + 4, "\n---"), *line = strstr(text, "\nlicense:");
        if (end && line && line < end) {
            line += strlen("\nlicense:") + strspn(line + strlen("\nlicense:"), " \"'");
            json_t *name = json_stringn(line, strcspn(line, "\r\n\"' #"));
            if (name) json_object_set_new(general, "license", name);
        }
    }
    spar__free(text);
    spar__free(path);
}

/* {"name", "license"}: the folder's own name, unless config.json says from where it came. */
static json_t *read_general(const char *folder, const json_t *config) {
    const char *name = json_string_value(json_object_get(config, "_name_or_path"));
    if (!name || !*name) name = folder;
    size_t end = strlen(name);
    while (end > 1 && name[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && name[begin - 1] != '/') begin--;
    json_t *general = json_object(), *text = json_stringn(name + begin, end - begin);
    if (text) json_object_set_new(general, "name", text);
    read_license(folder, general);
    return general;
}

/* Newer folders have the chat template in a file of its own. */
static spar_status read_chat_template(const char *folder, json_t *source) {
    enum { LARGEST = 1 << 22 };
    char *path = spar__path_join(folder, "chat_template.jinja"), *text;
    size_t length;
    spar_status status = path ? SPAR_OK : SPAR_ERR_MEMORY;
    if (!status && spar__file_exists(path)) {
        status = spar__read_file(path, LARGEST, &text, &length);
        json_t *template = status ? NULL : json_stringn(text, length);
        if (!status && !template) status = spar__fail(SPAR_ERR_FORMAT, "%s: not UTF-8", path);
        if (template) json_object_set_new(source, "chat_template", template);
        if (!status) spar__free(text);
    }
    spar__free(path);
    return status;
}

/* {"family", "config", "general", "generation_config", …} */
static spar_status collect(const char *folder, const spar__family *family, json_t *config, json_t **out) {
    json_t *source = json_pack("{s:s, s:O, s:o}", "family", family->name, "config", config, "general",
                               read_general(folder, config));
    if (!source) return SPAR_ERR_MEMORY;
    for (int i = 0; kept[i]; i++) {
        char name[64];
        json_t *value;
        snprintf(name, sizeof name, "%s.json", kept[i]);
        spar_status status = read_json(folder, name, &value);
        if (status) return json_decref(source), status;
        if (value) json_object_set_new(source, kept[i], value);
    }
    spar_status status = read_chat_template(folder, source);
    if (status) json_decref(source);
    else *out = source;
    return status;
}

static spar_status open_tokenizer(const char *folder, spar_model *m) {
    spar_tokenizer *tokenizer;
    spar_status status = spar_tokenizer_open(folder, &tokenizer);
    if (status == SPAR_ERR_NOT_FOUND) return SPAR_OK;
    return status ? status : spar__give_tokenizer(m, folder, tokenizer);
}

static spar_status open_weights(const char *folder, const spar__family *family, spar_model *m) {
    spar__st *tensors;
    SPAR_TRY(spar__st_open(folder, &tensors));
    spar__model_adopt(m, NULL, tensors);
    spar__binding binding = {.path = spar__st_path(tensors),
                             .family = family,
                             .rules = family->tensors,
                             .prefixes = family->prefixes,
                             .ignored = family->ignored,
                             .tensors = tensors};
    SPAR_TRY(spar__bind(&binding, m));
    return spar__model_prepare(m);
}

static spar_status open_config(const char *folder, const char *path, const json_t *config, spar_model **out) {
    const spar__family *family;
    json_t *section = NULL, *source;
    spar_model *m = NULL;
    SPAR_TRY(find_family(path, config, &family));
    SPAR_TRY(spar__family_translate(path, family, config, NULL, &section));
    spar_status status = spar__model_build(section, &m);
    json_decref(section);
    if (status) return spar__fail_within(status, "%s", path);
    SPAR_TRY_GOTO(fail, open_weights(folder, family, m));
    SPAR_TRY_GOTO(fail, open_tokenizer(folder, m));
    SPAR_TRY_GOTO(fail, collect(folder, family, (json_t *)config, &source));
    spar__model_set_source(m, source);
    *out = m;
    return SPAR_OK;
fail:
    spar_model_free(m);
    return status;
}

spar_status spar__folder_open(const char *folder, spar_model **out) {
    json_t *config = NULL;
    char *path = spar__path_join(folder, "config.json");
    spar_status status = path ? spar__json_read(path, &config) : SPAR_ERR_MEMORY;
    if (!status) status = open_config(folder, path, config, out);
    json_decref(config);
    spar__free(path);
    return status;
}
