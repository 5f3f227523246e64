/* What `spar inspect` tells of a model beside its layers: where it comes from, its tokenizer, and the
 * memory that running it takes. */
#include <string.h>

#include "model/inside.h"

static json_t *tokenizer_of(const spar_tokenizer *t) {
    if (!t) return json_null();
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i}", "kind", spar_tokenizer_kind(t), "size", (int)spar_tokenizer_size(t),
                     "bos", (int)spar_tokenizer_bos(t), "eos", (int)spar_tokenizer_eos(t), "pad",
                     (int)spar_tokenizer_pad(t), "unk", (int)spar_tokenizer_unk(t));
}

/* Weights as stored, and a session at a thousand tokens and at the whole context, f32. */
static json_t *memory_of(const spar_model *m, double weights) {
    enum { CHUNK = 512 };
    int64_t context = spar_model_context(m), thousand = context && context < 1024 ? context : 1024;
    double at_1k = (double)spar__model_cache_bytes(m, 1, thousand, CHUNK, SPAR__F32);
    double whole = (double)spar__model_cache_bytes(m, 1, context ? context : thousand, CHUNK, SPAR__F32);
    return json_pack("{s:f, s:f, s:f, s:f}", "weights", weights, "cache_1k", at_1k, "cache_context", whole, "total_context",
                     weights + whole);
}

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

void spar__model_about(const spar_model *m, double weights, json_t *o) {
    const json_t *general = json_object_get(m->source, "general");
    const char *family = json_string_value(json_object_get(m->source, "family"));
    json_object_set_new(o, "family", text_or_null(family));
    json_object_set_new(o, "name", text_or_null(json_string_value(json_object_get(general, "name"))));
    json_object_set_new(o, "license", text_or_null(json_string_value(json_object_get(general, "license"))));
    json_object_set_new(o, "context", json_integer((json_int_t)spar_model_context(m)));
    json_object_set_new(o, "tokenizer", tokenizer_of(m->tokenizer));
    json_object_set_new(o, "chat_template", text_or_null(spar_model_chat_template(m)));
    json_object_set_new(o, "memory", memory_of(m, weights));
    json_t *others = json_array();
    for (int i = 0; i < m->params.n_params; i++) {
        const spar__param *p = m->params.params[i];
        if (strstr(p->name, "blk.")) continue;
        json_t *shape = json_array();
        for (int d = 0; d < p->n_dims; d++) json_array_append_new(shape, json_integer(p->shape[d]));
        json_array_append_new(others, json_pack("{s:s, s:o, s:s}", "name", p->name, "shape", shape, "type",
                                                spar__type_of(p->value.type)->name));
    }
    json_object_set_new(o, "tensors", others);
}
