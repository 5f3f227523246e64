#include "token/save.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "token/marian.h"
#include "token/spm.h"
#include "token/tokenizer.h"

static spar_status write(const char *folder, const char *name, const void *bytes, size_t length) {
    char *path = spar__path_join(folder, name);
    spar_status status = path ? spar__write_file(path, bytes, length) : SPAR_ERR_MEMORY;
    spar__free(path);
    return status;
}

static json_t *make_config(const spar_tokenizer *t, const char *class, const char *chat_template) {
    const struct {
        const char *key;
        int32_t id;
    } roles[] = {{"bos_token", t->bos}, {"eos_token", t->eos}, {"pad_token", t->pad}, {"unk_token", t->unk}};
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", class,
                          "clean_up_tokenization_spaces", 0, "add_bos_token", t->n_before > 0, "add_eos_token",
                          t->n_after > 0);
    for (int i = 0; o && i < 4; i++) {
        size_t length;
        const char *piece = spar_tokenizer_piece(t, roles[i].id, &length);
        json_t *text = length ? json_stringn(piece, length) : NULL;
        if (text) json_object_set_new(o, roles[i].key, text);
    }
    if (o && chat_template) json_object_set_new(o, "chat_template", json_string(chat_template));
    return o;
}

spar_status spar__tokenizer_save_folder(const spar_tokenizer *t, const json_t *config, const char *chat_template,
                                        const char *folder) {
    bool spm = strcmp(t->model->kind, "sentencepiece") == 0;
    const spar__spm *model = t->model_state;
    bool marian = strcmp(t->model->kind, "marian") == 0;
    if (marian) SPAR_TRY(spar__marian_save(t, folder));
    else
        SPAR_TRY(spm ? write(folder, "tokenizer.model", model->file, model->file_length)
                     : write(folder, "tokenizer.json", t->json, t->json_length));
    const char *class = marian ? "MarianTokenizer" : spm ? "LlamaTokenizer" : "PreTrainedTokenizerFast";
    json_t *made = config ? NULL : make_config(t, class, chat_template);
    char *text = NULL;
    if (!config && !made) return spar__fail(SPAR_ERR_MEMORY, "out of memory: tokenizer_config.json");
    spar_status status = spar__json_text(config ? config : made, 2, &text);
    if (!status) status = write(folder, "tokenizer_config.json", text, strlen(text));
    spar__free(text);
    json_decref(made);
    return status;
}
