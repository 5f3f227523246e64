/* Heads of published encoders. */
#include "family/encoder.h"
#include "family/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* A JSON file beside config.json; NULL where there is none. */
static json_t *beside(spar__config_reader *r, const char *name) {
    if (r->beside) return r->beside->file(r->beside, name);
    const char *slash = strrchr(r->path, '/');
    char *folder = slash ? spar__copy_bytes(r->path, (size_t)(slash - r->path)) : spar__copy_string(".");
    char *path = folder ? spar__path_join(folder, name) : NULL;
    json_t *out = NULL;
    spar_status status = !path ? SPAR_ERR_MEMORY : spar__file_exists(path) ? spar__json_read(path, &out) : SPAR_OK;
    if (status && !r->status) r->status = status;
    spar__free(path);
    spar__free(folder);
    return out;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = text ? strlen(text) : 0, m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* sentence_bert_config.json: how many tokens of a text sentence-transformers uses. */
static json_int_t most_tokens(spar__config_reader *r) {
    json_t *options = beside(r, "sentence_bert_config.json");
    json_int_t most = json_integer_value(json_object_get(options, "max_seq_length"));
    json_decref(options);
    return most > 0 && most < 1 << 30 ? most : 0;
}

/* modules.json lists a pooling (its options in 1_Pooling/config.json) and perhaps a normalisation. */
static json_t *embedding_head(spar__config_reader *r) {
    static const struct {
        const char *key, *pooling;
    } modes[] = {{"pooling_mode_cls_token", "cls"},
                 {"pooling_mode_mean_tokens", "mean"},
                 {"pooling_mode_lasttoken", "last"}};
    json_t *modules = beside(r, "modules.json"), *item;
    if (!modules) return json_pack("{s:s}", "kind", "embedding");
    const char *pooling = "mean";
    bool unit = false;
    size_t i;
    json_array_foreach(modules, i, item) {
        const char *type = json_string_value(json_object_get(item, "type"));
        const char *path = json_string_value(json_object_get(item, "path"));
        unit |= ends_with(type, ".Normalize");
        if (!ends_with(type, ".Pooling") || !path) continue;
        char name[256];
        snprintf(name, sizeof name, "%s/config.json", path);
        json_t *options = beside(r, name);
        const char *mode = json_string_value(json_object_get(options, "pooling_mode"));
        bool known = false;
        for (int k = 0; k < 3; k++)
            if (json_is_true(json_object_get(options, modes[k].key)) || (mode && strcmp(mode, modes[k].pooling) == 0)) {
                pooling = modes[k].pooling;
                known = true;
            }
        if (options && !known && !r->status)
            r->status = spar__fail(SPAR_ERR_UNSUPPORTED, "%s: %s: expected pooling by cls, mean or last token",
                                   r->path, name);
        json_decref(options);
    }
    json_decref(modules);
    return json_pack("{s:s, s:s, s:b, s:I}", "kind", "embedding", "pooling", pooling, "normalise", unit,
                     "most_tokens", (json_int_t)most_tokens(r));
}

/* As sentence-transformers lists them: the encoder itself, a pooling, perhaps a normalisation. */
json_t *spar__embedding_file(const spar_model *model, const char *name) {
    const json_t *head = spar__model_value(spar__model_config(model), "head");
    const char *kind = json_is_string(head) ? json_string_value(head) : spar__model_kind(head, "kind", "");
    const char *pooling = spar__model_kind(head, "pooling", "mean");
    if (strcmp(kind, "embedding") != 0 || (!spar__model_value(head, "pooling") && !spar__model_value(head, "normalise")))
        return NULL;
    if (strcmp(name, "1_Pooling/config.json") == 0)
        return json_pack("{s:I, s:b, s:b, s:b, s:b}", "word_embedding_dimension",
                         spar__model_integer(spar__model_config(model), "d_model", 0), "pooling_mode_cls_token",
                         !strcmp(pooling, "cls"), "pooling_mode_mean_tokens", !strcmp(pooling, "mean"),
                         "pooling_mode_max_tokens", 0, "pooling_mode_lasttoken", !strcmp(pooling, "last"));
    int64_t most = spar__model_integer(head, "most_tokens", 0);
    if (strcmp(name, "sentence_bert_config.json") == 0 && most) return json_pack("{s:I}", "max_seq_length", most);
    if (strcmp(name, "modules.json") != 0) return NULL;
    static const char *const modules[][2] = {{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Normalize", "Normalize"}};
    json_t *list = json_array();
    for (int i = 0; i < (spar__model_flag(head, "normalise", true) ? 3 : 2); i++) {
        char number[16], type[64];
        snprintf(number, sizeof number, "%d", i);
        snprintf(type, sizeof type, "sentence_transformers.models.%s", modules[i][1]);
        json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s}", "idx", i, "name", number, "path", modules[i][0], "type", type));
    }
    return list;
}

static int64_t classes_of(spar__config_reader *r) {
    const json_t *labels = spar__config_value(r, "id2label");
    int64_t n = spar__config_integer(r, "num_labels", 0);
    return n ? n : labels ? (int64_t)json_object_size(labels) : 2;
}

/* Heads that have the tensors of ours and compute something else. */
static void refuse_others(spar__config_reader *r) {
    const json_t *item;
    size_t i;
    json_array_foreach((json_t *)spar__config_value(r, "architectures"), i, item) {
        static const char *const others[] = {"ForTokenClassification", "ForMultipleChoice", "ForQuestionAnswering",
                                             "ForNextSentencePrediction"};
        for (int k = 0; k < 4; k++)
            if (ends_with(json_string_value(item), others[k]))
                spar__config_fail(r, "architectures", "a model, ForMaskedLM, ForPreTraining or ForSequenceClassification");
    }
}

json_t *spar__encoder_head(spar__config_reader *r, const char *activation, double eps, const char *pooler) {
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    bool other = spar__config_tensor(r, "lm_predictions.lm_head.bias"); /* always with the embedding */
    if (other || spar__config_tensor(r, "cls.predictions.bias") || spar__config_tensor(r, "cls.predictions.decoder.bias"))
        return json_pack("{s:s, s:s, s:f, s:b}", "kind", "masked", "activation", activation, "eps", eps, "tied",
                         tied || other);
    refuse_others(r);
    if (spar__config_tensor(r, "classifier.weight"))
        return json_pack("{s:s, s:I, s:s, s:b}", "kind", "classifier", "classes", classes_of(r), "activation",
                         pooler ? pooler : "tanh", "pooler", pooler != NULL);
    return embedding_head(r);
}

void spar__encoder_labels(spar__config_reader *r, json_t *m) {
    const json_t *labels = spar__config_value(r, "id2label");
    int64_t n = spar__model_integer(m, "head.classes", 0);
    if (!labels || !n) return;
    json_t *list = json_array();
    for (int64_t i = 0; i < n && n <= 65536; i++) {
        char key[24];
        snprintf(key, sizeof key, "%lld", (long long)i);
        const char *name = json_string_value(json_object_get(labels, key));
        json_array_append_new(list, json_string(name ? name : key));
    }
    json_object_set_new(m, "labels", list);
}

void spar__publish_encoder(json_t *config, const json_t *m, const char *family) {
    const char *head = spar__model_kind(m, "head", "tied");
    bool masked = strcmp(head, "masked") == 0, classifier = strcmp(head, "classifier") == 0;
    char name[64];
    snprintf(name, sizeof name, "%s%s", family,
             masked ? "ForMaskedLM" : classifier ? "ForSequenceClassification" : "Model");
    json_object_set_new(config, "architectures", json_pack("[s]", name));
    json_object_set_new(config, "tie_word_embeddings", json_boolean(spar__model_flag(m, "head.tied", true)));
    if (!classifier) return;
    json_t *ids = json_object();
    const json_t *labels = json_object_get(m, "labels");
    for (int64_t i = 0, n = spar__model_integer(m, "head.classes", 2); i < n; i++) {
        char key[24], label[40];
        snprintf(key, sizeof key, "%lld", (long long)i);
        snprintf(label, sizeof label, "LABEL_%lld", (long long)i);
        const char *own = json_string_value(json_array_get(labels, (size_t)i));
        json_object_set_new(ids, key, json_string(own ? own : label));
    }
    json_object_set_new(config, "id2label", ids);
}
