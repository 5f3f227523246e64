/* Reading config.json. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "family/family.h"

/* Keys that change nothing of what a model computes when it is run or trained here. `*` at an end
 * stands for anything. */
static const char *const harmless[] = {
    "_*", "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "auto_map",
    "*token_id", "*_token_ids", "*pdrop", "*dropout", "*_dropout_prob", "dropout*", "layerdrop*",
    "*layerdrop", "initializer_range", "init_std", "initializer_factor", "use_cache", "summary_*",
    "task_specific_params", "problem_type", "id2label", "label2id", "num_labels", "finetuning_task",
    "output_*", "return_dict*", "torchscript", "use_bfloat16", "pruned_heads", "chunk_size_feed_forward",
    "is_decoder", "is_encoder_decoder", "tie_encoder_decoder", "cross_attention_hidden_size",
    "bad_words_ids", "max_length", "min_length", "num_beams", "num_beam_groups", "num_return_sequences",
    "do_sample", "early_stopping", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "length_penalty", "diversity_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "remove_invalid_values",
    "prefix", "tokenizer_class", "gradient_checkpointing", "tf_legacy_loss", "pretraining_tp",
    "reorder_and_upcast_attn", "slow_but_exact", "router_aux_loss_coef",
    "router_z_loss_coef", "output_router_logits", "n_ctx", "bos", "eos", "classifier_*", "use_return_dict",
    "attn_implementation", "attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion",
    "offset_alibi", "skip_bias_add*", "unk_index", "hidden_dropout*", "model_max_length", "language", "license",
    "directionality", "padding_idx", "predict_special_tokens", "max_sequence_length", "max_new_tokens",
    "min_new_tokens", "renormalize_logits", "name_or_path", "is_llama_config", "unsloth_*", "transformers.js_config", "sbert_*",
    "sentence_transformers", "neftune_noise_alpha", NULL};

static bool fits(const char *pattern, const char *key) {
    size_t n = strlen(pattern), k = strlen(key);
    if (pattern[n - 1] == '*') return strncmp(pattern, key, n - 1) == 0;
    if (pattern[0] == '*') return k >= n - 1 && strcmp(key + k - (n - 1), pattern + 1) == 0;
    return strcmp(pattern, key) == 0;
}

spar_status spar__config_finish(spar__config_reader *r) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)r->config, key, value) {
        bool known = json_is_null(value) || json_object_get(r->used, key);
        for (int i = 0; !known && harmless[i]; i++) known = fits(harmless[i], key);
        if (!known && !r->status) {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            r->status = spar__fail(SPAR_ERR_UNSUPPORTED,
                                   "%s: key '%s' (%.60s) is not known of this family and may change "
                                   "what the model computes",
                                   r->path, key, text ? text : "?");
            free(text);
        }
    }
    return r->status;
}

static void note(spar__config_reader *r, const char *key) {
    if (json_object_set_new(r->used, key, json_true()) && !r->status)
        r->status = spar__fail(SPAR_ERR_MEMORY, "out of memory: %s", r->path);
}

static void keep(spar__config_reader *r, spar_status status) {
    if (!r->status) r->status = status;
}

bool spar__config_has(const spar__config_reader *r, const char *key) {
    const json_t *v = json_object_get(r->config, key);
    return v && !json_is_null(v);
}

/* The tensors beside config.json; NULL where they cannot be read, which is said when the weights are. */
static spar__st *tensors_of(const spar__config_reader *r) {
    const char *slash = strrchr(r->path, '/');
    char *folder = slash ? spar__copy_bytes(r->path, (size_t)(slash - r->path)) : spar__copy_string(".");
    spar__st *tensors;
    if (!folder || spar__st_open(folder, &tensors)) tensors = NULL;
    spar__free(folder);
    return tensors;
}

bool spar__config_tensor(spar__config_reader *r, const char *name) {
    if (r->beside) return r->beside->tensor(r->beside, name);
    spar__st *tensors = tensors_of(r);
    bool found = tensors && spar__st_find(tensors, name);
    spar__st_free(tensors);
    return found;
}

bool spar__config_same_tensors(spar__config_reader *r, const char *a, const char *b) {
    if (r->beside) return false; /* none is written twice */
    spar__st *tensors = tensors_of(r);
    const spar__st_tensor *x = tensors ? spar__st_find(tensors, a) : NULL;
    const spar__st_tensor *y = tensors ? spar__st_find(tensors, b) : NULL;
    bool same = x && y && x->type == y->type && x->bytes == y->bytes && memcmp(x->data, y->data, x->bytes) == 0;
    spar__st_free(tensors);
    return same;
}

const char *spar__config_either(spar__config_reader *r, const char *key, const char *other) {
    note(r, key);
    note(r, other);
    return !spar__config_has(r, key) && spar__config_has(r, other) ? other : key;
}

const json_t *spar__config_value(spar__config_reader *r, const char *key) {
    note(r, key);
    return spar__config_has(r, key) ? json_object_get(r->config, key) : NULL;
}

int64_t spar__config_integer(spar__config_reader *r, const char *key, int64_t fallback) {
    int64_t out = fallback == SPAR__REQUIRED ? 1 : fallback;
    note(r, key);
    keep(r, fallback == SPAR__REQUIRED
                ? spar__json_integer(r->config, r->path, key, 0, (int64_t)1 << 40, &out)
                : spar__json_integer_or(r->config, r->path, key, 0, (int64_t)1 << 40, fallback, &out));
    return out;
}

double spar__config_real(spar__config_reader *r, const char *key, double fallback) {
    double out = fallback;
    note(r, key);
    keep(r, spar__json_real_or(r->config, r->path, key, fallback, &out));
    return out;
}

bool spar__config_bool(spar__config_reader *r, const char *key, bool fallback) {
    bool out = fallback;
    note(r, key);
    keep(r, spar__json_bool_or(r->config, r->path, key, fallback, &out));
    return out;
}

const char *spar__config_text(spar__config_reader *r, const char *key, const char *fallback) {
    const char *out = fallback;
    note(r, key);
    keep(r, spar__json_string_or(r->config, r->path, key, fallback, &out));
    return out;
}

const char *spar__config_one_of(spar__config_reader *r, const char *key, const char *const *values,
                                const char *expected) {
    const char *found = spar__config_text(r, key, values[0]);
    for (int i = 0; values[i]; i++)
        if (strcmp(found, values[i]) == 0) return values[i];
    spar__config_fail(r, key, expected);
    return values[0];
}

void spar__config_fail(spar__config_reader *r, const char *key, const char *expected) {
    char *text = json_dumps(json_object_get(r->config, key), JSON_ENCODE_ANY | JSON_COMPACT);
    keep(r, spar__fail(SPAR_ERR_UNSUPPORTED, "%s: key '%s': found %.60s, expected %s", r->path, key,
                       text ? text : "nothing", expected));
    free(text);
}

void spar__config_only(spar__config_reader *r, const char *key, bool expected, bool fallback) {
    if (spar__config_bool(r, key, fallback) != expected)
        spar__config_fail(r, key, expected ? "true" : "false");
}

/* ---- Activations ---- */

static const struct {
    const char *published, *ours;
} activations[] = {
    {"gelu_new", "gelu-tanh"},   {"gelu_pytorch_tanh", "gelu-tanh"}, {"gelu_fast", "gelu-tanh"},
    {"gelu_accurate", "gelu-tanh"}, {"gelu_python_tanh", "gelu-tanh"}, {"gelu", "gelu"},
    {"gelu_python", "gelu"},     {"gelu_10", "gelu-10"},             {"quick_gelu", "quick-gelu"},
    {"relu", "relu"},            {"relu2", "relu2"},                 {"relu6", "relu6"},
    {"leaky_relu", "leaky-relu"}, {"silu", "silu"},                  {"swish", "silu"},
    {"hardswish", "hard-swish"}, {"mish", "mish"},                   {"laplace", "laplace"},
    {"sigmoid", "sigmoid"},      {"tanh", "tanh"},                   {"linear", "none"}};
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

const char *spar__activation_ours(const char *published) {
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(activations[i].published, published) == 0) return activations[i].ours;
    return NULL;
}

const char *spar__config_activation(spar__config_reader *r, const char *key, const char *fallback) {
    const char *ours = spar__activation_ours(spar__config_text(r, key, fallback));
    if (!ours) spar__config_fail(r, key, "an activation such as gelu, gelu_new, relu, silu, swish, tanh or linear");
    return ours ? ours : "none";
}

const char *spar__activation_published(const char *ours) {
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (strcmp(activations[i].ours, ours) == 0) return activations[i].published;
    return ours;
}
