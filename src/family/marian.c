/* Marian (Junczys-Dowmunt et al. 2018, arXiv 1804.00344): the encoder–decoder of 2017, as Helsinki's
 * translation models have it: sinusoids (sines, then cosines), norms after the residual sums, a bias of
 * the logits. */
#include <math.h>
#include <string.h>

#include "family/family.h"

static const char *const types[] = {"marian", NULL};
static const char *const prefixes[] = {"model.", "", NULL};
static const char *const ignored[] = {"*embed_positions.weight", "*embed_tokens.weight", "lm_head.weight", "model.shared.weight", NULL};

#define STACK(ours, theirs)                                                                                      \
    {ours ".blk.{i}.attn_q", theirs ".layers.{i}.self_attn.q_proj"},                                             \
        {ours ".blk.{i}.attn_k", theirs ".layers.{i}.self_attn.k_proj"},                                         \
        {ours ".blk.{i}.attn_v", theirs ".layers.{i}.self_attn.v_proj"},                                         \
        {ours ".blk.{i}.attn_output", theirs ".layers.{i}.self_attn.out_proj"},                                  \
        {ours ".blk.{i}.attn_norm", theirs ".layers.{i}.self_attn_layer_norm"},                                  \
        {ours ".blk.{i}.ffn_up", theirs ".layers.{i}.fc1"}, {ours ".blk.{i}.ffn_down", theirs ".layers.{i}.fc2"}, \
        {ours ".blk.{i}.ffn_norm", theirs ".layers.{i}.final_layer_norm"}

static const spar__tensor_rule tensors[] = {
    {"token_embd", "encoder.embed_tokens", .with = "dec.token_embd"},
    {"token_embd", "shared"},
    {"dec.token_embd", "decoder.embed_tokens"},
    STACK("enc", "encoder"),
    STACK("dec", "decoder"),
    {"dec.blk.{i}.cross_attn_q", "decoder.layers.{i}.encoder_attn.q_proj"},
    {"dec.blk.{i}.cross_attn_k", "decoder.layers.{i}.encoder_attn.k_proj"},
    {"dec.blk.{i}.cross_attn_v", "decoder.layers.{i}.encoder_attn.v_proj"},
    {"dec.blk.{i}.cross_attn_output", "decoder.layers.{i}.encoder_attn.out_proj"},
    {"dec.blk.{i}.cross_attn_norm", "decoder.layers.{i}.encoder_attn_layer_norm"},
    {"output.weight", "/lm_head.weight"},
    {"output.bias", "/final_logits_bias", .shape = "1r"},
    {0}};

static json_t *stack_of(spar__config_reader *r, const char *name) {
    char layers[40], heads[40], width[40];
    snprintf(layers, sizeof layers, "%s_layers", name);
    snprintf(heads, sizeof heads, "%s_attention_heads", name);
    snprintf(width, sizeof width, "%s_ffn_dim", name);
    return json_pack("{s:I, s:{s:I}, s:{s:I}}", "n_layers", spar__config_integer(r, layers, 12), "attention", "n_heads",
                     spar__config_integer(r, heads, 16), "feedforward", "d_ff", spar__config_integer(r, width, 4096));
}

static json_t *read(spar__config_reader *r) {
    int64_t d = spar__config_integer(r, "d_model", 1024), vocabulary = spar__config_integer(r, "vocab_size", 58101);
    bool tied = spar__config_bool(r, "tie_word_embeddings", true);
    bool shared = spar__config_bool(r, "share_encoder_decoder_embeddings", true);
    bool scaled = spar__config_bool(r, "scale_embedding", false);
    int64_t target = spar__config_integer(r, "decoder_vocab_size", vocabulary);
    bool norm_embedding = spar__config_bool(r, "normalize_embedding", false);
    if (spar__config_bool(r, "normalize_before", false)) spar__config_fail(r, "normalize_before", "false");
    if (spar__config_bool(r, "add_final_layer_norm", false)) spar__config_fail(r, "add_final_layer_norm", "false");
    spar__config_integer(r, "num_hidden_layers", 0);
    spar__config_bool(r, "static_position_embeddings", true);
    spar__config_bool(r, "add_bias_logits", false);
    spar__config_bool(r, "normalize_embedding", false);
    spar__config_value(r, "extra_pos_embeddings");
    spar__config_value(r, "force_bos_token_to_be_generated");
    json_t *m = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:s, s:f}, s:s, s:{s:s, s:b}, s:{s:I}, s:{s:s, s:s}, s:{s:f, s:b}, s:o, s:o, s:{s:s, s:b}}",
        "architecture", "encoder-decoder", "vocab_size", vocabulary, "context",
        spar__config_integer(r, "max_position_embeddings", 1024), "d_model", d, "n_layers", (json_int_t)1, "norm", "kind",
        "layer", "eps", 1e-5, "residual", "post-norm", "position", "kind", "sinusoidal", "halves", true, "attention",
        "n_heads", (json_int_t)1, "feedforward", "kind", "dense", "activation",
        spar__config_activation(r, "activation_function", "gelu"), "embedding", "scale", scaled ? sqrt((double)d) : 1.0,
        "norm", norm_embedding, "encoder", stack_of(r, "encoder"), "decoder", stack_of(r, "decoder"), "head", "kind",
        tied ? "tied" : "separate", "bias", true);
    bool apart = !tied && spar__config_tensor(r, "model.encoder.embed_tokens.weight") &&
                 spar__config_tensor(r, "model.decoder.embed_tokens.weight");
    if (!shared || apart) {
        json_t *decoder = json_object_get(m, "decoder");
        json_object_set_new(decoder, "vocab_size", json_integer(shared ? vocabulary : target));
        json_object_set_new(decoder, "embedding", json_pack("{s:b}", "shared", false));
    }
    int64_t pad = spar__config_integer(r, "pad_token_id", 58100);
    json_object_set_new(m, "start", json_integer(spar__config_integer(r, "decoder_start_token_id", pad)));
    return m;
}

static json_t *publish(const json_t *m) {
    if (strcmp(spar__model_kind(m, "position", "learned"), "sinusoidal") != 0 ||
        strcmp(spar__model_kind(m, "architecture", "decoder"), "encoder-decoder") != 0)
        return NULL;
    int64_t start = spar__model_integer(m, "start", 0), vocabulary = spar__model_integer(m, "vocab_size", 0);
    json_t *c = json_pack(
        "{s:s, s:[s], s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:I, s:I, s:b}", "model_type", "marian", "architectures",
        "MarianMTModel", "vocab_size", vocabulary, "decoder_vocab_size",
        spar__model_integer(m, "decoder.vocab_size", vocabulary), "max_position_embeddings",
        spar__model_integer(m, "context", 1024), "d_model", spar__model_integer(m, "d_model", 0), "activation_function",
        spar__activation_published(spar__model_kind(m, "feedforward.activation", "gelu-tanh")), "scale_embedding",
        spar__model_real(m, "embedding.scale", 1) != 1, "share_encoder_decoder_embeddings",
        spar__model_flag(m, "decoder.embedding.shared", true), "tie_word_embeddings",
        strcmp(spar__model_kind(m, "head", "tied"), "tied") == 0, "decoder_start_token_id", start, "pad_token_id", start,
        "is_encoder_decoder", true);
    static const char *const stacks[] = {"encoder", "decoder"};
    for (int i = 0; i < 2; i++) {
        const json_t *s = json_object_get(m, stacks[i]);
        char key[40];
        snprintf(key, sizeof key, "%s_layers", stacks[i]);
        json_object_set_new(c, key, json_integer(spar__model_integer(s, "n_layers", spar__model_integer(m, "n_layers", 0))));
        snprintf(key, sizeof key, "%s_attention_heads", stacks[i]);
        json_object_set_new(c, key, json_integer(spar__model_integer(s, "attention.n_heads", spar__model_integer(m, "attention.n_heads", 0))));
        snprintf(key, sizeof key, "%s_ffn_dim", stacks[i]);
        json_object_set_new(c, key, json_integer(spar__model_integer(s, "feedforward.d_ff", spar__model_integer(m, "feedforward.d_ff", 0))));
    }
    return c;
}

const spar__family spar__family_marian = {
    .name = "marian",
    .types = types,
    .prefixes = prefixes,
    .tensors = tensors,
    .ignored = ignored,
    .read = read,
    .publish = publish,
};
