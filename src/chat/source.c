/* Where the files of models keep their chat template. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "format/gguf.h"
#include "spar/chat.h"

static spar_status from_gguf(const char *path, char **source) {
    spar__gguf *gguf;
    SPAR_TRY(spar__gguf_open(path, &gguf));
    spar_status status =
        spar__gguf_find(gguf, "tokenizer.chat_template", NULL)
            ? spar__gguf_text_copy(gguf, "tokenizer.chat_template", source)
            : spar__fail(SPAR_ERR_NOT_FOUND, "%s: has no chat template", path);
    spar__gguf_free(gguf);
    return status;
}

/* A text, or a list of {"name", "template"} with one called "default". */
static const char *chosen(const json_t *value) {
    if (json_is_string(value)) return json_string_value(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && !strcmp(name, "default"))
            return json_string_value(json_object_get(one, "template"));
    }
    return NULL;
}

static spar_status from_json(const char *path, char **source) {
    json_t *root;
    if (!spar__file_exists(path)) return SPAR_OK;
    SPAR_TRY(spar__json_read(path, &root));
    const char *text = chosen(json_object_get(root, "chat_template"));
    spar_status status = SPAR_OK;
    if (text && !(*source = spar__copy_string(text))) status = SPAR_ERR_MEMORY;
    json_decref(root);
    return status;
}

spar_status spar_chat_template_find(const char *model, char **source) {
    static const char *const names[] = {"chat_template.jinja", "chat_template.json",
                                        "tokenizer_config.json"};
    if (!spar__folder_exists(model)) return from_gguf(model, source);
    char *found = NULL;
    spar_status status = SPAR_OK;
    for (int i = 0; i < 3 && !found && !status; i++) {
        char *path = spar__path_join(model, names[i]);
        size_t length;
        if (!path) return SPAR_ERR_MEMORY;
        if (i) status = from_json(path, &found);
        else if (spar__file_exists(path)) status = spar__read_file(path, 1 << 20, &found, &length);
        spar__free(path);
    }
    if (!status && !found)
        status = spar__fail(SPAR_ERR_NOT_FOUND, "%s: has no chat template", model);
    if (status) spar__free(found);
    else *source = found;
    return status;
}
